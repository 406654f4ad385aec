"""Inputs of a command as an ordered list of videos: files, folders, globs, lists, stdin, URLs."""

import glob
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoswin_cli.data.remote_folders import expand_address
from videoswin_cli.data.spelling import compose, decompose, same_spelling, with_slashes
from videoswin_cli.data.video_files import describe_left_out_videos, find_videos, no_video
from videoswin_cli.data.walking import LeftOut, merge_left_out, system_name_kind
from videoswin_cli.errors import MissingInputError, UsageError
from videoswin_cli.io.addresses import check_scheme, is_url, is_web
from videoswin_cli.io.text_files import numbered_lines, read_text


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Videos that the inputs name."""

    videos: tuple[str, ...]  # paths and URLs, each once
    notices: tuple[str, ...]  # what was left out, and what was named twice


def expand_inputs(
    inputs: Sequence[str], *, stdin: Iterable[str] = (), all_files: bool = False
) -> Inputs:
    """Paths and URLs of all videos meant by `inputs`, in order, each once.

    An input is a file, a folder (searched recursively for videos), a glob, `@list.txt` (one path
    per line), `-` (one path per line of `stdin`), an http(s) URL, or an address of a storage
    service, of an object, a folder or a glob. A file named directly must
    exist, and is taken whatever its name; a missing file from a list is kept, to be reported as a
    row of its own.

    Args:
        inputs: as the user wrote them.
        stdin: lines that `-` stands for.
        all_files: look into every file of a folder, whatever its name.

    Raises:
        MissingInputError: nothing is there, or a folder, glob or list holds no video.
    """
    folders = _Folders(all_files=all_files)
    every = [path for text in inputs for path in _expand(text, stdin, folders)]
    named = list(dict.fromkeys(every))
    if not named:
        raise MissingInputError("no input: give a video, a folder, a glob, @list.txt or a URL")
    videos: dict[str, str] = {}
    for path in named:
        videos.setdefault(path if is_url(path) else same_spelling(path), path)
    notices = [describe_left_out_videos(merge_left_out(folders.left_out), all_files=all_files)]
    if repeated := len(every) - len(named):
        notices.append(f"{repeated} paths are named again; each is read once")
    if again := len(named) - len(videos):
        notices.append(f"{again} paths name a file again in another spelling; each is read once")
    return Inputs(videos=tuple(videos.values()), notices=tuple(filter(None, notices)))


class _Folders:
    """A search of folders, and what it has left out so far."""

    def __init__(self, *, all_files: bool) -> None:
        self.all_files = all_files
        self.left_out: list[LeftOut] = []

    def find(self, folder: Path) -> list[str]:
        walk = find_videos(folder, all_files=self.all_files)
        self.left_out.append(walk.left_out)
        return [str(folder / path) for path in walk.files]

    def find_stored(self, address: str) -> list[str]:
        videos, left_out = expand_address(address, all_files=self.all_files)
        self.left_out.append(left_out)
        return videos

    def no_video(self, folder: Path) -> UsageError:
        return no_video(folder, merge_left_out(self.left_out), all_files=self.all_files)


def _expand(text: str, stdin: Iterable[str], folders: _Folders) -> Iterator[str]:
    if text == "-":
        return map(_respell, _lines(stdin, source="standard input"))
    if is_web(text):
        return iter([text])
    if is_url(text):
        return iter(folders.find_stored(text))
    path = Path(text)
    try:
        if text and path.is_dir():
            if not (found := folders.find(path)):
                raise folders.no_video(path)
            return iter(found)
        if text and path.exists():
            return iter([text])
    except (OSError, ValueError) as error:  # no permission, too long; a NUL character
        reason = error.strerror if isinstance(error, OSError) else error
        raise MissingInputError(f"cannot read {text}: {reason}") from error
    if text.startswith("@"):
        return map(_respell, _listed(Path(text[1:])))
    check_scheme(text)
    if glob.has_magic(text):
        return _matching(text, folders)
    raise MissingInputError(
        f"no such file: {text}", hint="an INPUT is a file, a folder, a glob, @list.txt, - or a URL"
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


def _matching(pattern: str, folders: _Folders) -> Iterator[str]:
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 - takes absolute patterns
    matches.sort(key=lambda match: Path(match).parts)
    named = set(Path(pattern).parts)
    kinds = [_system_kind(match, named) for match in matches]
    folders.left_out.append(LeftOut(names=Counter(kind for kind in kinds if kind is not None)))
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
            found += folders.find(path)
    if not found:
        raise folders.no_video(Path(matches[0]))
    return iter(dict.fromkeys(found))  # `**` matches a file and the folder that it is in


def _system_kind(match: str, named: Collection[str]) -> str | None:
    """Kind of a system name in a match that the pattern does not spell out.

    A hidden name is matched by nothing but a pattern that begins with its dot.
    """
    parts = (part for part in Path(match).parts if part not in named and part[0] != ".")
    return next((kind for part in parts if (kind := system_name_kind(part)) is not None), None)
