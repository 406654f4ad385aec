"""Options of a fine-tuning run, and what they come to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from videoswin_cli.data.decoding.container import MAX_PIXELS
from videoswin_cli.data.decoding.open import DecoderChoice, OpenOptions
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import DEFAULT_MODEL
from videoswin_cli.training.checkpoint import read_recipe_of
from videoswin_cli.training.found_clips import Source
from videoswin_cli.training.recipe import (
    Layer,
    Recipe,
    check_layer,
    merge_recipe,
    parse_change,
    read_layer,
    to_yaml,
)
from videoswin_cli.training.run_folder import CONFIG, STATE
from videoswin_cli.training.small_data import SIZED_KEYS

_NAMED = (  # options that are keys of the recipe
    *("lr", "epochs", "batch_size", "freeze", "balance", "flip"),
    *("multi_label", "precision", "seed", "deterministic"),
)


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions:
    """Options of `videoswin finetune`, with its defaults."""

    data: Path | None = None
    train_list: Path | None = None
    val_list: Path | None = None
    root: Path | None = None
    label_column: str | None = None
    labels: Path | None = None
    val_share: float = 0.2
    group: str = "auto"
    all_files: bool = False
    model: str = DEFAULT_MODEL
    checkpoint: Path | None = None
    weights_set: str | None = None
    scratch: bool = False
    config: Path | None = None
    changes: tuple[str, ...] = ()  # of the recipe, KEY=VALUE
    lr: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    freeze: str | None = None
    balance: Literal["none", "sampler", "loss"] | None = None
    flip: Literal["yes", "no", "auto", "swap"] | None = None
    multi_label: bool = False
    precision: Literal["auto", "fp32", "bf16", "fp16"] | None = None
    seed: int | None = None
    deterministic: bool = False
    out: Path | None = None  # None: runs/NAME OF DATA
    resume: bool = False
    resume_from: Path | None = None
    device: str = "auto"
    decoder: DecoderChoice = "auto"
    stream: int | None = None
    allow_truncated: bool = False
    max_pixels: int = MAX_PIXELS
    workers: int | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run to be done: options with every default, file and recipe resolved."""

    source: Source
    recipe: Recipe
    free_keys: frozenset[str]  # of the recipe, to be chosen by the size of the data
    model: str
    checkpoint: Path | None
    weights_set: str | None
    scratch: bool
    out: Path
    resume: Path | None  # state of the run to be resumed
    device: str
    opening: OpenOptions
    workers: int | None


def resolve_options(options: FinetuneOptions, notice: Callable[[str], None]) -> Job:
    """The run that is asked for.

    Raises:
        UsageError: options that contradict each other, or a recipe or state that cannot be read.
    """
    _check_source(options)
    out = _find_out(options)
    assert out is not None
    state = _find_state(options)
    if state is None and options.resume:
        notice(f"no {out / STATE} to resume: starting anew")
    layers = _layers(options, state)
    recipe = merge_recipe(layers)
    given = {key for _, keys in layers for key in keys}
    return Job(
        source=Source(
            folder=options.data,
            train_list=options.train_list,
            val_list=options.val_list,
            root=options.root,
            label_column=options.label_column,
            labels=options.labels,
            val_share=options.val_share,
            group=options.group,
            multi_label=recipe.multi_label,
            all_files=options.all_files,
        ),
        recipe=recipe,
        # The study behind them is of fine-tuning.
        free_keys=frozenset() if options.scratch else SIZED_KEYS - given,
        model=options.model,
        checkpoint=options.checkpoint,
        weights_set=options.weights_set,
        scratch=options.scratch,
        out=out,
        resume=state,
        device=options.device,
        opening=OpenOptions(
            decoder=options.decoder,
            stream=options.stream,
            allow_truncated=options.allow_truncated,
            max_pixels=options.max_pixels,
        ),
        workers=options.workers,
    )


def print_config(options: FinetuneOptions) -> str:
    """YAML of the recipe that a run of these options begins with; no data are looked at.

    Raises:
        UsageError: a recipe or state that cannot be read, or an impossible key.
    """
    return to_yaml(merge_recipe(_layers(options, _find_state(options))))


def _check_source(options: FinetuneOptions) -> None:
    listed = options.train_list is not None
    if (options.data is None) != listed:
        raise UsageError("expected one source of clips", hint="give DATA or --train-list FILE")
    if listed and options.all_files:
        raise UsageError("--all-files is for DATA; a list's names are taken as they stand")
    if not listed and options.val_list is not None:
        raise UsageError("--val-list goes with --train-list")
    if not listed and options.label_column is not None:
        raise UsageError("--label-column goes with --train-list: it names a column of the lists")
    if not listed and options.labels is not None:
        raise UsageError(
            "--labels goes with --train-list", hint="the folders of DATA are the classes"
        )


def _find_out(options: FinetuneOptions) -> Path | None:
    source = options.data or options.train_list
    if options.out is None and source is not None:
        return Path("runs") / source.resolve().stem
    return options.out


def _find_state(options: FinetuneOptions) -> Path | None:
    """State of the run to be resumed, where there is one."""
    if options.resume_from is not None:
        if not options.resume_from.exists():
            raise UsageError(
                f"no such file: {options.resume_from}", hint=f"--resume-from takes a {STATE}"
            )
        return options.resume_from
    out = _find_out(options)
    if not options.resume or out is None or not (out / STATE).exists():
        return None
    return out / STATE


def _layers(options: FinetuneOptions, state: Path | None) -> list[Layer]:
    """Recipe of the resumed run, --config, --set and the named options, in this order."""
    layers = [] if state is None else [_read_run(state)]
    if options.config is not None:
        layers.append(read_layer(options.config))
    layers += map(parse_change, options.changes)
    for key in _NAMED:
        value = getattr(options, key)
        if value is not None and value is not False:
            value = {"yes": True, "no": False}.get(value, value) if key == "flip" else value
            layers.append((f"--{key.replace('_', '-')}", {key: value}))
    return layers


def _read_run(state: Path) -> Layer:
    """Recipe of a run: its config.yaml, or, where that is gone, what the state says of it."""
    config = state.with_name(CONFIG)
    if config.exists():
        return read_layer(config)
    return check_layer((str(state), read_recipe_of(state) or {}))
