"""The network against numbers of the official code, with weights and inputs from a formula."""

import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from formula import architecture_shapes, formula_input, official_tensors
from golden_forward import (
    CASES,
    FORWARD,
    TINY,
    formula_network,
    random_network,
    read_golden,
    worst,
)
from torch import Tensor, nn

from videoswin_cli.model import swin3d
from videoswin_cli.model.catalog import flatten_spec, load_spec
from videoswin_cli.model.layouts import to_canonical
from videoswin_cli.model.loading import load
from videoswin_cli.model.swin3d import (
    Block,
    PatchMerging,
    Swin3D,
    WindowAttention,
    fit_window,
    join_windows,
    relative_position_index,
    split_windows,
    window_groups,
)

CPU = torch.device("cpu")
LONG_CASE = "nano_w877__2x3x20x120x80"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return read_golden()


# --- the numbers of the official code -------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        # Ten seconds; in float32 the full-size network is compared stage by stage below.
        pytest.param(case, marks=[pytest.mark.slow] if case.startswith("swin_t") else [])
        for case in CASES
    ],
)
def test_float64_equals_the_official_code_to_1e_9(case: str, golden: dict[str, np.ndarray]) -> None:
    entry = CASES[case]
    network = formula_network(entry["architecture"], torch.float64)
    with torch.inference_mode():
        features = network.forward_features(formula_input(entry["input_shape"]).double())
        pooled = features.mean(dim=(2, 3, 4))
        assert network.head is not None
        logits = network.head(pooled)
    assert worst(logits, golden[f"{case}/logits_f64"]) < 1e-9
    assert worst(pooled, golden[f"{case}/pooled_f64"]) < 1e-9
    at = golden[f"{case}/features_idx"].astype(np.int64)
    assert worst(features.flatten()[at], golden[f"{case}/features_f64"]) < 1e-9


@pytest.mark.parametrize("case", CASES)
def test_float32_follows_the_official_code_stage_by_stage(
    case: str, golden: dict[str, np.ndarray]
) -> None:
    entry = CASES[case]
    network = formula_network(entry["architecture"], torch.float32)
    stages: dict[str, Tensor] = {}  # (B, C, t, h, w); 0 to 2 after merging, 3 before the last norm
    for name, module in [
        ("patch_embed", network.patch_embed),
        *((f"stage{i}", stage) for i, stage in enumerate(network.layers)),
        ("features", network.norm),
    ]:
        module.register_forward_hook(
            lambda module, inputs, output, name=name: stages.update(
                {name: output.permute(0, 4, 1, 2, 3)}
            )
        )
    with torch.inference_mode():
        logits = network(formula_input(entry["input_shape"]))

    for name in ("patch_embed", "stage0", "stage1", "stage2", "stage3"):
        at = golden[f"{case}/{name}_idx"].astype(np.int64)
        found = stages[name].flatten()[at]
        assert worst(found, golden[f"{case}/{name}_f32"]) < 1e-4, name
    features = stages["features"]
    assert list(features.shape) == entry["feature_shape"]
    at = golden[f"{case}/features_idx"].astype(np.int64)
    assert worst(features.flatten()[at], golden[f"{case}/features_f64"]) < 1e-4
    if f"{case}/features_full_f32" in golden:
        assert worst(features, golden[f"{case}/features_full_f32"]) < 1e-4
    assert worst(logits, golden[f"{case}/logits_f32"]) < 5e-5


# --- window geometry ------------------------------------------------------------------------------


def sides(numbers: Iterable[str | int]) -> tuple[int, int, int]:
    frames, height, width = map(int, numbers)
    return frames, height, width


@pytest.mark.parametrize("window", FORWARD["geometry"]["relative_position_index"])
def test_relative_position_index_is_the_official_one(window: str) -> None:
    expected = FORWARD["geometry"]["relative_position_index"][window]
    index = relative_position_index(sides(window.split("x")))
    assert int(index.sum()) == expected["sum"]
    assert zlib.crc32(index.numpy().astype("<i8").tobytes()) == expected["crc32"]


@pytest.mark.parametrize("case", FORWARD["geometry"]["attention_mask"])
def test_window_groups_make_up_the_official_mask(case: str) -> None:
    expected = FORWARD["geometry"]["attention_mask"][case]
    numbers = list(map(int, re.findall(r"\d+", case)))
    size, window, shift = numbers[:3], sides(numbers[3:6]), sides(numbers[6:])
    grid = sides(extent // side for extent, side in zip(size, window, strict=True))
    tokens = window[0] * window[1] * window[2]
    masked = np.full((*grid, tokens, tokens), 2, dtype=np.uint8)
    groups = list(window_groups(grid, window, shift, CPU))
    for place, mask in groups:
        assert (masked[place] == 2).all(), "two groups hold the same window"
        masked[place] = 0 if mask is None else ~mask.numpy()
    masked = masked.reshape(-1, tokens, tokens)
    assert masked.max() == 1, "no group holds some window"
    assert len(groups) <= 8
    assert int(masked.sum()) == expected["masked"]
    assert [int(masked[0].sum()), int(masked[-1].sum())] == expected["first_and_last"]
    assert zlib.crc32(masked.tobytes()) == expected["crc32"]


@pytest.mark.parametrize(
    ("size", "window", "shift"),
    [
        ((16, 56, 56), (8, 7, 7), (4, 3, 3)),
        ((16, 7, 7), (8, 7, 7), (4, 0, 0)),  # an axis of just one window is not shifted
        ((8, 14, 8), (8, 7, 7), (0, 3, 3)),
        ((3, 2, 7), (3, 2, 7), (0, 0, 0)),
        ((1, 9, 5), (1, 7, 5), (0, 3, 0)),
    ],
)
def test_an_axis_that_fits_one_window_is_cut_to_and_not_shifted(
    size: tuple[int, ...], window: tuple[int, ...], shift: tuple[int, ...]
) -> None:
    assert fit_window(size, (8, 7, 7), (4, 3, 3)) == (window, shift)


def test_windows_are_cut_out_and_joined_again() -> None:
    x = torch.arange(2 * 4 * 6 * 8 * 3).view(2, 4, 6, 8, 3)
    windows = split_windows(x, (2, 3, 4))
    assert windows.shape == (2, 2, 2, 2, 24, 3)
    assert torch.equal(windows[1, 1, 0, 1], x[1, 2:4, 0:3, 4:8].reshape(24, 3))
    assert torch.equal(join_windows(windows, (2, 3, 4)), x)


# --- would a mistake be noticed? ------------------------------------------------------------------
#
# Each function makes one mistake that a port of Swin may make and gives the clip to use. The golden
# table says how far the official code moved with the same mistake; where it moved at all, the test
# above must fail.


def no_attention_mask(patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor) -> Tensor:
    patch.setattr(swin3d, "window_groups", lambda *a: ((at, None) for at, _ in window_groups(*a)))
    return clip


def mask_minus_inf_instead_of_minus_100(
    patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor
) -> Tensor:
    where = torch.where
    patch.setattr(
        torch, "where", lambda mask, a, b: where(mask, a, -torch.inf if b == -100.0 else b)
    )
    return clip


def no_shift_at_all(patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor) -> Tensor:
    patch.setattr(swin3d, "fit_window", lambda *a: (fit_window(*a)[0], (0, 0, 0)))
    return clip


def no_temporal_shift(patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor) -> Tensor:
    def fit(*args: Any) -> Any:
        window, shift = fit_window(*args)
        return window, (0, *shift[1:])

    patch.setattr(swin3d, "fit_window", fit)
    return clip


def window_not_shrunk_pads_to_full_window(
    patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor
) -> Tensor:
    patch.setattr(swin3d, "fit_window", lambda size, w, s: (w, fit_window(size, w, s)[1]))
    return clip


def window_not_shrunk_and_shift_kept(
    patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor
) -> Tensor:
    patch.setattr(swin3d, "fit_window", lambda size, window, shift: (window, shift))
    return clip


def shift_kept_when_size_equals_window(
    patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor
) -> Tensor:
    def fit(size: Any, window: Any, shift: Any) -> Any:
        pairs = list(zip(size, window, shift, strict=True))
        return tuple(min(e, w) for e, w, _ in pairs), tuple(s if e >= w else 0 for e, w, s in pairs)

    patch.setattr(swin3d, "fit_window", fit)
    return clip


def relative_index_recomputed_for_shrunk_window(
    patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor
) -> Tensor:
    fitted: list[Any] = []

    def fit(*args: Any) -> Any:
        fitted.append(fit_window(*args))
        return fitted[-1]

    def position_bias(self: WindowAttention, tokens: int) -> Tensor:
        t, h, w = fitted[-1][0]
        index = relative_position_index(self.window_size).view(*self.window_size * 2)
        index = index[:t, :h, :w, :t, :h, :w].reshape(tokens, tokens)
        return self.relative_position_bias_table[index].permute(2, 0, 1)[None]

    patch.setattr(swin3d, "fit_window", fit)
    patch.setattr(WindowAttention, "position_bias", position_bias)
    return clip


def pad_before_norm1(patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor) -> Tensor:
    def forward(self: Block, x: Tensor) -> Tensor:
        T, H, W = x.shape[1:4]
        t, h, w = fit_window((T, H, W), self.attn.window_size, (0, 0, 0))[0]
        padded = F.pad(x, (0, 0, 0, -W % w, 0, -H % h, 0, -T % t))
        x = x + self.attn(self.norm1(padded))[:, :T, :H, :W]
        return x + self.mlp(self.norm2(x))

    patch.setattr(Block, "forward", forward)
    return clip


def padded_tokens_masked_in_attention(
    patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor
) -> Tensor:
    sizes: list[Any] = []

    def fit(size: Any, *args: Any) -> Any:
        sizes.append(size)
        return fit_window(size, *args)

    def groups(grid: Any, window: Any, shift: Any, device: Any) -> Any:
        T, H, W = sizes[-1]
        real = torch.zeros([n * side for n, side in zip(grid, window, strict=True)])
        real[:T, :H, :W] = 1
        real = real.roll([-s for s in shift], dims=(0, 1, 2))
        real = split_windows(real[None, ..., None], window)[0, ..., 0].bool()
        for place, mask in window_groups(grid, window, shift, device):
            for i, j, k in np.ndindex(real[place].shape[:3]):
                at = tuple(s.start + n for s, n in zip(place, (i, j, k), strict=True))
                seen = real[at][None, :].expand(real.shape[-1], -1)
                yield tuple(slice(n, n + 1) for n in at), seen if mask is None else seen & mask

    patch.setattr(swin3d, "fit_window", fit)
    patch.setattr(swin3d, "window_groups", groups)
    return clip


def patch_merging_order_swapped(patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor) -> Tensor:
    merge = PatchMerging.forward
    patch.setattr(
        PatchMerging, "forward", lambda self, x: merge(self, x.transpose(2, 3)).transpose(2, 3)
    )
    return clip


def layernorm_eps_1e_6(patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor) -> Tensor:
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6
    return clip


def gelu_tanh(patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor) -> Tensor:
    gelu = F.gelu
    patch.setattr(F, "gelu", lambda x: gelu(x, approximate="tanh"))
    return clip


def relative_position_bias_ignored(
    patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor
) -> Tensor:
    for name, parameter in network.named_parameters():
        if name.endswith("bias_table"):
            parameter.data.zero_()
    return clip


def bgr_instead_of_rgb(patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor) -> Tensor:
    return clip.flip(1)


def time_reversed(patch: pytest.MonkeyPatch, network: Swin3D, clip: Tensor) -> Tensor:
    return clip.flip(2)


MISTAKES: list[Callable[[pytest.MonkeyPatch, Swin3D, Tensor], Tensor]] = [
    no_attention_mask,
    mask_minus_inf_instead_of_minus_100,
    no_shift_at_all,
    no_temporal_shift,
    window_not_shrunk_pads_to_full_window,
    window_not_shrunk_and_shift_kept,
    shift_kept_when_size_equals_window,
    relative_index_recomputed_for_shrunk_window,
    pad_before_norm1,
    padded_tokens_masked_in_attention,
    patch_merging_order_swapped,
    layernorm_eps_1e_6,
    gelu_tanh,
    relative_position_bias_ignored,
    bgr_instead_of_rgb,
    time_reversed,
]


@pytest.mark.parametrize(
    ("case", "mistake"),
    [
        pytest.param(case, mistake, id=f"{mistake.__name__}-{case}")
        for mistake in MISTAKES
        for case in FORWARD["sensitivity"]
        if case != LONG_CASE or mistake is no_temporal_shift  # the short ones cannot see that one
    ],
)
def test_a_mistake_moves_the_logits_as_far_as_it_moved_the_official_ones(
    case: str,
    mistake: Callable[[pytest.MonkeyPatch, Swin3D, Tensor], Tensor],
    golden: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = formula_network(CASES[case]["architecture"], torch.float64)
    clip = formula_input(CASES[case]["input_shape"]).double()
    clip = mistake(monkeypatch, network, clip)
    with torch.inference_mode():
        moved = worst(network(clip), golden[f"{case}/logits_f64"])
    expected = FORWARD["sensitivity"][case][mistake.__name__]
    if expected == 0:
        assert moved < 1e-9
    else:  # the table was made in float32, whose own noise is 1e-5
        assert moved > 1e-9, "the golden test does not notice"
        assert moved == pytest.approx(expected, rel=0.01, abs=1.5e-5)


def test_each_mistake_but_the_harmless_one_is_noticed_in_some_case() -> None:
    tables = FORWARD["sensitivity"].values()
    blind = {m.__name__ for m in MISTAKES if not any(table[m.__name__] for table in tables)}
    assert blind == {"mask_minus_inf_instead_of_minus_100"}


# --- as a module ----------------------------------------------------------------------------------


def test_state_dict_holds_the_parameters_and_nothing_else() -> None:
    network = random_network()
    assert list(network.state_dict()) == [name for name, _ in network.named_parameters()]
    assert not list(network.buffers())
    expected = to_canonical(official_tensors(architecture_shapes(TINY)), "official")
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }


def test_loading_fills_a_network_that_was_never_initialized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official = official_tensors(architecture_shapes(TINY))
    torch.save({"state_dict": official}, tmp_path / "tiny.pth")
    spec = flatten_spec(load_spec("swin-tiny-k400")) | asdict(TINY)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(spec | {"name": "tiny"}))
    forbid_initialisation(monkeypatch)
    with torch.device("meta"):
        empty = Swin3D(TINY)
    assert all(parameter.is_meta for parameter in empty.parameters())
    with pytest.raises(AssertionError, match="initialized"):  # the guard works
        Swin3D(TINY)

    network = load(str(tmp_path / "tiny.yaml"), checkpoint=tmp_path / "tiny.pth").network
    assert not network.training
    for name, tensor in to_canonical(official, "official").items():
        assert torch.equal(network.get_parameter(name), tensor), name


def forbid_initialisation(monkeypatch: pytest.MonkeyPatch) -> None:
    def guard(original: Callable[..., Any]) -> Callable[..., Any]:
        def checked(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            assert tensor.is_meta, "a tensor in memory was initialized"
            return original(tensor, *args, **kwargs)

        return checked

    for name in dir(nn.init):
        if name.endswith("_") and not name.startswith("_"):
            monkeypatch.setattr(nn.init, name, guard(getattr(nn.init, name)))


@pytest.mark.parametrize(
    "shape",
    [(1, 3, 8, 40, 48), (2, 3, 5, 30, 44)],
    ids=["shifted along each axis", "padded everywhere"],
)
def test_every_parameter_gets_a_gradient(shape: tuple[int, ...]) -> None:
    network = random_network().double()
    clip = formula_input(shape).double()
    weights = torch.linspace(-1, 1, 5, dtype=torch.float64)  # a plain sum would hide the softmax

    def loss() -> Tensor:
        return (network(clip).softmax(dim=1) * weights).sum()

    loss().backward()
    torch.manual_seed(1)
    for name, parameter in network.named_parameters():
        gradient = parameter.grad
        assert gradient is not None, name
        assert gradient.isfinite().all(), name
        assert gradient.any(), name
        step = 1e-5 * torch.randn_like(parameter)
        with torch.no_grad():
            parameter.add_(step)
            above = loss()
            parameter.sub_(2 * step)
            slope = (above - loss()) / 2
            parameter.add_(step)
        assert float((gradient * step).sum()) == pytest.approx(float(slope), rel=1e-4, abs=1e-11)


def test_clips_of_a_batch_do_not_see_each_other() -> None:
    network = random_network().double()
    clips = formula_input((3, 3, 6, 36, 28)).double()
    with torch.inference_mode():
        together = network(clips)
        alone = torch.cat([network(clip[None]) for clip in clips])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("changes", [{"patch_norm": False}, {"qkv_bias": False}], ids=str)
def test_parts_that_an_architecture_may_lack(changes: dict[str, Any]) -> None:
    network, lacking = random_network(), random_network(**changes)
    gone = network.state_dict().keys() - lacking.state_dict().keys()
    part = "patch_embed.norm." if "patch_norm" in changes else ".qkv.bias"
    assert gone == {name for name in network.state_dict() if part in name}
    with torch.inference_mode():
        assert lacking(formula_input((1, 3, 4, 24, 24))).isfinite().all()


def test_without_classes_there_is_no_head_and_features_only() -> None:
    network = random_network(num_classes=0)
    assert not any(name.startswith("head") for name in network.state_dict())
    clip = formula_input((1, 3, 4, 24, 24))
    with torch.inference_mode():
        assert network.forward_features(clip).shape == (1, 16, 2, 3, 3)
        with pytest.raises(RuntimeError, match="forward_features"):
            network(clip)


def test_gradients_do_not_depend_on_who_comes_first() -> None:
    """Threads add to the bias table's gradient; a full window is large enough for several."""
    attention = WindowAttention(32, 1, window_size=(8, 7, 7), shift=(0, 0, 0), qkv_bias=True)
    weight = torch.randn(1, 1, 392, 392, generator=torch.Generator().manual_seed(0))
    found = []
    for _ in range(5):
        attention.zero_grad()
        (attention.position_bias(392) * weight).sum().backward()
        found.append(attention.relative_position_bias_table.grad.clone())
    assert all(torch.equal(found[0], other) for other in found[1:])
