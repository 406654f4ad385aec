"""Files of the videos that a source names."""

import re
from pathlib import Path, PurePosixPath

from videoswin_cli.records import Segment

_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?"
_SEGMENT = re.compile(rf"(.*)#(t|frames)=({_NUMBER})(?:,({_NUMBER}))?", re.DOTALL)


def split_segment(path: str) -> tuple[str, Segment | None]:
    """File and segment of a path in a result, which may end in `#t=0.5,1.5`."""
    match = _SEGMENT.fullmatch(path)
    if match is None:
        return path, None
    end = None if match[4] is None else float(match[4])
    unit = "seconds" if match[2] == "t" else "frames"
    return match[1], Segment(start=float(match[3]), end=end, unit=unit)  # type: ignore[arg-type]


def find_file(root: Path, path: str) -> tuple[Path, Segment | None] | None:
    """File and segment of a listed video; None for a path that leads out of the root.

    A source may come from somebody else, and what it names is shown on the page.
    """
    name = path if (root / path).exists() else split_segment(path)[0]
    segment = None if name == path else split_segment(path)[1]
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or Path(name).is_absolute():
        return None
    return root / name, segment
