"""Videos as frames: open a file, ask for frames by number, get RGB.

    with open_video(path) as video:
        clip = video.read_frames([0, 2, 4])

decord reads where it can be relied on, PyAV everything else; both give the same numbers to the
same frames, those of `frame_index`, and the same pixels. Nothing but this module and its two
readers knows about either. Open videos in the process that reads them: a decoder does not
survive a fork.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from videoswin_cli.data.decoding.decord_reader import DecordFailedError, DecordReader, load_decord
from videoswin_cli.data.decoding.frame_index import FrameIndex, index_frames
from videoswin_cli.data.decoding.pyav_reader import PyAvReader
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.records import DecoderName, VideoInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DecoderChoice = Literal["auto", "decord", "pyav"]


class FrameReader(Protocol):
    """What a decoder must do: frames by ascending, distinct numbers that exist."""

    @property
    def decoder(self) -> DecoderName: ...

    def read_frames(self, numbers: Sequence[int]) -> "NDArray[np.uint8]": ...


class Video:
    """An opened video."""

    def __init__(self, index: FrameIndex, reader: FrameReader, *, may_switch: bool) -> None:
        self._index = index
        self._reader = reader
        self._may_switch = may_switch

    @property
    def info(self) -> VideoInfo:
        """What the file is. `decoder` is the one in use: ask after reading, auto may switch."""
        return VideoInfo(
            path=self._index.path,
            decoder=self._reader.decoder,
            frames=len(self._index.times),
            fps=self._index.fps,
            height=self._index.height,
            width=self._index.width,
        )

    def timestamps(self) -> Sequence[float]:
        """Start of each frame in seconds, in presentation order; the first is 0."""
        return self._index.times

    def read_frames(self, indices: Sequence[int]) -> "NDArray[np.uint8]":
        """Decode frames by number, in any order; repeated ones are decoded once.

        Args:
            indices: 0 to `info.frames` - 1.

        Returns:
            uint8 RGB, (len(indices), height, width, 3).

        Raises:
            VideoError: there is no such frame, or it is damaged beyond decoding.
        """
        import numpy as np

        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        count = len(self._index.times)
        beyond = wanted[(wanted < 0) | (wanted >= count)]
        if beyond.size:
            raise VideoError(
                f"{self._index.path}: there is no frame {beyond[0]}; the last one is {count - 1}"
                " (counted from 0)"
            )
        distinct, places = np.unique(wanted, return_inverse=True)
        images = self._read_distinct(distinct.tolist())
        return images if np.array_equal(distinct, wanted) else images[places]

    def _read_distinct(self, numbers: list[int]) -> "NDArray[np.uint8]":
        try:
            return self._reader.read_frames(numbers)
        except DecordFailedError as error:
            if not self._may_switch:
                raise _refuse(self._index, error) from error
        # PyAV does all of it again, so that the frames of a clip come from one decoder.
        self._reader = PyAvReader(self._index)
        return self._reader.read_frames(numbers)


@contextmanager
def open_video(path: str | Path, *, decoder: DecoderChoice = "auto") -> Iterator[Video]:
    """Open a video file.

    Args:
        path: the file.
        decoder: "auto" takes decord where it is installed and can be relied on, and PyAV as soon
            as decord fails; the other two take that one or fail.

    Raises:
        VideoError: not a video, not one frame can be decoded, or not by the decoder named.
        UsageError: decord is named and not installed, or there is no such decoder.
    """
    if decoder not in ("auto", "decord", "pyav"):
        raise UsageError(f"no decoder {decoder!r}; there are auto, decord and pyav")
    if decoder == "decord" and load_decord() is None:
        raise UsageError(
            "decord is not installed (it has no wheels for this platform, perhaps)",
            hint="Use --decoder pyav: it reads the same frames.",
        )
    index = index_frames(path)
    yield Video(index, _choose_reader(index, decoder), may_switch=decoder == "auto")


def _choose_reader(index: FrameIndex, decoder: DecoderChoice) -> FrameReader:
    if decoder == "pyav":
        return PyAvReader(index)
    try:
        return DecordReader(index)
    except DecordFailedError as error:
        if decoder == "decord":
            raise _refuse(index, error) from error
        return PyAvReader(index)


def _refuse(index: FrameIndex, error: DecordFailedError) -> VideoError:
    return VideoError(
        f"{index.path}: decord cannot read this {index.codec} video reliably: {error}",
        hint="Use --decoder auto or --decoder pyav.",
    )
