"""Videos that are copied: each with its path below the folder or the root that was named."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videoswin_cli.data.inputs import find_inputs
from videoswin_cli.errors import UsageError
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import ListedVideo


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Videos of a run, found or not."""

    videos: tuple[ListedVideo, ...]
    folder: Path | None  # where it is one folder
    notices: tuple[str, ...]


def find_sources(
    inputs: Sequence[str], source: SourceOptions, *, stdin: Iterable[str] = ()
) -> Sources:
    """All videos that are named or listed; those of one folder by their paths in it.

    Raises:
        UsageError: there are none, or two have one path.
    """
    found = find_inputs(inputs, source, stdin=stdin)
    folder = Path(inputs[0]) if len(inputs) == 1 and Path(inputs[0]).is_dir() else None
    videos = found.listed
    if folder is not None:
        videos = tuple(replace(video, path=_below(video.path, folder)) for video in videos)
    return Sources(videos=videos, folder=folder, notices=found.notices)


def check_outside(out: Path, sources: Sources) -> None:
    """Raises UsageError where copies would lie among the videos that they are of."""
    place = out.resolve()
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file: expected a folder")
    above = {place, *place.parents}
    if sources.folder is not None and sources.folder.resolve() in above:
        raise UsageError(
            f"--out {out} is in the folder of the videos, {sources.folder}",
            hint="choose one outside: the next run would take the copies for videos",
        )

    inside = f"{place}{os.sep}"
    for video in sources.videos:
        if os.path.abspath(video.file or "").startswith(inside):  # noqa: PTH100 - many of them
            raise UsageError(
                f"--out {out} has videos of this run, such as {video.path}",
                hint="choose another folder",
            )


def _below(path: str, folder: Path) -> str:
    """A path that begins with its folder, without it; `#` and what follows stays."""
    return Path(path).relative_to(folder).as_posix()
