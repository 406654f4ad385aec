"""Clips in, a trained model out: what `videoswin finetune` runs."""

import csv
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import torch
import torch.distributed as dist
import torch.nn.functional as F

from videoswin_cli.data.augment import Augmentation, direction_words
from videoswin_cli.data.decoding import DecoderChoice
from videoswin_cli.data.feeding import count_workers, feed
from videoswin_cli.data.training_clips import TrainingClips
from videoswin_cli.engine.processes import Processes, find_processes, joined
from videoswin_cli.engine.provenance import VERSION, Description
from videoswin_cli.engine.runtime import Runtime, choose_runtime
from videoswin_cli.errors import UsageError
from videoswin_cli.fetch import hash_file
from videoswin_cli.files import write_whole
from videoswin_cli.model.loading import save
from videoswin_cli.training.examples import (
    Examples,
    Source,
    describe_examples,
    drop_broken,
    find_examples,
)
from videoswin_cli.training.loop import Stepper, deal_steps
from videoswin_cli.training.loss import Loss, balance_weights
from videoswin_cli.training.optimizer import AveragedWeights, group_parameters, make_optimizer
from videoswin_cli.training.order import ClipOrder
from videoswin_cli.training.plan import Plan, make_plan
from videoswin_cli.training.recipe import Recipe, to_yaml
from videoswin_cli.training.start import Start, make_start, plan_spec
from videoswin_cli.training.state import Progress, load_state, save_state
from videoswin_cli.training.validation import Validation, validate

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Watcher(Protocol):
    """Whoever is told how the training goes."""

    def notice(self, text: str) -> None:
        """A sentence."""

    def begin(self, step: int, steps: int) -> None:
        """Steps begin, after so many that were done before."""

    def advance(
        self, *, loss: float, lr: float, clips_per_second: float, wait_share: float
    ) -> None:
        """One more step is done."""


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions:
    """What `videoswin finetune` can be told, but for the recipe."""

    source: Source
    model: str
    checkpoint: Path | None = None
    scratch: bool = False
    out: Path
    resume: Path | None = None  # state to go on with
    device: str = "auto"
    decoder: DecoderChoice = "auto"
    workers: int | None = None


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """What a run came to."""

    best: Path
    best_epoch: int
    interrupted: bool
    progress: Progress
    validation: Validation | None  # of the best epoch, if it was in this run
    classes: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]


@dataclass
class _Session:
    """All that a run works with."""

    options: FinetuneOptions
    recipe: Recipe
    plan: Plan
    examples: Examples
    start: Start
    runtime: Runtime
    processes: Processes
    stepper: Stepper
    averaged: AveragedWeights | None
    description: Description
    watcher: Watcher
    workers: int
    progress: Progress = field(default_factory=Progress)
    validation: Validation | None = None


def prepare(options: FinetuneOptions, recipe: Recipe, watcher: Watcher) -> tuple[Examples, Plan]:
    """Look at the data and make the plan; nothing is loaded or written. This is `--dry-run`.

    Raises:
        UsageError: what is wrong with the data or the recipe.
    """
    examples = find_examples(options.source, seed=recipe.seed, notice=watcher.notice)
    spec = plan_spec(
        options.model, recipe, examples.classes, name=options.out.name, scratch=options.scratch
    )
    for text in describe_examples(examples):
        watcher.notice(text)
    examples = drop_broken(
        examples, decoder=options.decoder, workers=options.workers, notice=watcher.notice
    )
    plan = make_plan(recipe, train_clips=len(examples.train), devices=find_processes().size)
    for text in plan.describe():
        watcher.notice(text)
    mirrored = direction_words(examples.classes)
    if recipe.flip == "auto" and mirrored:
        watcher.notice(f"no flips: {mirrored[0]!r} would be wrong in a mirror")
    sizes = spec.protocol
    watcher.notice(
        f"clips of {sizes.clip_frames} frames, every {sizes.interval_frames}., "
        f"{sizes.crop_size}x{sizes.crop_size} px"
    )
    return examples, plan


def finetune(options: FinetuneOptions, recipe: Recipe, watcher: Watcher) -> Finetuned | None:
    """Train, validate after every epoch, keep the best.

    Returns:
        What came out; None in all processes but the first.

    Raises:
        UsageError: data, recipe or output that do not fit.
        VideoSwinError: out of memory, or the disk is full.
    """
    processes = find_processes()
    if not processes.first:
        watcher = _Silent()
    device = processes.device(options.device)
    with joined(processes):
        examples, plan = prepare(options, recipe, watcher)
        session = _open(options, recipe, examples, plan, processes, device, watcher)
        interrupted = _train(session)
        if not processes.first:
            return None
    return Finetuned(
        best=options.out / "best.safetensors",
        best_epoch=session.progress.best_epoch,
        interrupted=interrupted,
        progress=session.progress,
        validation=session.validation,
        classes=examples.classes,
        broken=(*examples.broken, *session.progress.failures.items()),
    )


def _open(
    options: FinetuneOptions,
    recipe: Recipe,
    examples: Examples,
    plan: Plan,
    processes: Processes,
    device: str,
    watcher: Watcher,
) -> _Session:
    runtime = choose_runtime(device=device)
    if recipe.deterministic:
        torch.use_deterministic_algorithms(True)
    spec = plan_spec(
        options.model, recipe, examples.classes, name=options.out.name, scratch=options.scratch
    )
    start = make_start(
        options.model,
        spec,
        recipe,
        examples.classes,
        checkpoint=options.checkpoint,
        scratch=options.scratch,
    )
    watcher.notice(start.transfer.summary)
    network = start.model.network.to(runtime.device).train()
    groups = group_parameters(network, recipe)
    optimizer = make_optimizer(network, groups, recipe)
    weights = balance_weights(examples.counts(examples.train))
    labels = torch.tensor([clip.label for clip in examples.train])
    stepper = Stepper(
        network,
        optimizer,
        Loss(
            label_smoothing=recipe.label_smoothing,
            multi_label=recipe.multi_label,
            class_weights=weights if recipe.balance == "loss" else None,
        ),
        plan,
        targets=F.one_hot(labels, len(examples.classes)).float(),
        protocol=spec.protocol,
        device=runtime.device,
        dtype=_choose_dtype(recipe, runtime),
        processes=processes,
        notice=watcher.notice,
    )
    session = _Session(
        options=options,
        recipe=recipe,
        plan=plan,
        examples=examples,
        start=start,
        runtime=runtime,
        processes=processes,
        stepper=stepper,
        averaged=AveragedWeights(network, recipe.ema) if recipe.ema else None,
        description=_describe(options, recipe, examples, start, processes),
        watcher=watcher,
        workers=options.workers
        if options.workers is not None
        else count_workers(plan.train_clips, on_cpu=runtime.on_cpu),
    )
    if options.resume is not None:
        _restore(session, options.resume)
    elif processes.first:
        _begin_output(session)
    processes.wait()
    return session


def _choose_dtype(recipe: Recipe, runtime: Runtime) -> torch.dtype:
    if recipe.precision == "auto":
        return torch.float32 if runtime.on_cpu else torch.bfloat16
    if recipe.precision == "fp16" and runtime.on_cpu:
        raise UsageError("precision fp16 needs a GPU", hint="use bf16 or fp32")
    return _DTYPES[recipe.precision]


def _describe(
    options: FinetuneOptions,
    recipe: Recipe,
    examples: Examples,
    start: Start,
    processes: Processes,
) -> Description:
    """What must be the same for a run to be gone on with."""
    kept = {key: value for key, value in asdict(recipe).items() if key != "save_minutes"}
    return {
        "start": options.model,
        "weights_sha256": None if options.scratch else hash_file(start.model.weights),
        "recipe": {k: list(v) if isinstance(v, tuple) else v for k, v in kept.items()},
        "processes": processes.size,
        "classes": list(examples.classes),
        "train": [clip.path for clip in examples.train],
        "val": [clip.path for clip in examples.val],
        "version": VERSION,
    }


def _begin_output(session: _Session) -> None:
    out = session.options.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from error
    if (out / "state.pt").exists() or (out / "best.safetensors").exists():
        raise UsageError(
            f"{out} holds a run", hint="--resume auto goes on with it; or choose another --out"
        )
    (out / "config.yaml").write_text(to_yaml(session.recipe), encoding="utf-8")
    with (
        write_whole(out / "splits.csv") as part,
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "label", "split"))
        for name, clips in (("train", session.examples.train), ("val", session.examples.val)):
            for clip in clips:
                writer.writerow((clip.path, session.examples.classes[clip.label or 0], name))


def _restore(session: _Session, state: Path) -> None:
    session.progress, tensors = load_state(state, session.description)
    session.start.model.network.load_state_dict(tensors["network"])
    session.stepper.optimizer.load_state_dict(tensors["optimizer"])
    session.stepper.scaler.load_state_dict(tensors["scaler"])
    if session.averaged is not None:
        session.averaged.load(tensors["averaged"])
    session.watcher.notice(
        f"going on after step {session.progress.step} of {session.plan.steps}, {state}"
    )


def _train(session: _Session) -> bool:
    """All steps that are left. Returns whether it was interrupted."""
    progress, plan, recipe = session.progress, session.plan, session.recipe
    session.watcher.begin(progress.step, plan.steps)
    order = ClipOrder(
        [clip.label or 0 for clip in session.examples.train],
        seed=recipe.seed,
        balanced=recipe.balance == "sampler",
    )
    with _catch_signals() as stopped:
        while progress.step < plan.steps:
            if _train_epoch(session, order, stopped):
                return True
            _end_epoch(session)
            waited = plan.epoch_of(progress.step) - progress.best_epoch
            if recipe.patience and waited >= recipe.patience:
                session.watcher.notice(f"no better for {waited} epochs: stopping")
                break
    return False


def _train_epoch(session: _Session, order: ClipOrder, stopped: Callable[[], bool]) -> bool:
    """Steps up to the end of the pass. Returns whether it was interrupted."""
    progress, plan = session.progress, session.plan
    end = progress.step
    while not plan.last_of_epoch(end):
        end += 1
    share = plan.batch_size * plan.accumulate
    keys = []
    for step in range(progress.step, end + 1):
        first = step * plan.step_clips + session.processes.rank * share
        keys += order.keys(range(first, first + share))
    source = TrainingClips(
        [str(clip.file) for clip in session.examples.train],
        protocol=session.start.model.spec.protocol,
        augmentation=_augmentation(session),
        decoder=session.options.decoder,
        seed=session.recipe.seed,
    )
    saved = begun = time.monotonic()
    with closing(feed(source, keys, workers=min(session.workers, len(keys)))) as items:
        for step_items in deal_steps(items, clips=share):
            waited = time.monotonic() - begun
            result = session.stepper.step(progress.step, step_items)
            if session.averaged is not None:
                session.averaged.update(session.start.model.network, progress.step)
            progress.step += 1
            progress.losses.append(result.loss)
            for failure in result.failed:
                progress.failures[failure.path] = failure.reason
            spent = time.monotonic() - begun
            begun = time.monotonic()
            session.watcher.advance(
                loss=result.loss,
                lr=result.lr,
                clips_per_second=plan.step_clips / spent,
                wait_share=waited / spent,
            )
            if _any(stopped(), session):
                _save_state(session)
                return True
            if begun - saved > session.recipe.save_minutes * 60:
                _save_state(session)
                saved = time.monotonic()
    return False


def _augmentation(session: _Session) -> Augmentation:
    recipe = session.recipe
    flip = recipe.flip
    if flip == "auto":
        flip = not direction_words(session.examples.classes)
    return Augmentation(
        crop_area=recipe.crop_area,
        crop_aspect=recipe.crop_aspect,
        flip=flip,
        color_jitter=recipe.color_jitter,
        rand_augment=recipe.rand_augment,
        rand_augment_strength=recipe.rand_augment_strength,
        erasing=recipe.erasing,
    )


def _end_epoch(session: _Session) -> None:
    """Validate, tell, and keep what is the best so far."""
    progress, plan, out = session.progress, session.plan, session.options.out
    with _averaged_weights(session):
        found = validate(
            session.start.model.network,
            session.examples.val,
            protocol=session.start.model.spec.protocol,
            runtime=session.runtime,
            autocast=session.stepper.autocast,
            decoder=session.options.decoder,
            workers=session.workers,
            batch_size=session.recipe.batch_size,
            processes=session.processes,
        )
        failures = session.processes.gather(list(progress.failures.items()))
        epoch = plan.epoch_of(progress.step)
        better = torch.zeros(1)
        if found is not None:
            progress.failures = dict(failures)
            begun = int(progress.epochs[-1]["step"]) if progress.epochs else 0
            losses = progress.losses[begun:]
            row = {
                "epoch": epoch,
                "step": progress.step,
                "train_loss": sum(losses) / len(losses),
                "val_loss": found.loss,
                "top1": found.top1,
                "top5": found.top5,
                "mean_class_accuracy": found.mean_class_accuracy,
            }
            progress.epochs.append(row)
            session.watcher.notice(
                f"epoch {epoch} of {session.recipe.epochs}: training loss {row['train_loss']:.4f}, "
                f"validation loss {found.loss:.4f}, top-1 {found.top1:.2f} %, mean class accuracy "
                f"{found.mean_class_accuracy:.2f} %"
            )
            better = torch.tensor([float(found.top1 > progress.best)])
            _save_model(session, out / "last.safetensors", row)
            if better:
                progress.best, session.validation = found.top1, found
                _save_model(session, out / "best.safetensors", row)
            _write_metrics(session)
    if session.processes.size > 1:
        better = better.to(session.runtime.device)
        dist.broadcast(better, src=0)
    if better.item():
        progress.best_epoch = plan.epoch_of(progress.step)
    _save_state(session)


@contextmanager
def _averaged_weights(session: _Session) -> Iterator[None]:
    """Let the network have its averaged weights, where there are any, for the block."""
    if session.averaged is None:
        yield
        return
    parameters = dict(session.start.model.network.named_parameters())
    own = {name: parameters[name].detach().clone() for name in session.averaged.tensors}
    with torch.no_grad():
        for name, tensor in session.averaged.tensors.items():
            parameters[name].copy_(tensor)
        yield
        for name, tensor in own.items():
            parameters[name].copy_(tensor)


def _save_model(session: _Session, path: Path, metrics: dict[str, float]) -> None:
    training = {
        "metrics": metrics,
        "recipe": session.description["recipe"],
        "start": session.options.model,
        "train_clips": len(session.examples.train),
        "val_clips": len(session.examples.val),
    }
    save(path, session.start.model, training=training)


def _save_state(session: _Session) -> None:
    if not session.processes.first:
        return
    save_state(
        session.options.out / "state.pt",
        description=session.description,
        progress=session.progress,
        tensors={
            "network": session.start.model.network.state_dict(),
            "optimizer": session.stepper.optimizer.state_dict(),
            "scaler": session.stepper.scaler.state_dict(),
            "averaged": session.averaged.tensors if session.averaged else {},
        },
    )


def _write_metrics(session: _Session) -> None:
    rows = session.progress.epochs
    with (
        write_whole(session.options.out / "metrics.csv") as part,
        part.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _any(flag: bool, session: _Session) -> bool:
    """Whether the flag is up in any process: all must stop at the same step."""
    if session.processes.size == 1:
        return flag
    value = torch.tensor([float(flag)], device=session.runtime.device)
    dist.all_reduce(value)
    return bool(value.item())


@contextmanager
def _catch_signals() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM end the run after the current step; a second one at once."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def remember(number: int, frame: object) -> None:
        seen.append(number)
        if len(seen) > 1:
            raise KeyboardInterrupt

    for number in before:
        signal.signal(number, remember)
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Silent:
    """What all processes but the first tell."""

    def notice(self, text: str) -> None:
        pass

    def begin(self, step: int, steps: int) -> None:
        pass

    def advance(
        self, *, loss: float, lr: float, clips_per_second: float, wait_share: float
    ) -> None:
        pass
