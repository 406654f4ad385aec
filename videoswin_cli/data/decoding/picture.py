"""Still pictures, shown the right way up."""

from typing import TYPE_CHECKING

from videoswin_cli.data.decoding.orientation import read_orientation
from videoswin_cli.errors import VideoError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_picture(path: str) -> "NDArray[np.uint8]":
    """A still picture, (height, width, 3) uint8 RGB, turned and mirrored as it says (EXIF).

    Raises:
        VideoError: it cannot be read.
    """
    import av

    try:
        with av.open(path) as container:
            frame = next(container.decode(video=0))
            pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
            return read_orientation(frame).apply(pixels)
    except (av.error.FFmpegError, StopIteration) as error:
        raise VideoError(f"{path}: not a readable picture: {error}") from error
