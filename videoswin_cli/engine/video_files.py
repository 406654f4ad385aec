"""A folder with a file per video of a run, named as the videos are."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import write_error
from videoswin_cli.io.paths import file_below
from videoswin_cli.io.visible import counted
from videoswin_cli.records import ListedVideo


def name_files(
    folder: Path, listed: Sequence[ListedVideo], suffix: str, *, replaces: bool = False
) -> dict[str, Path]:
    """File of each video by its path, before any work; without those of which no name is left.

    Args:
        folder: that the files are in; it need not exist.
        listed: all videos of the run.
        suffix: of the files.
        replaces: a.srt is the file of a.mp4, not a.mp4.srt.

    Raises:
        UsageError: the folder is a file, two videos share a name in it, or one would be written
            over a video of the run.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"cannot write to {folder}: it is no folder")
    inputs = _inputs(listed)
    files: dict[str, Path] = {}
    owners: dict[Path, str] = {}
    for video in listed:
        file = _name_file(folder, video, suffix, replaces=replaces)
        if file is None:
            continue
        if (other := owners.setdefault(file, video.path)) != video.path:
            raise UsageError(
                f"{other} and {video.path} would both be written to {file}",
                hint="start from a folder above both",
            )
        if file.resolve() in inputs:
            raise UsageError(f"cannot write {file}: it is an input", hint="choose another folder")
        files[video.path] = file
    return files


def _name_file(folder: Path, video: ListedVideo, suffix: str, *, replaces: bool) -> Path | None:
    if not replaces:
        return file_below(folder, video.path, suffix)
    segment = f"#{video.segment}" if video.segment else ""
    same = file_below(folder, video.path.removesuffix(segment), "")
    return same and same.with_name(f"{same.stem}{segment}{suffix}")


def _inputs(listed: Sequence[ListedVideo]) -> set[Path]:
    return {Path(video.file).resolve() for video in listed if video.file is not None}


def describe_others(
    folder: Path, files: Mapping[str, Path], listed: Sequence[ListedVideo], *, beside: str = ""
) -> Iterator[str]:
    """Notice of files that look like ours and are of other videos, such as of an earlier run.

    Args:
        folder: that the files are in.
        files: of this run, by the path of the video.
        listed: all videos of the run.
        beside: begins the names in the folder that are of no single video.
    """
    own = {file.resolve() for file in files.values()} | _inputs(listed)
    suffix = next(iter(files.values())).suffix if files else ""
    others = sorted(
        file
        for file in (folder.rglob(f"*{suffix}") if suffix else ())
        if not (beside and file.relative_to(folder).parts[0].startswith(beside))
        and file.resolve() not in own
        and file.is_file()
    )
    if others:
        what = counted(len(others), f"{suffix} file")
        yield f"{folder} has {what} of other videos, such as {others[0]}: not touched"


def make_folder_of(file: Path) -> None:
    """Make the folder that a file is to be written to.

    Raises:
        VideoSwinError: it cannot be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(file, error) from error


def remove_earlier(file: Path | None) -> None:
    """Remove what an earlier run wrote of a video that has no such file now."""
    with suppress(OSError, ValueError):  # ValueError: a name that cannot be
        if file is not None:
            file.unlink(missing_ok=True)
