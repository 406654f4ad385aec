"""An opened live source: its packets, and the frames of its video as they can be decoded."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videoswin_cli.data.decoding.container import (
    check_pixels,
    choose_stream,
    decode_packet,
    open_container,
    open_demuxer,
)
from videoswin_cli.data.decoding.playlists import confine
from videoswin_cli.data.live.source import LiveSource
from videoswin_cli.errors import FetchError, VideoError
from videoswin_cli.io.live_bytes import ByteStream, check_online, open_http, open_tcp, open_udp
from videoswin_cli.options.run import OpenOptions

if TYPE_CHECKING:
    from av import Packet as Packet  # also for those who pass packets on
    from av import VideoFrame as VideoFrame
    from av import VideoStream
    from av.container import InputContainer
    from av.stream import Stream

_BYTES_AT_ONCE = 4096  # that a slow stream sends in a part of a second
_PROBE = {"probesize": "1000000", "analyzeduration": "2000000"}  # bytes, us; 5 s is FFmpeg's
_RTSP = {"rtsp_flags": "prefer_tcp", "protocol_whitelist": "rtp,rtsp,rtsps,srtp,tcp,tls,udp"}
_PATIENCE = 300  # packets before the first key frame; some streams refresh without any
_PLAYLIST = b"#EXTM3U"
_MP4 = b"ftyp"  # from byte 4 on


@dataclass(frozen=True, kw_only=True)
class LiveInput:
    """A source that delivers."""

    container: "InputContainer"
    video: "VideoStream"
    streams: "Sequence[Stream]"  # video first, then sound, which only a recording needs
    sized: bool  # it ends by itself: a file
    one_way: bool  # FFmpeg cannot go back in its bytes

    @property
    def stamped(self) -> bool:
        """Whether its packets say when they were taken; else FFmpeg counts 25 per second."""
        from av.format import Flags

        return self.sized or not Flags.no_timestamps & Flags(self.container.format.flags)

    def packets(self, *, sound: bool) -> "Iterator[Packet[Any]]":
        """Packets until the end.

        Raises:
            FetchError: the stream is lost.
        """
        import av
        from av.stream import Discard

        wanted = self.streams if sound else (self.video,)
        for stream in wanted:
            stream.discard = Discard.default  # the sound of a file is left unread otherwise
        begun = False
        try:
            for packet in self.container.demux(*wanted):
                if packet.size:
                    begun = True
                    yield packet
        except av.error.FFmpegError as error:
            is_mp4 = "mp4" in self.container.format.name.split(",")
            if self.one_way and is_mp4 and not begun:
                raise _blame_index(error) from error
            raise FetchError(_describe(error)) from error


@contextmanager
def open_live(
    source: LiveSource, opening: OpenOptions, *, stall: float, ended: threading.Event
) -> Iterator[LiveInput]:
    """An opened source.

    Args:
        source: what to open.
        opening: which stream, and how large its pictures may be.
        stall: seconds without data after which a source is lost.
        ended: set where nothing more is wanted.

    Raises:
        FetchError: it cannot be reached, or is lost.
        VideoError: it holds no video that can be decoded, or its pictures are too large.
    """
    with ExitStack() as stack:
        if source.kind == "file":
            container, video = stack.enter_context(
                open_container(source.address, stream=opening.stream, max_pixels=opening.max_pixels)
            )
            streams = (video, *container.streams.audio)
            yield LiveInput(
                container=container, video=video, streams=streams, sized=True, one_way=False
            )
            return
        if source.of_network:
            check_online(source.shown)
        container, sized = _open(source, stack, stall=stall, ended=ended)
        video = choose_stream(source.shown, container, wanted=opening.stream)
        check_pixels(source.shown, (video.width or 0, video.height or 0), opening.max_pixels)
        video.codec_context.thread_count = 1
        streams = (video, *container.streams.audio)
        yield LiveInput(
            container=container, video=video, streams=streams, sized=sized, one_way=True
        )


def _open(
    source: LiveSource, stack: ExitStack, *, stall: float, ended: threading.Event
) -> "tuple[InputContainer, bool]":
    import av

    sized, checked = False, None
    try:
        container: Any
        if source.kind == "camera":
            container = _open_camera(source.address, stall)
        elif source.kind == "rtsp":
            container = open_demuxer(source.address, options=_PROBE | _RTSP, timeout=stall)
        else:
            bytes_ = stack.enter_context(_open_bytes(source, stall=stall, ended=ended))
            sized = bytes_.sized
            checked = _Checked(bytes_)
            container = open_demuxer(
                checked,
                buffer_size=_BYTES_AT_ONCE,
                container_options=confine() | _PROBE,
            )
    except av.error.FFmpegError as error:
        if checked is not None and checked.is_mp4:
            raise _blame_index(error, "cannot open it: ") from error
        kind = VideoError if source.kind == "camera" else FetchError
        raise kind(f"cannot open it: {_describe(error)}") from error
    return stack.enter_context(container), sized


def _open_bytes(source: LiveSource, *, stall: float, ended: threading.Event) -> Any:
    if source.kind == "http":
        return open_http(source.address, stall=stall, ended=ended)
    host, port = source.host_and_port
    connect = open_tcp if source.kind == "tcp" else open_udp
    return connect(host, port, stall=stall, ended=ended)


class _Checked:
    """Bytes for FFmpeg. A playlist is refused before a demuxer sees it."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._begun = False
        self.is_mp4 = False

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if not self._begun and data.lstrip().startswith(_PLAYLIST):
            raise FetchError(
                "a playlist (m3u8) of other addresses, not a stream",
                hint="give the address of the MPEG-TS stream itself",
            )
        self.is_mp4 |= not self._begun and data[4:8] == _MP4
        self._begun = True
        return data


def _open_camera(name: str, stall: float) -> "InputContainer":
    """A camera by its number or, where the system has names, by its name."""
    import av

    format, file = _camera_of_system(name, sys.platform)
    # AVFoundation takes no rate but those of the camera; its own default is 29.97, which few have.
    options = {"framerate": "30"} if format == "avfoundation" else {}
    return av.open(file, format=format, options=options, timeout=stall)


def _camera_of_system(name: str, system: str) -> tuple[str, str]:
    """FFmpeg's device and the name by which it opens a camera."""
    if system == "darwin":
        return "avfoundation", name
    if system == "win32":
        return "dshow", f"video={_directshow_name(int(name)) if name.isdigit() else name}"
    return "v4l2", f"/dev/video{name}" if name.isdigit() else name


def _directshow_name(number: int) -> str:
    import av

    found = [device.name for device in av.enumerate_input_devices("dshow")]
    if number >= len(found):
        raise VideoError(f"camera:{number}: this machine has {len(found)} devices: {found}")
    return found[number]


class LiveDecoder:
    """Frames of a stream that can be relied on: from a key frame on, and not after damage."""

    def __init__(self, stream: "VideoStream") -> None:
        self._stream = stream
        self._passed = 0  # packets while it waits
        self._key: int | None = None  # stamp of the key frame that it began with
        self.waiting = True  # for a key frame
        self.damaged = 0  # packets and frames

    def wait_for_key(self) -> None:
        """Pass over what comes before the next key frame."""
        self.waiting, self._passed = True, 0

    def decode(self, packet: "Packet[VideoStream]") -> "list[VideoFrame]":
        """Frames that become ready with a packet; none with damage, after which it waits."""
        if self.waiting:
            self._passed += 1
            if not packet.is_keyframe and self._passed <= _PATIENCE:
                return []
            self._stream.codec_context.flush_buffers()
            self.waiting, self._key = False, packet.pts
        found = decode_packet(self._stream, packet)
        hurt = sum(
            frame is None or (frame.is_corrupt and not self._leads(frame)) for frame in found
        )
        if hurt or packet.is_corrupt:  # what refers to it is wrong too
            self.damaged += hurt + packet.is_corrupt
            self.wait_for_key()
            return []
        return [frame for frame in found if frame is not None and not frame.is_corrupt]

    def _leads(self, frame: "VideoFrame") -> bool:
        """Whether a frame is shown before the key frame that it was sent after; it has no past."""
        return self._key is not None and frame.pts is not None and frame.pts < self._key

    def finish(self) -> "list[VideoFrame]":
        """Frames still held back at the end."""
        found = [] if self.waiting else decode_packet(self._stream, None)
        return [frame for frame in found if frame is not None and not frame.is_corrupt]


def _blame_index(error: Exception, before: str = "") -> FetchError:
    """The likeliest reason why an mp4 that comes in one go cannot be read."""
    return FetchError(
        f"{before}{_describe(error)}; perhaps an mp4 whose index (moov) is at its end, which cannot"
        " be streamed",
        hint="download it and watch the file, or remux it with its index at the beginning"
        " (ffmpeg -c copy -movflags +faststart)",
    )


def _describe(error: Exception) -> str:
    """FFmpeg's words alone: its full text names the address, password included."""
    return getattr(error, "strerror", None) or type(error).__name__
