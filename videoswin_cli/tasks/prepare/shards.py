"""Tar shards of videos and their classes, as WebDataset reads them."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from videoswin_cli.data.check import describe_broken, find_broken_videos
from videoswin_cli.data.encoding.shards import (
    Sample,
    ShardNames,
    make_key,
    parse_names,
    write_shards,
)
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.errors import DatasetError, OutputExistsError, UsageError
from videoswin_cli.io.atomic import write_error
from videoswin_cli.io.tar_files import has_member, open_member, split_member
from videoswin_cli.options.prepare import ShardsOptions
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import ListedVideo
from videoswin_cli.tasks.prepare.labelled import Labelled, find_labels
from videoswin_cli.tasks.prepare.sources import Sources


def pack_shards(
    sources: Sources,
    source: SourceOptions,
    options: ShardsOptions,
    opening: OpenOptions,
    reporter: Reporter,
) -> tuple[list[Path], list[ListedVideo]]:
    """Write the files of videos into tar shards, with their classes where these are known.

    Returns:
        The shards, and the videos that are left out as they are not there or cannot be read.

    Raises:
        UsageError: shards that are there, frame folders or parts of videos, or no video is left.
        VideoSwinError: the disk is full.
    """
    names = parse_names(options.out)
    there = names.existing()
    if there and not options.overwrite:
        raise OutputExistsError(
            f"{there[0]} exists", hint="choose other names, or replace all of them: --overwrite"
        )
    inputs = {Path((split_member(v.file or "") or (v.file or "",))[0]) for v in sources.videos}
    if read := next((file for file in there if file in inputs), None):
        raise UsageError(f"cannot write {read}: it is an input", hint="choose other names")
    _check_files(sources.videos)
    labelled = find_labels(sources, source, reporter)
    sound, broken = _divide(sources.videos, opening, options.workers)
    for text in describe_broken([(video.path, video.missing) for video in broken]):
        reporter.notice(text)
    if not sound:
        raise DatasetError(f"none of {len(sources.videos)} videos can be read")
    reporter.start(len(sound), unit="video")
    written = _write(_make_samples(sound, labelled, reporter), names, options)
    return written, broken


def _check_files(videos: Sequence[ListedVideo]) -> None:
    for video in videos:
        if video.segment is not None:
            raise UsageError(
                f"{video.path} is a part of a video, and a shard holds whole files",
                hint="cut it out first; or leave the times out of the list",
            )
        if video.file is not None and Path(video.file).is_dir():
            raise UsageError(
                f"{video.path} is a frame folder, and a shard holds video files",
                hint="shards of pictures are not read; keep the folders, with a list",
            )


def _divide(
    videos: Sequence[ListedVideo], opening: OpenOptions, workers: int | None
) -> tuple[list[ListedVideo], list[ListedVideo]]:
    """Videos that can be read, and the others, whose `missing` is the reason."""
    there = [video for video in videos if video.file is not None]
    broken = [video for video in videos if video.file is None]
    reasons = find_broken_videos([v.part for v in there], opening=opening, workers=workers)
    sound = []
    for video, reason in zip(there, reasons, strict=True):
        if reason is None:
            sound.append(video)
        else:
            broken.append(replace(video, missing=reason))
    return sound, broken


def _make_samples(
    videos: Sequence[ListedVideo], labelled: Labelled | None, reporter: Reporter
) -> Iterator[Sample]:
    """The bytes of each file, unchanged, with its class as `cls` and `txt`."""
    classes = {} if labelled is None else {each.path: each.label for each in labelled.videos}
    if labelled is not None and (without := sum(v.path not in classes for v in videos)):
        reporter.notice(f"{without} of {len(videos)} videos have no class")
    keys = Counter(make_key(video.path) for video in videos)
    for video in videos:
        assert video.file is not None
        key = make_key(video.path)
        if keys[key] > 1:  # a.avi beside a.mp4
            key = make_key(f"{video.path}.mp4")
        suffix = Path(video.file).suffix.lower().removeprefix(".") or "mp4"
        files: dict[str, bytes | Path] = {suffix: _content(video.file)}
        if labelled is not None and (label := classes.get(video.path)) is not None:
            files["cls"] = str(labelled.labels.numbers[label]).encode()
            if labelled.labels.names is not None:
                files["txt"] = labelled.labels.names[label].encode()
        yield Sample(key=key, source=video.path, files=files)
        reporter.advance()


def _content(file: str) -> bytes | Path:
    if not has_member(file):
        return Path(file)
    with open_member(file) as opened:
        return opened.read()


def _write(samples: Iterator[Sample], names: ShardNames, options: ShardsOptions) -> list[Path]:
    """All shards or none: they take their places once the last one is whole."""
    draft = replace(names, folder=names.folder / f".{names.before}{names.after}.part")
    try:
        shutil.rmtree(draft.folder, ignore_errors=True)
        draft.folder.mkdir(parents=True)
        parts = write_shards(samples, draft, most_samples=options.samples)
        for old in names.existing():
            old.unlink()
        return [part.replace(names.folder / part.name) for part in parts]
    except OSError as error:
        raise write_error(names.folder, error) from error
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)
