"""Decode chosen frames with decord, from the files that decord 0.6 is known to get right.

decord seeks by what it takes for key frames and then trusts the order of arrival. Where that
goes wrong it returns other frames than asked for, without a word. `find_obstacle` names those
files beforehand; `fault_tol` turns the frames that decord makes up by copying into errors.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoswin_cli.data.decoding.frame_index import FrameIndex
from videoswin_cli.data.decoding.trust import (
    UNPROVEN,
    ReaderFailedError,
    find_shared_obstacle,
    heard,
)
from videoswin_cli.io.process_state import Shared, environment_kept
from videoswin_cli.records import DecoderName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Any copied frame is one too many. decord takes exactly 0 for "no limit", hence not 0.
_NO_COPIES = 1e-6
# Of a picture. decord holds several of them, in more than one form.
_MOST_PIXELS = 1 << 24
# Its conversion to RGB is another one.
_OTHER_PIXELS = ("yuv410p", "yuv440p", "yuvj440p")
# Seconds that decord's float32 timestamps may be off; a frame lasts far longer.
_TIME_TOLERANCE = 2e-3


def load_decord() -> Any | None:
    """The decord module, or None where there is none (no wheels for macOS and ARM)."""
    import torch  # noqa: F401 - before decord, or both crash (dmlc/decord#293)

    try:
        with environment_kept():  # it appends its folder to PATH
            import decord
    except (ImportError, OSError):  # OSError: installed, but its library does not load
        return None
    decord.logging.set_level(decord.logging.QUIET)  # but when it is listened to
    return decord


def find_obstacle(index: FrameIndex) -> str | None:
    """The reason why decord 0.6 must not read this file, or None.

    Each was seen to return wrong frames.
    """
    if index.codec in {"av1", "libdav1d", "libaom-av1"}:
        return "its FFmpeg 4.1 has no AV1 decoder"
    if index.container == "avi":
        return "in AVI it cannot seek, and says nothing of damage"
    if not index.container.startswith(("mov,", "matroska,")):
        return f"it mixes up frames of {index.container} files"
    if index.height * index.width > _MOST_PIXELS:
        return f"of pictures of more than {_MOST_PIXELS:,} pixels it takes too much memory"
    if index.coding.pixel_format in _OTHER_PIXELS:
        return f"of {index.coding.pixel_format} pictures it gives other pixels"
    if index.streams > 1:
        return f"of {index.streams} video streams it may take another one"
    if index.promised_frames > len(index.clock.numbers):
        return "it takes the number of frames in the header for that in the file"
    if index.hidden:
        return "it counts packets that show nothing"
    return find_shared_obstacle(index)


class DecordReader:
    """Holds the file open as long as it lives. Make it in the process that uses it."""

    decoder: DecoderName = "decord"

    def __init__(self, index: FrameIndex, *, replaceable: bool = False) -> None:
        """Open the file.

        Args:
            index: of its frames.
            replaceable: another decoder is at hand, and better where this one would decode twice.

        Raises:
            ReaderFailedError: decord is absent, cannot open it or counts its frames differently.
        """
        decord = load_decord()
        if decord is None:
            raise ReaderFailedError("it is not installed")
        obstacle = find_obstacle(index)
        if obstacle is not None:
            raise ReaderFailedError(obstacle)
        self._index = index
        self._replaceable = replaceable
        self._last = -1  # frame that was read
        self._errors = (
            decord.DECORDError,
            decord.DECORDLimitReachedError,
            RuntimeError,  # "Error reading", "Failed to seek_accurate"
            AssertionError,  # "Invalid frame count"
            StopIteration,
            UnicodeEncodeError,  # a file name that is no UTF-8
        )
        # Warnings about a header are none about its frames.
        with heard(*self._errors, complaints=False):
            # The path, not a file object, which the binding would copy to memory.
            file = str(Path(index.path).absolute())
            self._video = decord.VideoReader(file, num_threads=1, fault_tol=_NO_COPIES)
            self._check_numbering()

    def read_frames(self, numbers: Sequence[int]) -> "tuple[NDArray[np.uint8], list[int]]":
        """Read frames by ascending, distinct numbers.

        Returns:
            (len(numbers), height, width, 3) RGB, and the numbers of those that cannot be decoded:
            here none.

        Raises:
            ReaderFailedError: one of them could not be decoded, or has another size.
        """
        import numpy as np

        height, width = self._index.height, self._index.width
        images = np.empty((len(numbers), height, width, 3), dtype=np.uint8)
        goes_on = bool(numbers) and self._goes_on(numbers[0])
        if goes_on and self._replaceable:
            raise ReaderFailedError("its thread decodes ahead while nobody listens")
        with heard(*self._errors), _aloud:
            if goes_on:
                self._video.seek(0)
            for row, number in enumerate(numbers):  # get_batch fails on rotated videos
                image = self._video[number].asnumpy()
                if image.shape != (height, width, 3):
                    raise ReaderFailedError(f"frame {number} is {image.shape}, not as the first")
                images[row] = image
                self._last = number
        return images, []

    def _goes_on(self, number: int) -> bool:
        """Whether it would go on from the last frame, perhaps beyond damage that went unheard."""
        keys = self._keys
        return self._last >= 0 and bisect_right(keys, number) == bisect_right(keys, self._last)

    def _check_numbering(self) -> None:
        import numpy as np

        times = np.asarray(self._index.clock.times)
        if len(self._video) != len(times):
            raise ReaderFailedError(f"it counts {len(self._video)} frames, there are {len(times)}")
        # Its FFmpeg may take others for key frames than ours does.
        self._keys = sorted(int(key) for key in self._video.get_key_indices())
        if not set(self._keys) - {0} <= self._index.closed:
            raise ReaderFailedError(UNPROVEN)
        starts = np.asarray(self._video.get_frame_timestamp(range(len(times))))[:, 0]
        if not np.allclose(starts - starts[0], times - times[0], rtol=1e-6, atol=_TIME_TOLERANCE):
            raise ReaderFailedError("its timestamps differ from those of the packets")


@contextmanager
def _speak() -> Iterator[None]:
    import decord

    decord.logging.set_level(decord.logging.INFO)
    try:
        yield
    finally:
        decord.logging.set_level(decord.logging.QUIET)


_aloud = Shared(_speak)  # the level is one of the process
