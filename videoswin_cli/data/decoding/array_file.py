"""Frames in a NumPy file: uint8 (frames, height, width, 3), RGB. Only what is asked for is read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoswin_cli.data.decoding.container import check_file, check_pixels
from videoswin_cli.data.decoding.picture_index import index_at_rate
from videoswin_cli.errors import VideoError
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import DecoderName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from videoswin_cli.data.decoding.frame_index import FrameIndex

_EXPECTED = "uint8 (frames, height, width, 3), RGB"


def is_array_file(ref: str) -> bool:
    return Path(ref).suffix.lower() == ".npy"


def open_array_file(path: str, options: OpenOptions) -> "tuple[FrameIndex, ArrayReader]":
    """The frames of a file, and what reads them.

    Raises:
        VideoError: it cannot be read, holds something else, or its pictures are too large.
    """
    import numpy as np

    check_file(path)
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError) as error:
        # NumPy's advice is to trust the file.
        reason = "it holds no plain array" if "pickle" in str(error) else error
        raise VideoError(f"{path}: not a readable .npy file: {reason}") from error
    if not isinstance(frames, np.ndarray):  # an archive of several
        raise VideoError(f"{path}: expected one array, found {type(frames).__name__}")
    if (problem := find_problem(frames)) is not None:
        raise VideoError(f"{path}: {problem}", hint="Features of `extract` are .npy files, too.")
    count, height, width, _ = frames.shape
    check_pixels(path, (width, height), options.max_pixels)
    index = index_at_rate(path, "array", (width, height), count, fps=options.frames_fps)
    return index, ArrayReader(frames)


def find_problem(frames: Any) -> str | None:
    """Reason why an array is no video; None where it is one.

    Args:
        frames: of NumPy or torch.
    """
    dtype = str(frames.dtype).removeprefix("torch.")
    found = f"{dtype} {tuple(frames.shape)}"
    if frames.ndim != 4 or frames.shape[-1] != 3 or dtype != "uint8":
        return f"expected {_EXPECTED}, found {found}"
    if 0 in frames.shape:
        return f"an array without frames: {found}"
    return None


class ArrayReader:
    """Copies the frames that are asked for."""

    decoder: DecoderName = "numpy"

    def __init__(self, frames: "NDArray[np.uint8]") -> None:
        self._frames = frames

    def read_frames(self, numbers: Sequence[int]) -> "tuple[NDArray[np.uint8], list[int]]":
        """As `PyAvReader.read_frames`; none is ever damaged."""
        import numpy as np

        return np.ascontiguousarray(self._frames[list(numbers)]), []
