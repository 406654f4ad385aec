"""Where decoding can start, and what is never shown: read from encoded streams and from bytes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import field_frames
import numpy as np
import pytest
from make_video import write_video

from videoswin_cli.data.decoding.container import open_container
from videoswin_cli.data.decoding.random_access import Access, PacketKind, make_inspector

NONE, OPEN, CLOSED = Access.NONE, Access.OPEN, Access.CLOSED
PICTURE, HIDDEN, BACK = PacketKind(), PacketKind(shown=False), PacketKind(looks_back=True)
OPEN_START = PacketKind(OPEN, recovery_frames=0)
CLOSED_START = PacketKind(CLOSED, recovery_frames=0)

X264_REFRESH = {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}
X265_RADL = {
    "x265-params": "log-level=0:pools=1:open-gop=0:radl=2:bframes=3:keyint=12:min-keyint=12:"
    "scenecut=0:b-adapt=0"
}
CLOSED_MPEG = {"flags": "+qscale+cgop", "sc_threshold": "1000000000"}

# How to encode, and for each access in the order of sending whether it is a closed one.
STREAMS: dict[str, tuple[dict[str, Any], str]] = {
    "h264.mp4": ({}, "CCC"),
    "h264.ts": ({}, "CCC"),
    "h264-open.mp4": ({"open_gop": True}, "COO"),
    "h264-open.ts": ({"open_gop": True}, "COO"),
    "h264-refresh.mp4": ({"options": X264_REFRESH, "b_frames": 0}, "C"),
    "h264-refresh.ts": ({"options": X264_REFRESH, "b_frames": 0}, "C"),
    "hevc.mp4": ({"codec": "libx265"}, "CCC"),
    "hevc.ts": ({"codec": "libx265"}, "CCC"),
    "hevc-open.mp4": ({"codec": "libx265", "open_gop": True}, "COO"),
    "hevc-open.ts": ({"codec": "libx265", "open_gop": True}, "COO"),
    "hevc-radl.mp4": ({"codec": "libx265", "options": X265_RADL}, "CCC"),
    "vp8.webm": ({"codec": "libvpx"}, "CCC"),
    "vp9.webm": ({"codec": "libvpx-vp9"}, "CCC"),
    "av1.mp4": ({"codec": "libsvtav1", "size": (64, 64)}, "CCC"),
    "mpeg1.mpg": ({"codec": "mpeg1video"}, "COO"),
    "mpeg2.ts": ({"codec": "mpeg2video"}, "COO"),
    "mpeg2-closed.ts": ({"codec": "mpeg2video", "options": CLOSED_MPEG}, "CCC"),
    "mpeg4.mp4": ({"codec": "mpeg4"}, "OOO"),
    "mpeg4.avi": ({"codec": "mpeg4"}, "OOO"),
    "mpeg4-closed.mp4": ({"codec": "mpeg4", "options": CLOSED_MPEG}, "CCC"),
    "mjpeg.avi": ({"codec": "mjpeg", "pix_fmt": "yuvj420p"}, "C" * 30),
    "ffv1.mkv": ({"codec": "ffv1"}, ""),  # nothing is known of it: from its first packet
}


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write a video of STREAMS, once."""
    folder = tmp_path_factory.mktemp("streams")

    def make(name: str) -> Path:
        options = STREAMS[name][0]
        encoder = options.get("codec", "libx264")
        if encoder.startswith("lib") and encoder not in av.codecs_available:
            pytest.skip(f"this PyAV has no encoder {encoder}")
        path = folder / name
        return path if path.exists() else write_video(path, frames=30, **options)

    return make


def inspect_file(path: Path) -> list[tuple[Any, PacketKind]]:
    """Packets in the order of sending, and what is said of each."""
    with open_container(path) as (container, stream):
        inspect = make_inspector(stream)
        return [(packet, inspect(packet)) for packet in container.demux(stream) if packet.size]


def inspect_bytes(codec: str, *packets: bytes, extradata: bytes = b"") -> list[PacketKind]:
    context = SimpleNamespace(
        codec=SimpleNamespace(canonical_name=codec, intra_only=False), extradata=extradata
    )
    inspect = make_inspector(cast("Any", SimpleNamespace(codec_context=context)))
    return [inspect(cast("Any", packet)) for packet in packets]


# --- encoded streams ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STREAMS)
def test_accesses_of_encoded_streams(name: str, stream: Callable[[str], Path]) -> None:
    found = inspect_file(stream(name))
    assert all(kind.shown for _, kind in found)
    accesses = [kind for _, kind in found if kind.access]
    assert "".join("-OC"[kind.access] for kind in accesses) == STREAMS[name][1]
    assert all(kind.recovery_frames == 0 for kind in accesses)


@pytest.mark.parametrize("name", STREAMS)
def test_decoding_can_start_at_every_access(name: str, stream: Callable[[str], Path]) -> None:
    """All pictures after a closed one, and after an open one all but those that look back."""
    path = stream(name)
    found = inspect_file(path)
    if "avi" in name and "mpeg4" in name:
        found = [(packet, kind._replace(access=NONE)) for packet, kind in found]  # made-up stamps
    whole = decode_pictures(path, 0)
    assert len(whole) == 30
    for start, (opening, kind) in enumerate(found):
        if kind.access is NONE:
            continue
        pictures = decode_pictures(path, start)
        sent = {
            packet.pts
            for packet, other in found[start:]
            if kind.access is CLOSED or packet.pts >= opening.pts or not other.looks_back
        }
        assert sent <= pictures.keys()
        for pts in sent:
            np.testing.assert_array_equal(pictures[pts], whole[pts])


def decode_pictures(path: Path, start: int) -> dict[int, Any]:
    """Pictures by their stamps, decoded from a packet on."""
    with open_container(path) as (container, stream):
        packets = [packet for packet in container.demux(stream) if packet.size][start:]
        context = stream.codec_context
        frames = [frame for packet in (*packets, None) for frame in context.decode(packet)]
        return {frame.pts: frame.to_ndarray() for frame in frames if frame.pts is not None}


@pytest.mark.parametrize("name", ["h264-refresh.mp4", "h264-refresh.ts"])
def test_intra_refresh_recovers_and_is_no_access(name: str, stream: Callable[[str], Path]) -> None:
    found = inspect_file(stream(name))
    recovering = [n for n, (_, kind) in enumerate(found) if kind.recovery_frames > 0]
    assert len(recovering) >= 2
    assert all(found[n][1].access is NONE for n in recovering)
    assert any(found[n][0].is_keyframe for n in recovering)  # what the container says of them


@pytest.mark.parametrize(
    ("name", "back"), [("hevc-open.mp4", True), ("hevc-radl.mp4", False), ("mpeg2.ts", True)]
)
def test_leading_pictures(name: str, back: bool, stream: Callable[[str], Path]) -> None:
    found = inspect_file(stream(name))
    (start,) = [n for n, (_, kind) in enumerate(found) if kind.access][1:2]
    leading = [kind for packet, kind in found[start:] if packet.pts < found[start][0].pts]
    assert len(leading) == 2
    assert [kind.looks_back for kind in leading] == [back, back]


def test_hidden_frames_of_an_encoder_with_two_passes() -> None:
    found = inspect_file(field_frames.FOLDER / "vp8_2pass.webm")
    assert [kind.shown for _, kind in found].count(True) == 100
    assert [n for n, (_, kind) in enumerate(found) if not kind.shown][:2] == [1, 16]
    assert found[0][1] == CLOSED_START


# --- H.264 ----------------------------------------------------------------------------------------

SPS, PPS, AUD = b"\x67\x42\0\x0a", b"\x68\xce\x38", b"\x09\xf0"
IDR, P_SLICE, B_SLICE, I_SLICE = b"\x65\x88\x80", b"\x41\xc0", b"\x01\xa8", b"\x41\xb8\x80"
# After the type and the size of a message: frames until the picture is whole, exact, more flags.
RECOVERED, INEXACT = b"\x06\x06\x01\xc4\x80", b"\x06\x06\x01\x84\x80"
RECOVERS_IN_5 = b"\x06\x06\x01\x36\x80"
OTHER_MESSAGE = b"\x06\x05\x10" + bytes(range(1, 17)) + b"\x80"


def annex_b(*units: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + unit for unit in units)


def prefixed(*units: bytes, size: int = 4) -> bytes:
    return b"".join(len(unit).to_bytes(size, "big") + unit for unit in units)


def describe_lengths(size: int) -> bytes:
    """The start of an avcC that says how long a length is."""
    return bytes([1, 66, 0, 10, 0xFC | size - 1, 0xE0])


H264 = {
    "idr": ([SPS, PPS, IDR], CLOSED_START),
    "idr behind a delimiter": ([AUD, IDR, IDR], CLOSED_START),
    "i at a recovery point": ([AUD, RECOVERED, I_SLICE], OPEN_START),
    "i at a recovery point, in slices": ([RECOVERED, I_SLICE, I_SLICE], OPEN_START),
    "a recovery point behind another message": (
        [b"\x06\x05\x02\1\2" + RECOVERED[1:], I_SLICE],
        OPEN_START,
    ),
    "not exact": ([INEXACT, I_SLICE], PacketKind(recovery_frames=0)),
    "i and p slices": ([RECOVERED, I_SLICE, P_SLICE], PacketKind(recovery_frames=0)),
    "refresh": ([RECOVERS_IN_5, P_SLICE], PacketKind(recovery_frames=5)),
    "refresh that begins with i": ([RECOVERS_IN_5, I_SLICE], PacketKind(recovery_frames=5)),
    "i": ([I_SLICE], PICTURE),
    "i behind another message": ([OTHER_MESSAGE, I_SLICE], PICTURE),
    "p": ([AUD, P_SLICE], PICTURE),
    "b": ([B_SLICE], BACK),
    "parameter sets alone": ([SPS, PPS], HIDDEN),
    "message alone": ([OTHER_MESSAGE], HIDDEN),
}


@pytest.mark.parametrize("name", H264)
def test_h264(name: str) -> None:
    units, expected = H264[name]
    assert inspect_bytes("h264", annex_b(*units)) == [expected]
    for size in (1, 2, 4):
        packet = prefixed(*units, size=size)
        assert inspect_bytes("h264", packet, extradata=describe_lengths(size)) == [expected]


def test_h264_with_start_codes_of_three_bytes_and_against_its_extradata() -> None:
    packet = b"\0\0\1" + SPS + b"\0\0\1" + IDR
    assert inspect_bytes("h264", packet, extradata=annex_b(SPS, PPS)) == [CLOSED_START]
    packets = annex_b(IDR), annex_b(P_SLICE)
    assert inspect_bytes("h264", *packets, extradata=describe_lengths(4)) == [CLOSED_START, PICTURE]


# --- HEVC -----------------------------------------------------------------------------------------


def hevc_unit(kind: int, layer: int = 0) -> bytes:
    return bytes([kind << 1 | layer >> 5, (layer & 31) << 3 | 1, 0x80, 0x80])


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([32, 33, 34, 19], CLOSED_START),  # parameter sets and an IDR that may have RADL
        ([20], CLOSED_START),  # IDR without
        ([35, 39, 21], OPEN_START),  # delimiter, message, CRA
        ([16], OPEN_START),  # BLA that may have RASL
        ([17], CLOSED_START),  # BLA with RADL alone
        ([18], CLOSED_START),
        ([8], BACK),  # RASL
        ([9], BACK),
        ([6], PICTURE),  # RADL
        ([7], PICTURE),
        ([1], PICTURE),
        ([0], PICTURE),
        ([32, 33, 34], HIDDEN),
        ([39], HIDDEN),
    ],
)
def test_hevc(kinds: list[int], expected: PacketKind) -> None:
    units = [hevc_unit(kind) for kind in kinds]
    assert inspect_bytes("hevc", annex_b(*units)) == [expected]
    for size in (2, 4):
        extradata = bytes([1, *[0] * 20, 0xFC | size - 1, 0])
        assert inspect_bytes("hevc", prefixed(*units, size=size), extradata=extradata) == [expected]


def test_hevc_pictures_of_other_layers_say_nothing() -> None:
    packet = annex_b(hevc_unit(19, layer=1), hevc_unit(1))
    assert inspect_bytes("hevc", packet, annex_b(hevc_unit(19, layer=33))) == [PICTURE, HIDDEN]


# --- VP8, VP9, AV1, Theora ------------------------------------------------------------------------


def vp8_frame(*, key: bool, shown: bool) -> bytes:
    return bytes([(not key) | shown << 4, 0, 0]) + b"\x9d\x01\x2a" * key + bytes(6)


def test_vp8() -> None:
    packets = [vp8_frame(key=key, shown=shown) for key in (True, False) for shown in (True, False)]
    assert inspect_bytes("vp8", *packets) == [CLOSED_START, HIDDEN, PICTURE, HIDDEN]
    assert inspect_bytes("vp8", b"\x10" + bytes(9)) == [PICTURE]  # a key frame without its mark


def vp9_frame(*, key: bool = False, shown: bool = True, profile: int = 0, size: int = 9) -> bytes:
    bits = f"10{profile & 1}{profile >> 1}{'0' * (profile == 3)}0{int(not key)}{int(shown)}0"
    return int(bits.ljust(16, "0"), 2).to_bytes(2, "big") + bytes(size - 2)


VP9_SHOWS_OLDER = b"\x88"  # show_existing_frame


def superframe(*frames: bytes) -> bytes:
    marker = bytes([0b11000000 | 1 << 3 | len(frames) - 1])  # sizes of two bytes
    sizes = b"".join(len(frame).to_bytes(2, "little") for frame in frames)
    return b"".join(frames) + marker + sizes + marker


@pytest.mark.parametrize("profile", range(4))
def test_vp9(profile: int) -> None:
    packets = [
        vp9_frame(key=key, shown=shown, profile=profile)
        for key in (True, False)
        for shown in (True, False)
    ]
    assert inspect_bytes("vp9", *packets) == [CLOSED_START, HIDDEN, PICTURE, HIDDEN]


def test_vp9_superframes() -> None:
    hidden, shown = vp9_frame(shown=False, size=300), vp9_frame()
    key, hidden_key = vp9_frame(key=True), vp9_frame(key=True, shown=False)
    assert inspect_bytes(
        "vp9",
        VP9_SHOWS_OLDER,
        superframe(hidden, shown),
        superframe(key, hidden),
        superframe(hidden, hidden),
        superframe(hidden, VP9_SHOWS_OLDER),
        superframe(hidden_key, shown),
    ) == [PICTURE, PICTURE, CLOSED_START, HIDDEN, PICTURE, PICTURE]


def av1_unit(kind: int, content: bytes, *, extension: bool = False) -> bytes:
    header = bytes([kind << 3 | extension << 2 | 2]) + b"\0" * extension
    return (
        header
        + bytes([len(content) & 127 | (len(content) > 127) << 7])
        + (bytes([len(content) >> 7]) * (len(content) > 127) + content)
    )


AV1_DELIMITER, AV1_SEQUENCE = av1_unit(2, b""), av1_unit(1, b"\0\0\0")
AV1_PADDING = av1_unit(15, bytes(200))


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (AV1_DELIMITER + AV1_SEQUENCE + av1_unit(6, b"\x10\0"), CLOSED_START),
        (AV1_SEQUENCE + av1_unit(3, b"\x10\0") + av1_unit(4, b"\1"), CLOSED_START),
        (AV1_SEQUENCE + AV1_PADDING + av1_unit(6, b"\x10", extension=True), CLOSED_START),
        (av1_unit(6, b"\x10\0")[:1].replace(b"\x32", b"\x30") + b"\x10\0", CLOSED_START),  # no size
        (av1_unit(6, b"\x00\0"), PICTURE),  # a key frame that is shown later
        (av1_unit(6, b"\x30\0"), PICTURE),  # inter
        (av1_unit(6, b"\x50\0"), PICTURE),  # intra only
        (av1_unit(3, b"\x80"), PICTURE),  # one that was sent before
        (av1_unit(6, b"\x20\0") + av1_unit(3, b"\x10"), PICTURE),  # a hidden one comes first
        (av1_unit(1, b"\x18\0") + av1_unit(6, b"\0\0"), CLOSED_START),  # still picture
        (AV1_DELIMITER + AV1_SEQUENCE, HIDDEN),
    ],
)
def test_av1(packet: bytes, expected: PacketKind) -> None:
    assert inspect_bytes("av1", packet) == [expected]


def test_theora() -> None:
    packets = b"\x80theora", b"\x82theora", b"\x00\0\0", b"\x3f\0", b"\x40\0", b"\x7f\0"
    assert inspect_bytes("theora", *packets) == [
        HIDDEN,
        HIDDEN,
        CLOSED_START,
        CLOSED_START,
        PICTURE,
        PICTURE,
    ]


# --- MPEG-2 and MPEG-4 part 2 ---------------------------------------------------------------------


def start_code(code: int, content: bytes) -> bytes:
    return b"\0\0\1" + bytes([code]) + content


def mpeg2_picture(kind: int) -> bytes:
    return start_code(0, bytes([0x01, kind << 3 | 7, 0xFF, 0xF8])) + start_code(1, b"\x12\x34")


OPEN_GROUP, CLOSED_GROUP = start_code(0xB8, b"\0\x08\x01\0"), start_code(0xB8, b"\0\x08\x01\x40")


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
def test_mpeg2(codec: str) -> None:
    sequence = start_code(0xB3, bytes([0x04, 0, 0x30, 0x13, 0xFF, 0xFF, 0xE0, 0x18]))
    assert inspect_bytes(
        codec,
        sequence + CLOSED_GROUP + mpeg2_picture(1),
        sequence + OPEN_GROUP + mpeg2_picture(1),
        mpeg2_picture(1),
        CLOSED_GROUP + mpeg2_picture(2),
        mpeg2_picture(2),
        mpeg2_picture(3),
        sequence,
    ) == [CLOSED_START, OPEN_START, OPEN_START, PICTURE, PICTURE, BACK, HIDDEN]


def mpeg4_layer(resolution: int) -> bytes:
    """A video object layer of simple profile, its time in so many steps a second."""
    bits = f"0{1:08b}0{1:04b}0{0:02b}1{resolution:016b}1"
    return start_code(0x20, int(bits.ljust(40, "1"), 2).to_bytes(5, "big"))


def vop(kind: int, *, coded: bool = True, time_bits: int = 5, seconds: int = 0) -> bytes:
    bits = f"{kind:02b}{'1' * seconds}01{0:0{time_bits}b}1{int(coded)}"
    size = (len(bits) + 8) // 8 + 1
    return start_code(0xB6, int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big"))


I_VOP, P_VOP, B_VOP = vop(0), vop(1), vop(2)
GROUP, CLOSED_VOPS = start_code(0xB3, b"\0\x10\x10"), start_code(0xB3, b"\0\x10\x30")


def test_mpeg4() -> None:
    layer = mpeg4_layer(25)
    assert inspect_bytes(
        "mpeg4",
        layer + I_VOP,
        GROUP + I_VOP,
        CLOSED_VOPS + I_VOP,
        P_VOP,
        B_VOP,
        vop(1, seconds=3),
        layer,
    ) == [OPEN_START, OPEN_START, CLOSED_START, PICTURE, BACK, PICTURE, HIDDEN]


@pytest.mark.parametrize(("resolution", "bits"), [(1, 1), (25, 5), (32, 5), (33, 6), (30000, 15)])
def test_mpeg4_vops_that_are_not_coded_show_nothing(resolution: int, bits: int) -> None:
    empty = vop(1, coded=False, time_bits=bits, seconds=1)
    coded = vop(1, time_bits=bits, seconds=1)
    extradata = mpeg4_layer(resolution)
    assert inspect_bytes("mpeg4", coded, empty, extradata=extradata) == [PICTURE, HIDDEN]
    assert inspect_bytes("mpeg4", extradata + coded, empty) == [PICTURE, HIDDEN]


def test_mpeg4_empty_vops_behind_packed_ones_stand_for_a_picture() -> None:
    empty = vop(1, coded=False)
    packets = (I_VOP, P_VOP + B_VOP, empty, P_VOP)
    found = inspect_bytes("mpeg4", *packets, extradata=mpeg4_layer(25))
    assert found == [OPEN_START, PICTURE, PICTURE, PICTURE]


# --- garbage --------------------------------------------------------------------------------------

CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "theora", "mpeg1video", "mpeg2video", "mpeg4", "gif")
WHOLE = {
    "h264": annex_b(SPS, PPS, OTHER_MESSAGE, RECOVERED, I_SLICE),
    "hevc": annex_b(hevc_unit(32), hevc_unit(39), hevc_unit(21)),
    "vp8": vp8_frame(key=True, shown=True),
    "vp9": superframe(vp9_frame(key=True), vp9_frame(shown=False)),
    "av1": AV1_DELIMITER + AV1_SEQUENCE + AV1_PADDING + av1_unit(6, b"\x10\0"),
    "mpeg2video": OPEN_GROUP + mpeg2_picture(1),
    "mpeg4": mpeg4_layer(25) + GROUP + I_VOP + B_VOP,
}


@pytest.mark.parametrize("codec", WHOLE)
def test_shortened_packets_raise_nothing(codec: str) -> None:
    whole = WHOLE[codec]
    inspect_bytes(codec, *(whole[:end] for end in range(len(whole))))


@pytest.mark.parametrize("codec", sorted(WHOLE))
def test_shortened_headers_of_a_stream_raise_nothing(codec: str) -> None:
    whole = WHOLE[codec]
    for end in range(len(whole)):
        inspect_bytes(codec, whole, extradata=whole[:end])


@pytest.mark.parametrize("extradata", [b"", describe_lengths(4), bytes([1, *[0] * 20, 255, 0])])
@pytest.mark.parametrize("codec", CODECS)
def test_noise_raises_nothing(codec: str, extradata: bytes) -> None:
    noise = np.random.default_rng(0)
    packets: Sequence[bytes] = [noise.bytes(int(size)) for size in noise.integers(1, 60, 300)]
    codes = [b"\0\0\1" + packet for packet in packets]
    assert len(inspect_bytes(codec, *packets, *codes, extradata=extradata)) == 600
    for packet in packets[:50]:
        inspect_bytes(codec, WHOLE.get(codec, b"\0"), extradata=packet)
