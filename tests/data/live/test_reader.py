"""Streams that stall, break off and come back, from servers on this machine."""

import socket
import threading
from pathlib import Path

import av
import pytest
import torch
from fault_server import Reply, serve
from live_server import FPS, read_source, serve_rtsp, serve_tcp, write_stream
from make_video import as_parts, decode_numbers, lose_packets, write_video
from tiny import PROTOCOL

from videoswin_cli.data.decoding import live_input
from videoswin_cli.data.decoding.container import open_container
from videoswin_cli.data.decoding.live_input import LiveDecoder
from videoswin_cli.data.view_dataset import VideoViews, ViewDataset
from videoswin_cli.data.views import resolve_views
from videoswin_cli.errors import FetchError, OfflineError, VideoError
from videoswin_cli.io import transport
from videoswin_cli.records import Segment

SPAN = 7  # frames of the stream from the first to the last of a clip: 4 of every second one


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_stream(tmp_path_factory.mktemp("stream") / "s.ts")


def first_clips(count: int, *, every: int = 15) -> list[tuple[int, int]]:
    return [(every * n, every * n + SPAN - 1) for n in range(count)]


def test_a_clip_of_a_file_is_what_predict_sees_to_the_bit(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=50, fps=FPS)
    seen = read_source(str(path))
    assert seen.spans == first_clips(3)
    assert seen.state.frames == 50
    for clip in seen.clips:
        segment = Segment(start=clip.first, end=clip.last + 1, unit="frames")
        dataset = ViewDataset(
            as_parts(path, segment=segment), protocol=PROTOCOL, views=resolve_views("1x1", PROTOCOL)
        )
        expected = dataset[0]
        assert isinstance(expected, VideoViews)
        assert torch.equal(clip.views.view(0), expected.view(0))
        assert clip.views.times[0] == pytest.approx((clip.first / FPS, (clip.last + 1) / FPS))


def test_a_file_is_read_as_slowly_as_it_plays(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=61, fps=FPS, b_frames=0)
    seen = read_source(str(path))
    assert sum(seen.clock.slept) == pytest.approx(2.0)
    assert [clip.captured for clip in seen.clips] == pytest.approx([0.2, 0.7, 1.2, 1.7])


def test_a_stream_that_breaks_off_is_connected_to_again(stream: bytes) -> None:
    with serve(stream) as server:
        server.script = [
            Reply(length=False, cut=len(stream) // 2),
            Reply(status=503),
            Reply(status=503),
            Reply(length=False),
        ]  # then with its length: a file, which ends
        seen = read_source(server.url("s.ts?token=secret"))
    assert seen.state.reconnects == 2
    assert [text.partition("lost (")[2] for text in seen.notices if "lost" in text] == [
        "the stream ended); connecting again in 1 s",
        "HTTP 503 Service Unavailable); connecting again in 2 s",
        "HTTP 503 Service Unavailable); connecting again in 4 s",
        "the stream ended); connecting again in 1 s",
    ]
    assert [text for text in seen.notices if text.endswith("connected again")] == [
        seen.notices[3],
        seen.notices[5],
    ]
    assert not any("secret" in text for text in seen.notices)
    begins = [clip.first for clip in seen.clips if clip.views.times[0][0] == 0]
    assert len(begins) == 3  # each connection begins with clips of its own
    assert all(clip.last - clip.first == SPAN - 1 for clip in seen.clips)


def test_a_stream_that_stalls_is_lost(stream: bytes) -> None:
    with serve_tcp([stream], then="hold") as url:
        seen = read_source(url, stall=0.2, after=6)
    assert seen.notices[0] == f"{url}: lost (nothing received for 0.2 s); connecting again in 1 s"
    assert seen.notices[1] == f"{url}: connected again"
    with serve(stream) as server:
        server.script = [Reply(length=False, stall=True)]
        seen = read_source(server.url(), stall=0.2)
    assert "lost" in seen.notices[0]
    assert seen.state.reconnects == 1


def test_a_camera_of_the_network_is_a_stream(stream: bytes) -> None:
    with serve_rtsp(stream) as (url, requests):
        seen = read_source(url.replace("//", "//me:secret@") + "?key=hidden", after=5)
    assert seen.notices[1] == f"{url}: connected again"
    assert not any("secret" in text or "hidden" in text for text in seen.notices)
    assert all(clip.views.info.path == url for clip in seen.clips)
    assert any("hidden" in text for text in requests)
    assert seen.spans[:3] == first_clips(3)


def test_datagrams_are_a_stream(stream: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not done.is_set():
                for place in range(0, len(stream), 7 * 188):
                    sender.sendto(stream[place : place + 7 * 188], ("127.0.0.1", port))
                    done.wait(0.001)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        seen = read_source(f"udp://127.0.0.1:{port}", after=1)
    finally:
        done.set()
        thread.join()
    assert seen.clips[0].last - seen.clips[0].first == SPAN - 1


def test_a_sender_that_begins_anew_is_another_connection(stream: bytes) -> None:
    with serve_tcp([stream + stream]) as url:
        seen = read_source(url, after=5)
    (lost,) = (text for text in seen.notices if "lost" in text)
    assert "its times jump by -" in lost
    assert seen.notices[-1].endswith("connected again")


def test_what_cannot_be_reached_at_first_is_an_error(stream: bytes) -> None:
    with serve(stream) as server:
        server.script = [Reply(status=401)]
        url = server.url("s.ts?token=hidden").replace("//", "//me:secret@")
        with pytest.raises(FetchError, match="HTTP 401") as caught:
            read_source(url)
        assert server.asked[0]["Authorization"].startswith("Basic ")
    assert caught.value.message.startswith("http://127.0.0.1:")
    assert "secret" not in caught.value.message
    assert "hidden" not in caught.value.message
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for scheme in ("rtsp", "http", "tcp"):
        with pytest.raises(FetchError, match="refused") as caught:
            read_source(f"{scheme}://me:secret@127.0.0.1:{port}/a?token=hidden")
        assert "secret" not in str(caught.value.__dict__)
        assert "hidden" not in str(caught.value.__dict__)


def test_offline_mode_forbids_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOSWIN_OFFLINE", "1")
    with pytest.raises(OfflineError, match="offline mode"):
        read_source("tcp://127.0.0.1:1")


def test_a_redirect_inside_is_not_followed(stream: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, False])
    monkeypatch.setattr(transport, "is_public", lambda address: next(answers))
    with serve(stream) as server:
        server.script = [Reply(status=302, headers={"Location": server.url("other?token=hidden")})]
        with pytest.raises(FetchError, match="--allow-private-redirects"):
            read_source(server.url())


def test_a_playlist_is_refused() -> None:
    listed = b"#EXTM3U\n#EXTINF:2,\nfile:///etc/passwd\n"
    with serve(listed) as server, pytest.raises(FetchError, match="a playlist"):
        read_source(server.url("live.m3u8"))


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
def test_a_recording_has_the_packets_of_the_stream(
    suffix: str, stream: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with serve(stream) as server:
        server.script = [Reply(length=False)]
        seen = read_source(server.url(), record=out / f"day{suffix}")
    assert [path.name for path in seen.state.recordings] == [f"day{suffix}", f"day-2{suffix}"]
    assert sorted(path.name for path in out.iterdir()) == [f"day-2{suffix}", f"day{suffix}"]
    for path in seen.state.recordings:
        assert decode_numbers(path, "pyav")[1] == list(range(60))
    if suffix == ".ts":
        (tmp_path / "source.ts").write_bytes(stream)
        assert packets(out / "day.ts") == packets(tmp_path / "source.ts")


def packets(path: Path, kind: str = "video") -> list[bytes]:
    with av.open(str(path)) as container:
        (stream,) = (each for each in container.streams if each.type == kind)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
def test_a_recording_of_a_file_has_its_sound(suffix: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=30, fps=FPS, audio=True)
    out = tmp_path / f"out{suffix}"
    seen = read_source(str(path), record=out)
    assert seen.spans == first_clips(2)
    assert seen.state.recordings == [out]
    assert len(packets(out)) == 30
    sound, expected = packets(out, "audio"), packets(path, "audio")
    if suffix == ".ts":  # each packet has a header (ADTS) of 7 bytes there
        sound = [packet[7:] for packet in sound]
    assert len(sound) > 10
    assert sound == expected


def test_an_mp4_with_its_index_at_the_end_cannot_be_streamed_and_leaves_no_recording(
    tmp_path: Path,
) -> None:
    path = write_video(tmp_path / "late.mp4", frames=60, size=(320, 240), fps=FPS, faststart=False)
    out = tmp_path / "out"
    out.mkdir()
    whole = path.read_bytes()
    for data in (whole, whole[: len(whole) // 2]):  # the index comes too late, or never
        with serve(data) as server, pytest.raises(FetchError, match="perhaps an mp4") as caught:
            read_source(server.url("late.mp4"), record=out / "day.mkv")
        assert "Invalid data found" in caught.value.message
        assert "download it" in str(caught.value.hint)
        assert list(out.iterdir()) == []


def test_an_mp4_with_its_index_at_the_beginning_is_streamed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=40, size=(320, 240), fps=FPS)
    with serve(path.read_bytes()) as server:
        assert read_source(server.url("v.mp4")).spans == first_clips(3)


def test_connections_without_pictures_do_not_count_in_names(tmp_path: Path, stream: bytes) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "day.ts").touch()  # empty: it holds nothing to be kept
    late = write_video(tmp_path / "v.mp4", frames=60, size=(320, 240), fps=FPS, faststart=False)
    with serve(stream) as server:
        server.script = [Reply(length=False), Reply(length=False, body=late.read_bytes())]
        seen = read_source(server.url(), record=out / "day.ts")
    assert not seen.state.recording_failed
    assert [path.name for path in seen.state.recordings] == ["day.ts", "day-2.ts"]
    assert sorted(path.name for path in out.iterdir()) == ["day-2.ts", "day.ts"]


def test_a_recording_that_fails_does_not_end_the_stream(tmp_path: Path, stream: bytes) -> None:
    with serve_tcp([stream]) as url:
        seen = read_source(url, record=tmp_path / "none" / "day.ts", after=3)
    assert seen.state.recording_failed
    assert "cannot write" in seen.notices[0]
    assert len(seen.clips) == 3


def test_a_decoder_that_is_too_slow_passes_over_what_it_is_late_for(stream: bytes) -> None:
    with serve_tcp([stream]) as url:
        seen = read_source(url, tick=0.1, after=2)  # each frame takes ten times its time
    assert seen.state.passed_over > 30
    assert seen.spans[0] == (0, SPAN - 1)


def test_pictures_without_times_have_those_of_their_arrival(tmp_path: Path) -> None:
    """FFmpeg counts 25 of them per second, however many come."""
    source = write_video(
        tmp_path / "s.mjpeg", frames=12, fps=25, codec="mjpeg", pix_fmt="yuvj420p", b_frames=0
    )
    pictures = packets(source)
    head = "--b\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n"
    body = b"".join(head.format(len(each)).encode() + each + b"\r\n" for each in pictures)
    with serve_tcp([body]) as url:
        # The clock is looked at three times per picture.
        seen = read_source(url, tick=1 / 30, every=0.1, record=tmp_path / "r.mkv", after=3)
    assert [clip.views.info.fps for clip in seen.clips] == pytest.approx([10] * 3)
    with av.open(str(tmp_path / "r.mkv")) as container:
        times = [
            packet.pts * packet.time_base for packet in container.demux(video=0) if packet.size
        ]
    assert times == pytest.approx([0.1 * n for n in range(len(times))], abs=0.002)


def test_frames_after_damage_are_passed_over_until_a_key_frame(tmp_path: Path) -> None:
    whole = tmp_path / "whole.ts"
    write_stream(whole)
    hurt = lose_packets(whole, tmp_path / "hurt.ts", share=0.5, count=3)

    def decode(path: Path) -> tuple[dict[int | None, bytes], int]:
        with open_container(path) as (container, video):
            decoder = LiveDecoder(video)
            found = [f for p in container.demux(video) if p.size for f in decoder.decode(p)]
            found += decoder.finish()
            return {f.pts: f.to_ndarray().tobytes() for f in found}, decoder.damaged

    expected, none = decode(whole)
    found, damaged = decode(hurt)
    assert (len(expected), none) == (60, 0)
    assert damaged > 0
    assert 45 <= len(found) < 60
    assert all(expected[pts] == image for pts, image in found.items())


def test_an_open_group_of_pictures_is_no_damage(tmp_path: Path) -> None:
    """A viewer who comes late gets pictures that refer to what was sent before."""
    path = write_video(tmp_path / "v.ts", frames=40, fps=FPS, gop=10, open_gop=True)
    with open_container(path) as (container, video):
        decoder = LiveDecoder(video)
        packets = [packet for packet in container.demux(video) if packet.size][5:]
        found = [frame for packet in packets for frame in decoder.decode(packet)]
    assert decoder.damaged == 0
    assert len(found) >= 25


def test_no_clip_goes_over_damage(tmp_path: Path) -> None:
    write_stream(tmp_path / "whole.ts", frames=120)
    hurt = lose_packets(tmp_path / "whole.ts", tmp_path / "hurt.ts", share=0.5, count=3)
    seen = read_source(str(hurt), every=0.1)
    assert "damaged data" in seen.notices[0]
    assert len(seen.notices) == 1
    assert seen.state.damaged > 0
    for clip in seen.clips:
        start, end = clip.views.times[0]
        assert end - start == pytest.approx(SPAN / FPS, abs=0.001)
        assert clip.last - clip.first == SPAN - 1


def test_a_file_whose_times_begin_anew_is_read_to_its_end(stream: bytes, tmp_path: Path) -> None:
    path = tmp_path / "joined.ts"
    path.write_bytes(stream + stream)
    seen = read_source(str(path))
    assert seen.state.frames >= 116  # the demuxer blames the last packets before a join
    assert seen.clips[-1].last >= 106
    assert all(clip.last - clip.first == SPAN - 1 for clip in seen.clips)
    starts = [clip.views.times[0][0] for clip in seen.clips]
    assert starts == sorted(starts)


def test_a_slow_stream_is_told_of(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=20, fps=5, b_frames=0)
    seen = read_source(str(path))
    assert seen.notices == [f"{path}: 5 frames per second; the model wants 15: frames are repeated"]


@pytest.mark.parametrize(
    ("name", "system", "opened"),
    [
        ("0", "linux", ("v4l2", "/dev/video0")),
        ("/dev/v4l/by-id/cam", "linux", ("v4l2", "/dev/v4l/by-id/cam")),
        ("1", "darwin", ("avfoundation", "1")),
        ("FaceTime HD", "darwin", ("avfoundation", "FaceTime HD")),
        ("Integrated Webcam", "win32", ("dshow", "video=Integrated Webcam")),
    ],
)
def test_cameras_are_named_as_the_system_names_them(
    name: str, system: str, opened: tuple[str, str]
) -> None:
    assert live_input._camera_of_system(name, system) == opened


def test_a_camera_that_is_not_there_is_an_error() -> None:
    with pytest.raises(VideoError, match="camera:no-such-camera: cannot open it"):
        read_source("camera:no-such-camera")
