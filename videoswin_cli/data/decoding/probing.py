"""Recognition of videos by their content, whatever the file's name."""

from pathlib import Path

from videoswin_cli.data.decoding.animated_webp import is_animated_webp
from videoswin_cli.data.decoding.container import open_container, open_demuxer
from videoswin_cli.errors import VideoError

# FFmpeg takes these by the name of the file alone, and films whatever is in it.
_BY_NAME_ALONE = {"adf", "bin", "fits", "idf", "rawvideo", "tty", "xbin"}
_PHOTOGRAPHS = {b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"}  # in the container of MP4
_TS_PACKET = 188  # bytes
_VIDEO_STARTS = (
    *(b"\x1a\x45\xdf\xa3", b"FLV\x01", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b".RMF", b"DKIF"),
    *(b"\0\0\1\xba", b"\0\0\1\xb3", b"YUV4MPEG2 ", b"\x06\x0e\x2b\x34\x02\x05\x01\x01"),
)


def holds_video(path: Path) -> bool:
    """Whether a demuxer finds a video stream, or the file begins as videos do and is broken.

    Pictures, sound and everything else is no video.
    """
    try:
        if not path.is_file():  # reading a pipe would wait
            return False
        with path.open("rb") as file:
            start = file.read(_TS_PACKET + 1)
    except OSError:
        return False
    if start[4:12] in _PHOTOGRAPHS or not start:
        return False
    if start[8:12] == b"WEBP":
        return is_animated_webp(path)
    try:
        return _has_moving_stream(path)
    except VideoError:
        return _begins_as_video(start) and not _opens(path)


def _has_moving_stream(path: Path) -> bool:
    with open_container(path) as (container, stream):
        if container.format.name == "gif":
            sizes = [packet.size for packet in container.demux(stream)]
            return sum(size > 0 for size in sizes) > 1
        return container.format.name not in _BY_NAME_ALONE and stream.width > 0


def _begins_as_video(start: bytes) -> bool:
    return (
        start.startswith(_VIDEO_STARTS)
        or start[4:8] in (b"ftyp", b"moov")
        or (start[:4] == b"RIFF" and start[8:12] in (b"AVI ", b"AMV "))
        or (start[:1] == b"G" and start[_TS_PACKET:] == b"G")
    )


def _opens(path: Path) -> bool:
    """Whether a demuxer reads it: what has no video stream then is sound, say, not broken."""
    import av

    try:
        with open_demuxer(str(path.absolute())):
            return True
    except av.error.FFmpegError:
        return False
