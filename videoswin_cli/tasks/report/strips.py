"""Frames of a video as one small picture, for a page."""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.segments import find_span
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.io.tar_files import has_member
from videoswin_cli.records import Segment
from videoswin_cli.report.pages.contents import Strip
from videoswin_cli.tasks.report.files import find_file

if TYPE_CHECKING:
    from PIL.Image import Image

_FRAMES = 8
_HEIGHT = 120  # px
_WIDEST = 240  # px
_QUALITIES = (70, 50, 30)  # of JPEG, until it is small
_MOST_BYTES = 64 * 1024


def make_strip(file: Path, segment: Segment | None = None) -> Strip:
    """Evenly spaced frames of a video, or of a segment of it, side by side.

    Raises:
        VideoSwinError: the video cannot be read.
    """
    from PIL import Image

    with open_video(str(file)) as video:
        span = find_span(video, segment)
        count = min(_FRAMES, span.count)
        numbers = [span.first + (2 * n + 1) * span.count // (2 * count) for n in range(count)]
        pictures = [Image.fromarray(frame) for frame in video.read_frames(numbers)]
    width, height = pictures[0].size
    size = (max(1, min(_WIDEST, round(width * _HEIGHT / height))), _HEIGHT)
    sheet = Image.new("RGB", (size[0] * count, size[1]))
    for number, picture in enumerate(pictures):
        sheet.paste(picture.resize(size, Image.Resampling.BILINEAR), (number * size[0], 0))
    content = _compress(sheet)
    uri = f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"
    return Strip(uri=uri, frames=count, width=size[0], height=size[1])


def _compress(sheet: "Image") -> bytes:
    content = b""
    for quality in _QUALITIES:
        stream = io.BytesIO()
        sheet.save(stream, "JPEG", quality=quality)
        content = stream.getvalue()
        if len(content) <= _MOST_BYTES:
            break
    return content


class Strips:
    """Strips of the videos under a root; each video is read once."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._known: dict[str, Strip | str] = {}

    def find(self, path: str) -> Strip | str:
        """The strip of a listed video, or the reason why there is none."""
        if path not in self._known:
            self._known[path] = self._make(path)
        return self._known[path]

    def _make(self, path: str) -> Strip | str:
        if self._root is None:
            return "no picture without --root"
        found = find_file(self._root, path)
        if found is None:
            return "its path leads out of --root"
        file, segment = found
        if not file.exists() and not has_member(str(file)):
            return "no such file under --root"
        try:
            return make_strip(file, segment)
        except VideoSwinError as error:
            return error.message
