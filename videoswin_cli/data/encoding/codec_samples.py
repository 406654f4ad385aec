"""Videos of a few frames in each usual codec, where this FFmpeg has an encoder for it."""

import os
from collections.abc import Mapping
from pathlib import Path

ENCODERS: Mapping[str, tuple[str, ...]] = {  # by codec, the first that is there
    "H.264": ("libx264", "libopenh264"),
    "HEVC": ("libx265",),
    "VP9": ("libvpx-vp9",),
    "AV1": ("libaom-av1", "libsvtav1"),
}
LEVELS = tuple(range(40, 200, 20))  # gray of each frame, 0 to 255
_SIDE = 64  # px
_OPTIONS = {
    "libx265": {"x265-params": "log-level=none:pools=1"},
    "libsvtav1": {"preset": "10"},
    "libaom-av1": {"cpu-used": "8"},
}


def ffmpeg_version() -> str:
    """Version of the FFmpeg that PyAV holds."""
    import av

    return av.ffmpeg_version_info


def find_encoder(codec: str) -> str | None:
    """Encoder of a codec of `ENCODERS` in PyAV's FFmpeg."""
    import av

    for name in ENCODERS[codec]:
        try:
            av.codec.Codec(name, "w")
        except av.codec.codec.UnknownCodecError:
            continue
        return name
    return None


def write_sample(path: Path, encoder: str) -> None:
    """Write frames of the grays `LEVELS` as Matroska, which holds every codec."""
    import av
    import numpy as np

    os.environ.setdefault("SVT_LOG", "1")  # libsvtav1 writes its settings to stderr otherwise
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream(encoder, rate=10)
        stream.width = stream.height = _SIDE
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        stream.options = _OPTIONS.get(encoder, {})
        for level in LEVELS:
            image = np.full((_SIDE, _SIDE, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
