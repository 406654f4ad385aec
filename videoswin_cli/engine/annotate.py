"""A folder of annotated videos, one for each video of a run, named as the videos are."""

from collections.abc import Callable, Sequence
from pathlib import Path

from videoswin_cli.data.encoding.annotated import Canvas, Paint, write_annotated
from videoswin_cli.data.failures import name_reason
from videoswin_cli.errors import UsageError, VideoError, VideoSwinError
from videoswin_cli.io.atomic import write_error
from videoswin_cli.io.paths import file_below
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import ListedVideo

_LACKING = "its annotated video cannot be written"


def check_folder(folder: Path, listed: Sequence[ListedVideo], *, suffix: str = ".mp4") -> None:
    """Notice before any work that a file per video would lie where it must not.

    Raises:
        UsageError: the folder is a file, two videos share a name in it, or one would be written
            over a video of the run.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"cannot write to {folder}: it is no folder")
    inputs = {Path(video.file).resolve() for video in listed if video.file is not None}
    owners: dict[Path, str] = {}
    for video in listed:
        file = file_below(folder, video.path, suffix)
        if file is None:
            continue  # noted where it is to be written
        if (other := owners.setdefault(file, video.path)) != video.path:
            raise UsageError(
                f"{other} and {video.path} would both be written to {file}",
                hint="start from a folder above both",
            )
        if not inputs.isdisjoint((file.resolve(), *file.resolve().parents)):
            raise UsageError(
                f"cannot write {file}: it is an input, or in one", hint="choose another folder"
            )


def annotate(
    video: ListedVideo,
    folder: Path,
    make_paint: Callable[[Canvas], Paint],
    *,
    opening: OpenOptions,
) -> tuple[str, ...]:
    """Write the annotated copy of a video that was read: `FOLDER/PATH.mp4`.

    Returns:
        Notes of the video: what is odd about the copy, or why there is none.

    Raises:
        MachineError: the machine is to blame.
        VideoSwinError: the disk is full.
    """
    file = file_below(folder, video.path, ".mp4")
    if file is None:
        return (f"{_LACKING}: no name is left of it",)
    try:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(file, error) from error
        return write_annotated(video.part, file, make_paint, opening=opening)
    except Exception as error:
        if isinstance(error, VideoSwinError) and not isinstance(error, VideoError | UsageError):
            raise
        return (f"{_LACKING}: {name_reason(error, video.part.path)}",)
