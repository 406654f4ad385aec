"""Job: options of a run with every default, file and recipe resolved."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from videoswin_cli.data.class_folders import Place, name_of
from videoswin_cli.data.decoding.open import check_decoder
from videoswin_cli.errors import UsageError
from videoswin_cli.options.parsers import Logger
from videoswin_cli.options.run import ModelOptions, OpenOptions
from videoswin_cli.options.training import FinetuneOptions
from videoswin_cli.training.checkpoint import read_recipe_of, read_saved
from videoswin_cli.training.clip_source import Source
from videoswin_cli.training.loggers import choose_loggers
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


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run to be done."""

    source: Source
    recipe: Recipe
    free_keys: frozenset[str]  # of the recipe, to be chosen by the size of the data
    weights: ModelOptions
    scratch: bool
    out: Path
    loggers: tuple[Logger, ...]
    resume: Path | None  # state of the run to be resumed
    device: str
    opening: OpenOptions
    workers: int | None


def resolve_options(
    data: Place | None, options: FinetuneOptions, notice: Callable[[str], None]
) -> Job:
    """The run that is asked for.

    Raises:
        UsageError: options that contradict each other, a recipe or state that cannot be read, or a
            decoder that this machine lacks.
    """
    clips = options.clips
    clips.check_source(data)
    check_decoder(options.opening.decoder)
    out = _find_out(data, options)
    assert out is not None
    state = _find_state(out, options)
    if state is None and options.resume:
        notice(f"no {out / STATE} to resume: starting anew")
    weights, scratch = _find_start(options, state)
    layers = _layers(options, state)
    recipe = merge_recipe(layers)
    given = {key for _, keys in layers for key in keys}
    return Job(
        source=Source(
            folder=data,
            train_list=clips.train_list,
            val_list=clips.val_list,
            root=clips.root,
            label_column=clips.label_column,
            labels=clips.labels,
            val_share=clips.val_share,
            group=clips.group,
            multi_label=recipe.multi_label,
            all_files=clips.all_files,
        ),
        recipe=recipe,
        # The study behind them is of fine-tuning.
        free_keys=frozenset() if scratch else SIZED_KEYS - given,
        weights=weights,
        scratch=scratch,
        out=out,
        loggers=choose_loggers(options.log),
        resume=state,
        device=options.device,
        opening=options.opening,
        workers=options.workers,
    )


def print_config(data: Place | None, options: FinetuneOptions) -> str:
    """YAML of the recipe that a run of these options begins with; no data are looked at.

    Raises:
        UsageError: a recipe or state that cannot be read, or an impossible key.
    """
    state = _find_state(_find_out(data, options), options)
    return to_yaml(merge_recipe(_layers(options, state)))


def _find_out(data: Place | None, options: FinetuneOptions) -> Path | None:
    source = data or options.clips.train_list
    if options.out is None and source is not None:
        name = name_of(source) if isinstance(source, str) else source.resolve().stem
        return Path("runs") / name
    return options.out


def _find_state(out: Path | None, options: FinetuneOptions) -> Path | None:
    """State of the run to be resumed, where there is one."""
    if options.resume_from is not None:
        if not options.resume_from.exists():
            raise UsageError(
                f"no such file: {options.resume_from}", hint=f"--resume-from takes a {STATE}"
            )
        return options.resume_from
    if not options.resume or out is None or not (out / STATE).exists():
        return None
    return out / STATE


def _find_start(options: FinetuneOptions, state: Path | None) -> tuple[ModelOptions, bool]:
    """Start weights, by default those of the resumed run, and whether it starts from scratch."""
    asked = options.weights
    if state is None or asked.model is not None:
        return asked, options.scratch
    saved = read_saved(state)
    start, weights_set = saved.get("start"), saved.get("weights_set")
    if not isinstance(start, str):
        return asked, options.scratch
    if asked.weights_set is None and asked.checkpoint is None and isinstance(weights_set, str):
        asked = replace(asked, weights_set=weights_set)
    scratch = options.scratch or ("weights_sha256" in saved and saved["weights_sha256"] is None)
    return replace(asked, model=start), scratch


def _layers(options: FinetuneOptions, state: Path | None) -> list[Layer]:
    """Recipe of the resumed run, --config, --set and the named options, in this order."""
    wanted = options.recipe
    layers = [] if state is None else [_read_run(state)]
    if wanted.config is not None:
        layers.append(read_layer(wanted.config))
    layers += map(parse_change, wanted.changes)
    named = wanted.named_keys().items()
    return [*layers, *((f"--{key.replace('_', '-')}", {key: value}) for key, value in named)]


def _read_run(state: Path) -> Layer:
    """Recipe of a run: its config.yaml, or, where that is gone, what the state says of it."""
    config = state.with_name(CONFIG)
    if config.exists():
        return read_layer(config)
    return check_layer((str(state), read_recipe_of(state) or {}))
