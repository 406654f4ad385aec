"""Option records: their checks, and the command lines and signatures that are made of them."""

import inspect
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

import pytest

from videoswin_cli.cli.splice import splice
from videoswin_cli.errors import UsageError
from videoswin_cli.options.fields import check_options, fill, list_options, option, split_keywords
from videoswin_cli.options.parsers import parse_fps, parse_shard, parse_stride
from videoswin_cli.records import Shard, Stride


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int | None = option(None, "Its size.", least=1, most=9)
    mode: Literal["a", "b", "c"] = option("a", "Its mode.")

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class Outer:
    stride: Stride | None = option(None, "A stride.", parse=parse_stride)
    inner: Inner = field(default_factory=Inner)
    names: tuple[str, ...] = option((), "Names.")


def test_options_of_records_in_records_are_found_in_order() -> None:
    assert [each.name for each in list_options(Outer())] == ["stride", "size", "mode", "names"]


def test_values_find_their_record_and_text_is_parsed() -> None:
    found = fill(Outer(), {"size": 3, "stride": "16f", "names": ["x"], "other": 1})
    assert found == Outer(stride=Stride(frames=16), inner=Inner(size=3), names=("x",))
    assert fill(Outer(inner=Inner(mode="b")), {}).inner.mode == "b"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "size 0: expected 1 to 9"),
        ({"size": 10}, "size 10: expected 1 to 9"),
        ({"mode": "d"}, "mode 'd': expected one of a, b, c"),
    ],
)
def test_ranges_and_choices_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fill(Outer(), values)


def test_a_command_has_the_options_of_its_records() -> None:
    seen: list[Outer] = []

    def command(outer: Outer = Outer(inner=Inner(mode="c"))) -> None:
        """A command."""
        seen.append(outer)

    made = splice(command)
    parameters = inspect.signature(made).parameters
    assert {"stride", "size", "mode", "names", "quiet", "verbose"} == parameters.keys()
    assert parameters["mode"].default == "c"
    annotation = parameters["size"].annotation
    assert get_args(annotation)[1].min == 1
    made(stride="2", size=None, mode="b", names=None, quiet=False, verbose=False)
    assert seen == [Outer(stride=Stride(seconds=2.0), inner=Inner(mode="b"))]
    assert made.__doc__ == "A command."
    assert Annotated[int | None, get_args(annotation)[1]] == annotation


def test_a_keyword_of_no_record_names_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"run\(\) got .* 'sizes'. Did you mean 'size'\?"):
        split_keywords({"sizes": 1}, (Outer(),), function="run")


@pytest.mark.parametrize("text", ["0", "-1", "1001", "fast", "1e3", "nan", ""])
def test_rates_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--fps"):
        parse_fps(text)


def test_what_is_written_as_text() -> None:
    assert (parse_fps("29.97"), parse_fps("source")) == (29.97, "source")
    assert parse_shard("2/4") == Shard(index=1, count=4)
    assert parse_stride("0.5") == Stride(seconds=0.5)
