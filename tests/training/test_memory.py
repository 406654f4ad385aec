import resource
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny import PROTOCOL, TINY

from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.network import plan_training
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.training import memory
from videoswin_cli.training.dry_run import _Kept
from videoswin_cli.training.memory import activation_bytes, check_memory, machine_bytes, shrink_clip
from videoswin_cli.training.recipe import read_recipe

MOTION = load_spec("camera-motion")


@pytest.mark.parametrize(("frames", "side"), [(16, 112), (32, 64), (5, 75)])
@pytest.mark.parametrize("planned", [True, False])
def test_the_estimate_is_near_what_is_kept(planned: bool, frames: int, side: int) -> None:
    spec = replace(MOTION, protocol=replace(MOTION.protocol, clip_frames=frames, crop_size=side))
    network = Swin3D(spec.architecture).train()
    kept = _Kept(network)
    with kept:
        (plan_training(network) if planned else network)(torch.zeros(1, 3, frames, side, side))
    assert 0.6 < activation_bytes(spec, planned=planned) / kept.total < 1.6


def test_clips_beyond_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(MOTION, architecture=TINY, protocol=PROTOCOL)
    check_memory(spec, read_recipe())
    monkeypatch.setattr(memory, "machine_bytes", lambda: activation_bytes(spec) - 1)
    with pytest.raises(UsageError, match=r"clips of 4x32x32 needs about .* GiB for one clip"):
        check_memory(spec, read_recipe())
    check_memory(spec, read_recipe(None, ["checkpointing=true"]))
    check_memory(spec, read_recipe(None, ["freeze=backbone"]))
    monkeypatch.setattr(memory, "machine_bytes", lambda: None)
    check_memory(spec, read_recipe())


def test_the_memory_is_that_of_the_narrowest_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    held = machine_bytes()
    assert held is not None
    assert held > 1 << 28
    monkeypatch.setattr(memory, "_mapped_bytes", lambda: 2345)  # what is left of a `ulimit -v`
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (12345, 12345))
    assert machine_bytes() == 10000
    monkeypatch.setattr(memory, "_mapped_bytes", lambda: 99999)
    assert machine_bytes() == 0


def test_what_is_mapped_is_more_than_torch_has_allocated() -> None:
    before = memory._mapped_bytes()
    kept = torch.empty(1 << 28)
    assert memory._mapped_bytes() - before >= kept.nbytes // 2


@pytest.mark.parametrize("changes", [{"clip_frames": 1024}, {"crop_size": 1024}, {}])
def test_a_large_clip_is_made_small_but_never_below_a_window(changes: dict[str, Any]) -> None:
    spec = replace(MOTION, protocol=replace(MOTION.protocol, **changes))
    most = 1 << 28
    small = shrink_clip(spec, most=most)
    assert activation_bytes(small) <= most
    assert (small == spec) == (activation_bytes(spec) <= most)
    tiny = shrink_clip(spec, most=1)
    assert tiny.protocol.clip_frames == 16  # 8 tokens of 2 frames
    assert 28 <= tiny.protocol.crop_size < 56  # 7 tokens of 4 px
