"""Folders of numbered pictures, each of which is a frame of one video; Pillow decodes them."""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from videoswin_cli.data.decoding.container import check_pixels
from videoswin_cli.data.decoding.frame_index import FrameIndex
from videoswin_cli.data.decoding.frame_names import (
    FrameNames,
    find_frames,
    holds_frames,
    list_names,
)
from videoswin_cli.data.decoding.picture import (
    PICTURE_ERRORS,
    open_picture,
    to_rgb,
    truncation_refused,
    upright_size,
)
from videoswin_cli.data.decoding.picture_index import index_at_rate
from videoswin_cli.errors import VideoError
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import DecoderName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NO_PICTURE_TO_BLAME = (errno.EMFILE, errno.ENFILE)  # the machine lacks open files


def is_folder(ref: str) -> bool:
    try:
        return Path(ref).is_dir()
    except (OSError, ValueError):  # no file can have this name
        return False


def is_frame_folder(folder: Path) -> bool:
    """Whether the pictures in a folder are numbered as frames are; whatever else is there."""
    try:
        return holds_frames(list_names(folder))
    except OSError:
        return False


def open_frame_folder(folder: str, options: OpenOptions) -> "tuple[FrameIndex, FolderReader]":
    """The frames of a folder, and what reads them. One picture is opened, none is decoded.

    Raises:
        VideoError: no frames or several numberings, a gap, or a first picture that cannot be read
            or is larger than `max_pixels`.
    """
    try:
        names = list_names(folder)
    except OSError as error:
        raise VideoError(f"{folder}: the folder cannot be read: {error.strerror}") from error
    frames = find_frames(folder, names, options.frame_template)
    first = Path(folder, frames.name(0))
    try:
        with open_picture(first) as image, truncation_refused():
            check_pixels(f"{folder}: {first.name}", image.size, options.max_pixels)
            size = upright_size(image)
    except PICTURE_ERRORS as error:
        raise VideoError(
            f"{folder}: {first.name} is not a readable picture: {_name_error(error)}"
        ) from error
    index = index_at_rate(
        folder, "frames", size, frames.count, fps=options.frames_fps, notes=frames.notes
    )
    return index, FolderReader(index, frames)


class FolderReader:
    """Reads the pictures that are asked for, and no others."""

    decoder: DecoderName = "pillow"

    def __init__(self, index: FrameIndex, frames: FrameNames) -> None:
        self._index = index
        self._frames = frames
        self._folder = Path(index.path)
        self.reasons: dict[int, str] = {}  # of damaged frames

    def read_frames(self, numbers: Sequence[int]) -> "tuple[NDArray[np.uint8], list[int]]":
        """As `PyAvReader.read_frames`."""
        import numpy as np

        index, missing = self._index, []
        images = np.empty((len(numbers), index.height, index.width, 3), dtype=np.uint8)
        for row, number in enumerate(numbers):
            name = self._frames.name(number)
            try:
                images[row] = self._read(name)
            except PICTURE_ERRORS as error:
                if isinstance(error, OSError) and error.errno in _NO_PICTURE_TO_BLAME:
                    raise
                self.reasons[number] = f"{name}: {_name_error(error)}"
                missing.append(number)
        return images, missing

    def _read(self, name: str) -> "NDArray[np.uint8]":
        index = self._index
        with open_picture(self._folder / name) as image, truncation_refused():
            size, expected = image.size, (index.width, index.height)
            if sorted(size) == sorted(expected):  # else it is not even decoded
                size = upright_size(image)
            if size != expected:
                raise ValueError("{}x{}, where the first picture is {}x{}".format(*size, *expected))
            return to_rgb(image)


def _name_error(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
