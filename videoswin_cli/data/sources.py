"""Inputs of a command as an ordered list of videos: files, folders, shards, globs, lists, URLs."""

import glob
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.data.decoding.frame_folder import is_frame_folder
from videoswin_cli.data.decoding.frame_names import is_picture_name
from videoswin_cli.data.remote_folders import expand_address
from videoswin_cli.data.shards import (
    TarShard,
    describe_shards,
    find_shards,
    find_shards_below,
    has_range,
    no_video_in,
    read_shard,
)
from videoswin_cli.data.spelling import compose, decompose, same_spelling, with_slashes
from videoswin_cli.data.video_files import (
    describe_frame_folders,
    describe_left_out_videos,
    find_videos,
    no_video,
)
from videoswin_cli.data.walking import LeftOut, merge_left_out, system_name_kind
from videoswin_cli.errors import MissingInputError, UsageError
from videoswin_cli.io.addresses import check_scheme, is_url, is_web
from videoswin_cli.io.paths import offline
from videoswin_cli.io.remote import has_copy
from videoswin_cli.io.staging import fetch_staged
from videoswin_cli.io.tar_files import has_member, is_tar, split_member
from videoswin_cli.io.text_files import numbered_lines, read_text
from videoswin_cli.io.visible import counted
from videoswin_cli.io.web_objects import is_missing

_EXPECTED = "an INPUT is a file, a folder, a tar file, a glob, @list.txt, - or a URL"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Videos that the inputs name."""

    videos: tuple[str, ...]  # paths and URLs, each once
    notices: tuple[str, ...]  # what was left out, and what was named twice


def expand_inputs(
    inputs: Sequence[str], *, stdin: Iterable[str] = (), all_files: bool = False
) -> Inputs:
    """Paths and URLs of all videos meant by `inputs`, in order, each once.

    An input is a file, a folder (searched recursively for videos; itself one if it holds the
    frames of one), a glob, `@list.txt` (one path per line), `-` (one path per line of `stdin`), an
    http(s) URL, or an address of a storage service, of an object, a folder or a glob. A file named
    directly must
    exist, and is taken whatever its name; a missing file from a list is kept, to be reported as a
    row of its own. A tar file, or a range of them, stands for the videos in it, and so do those of
    a folder without videos.

    Args:
        inputs: as the user wrote them.
        stdin: lines that `-` stands for.
        all_files: look into every file of a folder, whatever its name.

    Raises:
        MissingInputError: nothing is there, or a folder, glob or list holds no video.
    """
    search = _Search(all_files=all_files)
    every = [
        video
        for text in inputs
        for path in _expand(text, stdin, search)
        for video in search.unfold(path)
    ]
    named = list(dict.fromkeys(every))
    if search.shards and not named:
        raise no_video_in(search.shards)
    if not named:
        raise MissingInputError("no input: give a video, a folder, a glob, @list.txt or a URL")
    videos: dict[str, str] = {}
    for path in named:
        videos.setdefault(hide_credentials(path) if is_url(path) else same_spelling(path), path)
    _refuse_frames(named)
    left_out = describe_left_out_videos(merge_left_out(search.left_out), all_files=all_files)
    notices = [*search.notices, left_out, *describe_shards(search.shards)]
    if repeated := len(every) - len(named):
        notices.append(f"{counted(repeated, 'path')} named again: each is read once")
    if again := len(named) - len(videos):
        notices.append(
            f"{counted(again, 'path')} to a file again in another spelling: each is read once"
        )
    return Inputs(videos=tuple(videos.values()), notices=tuple(filter(None, notices)))


class _Search:
    """A search of folders and tar files, and what it has left out so far."""

    def __init__(self, *, all_files: bool) -> None:
        self.all_files = all_files
        self.left_out: list[LeftOut] = []
        self.notices: list[str] = []
        self._shards: dict[str, TarShard] = {}
        self._asks_web = True

    @property
    def shards(self) -> list[TarShard]:
        """Tar files that were read, each once."""
        return list(self._shards.values())

    def find(self, folder: Path) -> list[str]:
        """Videos of a folder; the tar files in it where it has no video."""
        walk = find_videos(folder, all_files=self.all_files)
        if not walk.files and (shards := find_shards_below(folder)):
            return shards
        self.left_out.append(walk.left_out)
        self.notices += describe_frame_folders(walk)
        return [str(folder / path) for path in walk.files]

    def unfold(self, path: str) -> list[str]:
        """Videos of a path: itself, or those in the tar file that it is."""
        if has_range(path) and (is_url(path) or not os.path.lexists(path)):
            return [video for file in find_shards(path) for video in self.unfold(file)]
        if not is_tar(path):
            return [path]
        if path not in self._shards:
            self._shards[path] = read_shard(path)
        return self._shards[path].paths

    def check_web(self, url: str) -> None:
        """Raises MissingInputError where the server of a named file has none of that name.

        Once a server does not answer, none is asked any more: each video says so itself.
        """
        if self._asks_web and not offline() and not has_copy(url):
            missing = is_missing(url)
            self._asks_web = missing is not None
            if missing:
                raise MissingInputError(f"no such file: {url}", hint=_EXPECTED)

    def find_stored(self, address: str) -> list[str]:
        videos, left_out = expand_address(address, all_files=self.all_files)
        self.left_out.append(left_out)
        return videos

    def no_video(self, folder: Path) -> UsageError:
        return no_video(folder, merge_left_out(self.left_out), all_files=self.all_files)


def _expand(text: str, stdin: Iterable[str], search: _Search) -> Iterator[str]:
    if text == "-":
        return map(_respell, _lines(stdin, source="standard input"))
    if shards := find_shards(text):
        return iter(shards)
    if is_web(text):
        search.check_web(text)
        return iter([text])
    if is_url(text) and split_member(text) is not None:
        return iter([text])
    if is_url(text):
        return iter(search.find_stored(text))
    if has_member(text):
        return iter([text])
    path = Path(text)
    try:
        if text and path.is_dir():
            if not (found := search.find(path)):
                raise search.no_video(path)
            return iter(found)
        if text and path.exists():
            return iter([text])
    except (OSError, ValueError) as error:  # no permission, too long; a NUL character
        reason = error.strerror if isinstance(error, OSError) else error
        raise MissingInputError(f"cannot read {text}: {reason}") from error
    if text.startswith("@"):
        listed = fetch_staged(text[1:]) if is_url(text[1:]) else Path(text[1:])
        return map(_respell, _listed(listed))
    check_scheme(text)
    if glob.has_magic(text):
        return _matching(text, search)
    raise MissingInputError(f"no such file: {text}", hint=_EXPECTED)


def _refuse_frames(named: Sequence[str]) -> None:
    """Raises UsageError where the pictures of a frame folder are named, not the folder."""
    pictures = [Path(path) for path in named if is_picture_name(os.path.basename(path) or ".")]  # noqa: PTH119
    parents = Counter(path.parent for path in pictures if path.suffix.lower() != ".webp")
    folder, count = max(parents.items(), key=lambda item: item[1], default=(Path(), 0))
    if count > 1 and is_frame_folder(folder):
        raise UsageError(
            f"{count} pictures of the folder {folder} are named, which are the frames of one video",
            hint=f"name the folder: {folder}",
        )


def _respell(path: str) -> str:
    """A listed path, with other slashes or in another Unicode form where only that is there."""
    if is_url(path) or os.path.exists(path):  # noqa: PTH110 - no error for any name
        return path
    spellings = (form(s) for s in (with_slashes(path), path) for form in (str, compose, decompose))
    return next((other for other in spellings if os.path.exists(other)), path)  # noqa: PTH110


def _listed(path: Path) -> Iterator[str]:
    return _lines(read_text(path, what="list").split("\n"), source=str(path))


def _lines(lines: Iterable[str], *, source: str) -> Iterator[str]:
    paths = [path for _, path in numbered_lines(lines)]
    if any("\0" in path for path in paths[:100]):
        raise UsageError(f"{source} is no text: expected a path or URL a line")
    if not paths:
        raise MissingInputError(f"{source} names no video: expected a path or URL a line")
    return iter(paths)


def _matching(pattern: str, search: _Search) -> Iterator[str]:
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 - takes absolute patterns
    matches.sort(key=lambda match: Path(match).parts)
    named = set(Path(pattern).parts)
    kinds = [_system_kind(match, named) for match in matches]
    search.left_out.append(LeftOut(names=Counter(kind for kind in kinds if kind is not None)))
    matches = [match for match, kind in zip(matches, kinds, strict=True) if kind is None]
    if not matches:
        raise MissingInputError(
            f"nothing matches {pattern}" + (" but system names" if kinds else "")
        )
    found: list[str] = []
    searched: set[Path] = set()
    for match in matches:
        path = Path(match)
        if not path.is_dir():
            found.append(match)
        elif searched.isdisjoint(path.parents):  # `**` matches folders in folders
            searched.add(path)
            found += search.find(path)
    if not found:
        raise search.no_video(Path(matches[0]))
    return iter(dict.fromkeys(found))  # `**` matches a file and the folder that it is in


def _system_kind(match: str, named: Collection[str]) -> str | None:
    """Kind of a system name in a match that the pattern does not spell out.

    A hidden name is matched by nothing but a pattern that begins with its dot.
    """
    parts = (part for part in Path(match).parts if part not in named and part[0] != ".")
    return next((kind for part in parts if (kind := system_name_kind(part)) is not None), None)
