"""Labelled clips of a folder: CLASS/CLIP, or train/CLASS/CLIP and val/CLASS/CLIP."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from videoswin_cli.class_names import sort_names
from videoswin_cli.data.class_folders import (
    Place,
    below,
    find_parts,
    match_classes,
    name_of,
    read_class_folder,
    to_place,
)
from videoswin_cli.data.found_clips import Found, Notice
from videoswin_cli.data.lists import VideoList
from videoswin_cli.errors import UsageError
from videoswin_cli.io.addresses import is_bucket
from videoswin_cli.io.visible import name_some
from videoswin_cli.records import ListedVideo


def read_class_tree(folder: Place, notice: Notice, *, all_files: bool) -> Found:
    """Clips of class folders; of a training and a validation part where there are both.

    Raises:
        UsageError: no such folder, no clips, or parts that cannot be told.
    """
    if isinstance(folder, Path) and not folder.is_dir():
        raise UsageError(
            f"{folder} is {'a file' if folder.exists() else 'not there'}",
            hint="expected DATA/CLASS/CLIP or DATA/train/CLASS/CLIP and DATA/val/CLASS/CLIP",
        )
    parts = find_parts(folder)
    if "train" not in parts.folders:
        videos = _read_classes(folder, notice, all_files=all_files)
        classes = _sort_classes(videos)
        return Found(classes=classes, train=_clips(videos, classes), val=None)
    train_folder, val_folder = parts.folders["train"], parts.folders.get("val")
    if val_folder is None:
        there = " and ".join(
            name_of(path) for _, path in sorted(parts.folders.items(), reverse=True)
        )
        raise UsageError(
            f"{folder} has {there} but no val",
            hint="add val/CLASS/CLIP (a test part is not validated on unless you call it val), or "
            f"give {train_folder} to have it split",
        )
    idle = [*parts.others, *(name_of(p) for part, p in parts.folders.items() if part == "test")]
    if idle:
        used = f"{name_of(train_folder)} and {name_of(val_folder)}"
        notice(f"not used, since {used} are: {name_some(idle)}")
    train = _read_classes(train_folder, notice, all_files=all_files)
    val = _read_classes(val_folder, notice, all_files=all_files)
    _check_folders_apart(train, val)
    names, notices = match_classes(_sort_classes(train), _sort_classes(val))
    for text in notices:
        notice(text)
    classes = sort_names([*_sort_classes(train), *names.values()])
    return Found(
        classes=classes,
        train=_clips(train, classes, part=name_of(train_folder)),
        val=_clips(val, classes, part=name_of(val_folder), names=names),
    )


def _read_classes(folder: Place, notice: Notice, *, all_files: bool) -> VideoList:
    videos = read_class_folder(folder, all_files=all_files)
    for text in videos.notices:
        notice(text)
    return videos


def _check_folders_apart(train: VideoList, val: VideoList) -> None:
    """Raises UsageError where a link gives both parts one folder of clips."""
    if is_bucket(train.source):
        return  # which has no links
    train_folders, val_folders = (
        {os.path.realpath(Path(part.source, name)): name for name in _sort_classes(part)}
        for part in (train, val)
    )
    if shared := sorted(train_folders.keys() & val_folders.keys()):
        raise UsageError(
            f"{shared[0]} would be both trained and validated on ({len(shared)} such folders)",
            hint=f"look for links in {train.source} and {val.source}",
        )


def _sort_classes(videos: VideoList) -> tuple[str, ...]:
    return sort_names(str(row.label) for row in videos.rows)


def _clips(
    videos: VideoList,
    classes: Sequence[str],
    *,
    part: str | None = None,
    names: Mapping[str, str] = MappingProxyType({}),
) -> tuple[ListedVideo, ...]:
    """Clips of class folders, which are where they were found.

    Args:
        videos: as found.
        classes: all of them, in the order of their indices.
        part: name of the folder above, to begin the paths with.
        names: classes by the names of their folders, where they differ.
    """
    index = {name: number for number, name in enumerate(classes)}
    return tuple(
        ListedVideo(
            path=row.name if part is None else f"{part}/{row.name}",
            file=str(below(to_place(videos.source), row.name)),
            label=index[names.get(str(row.label), str(row.label))],
            line=row.line,
        )
        for row in videos.rows
    )
