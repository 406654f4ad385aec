"""Annotated copies of the videos of a run, in a folder."""

from collections.abc import Callable
from pathlib import Path

from videoswin_cli.data.encoding.annotated import Canvas, Paint, write_annotated
from videoswin_cli.data.failures import name_reason
from videoswin_cli.engine.video_files import make_folder_of, remove_earlier
from videoswin_cli.errors import UsageError, VideoError, VideoSwinError
from videoswin_cli.io.paths import file_below
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import ListedVideo

_LACKING = "its annotated video cannot be written"


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
        make_folder_of(file)
        return write_annotated(video.part, file, make_paint, opening=opening)
    except Exception as error:
        if isinstance(error, VideoSwinError) and not isinstance(error, VideoError | UsageError):
            raise
        remove_earlier(file)
        return (f"{_LACKING}: {name_reason(error, video.part.path)}",)
