"""Frame rates that pictures do not state, and what cannot be right without one."""

from dataclasses import replace
from typing import TYPE_CHECKING

from videoswin_cli.errors import VideoError
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import InputProtocol, VideoInfo

if TYPE_CHECKING:
    from videoswin_cli.data.decoding.open import Video


def check_rate(video: "Video", protocol: InputProtocol) -> None:
    """Raises VideoError where a model resamples a video whose frame rate nothing states."""
    if protocol.frame_rate is not None:
        require_rate(video, f"the model takes {protocol.frame_rate:g} frames per second")


def require_rate(video: "Video", reason: str) -> None:
    """Raises VideoError where nothing states the frame rate of a video, which `reason` needs."""
    if not video.info.fps_stated:
        # In the message, as a row of results shows no hint.
        raise VideoError(
            f"{video.info.path}: no frame rate is stated, and {reason}: give it with --frames-fps N"
        )


def state_rate(opening: OpenOptions, info: VideoInfo) -> OpenOptions:
    """Options that open a video again with the frame rate that was taken for it."""
    return opening if info.fps_stated else replace(opening, frames_fps=info.fps)
