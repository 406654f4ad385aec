"""Animated WebP, by Pillow: FFmpeg does not decode it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from videoswin_cli.data.decoding.container import check_pixels
from videoswin_cli.data.decoding.frame_index import FrameIndex
from videoswin_cli.data.decoding.picture_index import index_pictures
from videoswin_cli.errors import TruncatedVideoError, VideoError
from videoswin_cli.io.visible import counted
from videoswin_cli.options.run import MAX_PIXELS
from videoswin_cli.records import DecoderName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

_LEAST_DURATION = 10  # ms, of a frame that states none


def is_animated_webp(path: str | Path) -> bool:
    """Whether a file says so in its head. Source: WebP container specification, VP8X chunk."""
    head = _read_head(path)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20:] and head[20] & 2)


def _read_head(path: str | Path) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(30)
    except OSError:
        return b""


@contextmanager
def open_animated_webp(
    path: str | Path, *, max_pixels: int = MAX_PIXELS
) -> "Iterator[tuple[FrameIndex, WebpReader]]":
    """The frames of an animated WebP, and what reads them.

    Raises:
        VideoError: it is damaged, or its canvas has more than `max_pixels`.
    """
    head = _read_head(path)
    width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
    check_pixels(str(path), (width, height), max_pixels)
    if Path(path).stat().st_size < 8 + int.from_bytes(head[4:8], "little"):
        raise TruncatedVideoError(f"{path}: the file is truncated: its header declares more bytes")
    try:
        image = _open_large(path)
    except (OSError, ValueError, SyntaxError) as error:
        raise VideoError(f"{path}: not a readable animated WebP ({error})") from error
    with image:
        index = _index(str(path), image)
        yield index, WebpReader(index, image)


def _open_large(path: str | Path) -> "Image":
    """An image of any size: the limit of Pillow is not that of the user."""
    import warnings

    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path)


class WebpReader:
    """Composes each frame from those before it."""

    decoder: DecoderName = "pillow"

    def __init__(self, index: FrameIndex, image: "Image") -> None:
        self._index = index
        self._image = image

    def read_frames(self, numbers: Sequence[int]) -> "tuple[NDArray[np.uint8], list[int]]":
        """As `PyAvReader.read_frames`."""
        import numpy as np

        index, missing = self._index, []
        images = np.empty((len(numbers), index.height, index.width, 3), dtype=np.uint8)
        for row, number in enumerate(numbers):
            try:
                self._image.seek(number)
                images[row] = np.asarray(self._image.convert("RGB"))
            except (OSError, ValueError, EOFError):
                missing.append(number)
        return images, missing


def _index(shown: str, image: "Image") -> FrameIndex:
    durations = []
    for number in range(getattr(image, "n_frames", 1)):
        try:
            image.seek(number)
            image.load()
        except (OSError, ValueError, EOFError) as error:
            raise TruncatedVideoError(
                f"{shown}: the file is truncated: it holds {counted(number, 'frame')} of the "
                f"{getattr(image, 'n_frames', 1)} that its header declares"
            ) from error
        durations.append(max(int(image.info.get("duration", 0)), _LEAST_DURATION))
    return index_pictures(
        shown, "webp", (image.width, image.height), durations, tick=Fraction(1, 1000)
    )
