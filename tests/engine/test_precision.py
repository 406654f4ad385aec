"""What `auto` comes to, and that the model itself is left as it was."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from notices import Notices
from plain_machine import plain_machine
from tiny import write_model

from videoswin_cli import extract, predict
from videoswin_cli.cli.splice import splice
from videoswin_cli.engine import precision
from videoswin_cli.engine.distributed import Item, World
from videoswin_cli.engine.numerics import Decision, Record
from videoswin_cli.engine.runner import open_runner
from videoswin_cli.engine.runtime import Numerics, choose_runtime
from videoswin_cli.errors import UsageError
from videoswin_cli.io.paths import configs_dir
from videoswin_cli.io.process_state import full_float32
from videoswin_cli.model.loading import LoadedModel, load
from videoswin_cli.options.run import Precision, PrecisionChoice, RunOptions
from videoswin_cli.training.recipe import read_recipe


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    write_model(tmp_path / "tiny.safetensors")
    return load(str(tmp_path / "tiny.safetensors"))


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that is fast with bf16."""
    machine = plain_machine(bf16=3.0)
    monkeypatch.setattr(precision, "this_machine", lambda: machine)


def resolve(model: LoadedModel, wanted: PrecisionChoice = "auto", **more: Any) -> tuple[str, str]:
    """Precision and what was told."""
    notices = Notices()
    options = RunOptions(device="cpu", precision=wanted)
    found = open_runner(model, options, reporter=notices, **more).settings.runtime
    assert found.on_cpu
    (notice,) = notices.texts
    return found.precision, notice


def refuse(*_: object) -> Any:
    raise AssertionError("it was tried again")


@pytest.mark.parametrize("function", [predict, extract, choose_runtime, RunOptions])
def test_float32_is_the_default(function: Callable[..., Any]) -> None:
    assert inspect.signature(function).parameters["precision"].default == "fp32"


@pytest.mark.parametrize("module", ["predict", "eval", "extract", "bench"])
def test_float32_is_the_default_of_every_command(module: str) -> None:
    command = getattr(import_module(f"videoswin_cli.cli.{module}"), module)
    assert inspect.signature(splice(command)).parameters["precision"].default == "fp32"


def test_float32_is_the_default_of_every_recipe() -> None:
    for path in (configs_dir() / "finetune").glob("*.yaml"):
        assert read_recipe(path).precision == "fp32", path


def test_float32_on_a_gpu_is_not_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "empty", lambda *_, device: None)  # there need be no GPU
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = True
        with full_float32():
            assert [backend.allow_tf32 for backend in backends] == [False, False]
        choose_runtime(device="cuda")
        assert [backend.allow_tf32 for backend in backends] == [True, True]
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def test_a_usual_cpu_computes_in_float32(model: LoadedModel) -> None:
    assert resolve(model) == ("fp32", "computing on cpu in fp32")


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("with_head", [True, False])
def test_a_cpu_that_is_fast_with_it_computes_in_bf16(model: LoadedModel, with_head: bool) -> None:
    if not with_head:
        model.network.head = None
    found, notice = resolve(model)
    assert found == "bf16"
    assert notice == "computing on cpu in bf16: --precision fp32 for the exact scores"


@pytest.mark.usefixtures("fast")
def test_a_model_that_does_not_stand_it_stays_in_float32(model: LoadedModel) -> None:
    """Its classes differ by less than bf16 can tell of their common weights."""
    assert model.network.head is not None
    with torch.no_grad():
        model.network.head.weight += 1000
    found, notice = resolve(model)
    assert found == "fp32"
    assert notice.startswith("computing on cpu in fp32: bf16 changes this model's logits by")


@pytest.mark.usefixtures("fast")
def test_answers_that_are_no_numbers_are_no_agreement(model: LoadedModel) -> None:
    with torch.no_grad():
        model.network.norm.weight.fill_(torch.nan)
    assert resolve(model)[0] == "fp32"


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("wanted", ["fp32", "bf16", "fp16"])
def test_what_is_asked_for_is_done(model: LoadedModel, wanted: Precision) -> None:
    invitation = "; bf16 is faster on this machine: --precision auto tries it"
    told = f"computing on cpu in {wanted}{invitation if wanted == 'fp32' else ''}"
    assert resolve(model, wanted) == (wanted, told)


@pytest.mark.usefixtures("fast")
def test_float32_is_not_tried(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_change_in_bf16", refuse)
    assert resolve(model, "fp32")[0] == "fp32"


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("begun", ["fp32", "bf16", "fp16"])
def test_what_an_output_says_is_taken(
    begun: Precision, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_change_in_bf16", refuse)
    record = Record(read=lambda: Numerics(precision=begun), keep=refuse)
    told = f"computing on cpu in {begun}: as the output was begun"
    assert resolve(model, record=record) == (begun, told)


@pytest.mark.usefixtures("fast")
def test_who_writes_an_output_first_decides(model: LoadedModel) -> None:
    kept = []
    record = Record(
        keep=lambda _, run: kept.append(run.runtime.precision) or Numerics(precision="fp32")
    )
    assert resolve(model, record=record)[0] == "fp32"
    assert kept == ["bf16"]


def test_what_was_asked_for_is_not_what_an_output_says(model: LoadedModel) -> None:
    """The error for a difference comes from the comparison of descriptions."""
    assert resolve(model, "fp32", record=Record(read=refuse))[0] == "fp32"


@dataclass(frozen=True, kw_only=True)
class Apart(World):
    """One process of two; the other one, which is the first, has decided."""

    decided: Any

    def share(self, items: list[Item]) -> list[Item]:
        assert items == []
        return [self.decided]


@pytest.mark.usefixtures("fast")
def test_the_first_process_decides(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_change_in_bf16", refuse)
    decided = Decision(numerics=Numerics(precision="fp16"))
    world = Apart(rank=1, size=2, decided=decided)
    assert resolve(model, world=world, record=Record(read=refuse))[0] == "fp16"


def test_what_cannot_be_computed_here_is_an_error(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("\"addmm_impl\" not implemented for 'BFloat16'")

    monkeypatch.setattr(torch, "mm", fail)
    with pytest.raises(UsageError, match=r"cannot compute in bf16 on cpu: .* not implemented"):
        resolve(model, "bf16")
    with pytest.raises(UsageError, match="the run was begun in bf16: cannot compute in bf16"):
        resolve(model, record=Record(read=lambda: Numerics(precision="bf16")))


@pytest.mark.usefixtures("fast")
def test_neither_the_trial_nor_a_run_rounds_the_weights_of_the_model(model: LoadedModel) -> None:
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    resolve(model)
    network: Any = open_runner(model, RunOptions(device="cpu", precision="bf16")).network
    assert next(network.network.parameters()).dtype == torch.bfloat16
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_in_float32_a_run_computes_with_the_weights_themselves(model: LoadedModel) -> None:
    network: Any = open_runner(model, RunOptions(device="cpu", precision="fp32")).network
    assert network.network.norm.weight is model.network.norm.weight


@pytest.mark.usefixtures("fast")
def test_a_trial_leaves_the_numbers_that_chance_gives(model: LoadedModel) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    resolve(model)
    assert torch.equal(torch.rand(3), expected)
