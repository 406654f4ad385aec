"""Names of videos as lists write them."""

import re

from videoswin_cli.data.video_files import VIDEO_SUFFIXES
from videoswin_cli.errors import DatasetError
from videoswin_cli.io.text_files import shorten
from videoswin_cli.records import Segment

_SUFFIX = "|".join(re.escape(suffix) for suffix in sorted(VIDEO_SUFFIXES, reverse=True))
NAME_END = re.compile(rf"(?:{_SUFFIX})(?=[ \t,;])", re.IGNORECASE)  # where other columns follow


def ends_as_video(text: str) -> bool:
    return text[text.rfind(".") :].lower() in VIDEO_SUFFIXES if "." in text else False


def check_name(name: str, *, where: str) -> str:
    """A name that a file could have.

    Raises:
        DatasetError: it is empty, a folder by its very form, or no file system could hold it.
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    if last in ("", ".", ".."):
        raise DatasetError(
            f"{where}: {shorten(name)} names no video", hint="fix the line or remove it"
        )
    if "\0" in name or _holds_surrogates(name):
        raise DatasetError(f"{where}: {shorten(name)} holds characters that no file name can have")
    return name


def _holds_surrogates(text: str) -> bool:
    """Halves of characters, which JSON can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def trimmed_names(name: str, segment: Segment | None) -> tuple[str, ...]:
    """Names that downloaders of Kinetics give to the part: the times in whole seconds behind."""
    if segment is None or segment.unit != "seconds" or segment.end is None:
        return ()
    if not (segment.start.is_integer() and segment.end.is_integer()):
        return ()  # two parts of one video could get one name
    base = name.rpartition(".")[0] if ends_as_video(name) else name
    return (f"{base}_{int(segment.start):06d}_{int(segment.end):06d}",)
