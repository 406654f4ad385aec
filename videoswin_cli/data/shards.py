"""Tar shards as WebDataset has them: the files that a user means, and the videos in each.

Files of one sample share a key, the path up to the first dot of the file's name: `KEY.mp4` with
`KEY.cls`, `KEY.json` or `KEY.txt`.
"""

import glob
import os
import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from videoswin_cli.data.remote_folders import expand_address, is_pattern
from videoswin_cli.data.video_files import OTHER_KINDS, VIDEO_SUFFIXES, find_videos
from videoswin_cli.data.walking import (
    LeftOut,
    describe_left_out,
    merge_left_out,
    system_name_kind,
    walk,
)
from videoswin_cli.errors import FetchError, MissingInputError, UsageError
from videoswin_cli.io.addresses import is_url
from videoswin_cli.io.tar_files import COMPRESSED, SUFFIX, TarIndex, index_tar, is_tar, open_member
from videoswin_cli.io.visible import name_some

LABEL_SUFFIXES = (".cls", ".json", ".txt")

_RANGE = re.compile(r"\{([0-9]{1,12})\.\.([0-9]{1,12})\}")
_PART = re.compile("train|val|test", re.IGNORECASE)
_MOST_SHARDS = 100_000
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})
_FEW = 3  # examples that a notice names


@dataclass(frozen=True, kw_only=True)
class TarShard:
    """A tar file and its videos."""

    file: str
    index: TarIndex
    videos: tuple[str, ...]  # members, as they lie
    left_out: LeftOut = field(default_factory=LeftOut)  # by their names and kinds
    without_video: tuple[str, ...] = ()  # keys of samples that have a label only
    several: tuple[str, ...] = ()  # keys of samples of several videos

    @property
    def paths(self) -> list[str]:
        """References of the videos; of a damaged file its own too, as the row that says so."""
        rest = [] if self.index.damage is None else [self.file]
        return [*(f"{self.file}/{name}" for name in self.videos), *rest]


def find_shards(text: str) -> list[str]:
    """Tar files that a text means; none where it means something else.

    That is a file, `shards/{000000..000127}.tar` or a glob that ends in `.tar`.

    Raises:
        UsageError: one of a range is not there, or they are compressed.
    """
    if text.lower().endswith(COMPRESSED) and (_RANGE.search(text) or Path(text).is_file()):
        raise UsageError(
            f"{text} is compressed: its videos cannot be read by name",
            hint="videos do not get smaller by it: decompress it to .tar",
        )
    if has_range(text) and (is_url(text) or not os.path.lexists(text)):
        return _expand_ranges(text)
    if is_url(text) and is_pattern(text) and text.lower().endswith(SUFFIX):
        return expand_address(text, all_files=False)[0]
    if is_tar(text):
        return [text]
    if not text.lower().endswith(SUFFIX) or os.path.lexists(text):
        return []
    if glob.has_magic(text):
        found = glob.glob(text, recursive=True)  # noqa: PTH207 - takes absolute patterns
        return sorted(filter(is_tar, found), key=lambda file: Path(file).parts)
    return []


def has_range(text: str) -> bool:
    """Whether a text is a range of shards: `shards/{000000..000127}.tar`."""
    return text.lower().endswith(SUFFIX) and _RANGE.search(text) is not None


def find_shards_below(folder: Path) -> list[str]:
    """Tar files of a folder and its subfolders.

    Raises:
        UsageError: the folder cannot be read.
    """
    found = walk(folder, lambda path: path.suffix.lower() == SUFFIX)
    return [str(folder / file) for file in found.files]


def find_labelled_shards(texts: Sequence[str]) -> list[str]:
    """Tar files of labelled samples that texts mean, each once: see `find_shards`, or a folder.

    Raises:
        UsageError: some mean tar files and others do not, or a folder holds parts of a data set.
    """
    found = {text: find_shards(text) or _find_in_folder(Path(text)) for text in texts}
    shards = list(dict.fromkeys(file for files in found.values() for file in files))
    if shards and (others := [text for text, files in found.items() if not files]):
        raise UsageError(f"{others[0]} is no tar file, and {shards[0]} is one")
    return shards


def _find_in_folder(folder: Path) -> list[str]:
    """Tar files of a folder that has no video."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() == SUFFIX)
    except OSError:  # no folder
        return []
    if not files or find_videos(folder, all_files=False).files:
        return []
    parts = {match[0] for file in files if (match := _PART.match(file.name))}
    if len(parts) > 1:
        patterns = " and ".join(f"'{folder / part}*.tar'" for part in sorted(parts))
        raise UsageError(
            f"{folder} holds tar files of parts of a data set, {' and '.join(sorted(parts))}",
            hint=f"give {patterns} as lists (--list; --train-list and --val-list)",
        )
    return list(map(str, files))


def read_shard(file: str) -> TarShard:
    """The videos of a tar file; one that cannot be read has none, and is damaged."""
    try:
        index = index_tar(file)
    except FetchError as error:
        index = TarIndex(members={}, damage=error.message)
    except OSError as error:
        index = TarIndex(members={}, damage=f"cannot be read: {error.strerror or error}")
    videos: list[str] = []
    labelled: dict[str, None] = {}
    names: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for name in index.members:
        suffix = posixpath.splitext(name)[1].lower()
        kinds = filter(None, map(system_name_kind, name.split("/")))
        if (kind := next(kinds, None)) is not None:
            names[kind] += 1
        elif suffix in VIDEO_SUFFIXES and not _is_other_kind(file, name, suffix):
            videos.append(name)
        elif suffix in LABEL_SUFFIXES:
            labelled[key_of(name)] = None
        else:
            others[suffix or "no extension"] += 1
    keys = Counter(map(key_of, videos))
    return TarShard(
        file=file,
        index=index,
        videos=tuple(videos),
        left_out=LeftOut(names=names, files=others),
        without_video=tuple(key for key in labelled if key not in keys),
        several=tuple(key for key, count in keys.items() if count > 1),
    )


def key_of(name: str) -> str:
    """Key of the sample that a member is of."""
    folder, file = posixpath.split(name)
    return posixpath.join(folder, file.partition(".")[0])


def describe_shards(shards: Sequence[TarShard]) -> list[str]:
    """Sentences on what was found in tar files, and what was left out."""
    if not shards:
        return []
    videos = sum(len(shard.videos) for shard in shards)
    texts = [f"tar files: {len(shards)}, videos in them: {videos}"]
    if damaged := [shard for shard in shards if shard.index.damage is not None]:
        shown = name_some([f"{shard.file}: {shard.index.damage}" for shard in damaged], _FEW)
        texts.append(f"damaged tar files: {len(damaged)}, read up to there: {shown}")
    if empty := [s.file for s in shards if not s.videos and s.index.damage is None]:
        texts.append(f"tar files without a video: {len(empty)}: {name_some(empty, _FEW)}")
    texts.append(
        describe_left_out(merge_left_out(shard.left_out for shard in shards), what="video")
    )
    reasons = dict.fromkeys(reason for shard in shards for reason in shard.index.left_out)
    named = {
        f"left out of tar files: {reason}": [
            (shard, name) for shard in shards for name in shard.index.left_out.get(reason, ())
        ]
        for reason in reasons
    }
    named["samples without a video"] = [(s, key) for s in shards for key in s.without_video]
    named["samples of several videos, each of which is read"] = [
        (s, key) for s in shards for key in s.several
    ]
    texts += [
        f"{what}: {len(found)}, such as "
        + name_some([f"{shard.file}/{name}" for shard, name in found[:_FEW]])
        for what, found in named.items()
        if found
    ]
    return list(filter(None, texts))


def no_video_in(shards: Sequence[TarShard]) -> MissingInputError:
    """Error for tar files without a video."""
    files = name_some([shard.file for shard in shards], _FEW)
    others = merge_left_out(shard.left_out for shard in shards)
    if pictures := sum(count for kind, count in others.files.items() if kind in _PICTURES):
        return MissingInputError(
            f"no video in {files}, but {pictures} pictures",
            hint="frames in tar files are not read: unpack them to a folder of frames, or write "
            "videos into the shards",
        )
    return MissingInputError(
        f"no video in {files}", hint="; ".join(describe_shards(shards)[1:]) or "it is empty"
    )


def _expand_ranges(text: str) -> list[str]:
    """Files of a text with ranges, the last of which counts fastest, with zeros as written."""
    files = [text]
    while match := _RANGE.search(files[0]):
        first, last = match.groups()
        low, high = int(first), int(last)
        count = abs(high - low) + 1
        if len(files) * count > _MOST_SHARDS:
            raise UsageError(f"{text} names more than {_MOST_SHARDS:,} tar files")
        padded = any(len(end) > 1 and end[0] == "0" for end in (first, last))
        width = max(len(first), len(last)) if padded else 0
        step = 1 if high >= low else -1
        numbers = [f"{number:0{width}}" for number in range(low, high + step, step)]
        replace = partial(_RANGE.sub, count=1)
        files = [replace(number, file) for file in files for number in numbers]
    if missing := [file for file in files if not is_tar(file)]:
        raise MissingInputError(
            f"{len(missing)} of {len(files)} tar files of {text} are not there: "
            f"{name_some(missing, _FEW)}",
            hint="give the range that is there, or a glob in quotes",
        )
    return files


def _is_other_kind(file: str, name: str, suffix: str) -> bool:
    if (proves := OTHER_KINDS.get(suffix)) is None:
        return False
    try:
        with open_member(f"{file}/{name}") as member:
            return proves(member)
    except OSError:  # reported as a video that cannot be read
        return False
