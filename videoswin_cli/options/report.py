"""Options of `videoswin report`."""

from dataclasses import dataclass
from pathlib import Path

from videoswin_cli.options.fields import check_options, option

MAX_EXAMPLES = 100  # per list, each of up to 64 KiB


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Destination of a page, and its examples."""

    out: Path = option(
        Path("report.html"),
        "The page.",
        metavar="FILE.html",
        flags=("--out", "-o"),
        required=True,
        place="write",
    )
    root: Path | None = option(
        None,
        "Folder that the paths in the sources are relative to, for pictures and players.",
        metavar="DIR",
    )
    model: str | None = option(
        None,
        "Model of the dumps, for class names and published figures.",
        metavar="NAME|FILE",
        flags=("--model", "-m"),
        shown_default="as each dump says",
        place="read",
    )
    labels: Path | None = option(
        None, "Class names in index order: one per line, CSV or JSON.", metavar="FILE", place="read"
    )
    examples: int = option(
        12, "Wrong videos to show of each kind.", metavar="N", least=0, most=MAX_EXAMPLES
    )

    def __post_init__(self) -> None:
        check_options(self)
