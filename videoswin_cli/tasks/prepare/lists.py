"""A list in another form, and lists of a split."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from videoswin_cli.data.found_clips import Found
from videoswin_cli.data.groups import check_rule, group_clips, join_copies
from videoswin_cli.data.lists.writing import NewRow, new_list
from videoswin_cli.data.splitting import split_clips
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.errors import OutputExistsError, UsageError
from videoswin_cli.io.atomic import check_writable, write_error
from videoswin_cli.io.visible import name_some
from videoswin_cli.options.prepare import SUFFIX_OF_FORM, ListForm, ListOptions, SplitOptions
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import ListedVideo
from videoswin_cli.tasks.prepare.classes import NAME, write_classes
from videoswin_cli.tasks.prepare.labelled import Labelled, new_rows, read_labelled

_LARGE = 1.5  # times the share that was wanted
Clips = tuple[ListedVideo, ...]


@dataclass(frozen=True, kw_only=True)
class WrittenLists:
    """Lists that were written, and what they hold."""

    counts: dict[Path, list[int]]  # videos of each class, by list
    classes: tuple[str, ...]
    root: Path | str
    missing: int  # videos of the source that are not there

    @property
    def advice(self) -> str:
        """Option that reading the lists takes, in a sentence; empty where it takes none."""
        root = self.root
        if isinstance(root, Path) and all(
            p.parent.resolve() == root.resolve() for p in self.counts
        ):
            return ""
        return f"its names are relative to {self.root}: read it with --root {self.root}"


def write_one_list(
    folder: Path | None, source: SourceOptions, options: ListOptions, reporter: Reporter
) -> WrittenLists:
    """Write the videos of a folder or a list as a list of another form.

    Raises:
        UsageError: nothing to list, or a name that the form cannot hold.
        VideoSwinError: the file cannot be written.
    """
    _check_new(options.out, source, options.labels, overwrite=options.overwrite)
    found = read_labelled(
        folder,
        source,
        given=options.labels,
        multi_label=options.multi_label,
        notice=reporter.notice,
        in_parts=True,
    )
    form = options.chosen_form
    rows = new_rows(found.videos, found.splits)
    if form == "frames":
        rows = [_count_frames(row, video) for row, video in zip(rows, found.videos, strict=True)]
    named = found.labels.names if options.labels is None else None
    with ExitStack() as stack:
        stack.enter_context(new_list(options.out, rows, found.labels, form))
        if named is not None:
            classes = options.out.with_name(NAME)
            write_classes(classes, named, stack, overwrite=options.overwrite)
    return _written(found, {options.out: found.videos})


def split_list(
    folder: Path | None, source: SourceOptions, options: SplitOptions, reporter: Reporter
) -> WrittenLists:
    """Write the lists of a split of the videos of a folder or a list.

    Raises:
        UsageError: nothing to split, or no class that can be.
        VideoSwinError: the files cannot be written.
    """
    check_rule(options.group)
    parts = [name for name in ("train", "val", "test") if name == "train" or _share(options, name)]
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(options.out, error) from error
    found = read_labelled(
        folder,
        source,
        given=options.labels,
        multi_label=options.multi_label,
        notice=reporter.notice,
    )
    timed = any(video.segment is not None for video in found.videos)
    form: ListForm = options.form or ("csv" if timed else "path-label")
    files = {name: options.out / f"{name}{SUFFIX_OF_FORM[form]}" for name in parts}
    for file in files.values():
        _check_new(file, source, options.labels, overwrite=options.overwrite)
    split = _split(found, options, reporter)
    with ExitStack() as stack:
        for name, file in files.items():
            stack.enter_context(new_list(file, new_rows(split[name]), found.labels, form))
        if found.labels.names is not None:
            classes = options.out / NAME
            write_classes(classes, found.labels.names, stack, overwrite=options.overwrite)
    return _written(found, {file: split[name] for name, file in files.items()})


def _share(options: SplitOptions, part: str) -> float:
    return options.val if part == "val" else options.test


def _check_new(path: Path, source: SourceOptions, labels: Path | None, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists", hint="--overwrite replaces it")
    check_writable(path, inputs=[source.list_file, labels])


def _count_frames(row: NewRow, video: ListedVideo) -> NewRow:
    """The row with the frames of its folder."""
    from videoswin_cli.data.decoding.open import open_as
    from videoswin_cli.options.run import OpenOptions

    if not Path(video.file or "").is_dir():
        raise UsageError(
            f"{video.path} is a file, no folder of frames",
            hint="`videoswin prepare frames` makes folders of frames and their list",
        )
    with open_as(video.part.path, OpenOptions()) as opened:
        return replace(row, frames=opened.info.frames)


def _written(found: Labelled, lists: dict[Path, Clips]) -> WrittenLists:
    titles = found.titles()
    counts = {path: _count(videos, len(titles)) for path, videos in lists.items()}
    return WrittenLists(counts=counts, classes=titles, root=found.root, missing=len(found.missing))


def _count(videos: Clips, classes: int) -> list[int]:
    counts = Counter(label for video in videos for label in video.labels)
    return [counts[label] for label in range(classes)]


# --- split ----------------------------------------------------------------------------------------


def _split(found: Labelled, options: SplitOptions, reporter: Reporter) -> dict[str, Clips]:
    """The videos of each part."""
    titles = found.titles()
    clips = Found(classes=titles, train=found.videos, val=None)
    clips = group_clips(clips, options.group, reporter.notice)
    clips = join_copies(clips, reporter.notice)
    parts: dict[str, Clips] = {}
    left = 1.0
    for name in ("test", "val"):
        if share := _share(options, name):
            rest, parts[name] = split_clips(clips, share / left, options.seed)
            clips, left = replace(clips, train=rest), left - share
            for text in _describe(parts[name], name, share, found):
                reporter.notice(text)
    if not any(parts.values()):
        raise UsageError(
            "nothing can be set aside: no class has videos of more than one recording or file",
            hint="add videos; --group none splits recordings",
        )
    return {"train": clips.train, **parts}


def _describe(part: Clips, name: str, share: float, found: Labelled) -> list[str]:
    """Sentences on what could not be divided as it was wanted."""
    titles = found.titles()
    every, own = _count(found.videos, len(titles)), _count(part, len(titles))
    texts = []
    if absent := [titles[n] for n, count in enumerate(own) if every[n] and not count]:
        texts.append(
            f"{len(absent)} classes have nothing in {name}, as they have one video or recording "
            f"too few: {name_some(absent)}"
        )
    if len(part) > _LARGE * share * len(found.videos) and len(part) > len(titles):
        texts.append(
            f"{name} gets {len(part) / len(found.videos):.0%} of the videos, not {share:.0%}, as "
            "recordings stay together: --group none splits them"
        )
    return texts
