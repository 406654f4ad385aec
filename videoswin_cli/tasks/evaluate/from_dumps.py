"""Accuracies of what earlier runs wrote, without a network."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from videoswin_cli.engine.dumps import read_dumps
from videoswin_cli.engine.output_journal import description_of
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.engine.provenance import Description, read_description, read_rates
from videoswin_cli.engine.summary import at_rates, summarise
from videoswin_cli.errors import UsageError
from videoswin_cli.model.loading import find_chosen
from videoswin_cli.options.run import ClassifierOptions, RunOptions
from videoswin_cli.options.source import JobOptions, SourceOptions
from videoswin_cli.options.tasks import EvalOptions
from videoswin_cli.records import EvalSummary
from videoswin_cli.tasks.evaluate.fusing import fuse_dumps
from videoswin_cli.tasks.evaluate.outputs import check_outputs, write_outputs
from videoswin_cli.tasks.evaluate.summary import Evaluation

if TYPE_CHECKING:
    from videoswin_cli.model.catalog import ModelSpec


def evaluate_dumps(
    options: EvalOptions, model: ClassifierOptions, reporter: Reporter
) -> Evaluation:
    """Metrics of what earlier runs wrote, without a network.

    Args:
        options: the dumps, of shards of one run or, with `fuse`, of several models, and what is
            measured and written.
        model: adds class names and published accuracies; without a name nothing is known of it.
        reporter: of videos that failed.

    Raises:
        UsageError: a dump cannot be read, holds too few classes, or disagrees with another.
    """
    files = options.from_dump
    check_outputs(options)
    spec: ModelSpec | None = None
    labels: tuple[str, ...] = ()
    if model.labels is not None and model.weights.model is None:
        raise UsageError("--labels needs --model, whose classes it names")
    if model.weights.model is not None:
        found = find_chosen(model.weights, labels=model.labels, with_head=True)
        spec, labels = found.spec, found.labels
    if options.fuse:
        several = spec is not None and spec.multi_label
        videos = tuple(fuse_dumps(files, options.weights, multi_label=several))
    else:
        videos = tuple(read_dumps(files))
    classes = len(labels) or max((len(v.scores) for v in videos if v.scores is not None), default=0)
    kept = min((len(video.top) for video in videos if video.top), default=0)
    if kept < max(options.topk) and kept < (classes or kept + 1):
        raise UsageError(
            f"top-{max(options.topk)} cannot be computed: the dump stores only the top {kept} of "
            "each video",
            hint="choose --topk as it was for the dump, or dump all scores (.npz)",
        )
    if classes and (wrong := [v for v in videos if max(v.label, *v.top, 0) >= classes]):
        raise UsageError(
            f"{wrong[0].path}: class {max(wrong[0].label, *wrong[0].top)} of the dump is none of "
            f"the {classes} of {model.weights.name}",
            hint="name the model that the dump is of with --model",
        )
    summary = summarise(videos, spec=spec, classes=classes, options=options)
    if options.fuse:
        summary = _describe_fusion(summary, options)
    else:
        summary = _describe(at_rates(summary, spec, _read_rates(files)), files)
    evaluation = Evaluation(videos=videos, labels=labels, summary=summary)
    write_outputs(evaluation, options, reporter)
    return evaluation


def check_idle_options(
    model: ClassifierOptions,
    run: RunOptions,
    options: EvalOptions,
    source: SourceOptions,
    job: JobOptions,
) -> None:
    """Raises UsageError for an option that changes nothing where no model runs."""
    given = {
        "--dump": options.dump is not None,
        "--checkpoint": model.weights.checkpoint is not None,
        "--weights-set": model.weights.weights_set is not None,
        "--list": source.list_file is not None,
        "--limit": source.limit is not None,
        "--shard": job.shard.count > 1,
        "--views": run.views != RunOptions(views="paper").views,
        "--fps": run.fps is not None,
        "--average": options.average != EvalOptions().average,
    }
    if idle := [name for name, is_given in given.items() if is_given]:
        raise UsageError(f"{idle[0]} does not fit --from-dump, which runs no model")


def _read_rates(files: Sequence[Path]) -> set[float | None]:
    return read_rates(_read_descriptions(files).values())


def _describe(summary: EvalSummary, files: Sequence[Path]) -> EvalSummary:
    """The summary with what is known of the run of these dumps."""
    known = _describe_dumps(files)
    return replace(
        summary,
        model=summary.model or known.get("model"),
        views=known.get("views"),
        average=known.get("average"),
        precision=known.get("precision"),
        engine=known.get("engine"),
        warnings=(*summary.warnings, *_warn_of_mixing(files)),
    )


def _describe_fusion(summary: EvalSummary, options: EvalOptions) -> EvalSummary:
    """The summary with the models that were averaged; no figure was published for them."""
    known = _read_descriptions(options.from_dump)
    names = [str(known.get(file, {}).get("model") or file) for file in options.from_dump]
    if options.weights is not None:
        names = [f"{w:g} x {name}" for w, name in zip(options.weights, names, strict=True)]
    fused = f"mean of {' + '.join(names)}"
    return replace(summary, model=fused, dataset=None, published={}, published_views=None)


def _describe_dumps(files: Sequence[Path]) -> Description:
    """What is written beside the dumps of their run; nothing where it is not there or differs."""
    found = _read_descriptions(files)
    if len(found) < len(set(files)):
        return {}
    first, *others = found.values()
    return first if all(other == first for other in others) else {}


def _warn_of_mixing(files: Sequence[Path]) -> list[str]:
    """What the dumps differ in, though one figure is made of all: weights, then precision."""
    warnings = []
    found = _read_descriptions(files)
    weights = {
        file: tuple(each.get(key) for key in ("model", "weights_sha256", "weights_set"))
        for file, each in found.items()
    }
    if len(set(weights.values())) > 1:
        first = {values: file for file, values in reversed(weights.items())}
        named = "; ".join(
            f"{file}: {model}, sha256 {str(digest)[:8]}" + (f", set {chosen}" if chosen else "")
            for (model, digest, chosen), file in reversed(first.items())
        )
        warnings.append(f"the dumps are of different weights ({named}): one figure is made of all")
    precisions = {str(each["precision"]) for each in found.values() if "precision" in each}
    if len(precisions) > 1:
        warnings.append(f"the dumps are of different precisions: {', '.join(sorted(precisions))}")
    return warnings


def _read_descriptions(files: Sequence[Path]) -> dict[Path, Description]:
    """Of those that have one beside them."""
    beside = ((file, description_of(file)) for file in files)
    return {file: read_description(text) for file, text in beside if text.exists()}
