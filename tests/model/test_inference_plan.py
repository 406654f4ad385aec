"""The plan against the numbers of the official code, and against the network that it is of."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from formula import formula_input
from golden_forward import CASES, formula_network, random_network, read_golden, worst

from videoswin_cli.model import inference_plan
from videoswin_cli.model.cpu import chunks, linear
from videoswin_cli.model.cpu.profile import Machine
from videoswin_cli.model.inference_plan import InferencePlan
from videoswin_cli.model.network import plan_on_cpu
from videoswin_cli.model.swin3d import MLP, Swin3D, WindowAttention

PLAIN = Machine(convolution=1.0, bf16=1.0)
FAST_CONVOLUTION = Machine(convolution=9.0, bf16=1.0)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return read_golden()


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a large input: many chunks, of windows of several shapes."""
    monkeypatch.setattr(chunks, "_CHUNK_ROWS", 50)
    monkeypatch.setattr(chunks, "_FEWEST_ROWS", 1)


@pytest.mark.parametrize("case", CASES)
def test_plan_equals_the_official_code(case: str, golden: dict[str, np.ndarray]) -> None:
    entry = CASES[case]
    plan = InferencePlan(formula_network(entry["architecture"], torch.float32))
    clips = formula_input(entry["input_shape"])
    assert worst(plan(clips), golden[f"{case}/logits_f32"]) < 5e-5
    at = golden[f"{case}/features_idx"].astype(np.int64)
    assert worst(plan.forward_features(clips).flatten()[at], golden[f"{case}/features_f64"]) < 1e-4
    stage = plan.forward_features(clips, stage=2)
    at = golden[f"{case}/stage1_idx"].astype(np.int64)
    assert worst(stage.flatten()[at], golden[f"{case}/stage1_f32"]) < 1e-4


@pytest.mark.parametrize("case", ["nano_w877__2x3x20x120x80", "nano_w1677__1x3x12x75x64"])
@pytest.mark.usefixtures("small_chunks")
def test_plan_by_convolution_equals_the_official_code(
    case: str, threads: int, golden: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, convolve = [], linear.convolve
    monkeypatch.setattr(linear, "convolve", lambda *args: calls.append(1) or convolve(*args))
    network = formula_network(CASES[case]["architecture"], torch.float32)
    plan = InferencePlan(network, FAST_CONVOLUTION)
    assert (
        worst(plan(formula_input(CASES[case]["input_shape"])), golden[f"{case}/logits_f32"]) < 5e-5
    )
    assert calls


@pytest.mark.parametrize(
    "case",
    ["nano_w877__1x3x5x64x64", "nano_w877__2x3x20x120x80", "nano_w1677__1x3x12x75x64"],
)
def test_bf16_stays_within_a_tenth_of_the_spread(case: str, golden: dict[str, np.ndarray]) -> None:
    """The worst logit of the golden cases is off by 0.05 to 0.07 of it, as the processor rounds.

    Classes are the same where the best logit is ahead by more than two errors of that size.
    """
    network = formula_network(CASES[case]["architecture"], torch.float32).to(torch.bfloat16)
    logits = InferencePlan(network)(formula_input(CASES[case]["input_shape"]).bfloat16()).float()
    expected = golden[f"{case}/logits_f64"]
    allowed = 0.1 * expected.std()
    assert worst(logits, expected) < allowed
    second, best = np.sort(expected, axis=1)[:, -2:].T
    clear = best - second > 2 * allowed
    found = logits.numpy().argmax(axis=1)
    assert found[clear].tolist() == expected.argmax(axis=1)[clear].tolist()


@pytest.mark.parametrize(
    "shape",
    [(2, 3, 8, 48, 48), (1, 3, 9, 50, 46), (1, 3, 2, 12, 12), (3, 3, 5, 30, 80)],
    ids=["whole windows", "padded everywhere", "one window", "longer than high"],
)
@pytest.mark.usefixtures("small_chunks")
def test_plan_equals_the_network_in_float64(shape: tuple[int, ...], threads: int) -> None:
    network = random_network().double()
    clips = formula_input(shape).double()
    plan = InferencePlan(network)
    with torch.inference_mode():
        torch.testing.assert_close(plan(clips), network(clips), rtol=0, atol=1e-12)
        torch.testing.assert_close(
            plan.forward_features(clips, stage=1),
            network.forward_features(clips, stage=1),
            rtol=0,
            atol=1e-12,
        )
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("changes", [{"patch_norm": False}, {"qkv_bias": False}], ids=str)
def test_parts_that_an_architecture_may_lack(changes: dict[str, Any]) -> None:
    network = random_network(**changes).double()
    clips = formula_input((1, 3, 8, 48, 48)).double()
    with torch.inference_mode():
        torch.testing.assert_close(
            InferencePlan(network)(clips), network(clips), rtol=0, atol=1e-12
        )


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("machine", [PLAIN, FAST_CONVOLUTION], ids=["linear", "convolution"])
def test_a_clip_does_not_depend_on_its_batch_nor_on_the_threads(machine: Machine) -> None:
    plan = InferencePlan(random_network(), machine)
    clips = formula_input((5, 3, 8, 48, 48))
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(plan(clips))
        found.append(torch.cat([plan(clip[None]) for clip in clips]))
    torch.set_num_threads(before)
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_the_plan_follows_weights_and_sizes() -> None:
    network = random_network().double()
    plan = InferencePlan(network)
    for side in (24, 48, 36, 24):
        clips = formula_input((1, 3, 4, side, side)).double()
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, WindowAttention):
                    module.relative_position_bias_table.add_(side)
                    module.proj.weight.mul_(1.1)
        with torch.inference_mode():
            torch.testing.assert_close(plan(clips), network(clips), rtol=0, atol=1e-12)
    network.float()
    assert plan(clips.float()).dtype == torch.float32


def test_tables_that_take_the_place_of_others_are_noticed() -> None:
    """Their addresses are often those of the tables that are gone."""
    network = random_network().double()
    plan, clips = InferencePlan(network), formula_input((1, 3, 4, 24, 24)).double()
    for _ in range(20):
        weights = {
            name: torch.randn_like(value) if name.endswith("bias_table") else value
            for name, value in network.state_dict().items()
        }
        network.load_state_dict(weights, assign=True)
        del weights
        with torch.inference_mode():
            torch.testing.assert_close(plan(clips), network(clips), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("small_chunks")
def test_autocast_reaches_every_thread(threads: int) -> None:
    network = random_network()
    clips = formula_input((1, 3, 8, 48, 48))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found, expected = InferencePlan(network)(clips), network(clips)
    assert found.dtype == expected.dtype == torch.bfloat16
    assert torch.get_num_threads() == threads
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1 * float(expected.float().std()))


def test_an_empty_batch_and_wrong_shapes() -> None:
    network = random_network()
    plan, nothing = InferencePlan(network), torch.zeros(0, 3, 4, 24, 24)
    for door in ("__call__", "pool", "forward_features"):
        assert getattr(plan, door)(nothing).shape == getattr(network, door)(nothing).shape
    with pytest.raises(ValueError, match=r"found \(3, 4, 24, 24\)"):
        plan(torch.zeros(3, 4, 24, 24))


def test_a_plan_is_no_module_and_its_features_can_be_trained_on() -> None:
    plan = InferencePlan(random_network())
    for name in ("train", "recompute", "parameters"):
        assert not hasattr(plan, name), name
    features = plan.pool(formula_input((1, 3, 4, 24, 24)))
    torch.nn.Linear(features.shape[1], 2)(features).sum().backward()
    features.add_(1)


def test_a_block_that_takes_the_place_of_another_is_seen() -> None:
    network = random_network()
    plan, clips = InferencePlan(network), formula_input((1, 3, 4, 24, 24))
    torch.nn.init.normal_(network.layers[0].blocks[1].norm1.weight)
    network.layers[0].blocks[0] = deepcopy(network.layers[0].blocks[1])
    with torch.no_grad():
        torch.testing.assert_close(plan(clips), network(clips), rtol=0, atol=1e-5)


def _wrap_parts(network: Swin3D) -> None:
    network.patch_embed = torch.nn.Sequential(network.patch_embed)
    network.layers[0].blocks[0] = torch.nn.Sequential(network.layers[0].blocks[0])


def _no_attention(network: Swin3D) -> None:
    network.layers[0].blocks[0].attn = torch.nn.Identity()


class _Swapped(MLP):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.fc1(x).relu())


def _another_mlp(network: Swin3D) -> None:
    network.layers[0].blocks[0].mlp.__class__ = _Swapped


class _Halved(torch.nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) / 2


def _another_linear(network: Swin3D) -> None:
    network.layers[0].blocks[0].attn.qkv.__class__ = _Halved


def _no_stage(network: Swin3D) -> None:
    network.layers[1] = torch.nn.Identity()


REPLACEMENTS: list[Callable[[Swin3D], None]] = [
    lambda network: setattr(network, "head", torch.nn.Linear(network.head.in_features, 7)),
    lambda network: setattr(network, "norm", torch.nn.Identity()),
    lambda network: setattr(network.patch_embed, "norm", torch.nn.Identity()),
    _wrap_parts,
    _no_attention,
    _another_mlp,
    _another_linear,
    _no_stage,
]


@pytest.mark.parametrize("replace", REPLACEMENTS)
@pytest.mark.parametrize("machine", [PLAIN, FAST_CONVOLUTION], ids=["linear", "convolution"])
def test_a_module_that_is_replaced_counts_from_the_next_call(
    replace: Callable[[Swin3D], None], machine: Machine
) -> None:
    network = random_network()
    plan, clips = InferencePlan(network, machine), formula_input((1, 3, 4, 24, 24))
    before = plan(clips)
    replace(network)
    with torch.no_grad():
        expected = network(clips)
    torch.testing.assert_close(plan(clips), expected, rtol=0, atol=1e-5)
    assert plan.head is network.head
    if replace is not _wrap_parts:  # the same numbers by another way
        assert before.shape != expected.shape or not torch.allclose(before, expected, atol=1e-4)


def test_the_machine_is_measured_at_the_first_call_and_not_where_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[int] = []
    monkeypatch.setattr(inference_plan, "this_machine", lambda: measured.append(1) or PLAIN)
    network, clips = random_network(), formula_input((1, 3, 4, 24, 24))
    InferencePlan(network, PLAIN)(clips)
    plan = InferencePlan(network)
    assert measured == []
    plan(clips)
    plan(clips)
    assert measured == [1]


def test_a_network_of_another_family_computes_by_itself() -> None:
    class Changed(Swin3D):
        """A subclass may compute something else."""

    network = random_network()
    assert isinstance(plan_on_cpu(network), InferencePlan)
    network.__class__ = Changed
    assert plan_on_cpu(network) is network


def test_no_gradients_and_no_need_of_any() -> None:
    clips = formula_input((1, 3, 4, 24, 24))
    logits = InferencePlan(random_network())(clips)
    assert logits.requires_grad is False
    with torch.inference_mode():
        assert torch.equal(InferencePlan(random_network())(clips), logits)
