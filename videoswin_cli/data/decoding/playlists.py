"""Files that name other files: FFmpeg would open these, wherever they are.

They are known by their content, since a text file may be called clip.mp4, and refused before a
demuxer sees them. What is not known here is kept by the lists of what FFmpeg may open.
"""

from functools import cache
from pathlib import Path

from videoswin_cli.errors import VideoError

# FFmpeg's demuxers that open other files, devices or connections.
_REACHING = frozenset(
    {"concat", "dash", "fbdev", "hls", "image2", "imf", "kmsgrab", "lavfi", "rtp", "rtsp", "sap"}
    | {"rtp_mpegts", "sdp", "video4linux2,v4l2", "vobsub", "webm_dash_manifest", "x11grab"}
)
_STARTS = {
    b"#extm3u": "m3u8",
    b"ffconcat": "ffconcat",
    b"[playlist]": "pls",
    b"v=0": "sdp",
    b"# vobsub": "vobsub",
}
_ELEMENTS = {
    b"<mpd": "mpd",
    b"<compositionplaylist": "imf",
    b"<smoothstreamingmedia": "smooth streaming",
    b"<smil": "smil",
    b"<asx": "asx",
    b"<playlist": "xspf",
}
_HEAD = 4096  # bytes


def refuse_playlist(path: str | Path) -> None:
    """Look at the first bytes of a file.

    Raises:
        VideoError: it is a list of other files.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return  # whoever opens it tells
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    kind = next((name for start, name in _STARTS.items() if text.startswith(start)), None)
    if kind is None and text.startswith(b"<"):
        kind = next((name for element, name in _ELEMENTS.items() if element in text), None)
    if kind is not None:
        raise VideoError(
            f"{path}: a playlist ({kind}) of other files, not a video",
            hint="Name the files themselves.",
        )


@cache
def confine() -> dict[str, str]:
    """FFmpeg's options with which it opens this one file and no other."""
    import av

    formats = sorted(av.formats_available - _REACHING)
    return {"protocol_whitelist": "file", "format_whitelist": ",".join(formats)}
