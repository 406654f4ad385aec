"""Single steps: their gradients, their failures, their memory."""

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny import PROTOCOL, TINY

from videoswin_cli.data.augment import Augmentation
from videoswin_cli.data.dataset import FailedVideo
from videoswin_cli.data.decoding.open import OpenOptions
from videoswin_cli.data.training_clips import TrainingClip
from videoswin_cli.data.transforms import normalise
from videoswin_cli.engine.processes import Processes
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.training.inputs import ClipInputs, Reading
from videoswin_cli.training.loop import Stepper, deal_steps
from videoswin_cli.training.loss import Loss
from videoswin_cli.training.optimizer import group_parameters, make_optimizer
from videoswin_cli.training.plan import make_plan
from videoswin_cli.training.recipe import Recipe, read_recipe
from videoswin_cli.training.targets import Targets

EXACT = ("batch_size=8", "drop_path_rate=0", "head_dropout=0", "clip_grad_norm=0", "lr=0.1",
         "lr_batch=8", "warmup_epochs=0")  # fmt: skip


READING = Reading(
    sampling=PROTOCOL,
    opening=OpenOptions(),
    runtime=Runtime(device=torch.device("cpu"), dtype=torch.float32),
    dtype=torch.float32,
    workers=0,
    batch_size=8,
)


def clips(count: int) -> list[TrainingClip]:
    generator = torch.Generator().manual_seed(0)
    shape = (PROTOCOL.clip_frames, PROTOCOL.crop_size, PROTOCOL.crop_size, 3)
    return [
        TrainingClip(
            video=n,
            frames=torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8),
            seconds=0.0,
        )
        for n in range(count)
    ]


def make(
    network: torch.nn.Module,
    recipe: Recipe,
    notices: list[str],
    partners: tuple[int, ...] | None = None,
) -> Stepper:
    targets = F.one_hot(torch.arange(8) % 7, 7).float()
    return Stepper(
        ClipInputs(network, [], reading=READING, augmentation=Augmentation(), seed=0),
        make_optimizer(network, group_parameters(network, recipe), recipe),
        Loss(label_smoothing=0.0, class_weights=None),
        make_plan(recipe, train_clips=8, devices=1),
        targets=Targets(marks=targets, partners=partners),
        device=torch.device("cpu"),
        dtype=torch.float32,
        processes=Processes(),
        notice=notices.append,
    )


def fresh() -> Swin3D:
    torch.manual_seed(0)
    return Swin3D(**asdict(TINY)).train()


def gradients(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def test_a_step_is_the_gradient_of_the_mean_loss() -> None:
    network, reference = fresh(), fresh()
    stepper = make(network, read_recipe(None, EXACT), [])
    result = stepper.step(0, clips(8))
    frames = torch.stack([clip.frames for clip in clips(8)])
    inputs = normalise(frames, mean=PROTOCOL.mean, std=PROTOCOL.std, dtype=torch.float32)
    loss = F.cross_entropy(reference(inputs), torch.arange(8) % 7)
    loss.backward()
    assert result.loss == pytest.approx(loss.item(), abs=1e-6)
    assert result.lr == pytest.approx(0.1)
    for name, expected in gradients(reference).items():
        assert torch.allclose(gradients(network)[name], expected, atol=1e-6), name


def test_a_mirrored_clip_is_learned_as_its_partner_class() -> None:
    """Classes 0 and 1 are mirror images; of the clips 0, 1 and 2 the first two are mirrored."""
    network, reference = fresh(), fresh()
    items = clips(8)
    items[:3] = [replace(clip, flipped=number < 2) for number, clip in enumerate(items[:3])]
    stepper = make(network, read_recipe(None, EXACT), [], partners=(1, 0, 2, 3, 4, 5, 6))
    result = stepper.step(0, items)
    frames = torch.stack([clip.frames for clip in items])
    inputs = normalise(frames, mean=PROTOCOL.mean, std=PROTOCOL.std, dtype=torch.float32)
    loss = F.cross_entropy(reference(inputs), torch.tensor([1, 0, 2, 3, 4, 5, 6, 0]))
    loss.backward()
    assert result.loss == pytest.approx(loss.item(), abs=1e-6)
    for name, expected in gradients(reference).items():
        assert torch.allclose(gradients(network)[name], expected, atol=1e-6), name


def test_broken_clips_count_for_nothing() -> None:
    network, reference = fresh(), fresh()
    items = [*clips(7), FailedVideo(path="x", reason="damaged")]
    result = make(network, read_recipe(None, EXACT), []).step(0, items)
    assert [failure.path for failure in result.failed] == ["x"]
    frames = torch.stack([clip.frames for clip in clips(7)])
    inputs = normalise(frames, mean=PROTOCOL.mean, std=PROTOCOL.std, dtype=torch.float32)
    loss = F.cross_entropy(reference(inputs), torch.arange(7) % 7, reduction="sum") / 8
    loss.backward()
    assert result.loss == pytest.approx(loss.item(), abs=1e-6)
    for name, expected in gradients(reference).items():
        assert torch.allclose(gradients(network)[name], expected, atol=1e-6), name
    nothing = make(fresh(), read_recipe(None, EXACT), []).step(0, items[7:] * 8)
    assert nothing.loss == 0


class Small(torch.nn.Module):
    """A network whose memory holds so many clips."""

    def __init__(self, network: Swin3D, room: int) -> None:
        super().__init__()
        self.network = network
        self.room = room
        self.sizes: list[int] = []

    def forward(self, clips: torch.Tensor) -> Any:
        self.sizes.append(len(clips))
        if len(clips) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.network(clips)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        return self.network.named_parameters(*args, **kwargs)


def test_out_of_memory_halves_the_batch_and_changes_nothing_else() -> None:
    network, reference, notices = fresh(), fresh(), []
    small = Small(network, room=3)
    result = make(small, read_recipe(None, EXACT), notices).step(0, clips(8))
    expected = make(reference, read_recipe(None, EXACT), []).step(0, clips(8))
    assert small.sizes == [8, 4, 2, 2, 2, 2]
    assert len(notices) == 2
    assert "going on with 2 clips at once and as many more accumulated" in notices[1]
    assert result.loss == pytest.approx(expected.loss, abs=1e-6)
    for name, gradient in gradients(reference).items():
        assert torch.allclose(gradients(network)[name], gradient, atol=1e-6), name
    with pytest.raises(VideoSwinError, match="out of memory with 1 clips at once"):
        make(Small(fresh(), room=0), read_recipe(None, EXACT), []).step(0, clips(8))


def test_no_clip_is_lost_between_steps() -> None:
    items = iter(clips(8))
    assert [[item.video for item in step] for step in deal_steps(items, clips=3)] == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7],
    ]
