"""Decode chosen frames with PyAV: from the key frame before each, and no further than needed."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from videoswin_cli.data.decoding.frame_index import FrameIndex, decode_packet, open_container
from videoswin_cli.errors import VideoError
from videoswin_cli.records import DecoderName

if TYPE_CHECKING:
    import numpy as np
    from av import VideoFrame, VideoStream
    from av.container import InputContainer
    from numpy.typing import NDArray

# Decoding on to a key frame this near costs less than a seek.
_NEAR_FRAMES = 4


class PyAvReader:
    """Opens the file anew for every call: no state that a failed read could leave behind."""

    decoder: DecoderName = "pyav"

    def __init__(self, index: FrameIndex) -> None:
        self._index = index
        self._rank = {mark: number for number, mark in enumerate(index.marks or ())}
        self.decoded_frames = 0  # what it took so far, unwanted frames included

    def read_frames(self, numbers: Sequence[int]) -> "NDArray[np.uint8]":
        """Read frames by ascending, distinct numbers: (len(numbers), height, width, 3) RGB.

        Raises:
            VideoError: one of them cannot be decoded.
        """
        import numpy as np

        index = self._index
        images = np.empty((len(numbers), index.height, index.width, 3), dtype=np.uint8)
        rows = {number: row for row, number in enumerate(numbers)}
        convert = _make_converter(index)

        def keep(number: int, frame: "VideoFrame") -> None:
            images[rows.pop(number)] = convert(frame)

        if index.marks is not None:
            self._fetch(numbers, keep, seek=True)
        if rows:
            # No timestamps to seek by, or the demuxer landed behind a frame. Every decoder can
            # still be driven from the start.
            self._fetch(sorted(rows), keep, seek=False)
        if rows:
            raise _make_missing_error(index, sorted(rows))
        return images

    def _fetch(
        self,
        numbers: Sequence[int],
        keep: "Callable[[int, VideoFrame], None]",
        *,
        seek: bool,
    ) -> None:
        index = self._index
        with open_container(index.path) as (container, stream):
            frames = self._decode(container, stream)
            position = -1  # number of the last frame decoded
            sought = 0  # the key frame that `frames` started from, as a position in index.keys
            following = 0  # counts frames where there are no timestamps
            waiting = list(reversed(numbers))
            while waiting:
                key = index.key_before(waiting[-1]) if seek else 0
                if key > sought and index.keys[key] > position + _NEAR_FRAMES:
                    frames, sought = self._decode(container, stream, index.seek_points[key]), key
                try:
                    frame = next(frames)
                except StopIteration:
                    return
                number: int | None = following
                following += 1  # over a damaged frame, too, or those after it shift
                if index.marks is not None:
                    pts = None if frame is None else frame.pts
                    number = None if pts is None else self._rank.get(pts)
                if frame is None or number is None:
                    continue  # damaged, or not in the index: leavings of an open group
                position = number
                while waiting and waiting[-1] <= number:
                    wanted = waiting.pop()
                    if wanted == number:
                        keep(number, frame)

    def _decode(
        self, container: "InputContainer", stream: "VideoStream", start: int | None = None
    ) -> "Iterator[VideoFrame | None]":
        import av

        if start is not None:
            try:
                container.seek(start, stream=stream)
            except av.error.FFmpegError:
                return  # no way to seek here; the caller reads on from the start of the file
        started = start is None
        fed = 0
        try:
            for packet in container.demux(stream):
                if self._index.marks is None and fed == len(self._index.times):
                    break  # where frames are counted, a broken last one must not count
                # Frames decoded without their key frame would be garbage with a right timestamp.
                started = started or packet.is_keyframe
                if packet.size and started:
                    fed += not packet.is_discard
                    yield from self._count(decode_packet(stream, packet))
        except av.error.FFmpegError:
            pass  # the file ends here; the decoder still holds frames back
        yield from self._count(decode_packet(stream, None))

    def _count(self, frames: "Sequence[VideoFrame | None]") -> "Iterator[VideoFrame | None]":
        for frame in frames:
            self.decoded_frames += 1
            yield frame


def _make_missing_error(index: FrameIndex, missing: Sequence[int]) -> VideoError:
    first = ", ".join(str(number) for number in missing[:5]) + (", ..." if missing[5:] else "")
    return VideoError(
        f"{index.path}: {len(missing)} of the wanted frames cannot be decoded ({first};"
        f" the file holds {len(index.times)} frames, counted from 0): it is damaged",
        hint="Fetch the file again, or re-encode what is left: ffmpeg -i FILE -c:v libx264 NEW.mp4",
    )


def _make_converter(index: FrameIndex) -> "Callable[[VideoFrame], NDArray[np.uint8]]":
    import numpy as np
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()  # one for all frames keeps its scaling tables
    # By default a thread for each core converts a frame; starting them takes 20 times as long
    # as the conversion. Older PyAV knows no such option and has one thread.
    options: dict[str, Any] = {"format": "rgb24"}
    if "threads" in (VideoReformatter.reformat.__doc__ or ""):
        options["threads"] = 1

    def convert(frame: "VideoFrame") -> "NDArray[np.uint8]":
        turns = frame.rotation // 90 % 4
        # A size that changes within the stream is brought to that of the first frame.
        height, width = (index.width, index.height) if turns % 2 else (index.height, index.width)
        image = reformatter.reformat(frame, width=width, height=height, **options)
        return np.rot90(image.to_ndarray(), k=turns)

    return convert


def read_picture(path: str) -> "NDArray[np.uint8]":
    """A still picture, (height, width, 3) uint8 RGB.

    Raises:
        VideoError: it cannot be read.
    """
    import av

    try:
        with av.open(path) as container:
            pixels: NDArray[np.uint8] = next(container.decode(video=0)).to_ndarray(format="rgb24")
            return pixels
    except (av.error.FFmpegError, StopIteration) as error:
        raise VideoError(f"{path}: not a readable picture: {error}") from error
