"""Videos as frames: open a source, ask for frames by number, get RGB.

    with open_video(path) as video:
        clip = video.read_frames([0, 2, 4])

`KINDS` is the seam to every kind of source. Of files, decord reads where it can be relied on, PyAV
everything else, and Pillow animated WebP; torchcodec reads where it is asked to. All give the same
numbers to the same frames, those of `frame_index`, and the same pixels. Nothing but this module and
its readers knows about them. Open videos in the process that reads them: a decoder does not survive
a fork.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, get_args

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.data.decoding.animated_webp import is_animated_webp, open_animated_webp
from videoswin_cli.data.decoding.array_file import is_array_file, open_array_file
from videoswin_cli.data.decoding.container import check_file
from videoswin_cli.data.decoding.decord_reader import DecordReader, load_decord
from videoswin_cli.data.decoding.frame_folder import is_folder, open_frame_folder
from videoswin_cli.data.decoding.frame_index import FrameIndex, index_frames
from videoswin_cli.data.decoding.packets import PacketSource, open_packets
from videoswin_cli.data.decoding.pyav_reader import PyAvReader
from videoswin_cli.data.decoding.tar_member import copy_member, is_member
from videoswin_cli.data.decoding.torchcodec_reader import TorchcodecReader, load_torchcodec
from videoswin_cli.data.decoding.trust import ReaderFailedError
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.io.addresses import is_url
from videoswin_cli.io.remote import local_copy
from videoswin_cli.io.visible import counted, name_some
from videoswin_cli.options.parsers import parse_rate, parse_template
from videoswin_cli.options.run import MAX_PIXELS, DecoderChoice, OpenOptions
from videoswin_cli.records import DecoderName, VideoInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FrameReader(Protocol):
    """Interface of a decoder: frames by ascending, distinct numbers that exist."""

    @property
    def decoder(self) -> DecoderName: ...

    def read_frames(self, numbers: Sequence[int]) -> "tuple[NDArray[np.uint8], list[int]]": ...


class Video:
    """An opened video.

    Attributes:
        path: the reference that it was opened by.
    """

    def __init__(
        self,
        index: FrameIndex,
        reader: FrameReader,
        fallback: Callable[[], FrameReader] | None = None,
    ) -> None:
        self.path = index.path
        self._index = index
        self._reader = reader
        self._fallback = fallback  # what reads where decord fails

    @property
    def index(self) -> FrameIndex:
        """Index of its frames, for those who read more of the file than frames."""
        return self._index

    @property
    def info(self) -> VideoInfo:
        """Facts of the file. `decoder` is the one in use: ask after reading, auto may switch."""
        clock = self._index.clock
        return VideoInfo(
            path=self.path,
            decoder=self._reader.decoder,
            frames=len(clock.times),
            fps=clock.fps,
            height=self._index.height,
            width=self._index.width,
            constant_rate=not clock.varies,
            fps_stated=self._index.fps_stated,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Oddities of the file, in sentences."""
        return self._index.notes

    def timestamps(self) -> Sequence[float]:
        """Start of each frame in seconds, in presentation order.

        0 is the start of the file as players show it: a picture that begins after the sound has
        its first frame later.
        """
        return self._index.clock.times

    def bounds(self) -> Sequence[float]:
        """Start of each frame and the end of the last one in seconds, as `timestamps`."""
        return (*self._index.clock.times, self._index.clock.end)

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
        count = self.info.frames
        beyond = wanted[(wanted < 0) | (wanted >= count)]
        if beyond.size:
            raise VideoError(
                f"{self.path}: no frame {beyond[0]}; the last one is {count - 1} (counted from 0)"
            )
        distinct, places = np.unique(wanted, return_inverse=True)
        images, missing = self.read_whole_frames(distinct.tolist())
        if missing:
            raise VideoError(
                f"{self.path}: {self.describe_damage(missing)}"
                f" (it holds {counted(count, 'frame')}, counted from 0)",
                hint="Fetch it again, or re-encode what is left: "
                "ffmpeg -i FILE -c:v libx264 NEW.mp4",
            )
        return images if np.array_equal(distinct, wanted) else images[places]

    def read_whole_frames(self, numbers: Sequence[int]) -> "tuple[NDArray[np.uint8], list[int]]":
        """Frames by ascending, distinct numbers, as far as they can be decoded.

        Returns:
            uint8 RGB, (len(numbers), height, width, 3), and the numbers of damaged frames, whose
            pixels are noise.
        """
        try:
            return self._reader.read_frames(numbers)
        except ReaderFailedError as error:
            if self._fallback is None:
                raise _refuse(self._index, self._reader.decoder, error) from error
            # PyAV does all of it again, so that the frames of a clip come from one decoder.
            self._reader = self._fallback()
        return self._reader.read_frames(numbers)

    def why_damaged(self, numbers: Iterable[int]) -> str:
        """Reason why some frames cannot be decoded, as far as the reader knows."""
        known: Mapping[int, str] = getattr(self._reader, "reasons", {})
        return next((known[n] for n in numbers if n in known), "the file is damaged")

    def describe_damage(self, numbers: Collection[int]) -> str:
        """Frames that cannot be decoded, in words, and why."""
        return describe_damage(numbers, self.why_damaged(numbers))


def open_as(ref: str | Path, options: OpenOptions) -> AbstractContextManager["Video"]:
    """`open_video` with the options of a run."""
    shown = str(ref)
    kind = next(kind for kind in KINDS.values() if kind.claims(shown))
    return kind.open(shown, options)


def open_video(
    path: str | Path,
    *,
    decoder: DecoderChoice = "auto",
    stream: int | None = None,
    allow_truncated: bool = False,
    max_pixels: int = MAX_PIXELS,
    frame_template: str | None = None,
    frames_fps: float | None = None,
) -> AbstractContextManager[Video]:
    """An opened video.

    Args:
        path: a file, a folder of numbered pictures, a `.npy` file, or the address of a file.
        decoder: "auto" takes decord where it is installed and can be relied on, and PyAV as soon
            as decord fails; the others take that one or fail. Animated WebP is read by Pillow.
        stream: number of the video stream, as `ffprobe` counts all streams of a file; by default
            the one that FFmpeg takes (default flag, then size).
        allow_truncated: read what is there of a file whose end is missing; its notes say so.
        max_pixels: of a picture, width x height; files of larger ones are refused.
        frame_template: names of the pictures in a frame folder, such as `img_{:05}.jpg`.
        frames_fps: frames per second of frame folders and arrays; 30 where it is not given.

    Raises:
        VideoError: not a video, not one frame can be decoded, not by the decoder named, its end
            is missing, or its pictures are too large.
        UsageError: the decoder named is not installed, there is no such decoder or stream, or the
            template or rate is none.
    """
    known = get_args(DecoderChoice)
    if decoder not in known:
        raise UsageError(f"unknown decoder {decoder!r}; choose one of {', '.join(known)}")
    options = OpenOptions(
        decoder=decoder,
        stream=stream,
        allow_truncated=allow_truncated,
        max_pixels=max_pixels,
        frame_template=frame_template and parse_template(frame_template),
        frames_fps=frames_fps and parse_rate(str(frames_fps)),
    )
    return open_as(path, options)


def check_decoder(decoder: DecoderChoice) -> None:
    """Refuse a decoder that this machine lacks.

    Raises:
        UsageError: it cannot be imported; the message says why.
    """
    if decoder == "decord" and load_decord() is None:
        raise UsageError(
            "decord is not installed (there may be no wheel for this platform)",
            hint="Use --decoder pyav: it reads the same frames.",
        )
    if decoder == "torchcodec":
        load_torchcodec()


@contextmanager
def _open_file(path: str, options: OpenOptions) -> Iterator[Video]:
    decoder = options.decoder
    check_decoder(decoder)
    check_file(path)
    max_pixels = options.max_pixels
    if is_animated_webp(path):
        if decoder not in ("auto", "pyav"):
            raise VideoError(
                f"{path}: {decoder} does not read animated WebP", hint="Use --decoder auto or pyav."
            )
        with open_animated_webp(path, max_pixels=max_pixels) as (index, webp_reader):
            yield Video(index, webp_reader)
        return
    with open_packets(path, stream=options.stream, max_pixels=max_pixels) as source:
        index = index_frames(source, allow_truncated=options.allow_truncated)
        reader = _choose_reader(index, source, decoder)
        fallback = partial(PyAvReader, index, source) if decoder == "auto" else None
        yield Video(index, reader, fallback)


@contextmanager
def _open_frames(folder: str, options: OpenOptions) -> Iterator[Video]:
    yield Video(*open_frame_folder(folder, options))


@contextmanager
def _open_array(file: str, options: OpenOptions) -> Iterator[Video]:
    yield Video(*open_array_file(file, options))


@contextmanager
def _open_remote(url: str, options: OpenOptions) -> Iterator[Video]:
    with (
        local_copy(url, cache_size=options.cache_size) as file,
        _named(url, str(file), options) as video,
    ):
        yield video


@contextmanager
def _open_member(ref: str, options: OpenOptions) -> Iterator[Video]:
    with copy_member(ref) as file, _named(ref, file, options) as video:
        yield video


@contextmanager
def _named(ref: str, file: str, options: OpenOptions) -> Iterator[Video]:
    """The video in a local copy of what `ref` means; nobody hears of the copy."""
    with ExitStack() as stack:
        try:
            video = stack.enter_context(open_as(file, options))
            video.path = hide_credentials(ref)
            yield video
        except VideoError as error:  # of opening it, or of whoever reads it
            raise type(error)(error.message.replace(file, ref), hint=error.hint) from error


@dataclass(frozen=True)
class Kind:
    """A kind of sources of frames."""

    claims: Callable[[str], bool]  # whether a reference is of this kind
    open: Callable[[str, OpenOptions], AbstractContextManager[Video]]


KINDS: Mapping[str, Kind] = {  # the first that claims a reference opens it
    "member": Kind(is_member, _open_member),
    "address": Kind(is_url, _open_remote),
    "frames": Kind(is_folder, _open_frames),
    "array": Kind(is_array_file, _open_array),
    "file": Kind(lambda ref: True, _open_file),
}


def describe_damage(numbers: Collection[int], why: str) -> str:
    """Such as `3 of the wanted frames cannot be decoded (7, 8, 9): the file is damaged`."""
    named = name_some(list(map(str, sorted(numbers))))
    return f"{len(numbers)} of the wanted frames cannot be decoded ({named}): {why}"


def _choose_reader(index: FrameIndex, source: PacketSource, decoder: DecoderChoice) -> FrameReader:
    if decoder == "pyav":
        return PyAvReader(index, source)
    try:
        if decoder == "torchcodec":
            return TorchcodecReader(index, source)
        reader = DecordReader(index, replaceable=decoder == "auto")
    except ReaderFailedError as error:
        if decoder != "auto":
            raise _refuse(index, decoder, error) from error
        return PyAvReader(index, source)
    source.release()  # decord reads the file itself
    return reader


def _refuse(index: FrameIndex, decoder: DecoderName, error: ReaderFailedError) -> VideoError:
    return VideoError(
        f"{index.path}: {decoder} cannot read this {index.codec} video reliably: {error}",
        hint="Use --decoder auto or --decoder pyav.",
    )
