"""All that a training works with, from its start to what it leaves on disk."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from videoswin_cli.data.augment import Augmentation, direction_words
from videoswin_cli.data.decoding import DecoderChoice
from videoswin_cli.data.feeding import count_workers
from videoswin_cli.engine.processes import Processes
from videoswin_cli.engine.provenance import VERSION, Description
from videoswin_cli.engine.runtime import DTYPES, Runtime, choose_runtime
from videoswin_cli.errors import UsageError
from videoswin_cli.fetch import hash_file
from videoswin_cli.files import check_writable, write_whole
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.loading import save
from videoswin_cli.training.events import Events, open_events
from videoswin_cli.training.examples import Examples, Source
from videoswin_cli.training.inputs import ClipInputs, FeatureInputs, Inputs, Reading, mark_classes
from videoswin_cli.training.loop import Stepper
from videoswin_cli.training.loss import Loss, balance_weights
from videoswin_cli.training.optimizer import AveragedWeights, group_parameters, make_optimizer
from videoswin_cli.training.plan import Plan
from videoswin_cli.training.recipe import Recipe, to_yaml
from videoswin_cli.training.start import Start, make_start
from videoswin_cli.training.state import Progress, load_state, save_state
from videoswin_cli.training.validation import Validation


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


@dataclass
class Session:
    """All that a run works with."""

    options: FinetuneOptions
    recipe: Recipe
    plan: Plan
    examples: Examples
    start: Start
    runtime: Runtime
    processes: Processes
    inputs: Inputs
    stepper: Stepper
    averaged: AveragedWeights | None
    description: Description
    watcher: Watcher
    events: Events
    progress: Progress = field(default_factory=Progress)
    validation: Validation | None = None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What is known before anything is loaded."""

    recipe: Recipe
    examples: Examples
    plan: Plan
    spec: ModelSpec  # of the model to be


def choose_reading(options: FinetuneOptions, prepared: Prepared, runtime: Runtime) -> Reading:
    """Raises UsageError where the device cannot compute as the recipe wants."""
    recipe = prepared.recipe
    workers = options.workers
    if workers is None:
        workers = count_workers(prepared.plan.train_clips, on_cpu=runtime.on_cpu)
    return Reading(
        sampling=prepared.spec.protocol,
        decoder=options.decoder,
        runtime=runtime,
        dtype=_choose_dtype(recipe, runtime),
        workers=workers,
        batch_size=recipe.batch_size,
    )


def open_session(
    options: FinetuneOptions,
    prepared: Prepared,
    processes: Processes,
    device: str,
    watcher: Watcher,
) -> Session:
    recipe, examples = prepared.recipe, prepared.examples
    plan, spec = prepared.plan, prepared.spec
    runtime = choose_runtime(device=device)
    reading = choose_reading(options, prepared, runtime)
    if recipe.deterministic:
        torch.use_deterministic_algorithms(True)
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
    inputs: Inputs
    if recipe.freeze == "backbone":
        inputs = FeatureInputs(
            network,
            examples.train,
            examples.val,
            reading=reading,
            processes=processes,
            notice=watcher.notice,
        )
    else:
        inputs = ClipInputs(
            network,
            examples.train,
            reading=reading,
            augmentation=choose_augmentation(recipe, examples.classes),
            seed=recipe.seed,
        )
    weights = balance_weights(examples.counts(examples.train))
    stepper = Stepper(
        inputs,
        optimizer,
        Loss(
            multi_label=recipe.multi_label,
            label_smoothing=recipe.label_smoothing,
            class_weights=weights if recipe.balance == "loss" else None,
        ),
        plan,
        targets=mark_classes(examples.train, len(examples.classes)),
        device=runtime.device,
        dtype=reading.dtype,
        processes=processes,
        notice=watcher.notice,
    )
    session = Session(
        options=options,
        recipe=recipe,
        plan=plan,
        examples=examples,
        start=start,
        runtime=runtime,
        processes=processes,
        inputs=inputs,
        stepper=stepper,
        averaged=AveragedWeights(network, recipe.ema) if recipe.ema else None,
        description=_describe(options, recipe, examples, start, processes),
        watcher=watcher,
        events=Events(),
    )
    if options.resume is not None:
        _restore(session, options.resume)
    elif processes.first:
        _begin_output(session)
    if processes.first:
        session.events = open_events(options.out, step=session.progress.step)
    processes.wait()
    return session


def _choose_dtype(recipe: Recipe, runtime: Runtime) -> torch.dtype:
    if recipe.precision == "auto":
        return torch.float32 if runtime.on_cpu else torch.bfloat16
    if recipe.precision == "fp16" and runtime.on_cpu:
        raise UsageError("precision fp16 needs a GPU", hint="use bf16 or fp32")
    return DTYPES[recipe.precision]


def choose_augmentation(recipe: Recipe, classes: Sequence[str]) -> Augmentation:
    flip = recipe.flip
    if flip == "auto":
        flip = not direction_words(classes)
    return Augmentation(
        crop_area=recipe.crop_area,
        crop_aspect=recipe.crop_aspect,
        flip=flip,
        color_jitter=recipe.color_jitter,
        rand_augment=recipe.rand_augment,
        rand_augment_strength=recipe.rand_augment_strength,
        erasing=recipe.erasing,
    )


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


def check_output(options: FinetuneOptions) -> None:
    """Refuse what cannot be written, or would be written over, before anything is looked at."""
    out = options.out
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    check_writable(there / "state.pt")
    if options.resume is None and any(
        (out / name).exists() for name in ("state.pt", "best.safetensors")
    ):
        raise UsageError(
            f"{out} holds a run", hint="--resume auto goes on with it; or choose another --out"
        )


def _begin_output(session: Session) -> None:
    out = session.options.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from error
    (out / "config.yaml").write_text(to_yaml(session.recipe), encoding="utf-8")
    with (
        write_whole(out / "splits.csv") as part,
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "label", "split"))
        for name, clips in (("train", session.examples.train), ("val", session.examples.val)):
            for clip in clips:
                labels = ";".join(session.examples.classes[label] for label in clip.labels)
                writer.writerow((clip.path, labels, name))


def _restore(session: Session, state: Path) -> None:
    session.progress, tensors = load_state(state, session.description)
    session.start.model.network.load_state_dict(tensors["network"])
    session.stepper.optimizer.load_state_dict(tensors["optimizer"])
    session.stepper.scaler.load_state_dict(tensors["scaler"])
    if session.averaged is not None:
        session.averaged.load(tensors["averaged"])
    session.watcher.notice(
        f"going on after step {session.progress.step} of {session.plan.steps}, {state}"
    )


@contextmanager
def averaged_weights(session: Session) -> Iterator[None]:
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


def save_model(session: Session, path: Path, metrics: dict[str, float]) -> None:
    training = {
        "metrics": metrics,
        "recipe": session.description["recipe"],
        "start": session.options.model,
        "train_clips": len(session.examples.train),
        "val_clips": len(session.examples.val),
    }
    save(path, session.start.model, training=training)


def save_session(session: Session) -> None:
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


def write_metrics(session: Session) -> None:
    rows = session.progress.epochs
    with (
        write_whole(session.options.out / "metrics.csv") as part,
        part.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
