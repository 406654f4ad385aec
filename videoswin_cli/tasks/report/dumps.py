"""Dumps of evaluations with what is known of their runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoswin_cli.engine.dumps import read_class_names, read_dump
from videoswin_cli.engine.metrics import ScoredVideo
from videoswin_cli.engine.output_journal import description_of
from videoswin_cli.engine.provenance import Description, read_description
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import ModelSpec, model_names
from videoswin_cli.model.label_files import list_labels
from videoswin_cli.model.loading import find_chosen
from videoswin_cli.options.report import ReportOptions
from videoswin_cli.options.run import ModelOptions


@dataclass(frozen=True, kw_only=True)
class Dump:
    """One dump."""

    path: Path
    videos: Sequence[ScoredVideo]
    names: Mapping[int, str]  # of classes, by index, as far as they are known
    classes: int  # of the model; 0: not known
    spec: ModelSpec | None
    description: Description  # of its run; empty where there is none beside the dump

    @property
    def several(self) -> bool:
        """Whether a video may have several classes."""
        if self.spec is not None:
            return self.spec.multi_label
        return any(video.more_labels for video in self.videos)

    def name(self, index: int) -> str:
        """Name of a class."""
        return self.names.get(index, f"class {index}")

    def said(self, key: str) -> str | None:
        """Text of the description."""
        value = self.description.get(key)
        return value if isinstance(value, str) else None


def read_described(path: Path, options: ReportOptions) -> Dump:
    """A dump, with classes and published figures of the model that it says it is of.

    Args:
        path: of the dump.
        options: name the classes; else the model of the dump does, where it is published.

    Raises:
        UsageError: it cannot be read, or has other classes than the model that was named.
    """
    videos = read_dump(path)
    beside = description_of(path)
    description = read_description(beside) if beside.exists() else {}
    width = max((len(v.scores) for v in videos if v.scores is not None), default=0)
    most = max(label for v in videos for label in (*v.labels, *v.top))
    spec, labels = _find_classes(description, options)
    fits = labels and (width == len(labels) if width else most < len(labels))
    if not fits and (options.model is not None or options.labels is not None):
        raise UsageError(
            f"{path} has {width or f'at least {most + 1}'} classes, and "
            f"{options.labels or options.model} {len(labels)}",
            hint="name the model that the dump is of with --model, or its classes with --labels",
        )
    names = dict(enumerate(labels)) if fits else read_class_names(path)
    return Dump(
        path=path,
        videos=videos,
        names=names,
        classes=len(labels) if fits else width,
        spec=spec if fits else None,
        description=description,
    )


def _find_classes(
    description: Description, options: ReportOptions
) -> tuple[ModelSpec | None, Sequence[str]]:
    """Spec and class names; a name in a description is looked up, but no file of that name read."""
    said = description.get("model")
    name = options.model or (said if said in model_names() else None)
    if name is None:
        return None, () if options.labels is None else list_labels(options.labels)
    found = find_chosen(ModelOptions(model=name), labels=options.labels, with_head=True)
    return found.spec if said in (None, found.spec.name) else None, found.labels
