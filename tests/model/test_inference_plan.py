"""The plan against the numbers of the official code, and against the network that it is of."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from formula import formula_input
from golden_forward import CASES, formula_network, random_network, read_golden, worst
from plain_machine import plain_machine

from videoswin_cli.model import inference_plan
from videoswin_cli.model.cpu import chunks, linear
from videoswin_cli.model.cpu.profile import Machine
from videoswin_cli.model.inference_plan import InferencePlan
from videoswin_cli.model.network import plan_on_cpu
from videoswin_cli.model.swin3d import MLP, Swin3D, WindowAttention

PLAIN = plain_machine()
CONVOLUTION = plain_machine(convolution=9.0)
FUSED = plain_machine(fused=9.0, fused_bf16=9.0)
ALL = plain_machine(convolution=9.0, fused=9.0, fused_bf16=9.0, attention_bf16=9.0)
FLOAT32 = {"torch": PLAIN, "convolution": CONVOLUTION, "fused": FUSED}
BFLOAT16 = {"torch": PLAIN, "fused": FUSED, "attention by products, too": ALL}

every_float32 = pytest.mark.parametrize("machine", FLOAT32.values(), ids=FLOAT32)
every_bfloat16 = pytest.mark.parametrize("machine", BFLOAT16.values(), ids=BFLOAT16)


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


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each kernel was taken that is not torch's."""
    for dtype in (torch.float32, torch.bfloat16):
        linear.has_fused_products(dtype)  # which takes them itself, once
    calls: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        kernel = getattr(module, name)

        def counted(*args: Any, **named: Any) -> Any:
            calls[name] += 1
            return kernel(*args, **named)

        monkeypatch.setattr(module, name, counted)

    count(linear, "convolve")
    count(linear, "fuse")
    count(inference_plan, "attend_by_products")
    return calls


def kernels_of(machine: Machine, dtype: torch.dtype) -> set[str]:
    """Those that are not torch's and that a network of this type takes on a machine."""
    kernels = set()
    fused = {torch.float32: machine.fused, torch.bfloat16: machine.fused_bf16}.get(dtype, 0)
    if fused > 1 and linear.has_fused_products(dtype):
        kernels.add("fuse")
    elif dtype == torch.float32 and machine.convolution > 1:
        kernels.add("convolve")
    if dtype == torch.bfloat16 and machine.attention_bf16 > 1:
        kernels.add("attend_by_products")
    return kernels


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("machine", [PLAIN, FUSED], ids=["torch", "fused"])
def test_plan_equals_the_official_code(
    case: str, machine: Machine, golden: dict[str, np.ndarray]
) -> None:
    entry = CASES[case]
    plan = InferencePlan(formula_network(entry["architecture"], torch.float32), machine)
    clips = formula_input(entry["input_shape"])
    assert worst(plan(clips), golden[f"{case}/logits_f32"]) < 5e-5
    at = golden[f"{case}/features_idx"].astype(np.int64)
    assert worst(plan.forward_features(clips).flatten()[at], golden[f"{case}/features_f64"]) < 1e-4
    stage = plan.forward_features(clips, stage=2)
    at = golden[f"{case}/stage1_idx"].astype(np.int64)
    assert worst(stage.flatten()[at], golden[f"{case}/stage1_f32"]) < 1e-4


@pytest.mark.parametrize("case", ["nano_w877__2x3x20x120x80", "nano_w1677__1x3x12x75x64"])
@every_float32
@pytest.mark.usefixtures("small_chunks")
def test_every_kernel_in_many_chunks_equals_the_official_code(
    case: str,
    machine: Machine,
    threads: int,
    golden: dict[str, np.ndarray],
    taken: Counter[str],
) -> None:
    plan = InferencePlan(formula_network(CASES[case]["architecture"], torch.float32), machine)
    found = plan(formula_input(CASES[case]["input_shape"]))
    assert worst(found, golden[f"{case}/logits_f32"]) < 5e-5
    assert set(taken) == kernels_of(machine, torch.float32)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    "case",
    ["nano_w877__1x3x5x64x64", "nano_w877__2x3x20x120x80", "nano_w1677__1x3x12x75x64"],
)
@every_bfloat16
def test_bf16_stays_within_a_tenth_of_the_spread(
    case: str, machine: Machine, golden: dict[str, np.ndarray], taken: Counter[str]
) -> None:
    """The worst logit of the golden cases is off by 0.05 to 0.07 of it, as the processor rounds.

    Classes are the same where the best logit is ahead by more than two errors of that size.
    """
    network = formula_network(CASES[case]["architecture"], torch.float32).to(torch.bfloat16)
    clips = formula_input(CASES[case]["input_shape"]).bfloat16()
    logits = InferencePlan(network, machine)(clips).float()
    assert set(taken) == kernels_of(machine, torch.bfloat16)
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
def test_plan_equals_the_network_in_float64(
    shape: tuple[int, ...], threads: int, taken: Counter[str]
) -> None:
    network = random_network().double()
    clips = formula_input(shape).double()
    plan = InferencePlan(network, ALL)
    with torch.inference_mode():
        torch.testing.assert_close(plan(clips), network(clips), rtol=0, atol=1e-12)
        torch.testing.assert_close(
            plan.forward_features(clips, stage=1),
            network.forward_features(clips, stage=1),
            rtol=0,
            atol=1e-12,
        )
    assert torch.get_num_threads() == threads
    assert set(taken) == kernels_of(ALL, torch.float64)


@pytest.mark.parametrize("changes", [{"patch_norm": False}, {"qkv_bias": False}], ids=str)
@every_float32
def test_parts_that_an_architecture_may_lack(changes: dict[str, Any], machine: Machine) -> None:
    network = random_network(**changes)
    clips = formula_input((1, 3, 8, 48, 48))
    with torch.inference_mode():
        torch.testing.assert_close(
            InferencePlan(network, machine)(clips), network(clips), rtol=0, atol=1e-5
        )


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    ("dtype", "machine"),
    [
        *((torch.float32, machine) for machine in FLOAT32.values()),
        *((torch.bfloat16, machine) for machine in BFLOAT16.values()),
    ],
    ids=[*(f"fp32 {name}" for name in FLOAT32), *(f"bf16 {name}" for name in BFLOAT16)],
)
def test_a_clip_does_not_depend_on_its_batch_nor_on_the_threads(
    dtype: torch.dtype, machine: Machine
) -> None:
    plan = InferencePlan(random_network().to(dtype), machine)
    clips = formula_input((3, 3, 8, 48, 48)).to(dtype)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(plan(clips))
        found.append(torch.cat([plan(clip[None]) for clip in clips]))
    torch.set_num_threads(before)
    assert all(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize(
    ("dtype", "machine", "allowed"),
    [
        (torch.float64, PLAIN, 1e-12),
        (torch.float32, CONVOLUTION, 1e-5),
        (torch.float32, FUSED, 1e-5),
    ],
    ids=["torch", "convolution", "fused"],
)
def test_the_plan_follows_weights_and_sizes(
    dtype: torch.dtype, machine: Machine, allowed: float
) -> None:
    network = random_network().to(dtype)
    plan = InferencePlan(network, machine)
    for side in (24, 48, 36, 24):
        clips = formula_input((1, 3, 4, side, side)).to(dtype)
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, WindowAttention):
                    module.relative_position_bias_table.add_(side)
                if type(module) is torch.nn.Linear:
                    module.weight.mul_(1.1)
        with torch.inference_mode():
            torch.testing.assert_close(plan(clips), network(clips), rtol=0, atol=allowed)
    network.double().float()
    assert plan(clips.float()).dtype == torch.float32


def test_packed_weights_live_as_long_as_the_pass_of_their_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others would double the memory of the weights, and be those of yesterday."""

    def living() -> int:
        return sum(type(one) is linear.Fused for one in gc.get_objects())

    blocks = 4 * linear.has_fused_products(torch.float32)
    counts, fuse = [], linear.fuse
    monkeypatch.setattr(linear, "fuse", lambda *args: counts.append(living()) or fuse(*args))
    InferencePlan(random_network(), FUSED)(formula_input((1, 3, 8, 48, 48)))
    assert living() == 0
    assert counts == [0, 1, 2, 3] * blocks


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("sound", [True, False], ids=["sound", "not sound"])
def test_products_are_fused_where_they_are_fast_for_the_type_and_sound(
    dtype: torch.dtype, sound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every processor: torch stands in for the operators."""
    calls = []

    def stand_in(weight: torch.Tensor, bias: torch.Tensor | None) -> linear.Product:
        calls.append(weight.dtype)
        return linear.Separate(partial(torch.nn.functional.linear, weight=weight, bias=bias))

    monkeypatch.setattr(linear, "fuse", stand_in)
    monkeypatch.setattr(inference_plan, "has_fused_products", lambda _: sound)
    network = random_network().to(dtype)
    clips = formula_input((1, 3, 4, 24, 24)).to(dtype)
    expected = InferencePlan(network, PLAIN)(clips)
    assert calls == []
    name, other = ("fused", "fused_bf16") if dtype == torch.float32 else ("fused_bf16", "fused")
    for machine in (plain_machine(**{name: 9.0}), plain_machine(**{other: 9.0})):
        assert torch.equal(InferencePlan(network, machine)(clips), expected)
        assert calls == [dtype] * 16 * sound  # four layers of four blocks
        calls.clear()
        sound = False


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
def test_autocast_reaches_every_thread(threads: int, taken: Counter[str]) -> None:
    network = random_network()
    clips = formula_input((1, 3, 8, 48, 48))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found, expected = InferencePlan(network, ALL)(clips), network(clips)
    assert found.dtype == expected.dtype == torch.bfloat16
    assert torch.get_num_threads() == threads
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1 * float(expected.float().std()))
    assert not taken  # it is torch's affair


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
    blocks: Any = network.get_submodule("layers.0.blocks")
    torch.nn.init.normal_(blocks[1].norm1.weight)
    blocks[0] = deepcopy(blocks[1])
    with torch.no_grad():
        torch.testing.assert_close(plan(clips), network(clips), rtol=0, atol=1e-5)


def _wrap_parts(network: Any) -> None:
    network.patch_embed = torch.nn.Sequential(network.patch_embed)
    network.layers[0].blocks[0] = torch.nn.Sequential(network.layers[0].blocks[0])


def _no_attention(network: Any) -> None:
    network.layers[0].blocks[0].attn = torch.nn.Identity()


class _Swapped(MLP):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.fc1(x).relu())


def _another_mlp(network: Any) -> None:
    network.layers[0].blocks[0].mlp.__class__ = _Swapped


class _Halved(torch.nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) / 2


def _another_linear(network: Any) -> None:
    network.layers[0].blocks[0].attn.qkv.__class__ = _Halved


def _no_stage(network: Any) -> None:
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
@every_float32
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
