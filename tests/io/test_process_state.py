"""What a run changes of its process, and that it is put back."""

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from videoswin_cli.errors import UsageError
from videoswin_cli.io import process_state
from videoswin_cli.io.process_state import (
    Shared,
    captured_stderr,
    environment_kept,
    full_float32,
    random_state_kept,
    reproducible_sums,
    torch_threads,
)


def test_what_several_share_changes_once_and_is_put_back_by_the_last() -> None:
    events: list[str] = []

    @contextmanager
    def change() -> Iterator[int]:
        events.append("changed")
        yield 7
        events.append("put back")

    shared = Shared(change)
    for _ in range(2):
        with shared as one:
            with shared as two:
                assert one == two == 7
            assert events == ["changed"]
        assert events == ["changed", "put back"]
        events.clear()


def test_what_cannot_be_changed_can_be_tried_again() -> None:
    tries: list[int] = []

    @contextmanager
    def change() -> Iterator[None]:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no descriptor is left")
        yield

    shared = Shared(change)
    with pytest.raises(OSError, match="no descriptor"), shared:
        pass
    with shared:
        pass
    assert len(tries) == 2


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors")  # noqa: PTH112
@pytest.mark.parametrize("failing", ["the buffer", "the work", "nothing"])
def test_stderr_comes_back_whatever_fails(
    failing: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise OSError("none is left")

    if failing == "the buffer":
        monkeypatch.setattr(process_state, "_make_buffer", fail)
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
    try:
        with captured_stderr() as read_lines:
            os.write(2, b"one\ntwo\n")
            assert read_lines()[-1] == "two"
            if failing == "the work":
                fail()
    except OSError:
        assert failing != "nothing"
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    os.write(2, b"printed")
    assert capfd.readouterr().err == "printed"


def test_variables_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOSWIN_ONE", "1")
    monkeypatch.setenv("VIDEOSWIN_TWO", "2")
    before = dict(os.environ)
    with environment_kept():
        os.environ["VIDEOSWIN_ONE"] = "other"
        del os.environ["VIDEOSWIN_TWO"]
        os.environ["VIDEOSWIN_THREE"] = "3"
    assert dict(os.environ) == before


def test_threads_and_random_numbers_are_put_back() -> None:
    before, state = torch.get_num_threads(), torch.get_rng_state()

    @torch_threads(before + 1)
    @random_state_kept()
    def fail() -> None:
        assert torch.get_num_threads() == before + 1
        torch.manual_seed(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)


def _older(value: str) -> None:
    torch.set_float32_matmul_precision(value)


def _newer(value: str) -> None:
    torch.backends.cuda.matmul.fp32_precision = value


@pytest.mark.parametrize(
    ("choose", "value", "read"),
    [
        (_older, "medium", torch.get_float32_matmul_precision),
        (_older, "high", torch.get_float32_matmul_precision),
        pytest.param(
            _newer,
            "tf32",
            lambda: torch.backends.cuda.matmul.fp32_precision,
            marks=pytest.mark.skipif(
                not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="older torch"
            ),
        ),
    ],
)
def test_float32_is_whole_inside_and_then_what_the_caller_chose(
    choose: Callable[[str], None], value: str, read: Callable[[], str]
) -> None:
    try:
        choose(value)
        with full_float32():
            entered = threading.Event()

            def compute() -> None:
                with full_float32():
                    entered.set()

            thread = threading.Thread(target=compute)
            thread.start()
            assert entered.wait(60)
            thread.join()
            assert not torch.backends.cuda.matmul.allow_tf32
            assert torch.get_float32_matmul_precision() == "highest"
        assert read() == value
    finally:
        if choose is _newer:
            _newer("none")
        _older("highest")


@pytest.mark.parametrize(
    ("library", "late"),
    [
        (SimpleNamespace(mkl_serv_cbwr_get=lambda _: 1), True),
        (SimpleNamespace(mkl_serv_cbwr_get=lambda _: 0x10002), False),
        (SimpleNamespace(), False),  # without MKL
    ],
    ids=["computed before", "in time", "another library"],
)
def test_reproducible_sums_are_asked_for_before_the_first_product(
    library: SimpleNamespace, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "MKL_CBWR", "")
    monkeypatch.delitem(os.environ, "MKL_CBWR")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    assert "torch" in sys.modules
    if late:
        with pytest.raises(UsageError, match="MKL has computed already") as failure:
            reproducible_sums()
        assert "MKL_CBWR=AUTO,STRICT" in str(failure.value.hint)
    else:
        reproducible_sums()
    assert os.environ["MKL_CBWR"] == "AUTO,STRICT"


def test_sums_that_the_environment_chose_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    reproducible_sums()
    assert os.environ["MKL_CBWR"] == "COMPATIBLE"
