"""Videos in memory: arrays, encoded bytes and open files, kept as files for the time of a call.

References stay text that way, and decoding processes open them as they open any video.
"""

import csv
import os
import re
import shutil
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir, mkdtemp
from typing import IO, Any, TypeAlias

import numpy as np
import torch

from videoswin_cli.data.decoding.array_file import find_problem
from videoswin_cli.errors import MachineError, UsageError, VideoSwinError
from videoswin_cli.io.addresses import is_url
from videoswin_cli.records import ListedVideo

Source: TypeAlias = (
    str | Path | np.ndarray[Any, Any] | torch.Tensor | bytes | bytearray | memoryview | IO[bytes]
)
Sources: TypeAlias = Source | Sequence[Source]
Labelled: TypeAlias = Sequence[tuple[Source, str | int]]
Data: TypeAlias = str | Path | Labelled

_Array = np.ndarray | torch.Tensor
_Bytes = bytes | bytearray | memoryview


class Spool:
    """References to some videos, of which those in memory are in a temporary folder.

    It is removed by `close`, at the end of a `with` block, or with this object.

    Attributes:
        texts: the references, in order.
        names: what results call those in the folder, by reference.
        folder: None where all are references.
    """

    def __init__(self, sources: Sources = ()) -> None:
        """Keep what is in memory; a file is read from where it stands to its end.

        Raises:
            UsageError: an array that holds no RGB frames, nothing to read, or no video.
            MachineError: the disk is full.
        """
        every = _list_sources(sources)
        for number, source in enumerate(every):
            _check(source, number)
        self.names: Mapping[str, str] = {}
        self.folder: str | None = None
        if all(isinstance(source, str | Path) for source in every):
            self.texts = [str(source) for source in every]
            return
        self.folder = folder = mkdtemp(prefix="videoswin-")
        weakref.finalize(self, _remove, folder, os.getpid())
        taken = {str(source) for source in every if isinstance(source, str | Path)}
        names: dict[str, str] = {}
        self.texts = []
        for number, source in enumerate(every):
            if isinstance(source, str | Path):
                self.texts.append(str(source))
                continue
            name = _choose_name(_name(source, number), taken)
            file = str(number) if "/" in name or os.sep in name else name
            self.texts.append(_keep(source, Path(folder, file), name))
            names[self.texts[-1]] = name
        self.names = names

    def rename(self, listed: Iterable[ListedVideo]) -> tuple[ListedVideo, ...]:
        """Videos that were found by `texts`, called as their sources are."""
        return tuple(map(self._rename, listed))

    def _rename(self, video: ListedVideo) -> ListedVideo:
        file = video.file or ""
        if file not in self.names:
            return video
        return replace(video, path=self.names[file] + video.path.removeprefix(file))

    def close(self) -> None:
        """Remove the folder; the references are of no use then."""
        if self.folder is not None:
            _remove(self.folder, os.getpid())

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def list_labelled(pairs: Iterable[tuple[Source, str | int]]) -> Iterator[tuple[Path, Path]]:
    """A list of videos and their classes, names or indices, as a file, and the root of its names.

    Raises:
        UsageError, MachineError: see `Spool`.
    """
    every = list(pairs)
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in every):
        raise UsageError(
            "expected pairs of a video and its class",
            hint='such as [("a.mp4", "archery"), (frames, 3)]',
        )
    with Spool([source for source, _ in every]) as spool, TemporaryDirectory() as folder:
        root = Path(folder) if spool.folder is None else Path(spool.folder)
        rows = [
            (_name_below(text, root), label)
            for text, (_, label) in zip(spool.texts, every, strict=True)
        ]
        path = Path(folder, "videos.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "label"), *rows])
        try:
            yield path, root
        except VideoSwinError as error:  # the file means nothing to the caller
            message = re.sub(
                rf"{re.escape(str(path))}(?::([0-9]+))?",
                lambda found: f"pair {int(found[1]) - 2}" if found[1] else "the pairs",
                error.message,
            )
            raise type(error)(message, hint=error.hint) from error


def _name_below(ref: str, root: Path) -> str:
    if is_url(ref):
        return ref
    path = Path(ref).absolute()
    return path.name if path.parent == root else str(path)


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # a decoding process may be a fork with a copy of the object
        shutil.rmtree(folder, ignore_errors=True)


def _list_sources(sources: Any) -> list[Any]:
    if isinstance(sources, str | Path | _Array | _Bytes) or hasattr(sources, "read"):
        return [sources]
    if not isinstance(sources, Iterable):
        raise _refuse(sources)
    return list(sources)


def _refuse(source: Any) -> UsageError:
    nested = isinstance(source, list | tuple | dict | set)
    return UsageError(
        f"expected paths or URLs, arrays, bytes or open files, found {type(source).__name__}",
        hint="give one flat list of videos" if nested else "",
    )


def _check(source: Any, number: int) -> None:
    if isinstance(source, _Array):
        if (problem := find_problem(source)) is not None:
            raise UsageError(f"array {number}: {problem}", hint=_advise(source.shape))
    elif isinstance(source, _Bytes):
        if not len(source):
            raise UsageError(f"bytes {number}: empty", hint="give the content of a video file")
    elif hasattr(source, "read"):
        try:
            is_binary = isinstance(source.read(0), bytes)
        except (ValueError, OSError) as error:  # closed, or open for writing
            raise UsageError(
                f"{_name(source, number)}: a file that cannot be read: {error}",
                hint='open it with "rb", and close it after the call',
            ) from error
        if not is_binary:
            raise UsageError(
                f"{_name(source, number)}: a file that is open as text", hint='open it with "rb"'
            )
    elif not isinstance(source, str | Path):
        raise _refuse(source)


def _advise(shape: Sequence[int]) -> str:
    if len(shape) == 4 and shape[1] == 3:
        return "put the colors last: frames.permute(0, 2, 3, 1), or transpose in NumPy"
    if len(shape) == 3 and shape[-1] == 3:
        return "one frame is no video: stack the frames of each"
    if len(shape) == 5:
        return "of several videos give a list of arrays"
    return "frames are RGB from 0 to 255, not normalized"


def _name(source: Any, number: int) -> str:
    if isinstance(source, _Array):
        return f"array {number}"
    if isinstance(source, _Bytes):
        return f"bytes {number}"
    name = getattr(source, "name", None)
    return name if isinstance(name, str) and name else f"file {number}"


def _choose_name(name: str, taken: set[str]) -> str:
    """The name, or with a number behind it where another video has it: results go by names."""
    free = next(
        each for n in count(1) if (each := name if n == 1 else f"{name} ({n})") not in taken
    )
    taken.add(free)
    return free


def _keep(source: Any, path: Path, name: str) -> str:
    """Write a source, and give the file."""
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu().numpy()
    try:
        if isinstance(source, np.ndarray):
            path = path.with_name(f"{path.name}.npy")
            np.save(path, source)
        else:
            with path.open("wb") as file:
                if isinstance(source, _Bytes):
                    file.write(source)
                else:
                    shutil.copyfileobj(source, file, 1 << 20)
        size = path.stat().st_size
    except OSError as error:
        raise MachineError(
            f"{name} cannot be kept in {gettempdir()}: {error.strerror or error}",
            hint="free some space there, or set TMPDIR to another disk",
        ) from error
    if not size:
        raise UsageError(
            f"{name}: empty, or read to its end", hint="file.seek(0) goes to its start"
        )
    return str(path)
