"""Decode chosen frames with torchcodec, from the files that it is known to get right.

torchcodec decodes with the FFmpeg of the machine. It is given our list of frames, and as places to
start at those alone that are proven; it states the time stamp of each frame that it returns. The
first picture that it starts from is held against PyAV's, since FFmpegs convert to RGB differently.
"""

import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoswin_cli.data.decoding.frame_index import FrameIndex
from videoswin_cli.data.decoding.packets import PacketSource
from videoswin_cli.data.decoding.pyav_reader import PyAvReader
from videoswin_cli.data.decoding.trust import ReaderFailedError, find_shared_obstacle, heard
from videoswin_cli.errors import UsageError, install_extra
from videoswin_cli.io.process_state import environment_kept
from videoswin_cli.records import DecoderName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Of these it was seen to give the pixels of PyAV, and of others not: 10 bits, 4:1:1, 4:4:0.
_PIXEL_FORMATS = {
    *("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"),
    *("gray", "gbrp", "rgb24", "bgr24", "rgba", "bgra", "bgr0", "rgb0"),
}
_ERRORS = (RuntimeError, ValueError, IndexError, AssertionError, OSError, UnicodeEncodeError)


def load_torchcodec() -> Any:
    """The module `torchcodec.decoders`.

    Raises:
        UsageError: it cannot be imported; the message says what is missing.
    """
    try:
        import torchcodec.decoders
    except (ImportError, OSError, RuntimeError) as error:
        raise UsageError(
            f"torchcodec {_explain(error)}", hint="Use --decoder auto or --decoder pyav."
        ) from error
    return torchcodec.decoders


def _explain(error: Exception) -> str:
    import torch

    if isinstance(error, ModuleNotFoundError) and "torchcodec" in (error.name or ""):
        return f"is not installed: {install_extra('torchcodec')}"
    # It tries one library for each version of FFmpeg and reports what each of them misses.
    text = str(error).strip()
    found = re.findall(r"^(?:OSError|ImportError): (?!Could not load)(.+)$", text, re.M)
    others = [line for line in found if not re.search(r"\blib(av|sw)\w+\.", line)]
    no_ffmpeg = "finds no FFmpeg libraries (versions 4 to 8) on this machine"
    no_fit = f"does not fit torch {torch.__version__}"
    if others:
        return f"{no_fit}: {others[-1]}"
    if "libtorchcodec" in text:  # before 0.10 it reports nothing of them
        return no_ffmpeg if found else f"{no_ffmpeg}, or {no_fit}"
    last = text.splitlines() or [type(error).__name__]
    return f"{no_fit}: {last[-1]}"


def find_obstacle(index: FrameIndex) -> str | None:
    """The reason why torchcodec must not read this file, or None."""
    if not index.container.startswith(("mov,", "matroska,")):
        return f"where it starts to decode {index.container} files is not known"
    if "av1" in index.codec:
        return "of damage in AV1 its FFmpeg may say nothing"  # dav1d 1.0 was seen to
    if index.clock.counted:
        return "the time stamps do not tell the order of the frames"
    if index.coding.pixel_format not in _PIXEL_FORMATS:
        return f"of {index.coding.pixel_format} pictures it gives other pixels"
    if index.coding.full_range and index.coding.pixel_format.startswith("yuv4"):
        return "it takes pictures of full range for those of limited range"
    return find_shared_obstacle(index)


class TorchcodecReader:
    """Holds the file open as long as it lives. Make it in the process that uses it."""

    decoder: DecoderName = "torchcodec"

    def __init__(self, index: FrameIndex, source: PacketSource) -> None:
        """Open the file.

        Raises:
            ReaderFailedError: torchcodec cannot open it, or is known to get such files wrong.
            UsageError: torchcodec cannot be imported.
        """
        decoders = load_torchcodec()
        obstacle = find_obstacle(index)
        if obstacle is not None:
            raise ReaderFailedError(obstacle)
        self._index = index
        self._unproven: PacketSource | None = source  # until the pixels are known to be right
        self._failure = ""
        tick = source.stream.time_base
        assert tick is not None  # or the frames would be counted
        self._tick = float(tick)
        self._stamps = [round((time + index.clock.origin) / tick) for time in index.clock.times]
        # Warnings about a header are none about its frames.
        with heard(*_ERRORS, complaints=False), environment_kept():
            os.environ["TORCHCODEC_FFMPEG_LOG_LEVEL"] = "INFO"  # read when a file is opened
            self._video = decoders.VideoDecoder(
                str(Path(index.path).absolute()),
                stream_index=source.stream.index,
                dimension_order="NHWC",
                num_ffmpeg_threads=1,
                device="cpu",
                custom_frame_mappings=self._list_frames(),
            )

    def read_frames(self, numbers: Sequence[int]) -> "tuple[NDArray[np.uint8], list[int]]":
        """Read frames by ascending, distinct numbers.

        Returns:
            (len(numbers), height, width, 3) RGB, and the numbers of those that cannot be decoded:
            here none.

        Raises:
            ReaderFailedError: one of them could not be decoded, has another size or another stamp;
                or something failed before, and what refers to it would be wrong without a word.
        """
        import numpy as np

        if self._failure:
            raise ReaderFailedError(self._failure)
        if not numbers:
            return np.empty((0, self._index.height, self._index.width, 3), dtype=np.uint8), []
        try:
            if self._unproven is not None:
                self._prove(self._unproven, numbers[0])
                self._unproven = None
            return self._read(numbers), []
        except ReaderFailedError as error:
            self._failure = str(error)
            raise

    def _read(self, numbers: Sequence[int]) -> "NDArray[np.uint8]":
        import numpy as np

        with heard(*_ERRORS):
            batch = self._video.get_frames_at(list(numbers))
        stamps = np.rint(batch.pts_seconds.numpy() / self._tick)
        expected = [self._stamps[number] for number in numbers]
        if not np.array_equal(stamps, expected):
            wrong = numbers[int(np.argmax(stamps != expected))]
            raise ReaderFailedError(f"in place of frame {wrong} it returns another one")
        images: NDArray[np.uint8] = batch.data.numpy()
        height, width = self._index.height, self._index.width
        if images.shape != (len(numbers), height, width, 3):
            raise ReaderFailedError(f"its frames are {images.shape[1:]}, not {(height, width, 3)}")
        return images

    def _prove(self, source: PacketSource, number: int) -> None:
        """Compare the picture at which decoding starts for a frame with that of PyAV."""
        import numpy as np

        index = self._index
        first = [index.first_frames[index.start_before(number)]]
        expected, missing = PyAvReader(index, source).read_frames(first)
        if missing or not np.array_equal(self._read(first), expected):
            raise ReaderFailedError("the FFmpeg that it has found gives other pixels than PyAV's")
        source.release()  # torchcodec reads the file itself

    def _list_frames(self) -> str:
        """Frames as torchcodec takes them, in JSON; decoding starts only where that is proven."""
        import json

        index, stamps = self._index, self._stamps
        keys = {index.clock.numbers[packet] for packet in index.closed} | {0}
        durations = [after - stamp for stamp, after in pairwise(stamps)]
        durations.append(round((index.clock.end - index.clock.times[-1]) / self._tick))
        frames = [
            {"pts": stamp, "duration": duration, "key_frame": int(number in keys)}
            for number, (stamp, duration) in enumerate(zip(stamps, durations, strict=True))
        ]
        return json.dumps({"frames": frames})
