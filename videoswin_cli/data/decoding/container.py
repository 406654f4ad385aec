"""A video file as its demuxer sees it: opened, one video stream chosen, nothing decoded yet."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from videoswin_cli.data.decoding.playlists import confine, refuse_playlist
from videoswin_cli.errors import NoVideoError, UsageError, VideoError
from videoswin_cli.io.range_file import RangeFile
from videoswin_cli.options.run import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

CHECK_FILE = "Check that the file is complete and plays elsewhere."
# Of a picture, width x height: twice those of 8K, 200 MB as RGB. A small file may claim far more.
_ALIGNMENT_PIXELS = 1 << 23  # which decoders add to a picture, at most


@contextmanager
def open_container(
    path: str | Path,
    *,
    stream: int | None = None,
    max_pixels: int = MAX_PIXELS,
    file: RangeFile | None = None,
) -> "Iterator[tuple[InputContainer, VideoStream]]":
    """An opened file and the video stream to read.

    Args:
        path: the file.
        file: reads its bytes, where `path` is an address.
        stream: number of the stream as `ffprobe` counts all streams of the file; by default the
            one that `choose_stream` takes.
        max_pixels: of a picture, width x height; the decoder takes none that is larger.

    Raises:
        VideoError: no such file, not a video, no decoder for it, or its pictures are too large.
        UsageError: `stream` is no video stream of this file.
    """
    import av
    from av.stream import Discard

    if file is None:
        check_file(path)
        refuse_playlist(path)
    try:
        limit = {"max_pixels": str(max_pixels + _ALIGNMENT_PIXELS)}
        container = _open(path, limit, file)
    except av.error.FFmpegError as error:
        raise VideoError(
            f"{path}: not a readable video file ({error.strerror}; {_describe_start(path)})",
            hint=CHECK_FILE,
        ) from error
    with container:
        chosen = choose_stream(str(path), container, wanted=stream)
        check_pixels(str(path), _read_size(path, chosen), max_pixels)
        for other in container.streams:
            if other is not chosen:
                other.discard = Discard.all  # sound is not needed: leave it unread where possible
        # Many videos are read at once, one a worker. It also keeps the number of packets that a
        # decoder swallows ahead of a frame small.
        chosen.codec_context.thread_count = 1
        chosen.codec_context.options = limit
        yield container, chosen


def check_pixels(shown: str, size: tuple[int, int], max_pixels: int) -> None:
    """Hold (width, height) of the pictures of a file against a limit.

    Raises:
        VideoError: they are larger.
    """
    width, height = size
    if width * height > max_pixels:
        raise VideoError(
            f"{shown}: its pictures are {width}x{height}, {width * height:,} pixels; the limit is"
            f" {max_pixels:,} (--max-pixels)",
            hint=f"Where the file can be trusted: --max-pixels {width * height}.",
        )


def _open(
    path: str | Path, options: "dict[str, str]", bytes_file: RangeFile | None = None
) -> "InputContainer":
    # An absolute path is never taken for a protocol ("concat:...").
    file: Any = str(Path(path).absolute())
    if bytes_file is not None:
        bytes_file.seek(0)
        file = bytes_file
    return open_demuxer(file, options=options, container_options=confine())


def open_demuxer(file: Any, **arguments: Any) -> "InputContainer":
    """PyAV's `open` of an input whose metadata may be no UTF-8.

    Such text stops PyAV before 19 unless told otherwise; from 19 on there is nothing to tell.
    """
    import av

    if int(av.__version__.partition(".")[0]) < 19:
        arguments["metadata_errors"] = "ignore"
    return cast("InputContainer", av.open(file, **arguments))


def _read_size(path: str | Path, stream: "VideoStream") -> tuple[int, int]:
    """(width, height) in px, (0, 0) where neither the header nor the first packets tell."""
    import av

    if stream.width and stream.height:
        return stream.width, stream.height
    # FFmpeg forgets a size that is above its limit. Without a look at packets it decodes nothing.
    try:
        with _open(path, {"probesize": "32", "analyzeduration": "1"}) as again:
            other = again.streams[stream.index]
            return getattr(other, "width", 0) or 0, getattr(other, "height", 0) or 0
    except (av.error.FFmpegError, IndexError):
        return 0, 0


def choose_stream(
    shown: str, container: "InputContainer", *, wanted: int | None = None
) -> "VideoStream":
    """The video stream that FFmpeg's tools take: default flag, then size, then order.

    Cover pictures and thumbnails are no videos.

    Raises:
        NoVideoError: there is no video stream.
        VideoError: there is no decoder for it.
        UsageError: `wanted` is no video stream of this file.
    """
    from av.stream import Disposition

    kind = container.format.name
    if kind.endswith("_pipe") or kind == "ico":
        raise NoVideoError(
            f"{shown}: a single picture ({kind}), not a video",
            hint="A folder of numbered pictures is a video: name the folder.",
        )
    if kind == "tty":  # FFmpeg films any *.txt as a terminal
        raise NoVideoError(f"{shown}: a text file, not a video")
    videos = list_streams(container)
    if not videos:
        found = ", ".join(f"{s.type}" for s in container.streams) or "nothing"
        if container.streams.video:
            found += " (the video stream is a cover picture)"
        raise NoVideoError(f"{shown}: no video stream in this {kind} file; it holds: {found}")
    if wanted is None:
        usable = [stream for stream in videos if stream.codec_context is not None]
        # `max` takes the first of equals.
        chosen = max(
            usable or videos,
            key=lambda stream: (
                bool(stream.disposition & Disposition.default),
                _count_pixels(stream),
            ),
        )
    else:
        chosen = next((stream for stream in videos if stream.index == wanted), videos[0])
        if chosen.index != wanted:
            raise UsageError(
                f"{shown}: stream {wanted} is no video stream; it has "
                + ", ".join(map(describe_stream, videos)),
                hint="--stream takes the number that ffprobe shows",
            )
    if chosen.codec_context is None:
        raise VideoError(f"{shown}: no decoder for its video stream", hint=CHECK_FILE)
    return chosen


def list_streams(container: "InputContainer") -> "list[VideoStream]":
    """Video streams without cover pictures and thumbnails."""
    from av.stream import Disposition

    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & pictures]


def describe_stream(stream: "VideoStream") -> str:
    """Such as `#1 h264 1920x1080`."""
    size = "" if stream.codec_context is None else f" {stream.width}x{stream.height}"
    return f"#{stream.index} {name_codec(stream)}{size}"


def name_codec(stream: "VideoStream") -> str:
    # Without a decoder (an unknown or unsupported codec) there is no context to ask.
    return stream.codec_context.name if stream.codec_context is not None else "unknown"


def decode_packet(
    stream: "VideoStream", packet: "Packet[VideoStream] | None"
) -> "Sequence[VideoFrame | None]":
    """Frames that become ready with this packet, or (None,) for a damaged one.

    Without a packet: the frames still held back at the end.
    """
    import av

    try:
        return stream.codec_context.decode(packet)
    except av.error.FFmpegError:  # InvalidDataError mostly; decoders use a few other codes, too
        return (None,)


def _count_pixels(stream: "VideoStream") -> int:
    return 0 if stream.codec_context is None else stream.width * stream.height


def check_file(path: str | Path) -> None:
    """Raises VideoError for what is no file with bytes in it; opening a pipe would wait."""
    file, shown = Path(path), str(path)
    if file.is_dir():
        raise VideoError(f"{shown}: this is a folder", hint="Name the video files in it.")
    if not file.exists():
        raise VideoError(f"{shown}: no such file")
    if not file.is_file():
        raise VideoError(f"{shown}: neither a file nor a link to one")
    if file.stat().st_size == 0:
        raise VideoError(f"{shown}: the file is empty (0 bytes)")


def _describe_start(path: str | Path) -> str:
    try:
        with Path(path).open("rb") as file:
            start = file.read(12)
    except OSError as error:
        return error.strerror or "unreadable"
    if start[4:8] == b"ftyp":
        return "an mp4 without its index: truncated, or a recording that was not finished"
    return f"it starts with {start!r}"
