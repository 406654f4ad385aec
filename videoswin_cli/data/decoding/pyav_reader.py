"""Decode chosen frames with PyAV: from the start before each, and no further than needed."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from videoswin_cli.data.decoding.container import decode_packet
from videoswin_cli.data.decoding.frame_index import FrameIndex
from videoswin_cli.data.decoding.orientation import Orientation
from videoswin_cli.data.decoding.packets import PacketSource
from videoswin_cli.records import DecoderName

if TYPE_CHECKING:
    import numpy as np
    from av import VideoFrame
    from numpy.typing import NDArray

# Decoding on to a start this near costs less than starting there.
_NEAR_FRAMES = 4
# FFmpeg's parsers give a mark of damage to the packet before the one that it is meant for.
_MARKED_EARLY = 1


class PyAvReader:
    """Goes on from the last frame that was read where the next one is behind it."""

    decoder: DecoderName = "pyav"

    def __init__(self, index: FrameIndex, source: PacketSource) -> None:
        self._index = index
        self._source = source
        self._packets = {number: i for i, number in enumerate(index.clock.numbers) if number >= 0}
        self._spoiled: set[int] = set()
        self._damage: dict[int, int] = {}  # first packet of damage, by the packet that is whole
        for packet in sorted(index.corrupt):
            self._spoil(packet, packet + _MARKED_EARLY)
        self._frames: Iterator[tuple[int, VideoFrame]] = iter(())
        self._position = -1  # number of the last frame decoded
        self._start = -1  # where `_frames` started, as a position in `index.starts`; -1: nowhere
        self._convert = make_converter((index.height, index.width), index.orientation)
        self.decoded_frames = 0  # what it took so far, unwanted frames included

    def read_frames(self, numbers: Sequence[int]) -> "tuple[NDArray[np.uint8], list[int]]":
        """Read frames by ascending, distinct numbers.

        Returns:
            (len(numbers), height, width, 3) RGB, and the numbers of those that cannot be decoded;
            their pixels are noise.
        """
        import numpy as np

        index = self._index
        images = np.empty((len(numbers), index.height, index.width, 3), dtype=np.uint8)
        rows = {number: row for row, number in enumerate(numbers)}

        def keep(number: int, frame: "VideoFrame") -> None:
            images[rows.pop(number)] = self._convert(frame)

        self._fetch(numbers, keep)
        if len(index.starts) > 1 and not self._spoiled.issuperset(rows):
            # Damaged, or the demuxer landed elsewhere: from the first packet nothing can be missed.
            self._start = -1
            self._fetch(sorted(rows), keep, start=0)
        for number in self._spoiled.intersection(numbers):  # known only after it was kept
            rows.setdefault(number, 0)
        return images, sorted(rows)

    def _fetch(
        self,
        numbers: Sequence[int],
        keep: "Callable[[int, VideoFrame], None]",
        *,
        start: int | None = None,
    ) -> None:
        waiting = [number for number in reversed(numbers) if number not in self._spoiled]
        while waiting:
            self._approach(waiting[-1], start)
            found = next(self._frames, None)
            if found is None:
                self._start = -1
                return
            self._position, frame = found
            while waiting and waiting[-1] <= self._position:
                number = waiting.pop()
                if number == self._position and number not in self._spoiled:
                    keep(number, frame)

    def _approach(self, number: int, start: int | None) -> None:
        """Start anew where that is the shorter way to a frame, or the only one."""
        index = self._index
        near = index.start_before(number) if start is None else start
        ahead = near > self._start and index.first_frames[near] > self._position + _NEAR_FRAMES
        if self._start < 0 or number <= self._position or ahead:
            self._start, self._position = near, -1
            self._frames = self._decode(index.starts[near])

    def _decode(self, start: int) -> "Iterator[tuple[int, VideoFrame]]":
        """Numbers and frames from a packet on; those that are damaged are left out."""
        clock, source = self._index.clock, self._source
        packets = source.read_from(start)
        source.stream.codec_context.flush_buffers()
        count = 0  # of frames, damaged ones too, or those after them shift
        last = -1
        for last, packet in packets:
            if not clock.counted:  # the decoder hands it on to the frame
                packet.pts = clock.numbers[last] if clock.numbers[last] >= 0 else None
            if packet.is_corrupt and last not in self._index.corrupt:
                packet.is_corrupt = False
            for frame in decode_packet(source.stream, packet):
                yield from self._number(frame, last, count)
                count += 1
        for frame in decode_packet(source.stream, None):
            yield from self._number(frame, last, count)
            count += 1

    def _number(
        self, frame: "VideoFrame | None", packet_number: int, count: int
    ) -> "Iterator[tuple[int, VideoFrame]]":
        """The frame and its number, if it is whole and part of the video."""
        self.decoded_frames += 1
        if frame is None:
            # Where a packet makes no sense, the one before it ends in the damage, perhaps.
            self._spoil(packet_number - 1, packet_number)
            return
        number = count if self._index.clock.counted else frame.pts
        if number is None:
            return  # cut off, or with nothing to refer to
        if frame.is_corrupt and number in self._packets:
            self._spoil(self._packets[number], self._packets[number])
        yield number, frame

    def _spoil(self, first: int, last: int) -> None:
        """Give up the frames that damage in packets `first` to `last` reaches."""
        whole = self._index.whole_after(last)
        if first < self._damage.get(whole, whole):
            self._damage[whole] = first
            self._spoiled.update(self._index.spoiled_by(first, last))


def make_converter(
    shown: tuple[int, int], orientation: Orientation
) -> "Callable[[VideoFrame], NDArray[np.uint8]]":
    """A function from frames to RGB pictures.

    Args:
        shown: (height, width) in px of the pictures.
        orientation: of the frames.
    """
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()  # one for all frames keeps its scaling tables
    # A size that changes within the stream is brought to that of the first frame.
    height, width = shown
    if orientation.transposed:
        height, width = width, height
    # By default a thread for each core converts a frame; starting them takes 20 times as long
    # as the conversion. Older PyAV knows no such option and has one thread.
    options: dict[str, Any] = {"format": "rgb24", "width": width, "height": height}
    if "threads" in (VideoReformatter.reformat.__doc__ or ""):
        options["threads"] = 1

    def convert(frame: "VideoFrame") -> "NDArray[np.uint8]":
        if frame.interlaced_frame:
            frame = _without_fields(frame)
        image = reformatter.reformat(frame, **options).to_ndarray()
        return orientation.apply(cast("NDArray[np.uint8]", image))

    return convert


def _without_fields(frame: "VideoFrame") -> "VideoFrame":
    """A copy of an interlaced picture that does not say so.

    FFmpeg 8 gives each field the colors of its own rows. Older ones, in decord and in whatever the
    references were made with, convert such a picture as any other.
    """
    import numpy as np
    from av import VideoFrame

    copy = VideoFrame(frame.width, frame.height, frame.format.name)
    for target, source in zip(copy.planes, frame.planes, strict=True):
        rows = np.frombuffer(cast("bytes", source), np.uint8).reshape(source.height, -1)
        padded = np.zeros((target.height, target.line_size), np.uint8)
        width = min(target.line_size, source.line_size)
        padded[:, :width] = rows[:, :width]
        target.update(padded.tobytes())
    copy.colorspace, copy.color_range = frame.colorspace, frame.color_range
    return copy
