"""Single steps: their gradients, their failures, their memory."""

import math
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from spawned import run_in_processes
from tiny import PROTOCOL, TINY

from videoswin_cli.data.augment import Augmentation
from videoswin_cli.data.training_dataset import TrainingClip
from videoswin_cli.data.transforms import normalize
from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.training.inputs import ClipInputs, EvalLoader
from videoswin_cli.training.loss import Loss
from videoswin_cli.training.optimizer import group_parameters, make_optimizer
from videoswin_cli.training.plan import make_plan
from videoswin_cli.training.recipe import Recipe, read_recipe
from videoswin_cli.training.step import Stepper, mean_loss
from videoswin_cli.training.step_items import feed_steps
from videoswin_cli.training.targets import Targets

EXACT = ("batch_size=8", "drop_path_rate=0", "head_dropout=0", "clip_grad_norm=0", "lr=0.1",
         "lr_batch=8", "warmup_epochs=0")  # fmt: skip


READING = EvalLoader(
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
    network: Any,
    recipe: Recipe,
    notices: list[str],
    partners: tuple[int, ...] | None = None,
    world: World = World(),  # noqa: B008 - frozen
) -> Stepper:
    targets = F.one_hot(torch.arange(8) % 7, 7).float()
    return Stepper(
        ClipInputs(network, [], reading=READING, augmentation=Augmentation(), seed=0),
        make_optimizer(network, group_parameters(network, recipe), recipe),
        Loss(label_smoothing=0.0, class_weights=None),
        make_plan(recipe, train_clips=8, devices=world.size),
        targets=Targets(marks=targets, partners=partners),
        dtype=torch.float32,
        world=world,
        notice=notices.append,
    )


def fresh() -> Swin3D:
    torch.manual_seed(0)
    return Swin3D(TINY).train()


def gradients(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def test_a_step_is_the_gradient_of_the_mean_loss() -> None:
    network, reference = fresh(), fresh()
    stepper = make(network, read_recipe(None, EXACT), [])
    result = stepper.step(0, clips(8))
    frames = torch.stack([clip.frames for clip in clips(8)])
    inputs = normalize(frames, mean=PROTOCOL.mean, std=PROTOCOL.std, dtype=torch.float32)
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
    inputs = normalize(frames, mean=PROTOCOL.mean, std=PROTOCOL.std, dtype=torch.float32)
    loss = F.cross_entropy(reference(inputs), torch.tensor([1, 0, 2, 3, 4, 5, 6, 0]))
    loss.backward()
    assert result.loss == pytest.approx(loss.item(), abs=1e-6)
    for name, expected in gradients(reference).items():
        assert torch.allclose(gradients(network)[name], expected, atol=1e-6), name


def test_loss_and_gradient_are_means_over_the_clips_that_can_be_read() -> None:
    network, reference = fresh(), fresh()
    broken = FailedVideo(path="x", reason="damaged")
    items: list[TrainingClip | FailedVideo]
    items = [*clips(2), broken, *clips(5)[2:], broken, broken]
    result = make(network, read_recipe(None, EXACT), []).step(0, items)
    assert [failure.path for failure in result.failed] == ["x"] * 3
    assert result.clips_seen == 5
    frames = torch.stack([clip.frames for clip in clips(5)])
    inputs = normalize(frames, mean=PROTOCOL.mean, std=PROTOCOL.std, dtype=torch.float32)
    loss = F.cross_entropy(reference(inputs), torch.arange(5))
    loss.backward()
    assert result.loss == pytest.approx(loss.item(), abs=1e-6)
    for name, expected in gradients(reference).items():
        assert torch.allclose(gradients(network)[name], expected, atol=1e-6), name


def test_random_numbers_drawn_while_clips_are_made_change_no_step() -> None:
    """A loader that starts draws from torch's own; a resumed run starts one in another step."""
    results = []
    for draws in (0, 1):
        network = fresh()
        dropping = read_recipe(None, [*EXACT, "batch_size=4", "accumulate=2"])
        network.head_dropout = 0.5

        def items(draws: int = draws) -> Iterator[TrainingClip]:
            for clip in clips(8):
                torch.rand(draws)
                yield clip

        results.append(make(network, dropping, []).step(0, items()).loss)
    assert results[0] == results[1]


def test_a_step_without_a_readable_clip_updates_nothing() -> None:
    network = fresh()
    before = {name: p.clone() for name, p in network.named_parameters()}
    recipe = read_recipe(None, (*EXACT, "weight_decay=0.5"))
    stepper = make(network, recipe, [])
    result = stepper.step(0, [FailedVideo(path="x", reason="damaged")] * 8)
    assert math.isnan(result.loss)
    assert (result.clips_seen, len(result.failed)) == (0, 8)
    assert not stepper.optimizer.state
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name]), name


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
    network, reference = fresh(), fresh()
    notices: list[str] = []
    small = Small(network, room=3)
    result = make(small, read_recipe(None, EXACT), notices).step(0, clips(8))
    expected = make(reference, read_recipe(None, EXACT), []).step(0, clips(8))
    assert small.sizes == [8, 4, 2, 2, 2, 2]
    assert len(notices) == 2
    assert "2 clips at once from now on; a step still learns from 8 clips" in notices[1]
    assert result.loss == pytest.approx(expected.loss, abs=1e-6)
    for name, gradient in gradients(reference).items():
        assert torch.allclose(gradients(network)[name], gradient, atol=1e-6), name
    with pytest.raises(VideoSwinError, match="out of memory with 1 clip at once"):
        make(Small(fresh(), room=0), read_recipe(None, EXACT), []).step(0, clips(8))


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_out_of_memory_changes_no_partner_of_a_mixed_clip(kind: str) -> None:
    network, reference = fresh(), fresh()
    recipe = read_recipe(None, (*EXACT, f"{kind}=0.8"))
    result = make(Small(network, room=3), recipe, []).step(0, clips(8))
    expected = make(reference, recipe, []).step(0, clips(8))
    unmixed = make(fresh(), read_recipe(None, EXACT), []).step(0, clips(8))
    assert expected.loss != pytest.approx(unmixed.loss, abs=1e-3)
    assert result.loss == pytest.approx(expected.loss, abs=1e-6)
    for name, gradient in gradients(reference).items():
        assert torch.allclose(gradients(network)[name], gradient, atol=1e-6), name


class Breaking(torch.nn.Module):
    """A network whose memory is full once, in the middle of the n-th backward pass."""

    def __init__(self, network: Swin3D, *, breaking: int) -> None:
        super().__init__()
        self.network = network
        self.breaking = breaking
        self.passes = 0

    def forward(self, clips: torch.Tensor) -> Any:
        self.passes += 1
        if self.passes == self.breaking:
            # The head's gradient is added before that of the first layer is wanted.
            clips = clips.requires_grad_()
            clips.register_hook(self._run_out)
        return self.network(clips)

    def _run_out(self, gradient: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        return self.network.named_parameters(*args, **kwargs)


class Decoded:
    """Clips of a step, decoded when they are asked for; how many live at once."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.passes = self.most = 0
        self.live: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()

    def __iter__(self) -> Iterator[TrainingClip]:
        self.passes += 1
        for number in range(self.count):
            clip = clips(number + 1)[number]
            self.live.add(clip.frames)
            self.most = max(self.most, len(self.live))
            yield clip
            del clip


ACCUMULATING = (*EXACT, "batch_size=2", "accumulate=4")


def test_a_backward_pass_that_breaks_off_leaves_no_gradient_behind() -> None:
    network, reference = fresh(), fresh()
    notices: list[str] = []
    items = Decoded(8)
    breaking = Breaking(network, breaking=3)
    result = make(breaking, read_recipe(None, ACCUMULATING), notices).step(0, items)
    expected = make(reference, read_recipe(None, ACCUMULATING), []).step(0, clips(8))
    assert items.passes == 2
    assert len(notices) == 1
    assert result.loss == pytest.approx(expected.loss, abs=1e-6)
    for name, gradient in gradients(reference).items():
        assert torch.allclose(gradients(network)[name], gradient, atol=1e-6), name


def test_accumulated_clips_live_no_longer_than_their_micro_batch() -> None:
    items = Decoded(8)
    result = make(fresh(), read_recipe(None, ACCUMULATING), []).step(0, items)
    assert result.clips_seen == 8
    assert items.most <= 3  # a micro-batch, and the clip that shows that another one follows


def test_accumulating_learns_what_one_batch_does() -> None:
    network, reference = fresh(), fresh()
    items: list[TrainingClip | FailedVideo]
    items = [FailedVideo(path="x", reason="damaged"), *clips(7)]
    result = make(network, read_recipe(None, ACCUMULATING), []).step(0, items)
    expected = make(reference, read_recipe(None, EXACT), []).step(0, items)
    assert result.loss == pytest.approx(expected.loss, abs=1e-6)
    for name, gradient in gradients(reference).items():
        assert torch.allclose(gradients(network)[name], gradient, atol=1e-6), name


def test_the_mean_loss_leaves_out_steps_without_a_clip() -> None:
    assert mean_loss([1.0, math.nan, 3.0]) == 2.0
    assert math.isnan(mean_loss([math.nan]))


def step_in_two_processes(rank: int, address: str) -> None:
    """One step of one of two processes: the first has 4 readable clips, the other one 1."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    step_as(rank)  # a stepper that outlived the group would end it while torch holds the GIL
    torch.distributed.destroy_process_group()


def step_as(rank: int) -> None:
    network, reference = fresh(), fresh()
    expected = make(reference, read_recipe(None, EXACT), []).step(0, clips(5))
    broken = FailedVideo(path="x", reason="damaged")
    shares: list[list[Any]] = [[*clips(4)], [clips(5)[4], *[broken] * 3]]
    recipe = read_recipe(None, (*EXACT, "batch_size=4"))
    stepper = make(network, recipe, [], world=World(rank=rank, size=2))
    result = stepper.step(0, shares[rank])
    assert result.loss == pytest.approx(expected.loss, abs=1e-6)
    assert (result.clips_seen, len(result.failed)) == (5, 3 * rank)
    for name, gradient in gradients(reference).items():
        assert torch.allclose(gradients(network)[name], gradient, atol=1e-6), name
    lost = stepper.step(1, [broken] * 4)
    assert math.isnan(lost.loss)
    assert (lost.clips_seen, len(lost.failed)) == (0, 4)


def test_processes_take_the_mean_over_the_clips_that_any_of_them_could_read(
    tmp_path: Path,
) -> None:
    address = f"file://{tmp_path / 'meeting'}"
    run_in_processes(step_in_two_processes, address, processes=2)


# --- items of steps -------------------------------------------------------------------------------


class Draws:
    """Keys as items, and how often each was made."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int]] = []

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, int]:
        self.made.append(key)
        return key

    def failed(self, key: tuple[int, int], reason: str) -> tuple[int, int]:
        raise AssertionError(reason)


class DrawInputs:
    workers = 0

    def __init__(self) -> None:
        self.source = Draws()


KEYS = [[(5, 0), (6, 1), (7, 2)], [(5, 3), (7, 4), (6, 5)]]


def steps_of(inputs: Any) -> Iterator[Iterable[Any]]:
    return feed_steps(inputs, KEYS, batch_size=2, notice=pytest.fail)


def test_no_clip_is_lost_between_steps() -> None:
    assert [list(step) for step in steps_of(DrawInputs())] == KEYS


def test_a_step_begun_again_has_its_clips_again_and_the_next_step_its_own() -> None:
    inputs = DrawInputs()
    first, second = [], []
    steps = steps_of(inputs)
    step = next(steps)
    for item in step:
        first.append(item)
        if len(first) == 2:
            break
    assert inputs.source.made == KEYS[0][:2]  # decoded as they are taken
    assert list(step) == KEYS[0]
    second = list(next(steps))
    assert second == KEYS[1]
    assert inputs.source.made == [*KEYS[0][:2], *KEYS[0][:2], KEYS[0][2], *KEYS[1]]
