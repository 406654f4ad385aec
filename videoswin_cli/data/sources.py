"""What the user named, as an ordered list of videos: files, folders, globs, lists, stdin, URLs."""

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from videoswin_cli.errors import UsageError
from videoswin_cli.text_files import numbered_lines, read_text

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)


def is_url(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def expand_inputs(inputs: Sequence[str], *, stdin: Iterable[str] = ()) -> list[str]:
    """Paths and URLs of all videos meant by `inputs`, in order, each once.

    An input is a file, a folder (searched recursively for video extensions), a glob, `@list.txt`
    (a path a line), `-` (a path a line of `stdin`) or an http(s) URL. A file named directly must
    exist; a missing file from a list is kept, to be reported as a row of its own.

    Raises:
        UsageError: nothing is there, or a folder, glob or list holds no video.
    """
    videos = list(dict.fromkeys(path for text in inputs for path in _expand(text, stdin)))
    if not videos:
        raise UsageError("no input: name a video, a folder, a glob, @list.txt or a URL")
    return videos


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files of a folder and its subfolders, links followed, that end so in any case; sorted."""
    return sorted(_files_below(folder, suffixes, frozenset()))


def _files_below(
    folder: Path, suffixes: Collection[str], above: frozenset[tuple[int, int]]
) -> Iterator[Path]:
    place = folder.stat()
    if (place.st_dev, place.st_ino) in above:
        return  # a link to a folder that it is in
    above |= {(place.st_dev, place.st_ino)}
    with os.scandir(folder) as entries:
        for entry in entries:
            path = folder / entry.name
            if entry.is_dir():
                yield from _files_below(path, suffixes, above)
            elif path.suffix.lower() in suffixes and (entry.is_file() or entry.is_symlink()):
                yield path  # a link to nothing too: it shall be missed


def _expand(text: str, stdin: Iterable[str]) -> Iterator[str]:
    if text == "-":
        return _lines(stdin, source="standard input")
    if is_url(text):
        return iter([text])
    path = Path(text)
    try:
        if text and path.is_dir():
            return _videos_below(path)
        if text and path.exists():
            return iter([text])
    except OSError as error:  # no permission, too long
        raise UsageError(f"cannot read {text}: {error.strerror}") from error
    if text.startswith("@"):
        return _listed(Path(text[1:]))
    if glob.has_magic(text):
        return _matching(text)
    raise UsageError(
        f"no such file: {text}", hint="an INPUT is a file, a folder, a glob, @list.txt, - or a URL"
    )


def _listed(path: Path) -> Iterator[str]:
    return _lines(read_text(path, what="list").split("\n"), source=str(path))


def _lines(lines: Iterable[str], *, source: str) -> Iterator[str]:
    paths = [path for _, path in numbered_lines(lines)]
    if any("\0" in path for path in paths[:100]):
        raise UsageError(f"{source} is no text: expected a path or URL a line")
    if not paths:
        raise UsageError(f"{source} names no video: expected a path or URL a line")
    return iter(paths)


def _videos_below(folder: Path) -> Iterator[str]:
    paths = sorted(map(str, files_below(folder, VIDEO_SUFFIXES)))
    if not paths:
        raise UsageError(
            f"no video in the folder {folder}",
            hint=f"looked for {' '.join(sorted(VIDEO_SUFFIXES))}, in its subfolders too",
        )
    return iter(paths)


def _matching(pattern: str) -> Iterator[str]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - takes absolute patterns
    if not matches:
        raise UsageError(f"nothing matches {pattern}")
    for match in matches:
        path = Path(match)
        if path.is_dir():
            yield from _videos_below(path)
        else:
            yield match
