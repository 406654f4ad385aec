"""What `auto` comes to, and that the model itself is left as it was."""

from pathlib import Path

import pytest
import torch
from tiny import write_model

from videoswin_cli.engine import precision
from videoswin_cli.engine.inference import prepare
from videoswin_cli.engine.precision import resolve_auto
from videoswin_cli.engine.runtime import Precision, RunOptions
from videoswin_cli.model.loading import LoadedModel, load
from videoswin_cli.model.machine import Machine


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    write_model(tmp_path / "tiny.safetensors")
    return load(str(tmp_path / "tiny.safetensors"))


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that is fast with bf16."""
    machine = Machine(convolution=1.0, bf16=3.0)
    monkeypatch.setattr(precision, "this_machine", lambda: machine)


def resolve(model: LoadedModel, wanted: Precision = "auto") -> tuple[str, str]:
    """Precision and what was told."""
    notices: list[str] = []
    options = RunOptions(device="cpu", precision=wanted)
    found = resolve_auto(model, options, notice=notices.append)
    assert found.device == "cpu"
    (notice,) = notices
    return found.precision, notice


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
    assert notice.startswith("computing on cpu in fp32: in bf16 the answers of this model change")


@pytest.mark.usefixtures("fast")
def test_answers_that_are_no_numbers_are_no_agreement(model: LoadedModel) -> None:
    with torch.no_grad():
        model.network.norm.weight.fill_(torch.nan)
    assert resolve(model)[0] == "fp32"


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("wanted", ["fp32", "bf16", "fp16"])
def test_what_is_asked_for_is_done(model: LoadedModel, wanted: Precision) -> None:
    assert resolve(model, wanted) == (wanted, f"computing on cpu in {wanted}")


@pytest.mark.usefixtures("fast")
def test_neither_the_trial_nor_a_run_rounds_the_weights_of_the_model(model: LoadedModel) -> None:
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    resolve(model)
    _, network = prepare(model, RunOptions(device="cpu", precision="bf16"))
    assert next(network.parameters()).dtype == torch.bfloat16
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_in_float32_a_run_computes_with_the_weights_themselves(model: LoadedModel) -> None:
    _, network = prepare(model, RunOptions(device="cpu", precision="fp32"))
    assert network.norm.weight is model.network.norm.weight


@pytest.mark.usefixtures("fast")
def test_a_trial_leaves_the_numbers_that_chance_gives(model: LoadedModel) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    resolve(model)
    assert torch.equal(torch.rand(3), expected)
