"""What a training will cost."""

from dataclasses import replace

import pytest
import torch
from tiny import PROTOCOL, TINY

from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.training import dry_run as module
from videoswin_cli.training.dry_run import Estimate, estimate
from videoswin_cli.training.memory import activation_bytes
from videoswin_cli.training.plan import make_plan
from videoswin_cli.training.recipe import read_recipe

SPEC = replace(load_spec("swin-tiny-k400"), architecture=TINY, protocol=PROTOCOL)
CPU = Runtime(device=torch.device("cpu"), dtype=torch.float32)


def cost(*changes: str) -> Estimate:
    plan = make_plan(read_recipe(None, changes), train_clips=80, devices=1)
    return estimate(SPEC, plan, CPU, torch.float32)


def test_memory_follows_from_the_recipe() -> None:
    network = Swin3D(TINY)
    weights = sum(p.numel() for p in network.parameters())
    trained = sum(p.numel() for p in network.head.parameters()) if network.head else 0
    plain = cost("batch_size=4")
    assert plain.state_bytes == 16 * weights, "weights, gradients and two moments in float32"
    assert cost("ema=0.9").state_bytes == 20 * weights
    assert cost("freeze=backbone").state_bytes == 4 * weights + 12 * trained
    assert cost("batch_size=8").activation_bytes == 2 * plain.activation_bytes
    assert cost("batch_size=4", "checkpointing=true").activation_bytes < plain.activation_bytes / 2
    assert min(plain.step_seconds, plain.forward_seconds) > 0


def test_a_large_clip_is_measured_on_a_smaller_one(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(SPEC, protocol=replace(PROTOCOL, clip_frames=64))
    plan = make_plan(read_recipe(None, ["batch_size=4"]), train_clips=80, devices=1)
    whole = estimate(spec, plan, CPU, torch.float32)
    monkeypatch.setattr(module, "_MOST_MEASURED", activation_bytes(spec) // 4)
    seen: list[tuple[int, ...]] = []
    forward = Swin3D.forward
    monkeypatch.setattr(
        Swin3D, "forward", lambda self, clips: seen.append(clips.shape) or forward(self, clips)
    )
    part = estimate(spec, plan, CPU, torch.float32)
    assert set(seen) == {(1, 3, 16, 32, 32)}
    assert part.activation_bytes == pytest.approx(whole.activation_bytes, rel=0.2)
    assert part.state_bytes == whole.state_bytes
    assert (whole.smaller, part.smaller) == ("", "16x32x32")
    text = part.describe(plan, val_clips=1, clip_seconds=0, workers=1)
    assert "; measured here on a clip of 16x32x32)" in text


@pytest.mark.parametrize(
    ("freeze", "clip_seconds", "expected"),
    [
        # 3 epochs of 10 steps of 2 s, and of 4 validation clips of 0.1 s
        ("none", 0.0, "about 61.2 s in all (2.0 s per step"),
        # decoding 8 clips by 2 processes takes longer than the step, and 4 longer than looking
        ("none", 1.0, "about 2 min in all (4.0 s per step"),
        ("backbone", 0.0, "about 8.4 s in all (0.1 s per clip, once"),
    ],
)
def test_time_is_that_of_the_slower_of_network_and_decoding(
    freeze: str, clip_seconds: float, expected: str
) -> None:
    found = Estimate(
        step_seconds=2.0, forward_seconds=0.1, state_bytes=2**30, activation_bytes=2**31
    )
    recipe = read_recipe(None, ["epochs=3", "batch_size=8", f"freeze={freeze}"])
    plan = make_plan(recipe, train_clips=80, devices=1)
    text = found.describe(plan, val_clips=4, clip_seconds=clip_seconds, workers=2)
    assert text.startswith(expected)
    assert "3.0 GiB of memory per device (1.0 weights, gradients and optimizer, 2.0 a" in text
