"""Options of `timeline`: windows, the segments made of them, and their destination."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from videoswin_cli.errors import UsageError
from videoswin_cli.options.fields import check_options, option
from videoswin_cli.options.parsers import parse_stride
from videoswin_cli.options.tasks import MAX_CLASSES
from videoswin_cli.records import Stride

TimelineFormat = Literal[
    "table",
    "json",
    "jsonl",
    "csv",
    "srt",
    "vtt",
    "activitynet",
    "fiftyone",
    "labelstudio",
    "elan",
]
FORMATS_OF_SUFFIX: dict[str, tuple[TimelineFormat, ...]] = {  # the first one is meant
    ".json": ("json", "activitynet", "fiftyone", "labelstudio"),
    ".jsonl": ("jsonl",),
    ".csv": ("csv",),
    ".txt": ("table",),
    ".srt": ("srt",),
    ".vtt": ("vtt",),
    ".eaf": ("elan",),
}
SUFFIX_OF_FORMAT = {
    format: suffix for suffix, formats in FORMATS_OF_SUFFIX.items() for format in formats
}
ONE_VIDEO: tuple[TimelineFormat, ...] = ("srt", "vtt", "elan")  # formats of a file per video
# Lengths of a window: at the default stride a window and its two neighbors, whatever the rounding
# to frames.
SMOOTHED_WINDOWS = 1.5
WINDOWS_SHOWN = 5  # classes of a window, where windows are printed


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """Windows of a timeline, and the segments that are made of them."""

    stride: Stride | None = option(
        None,
        "From window to window: 2 or 0.5 seconds, or 16f for 16 frames.",
        metavar="SECONDS|Nf",
        parse=parse_stride,
        shown_default="half a window",
    )
    threshold: float = option(
        0.5,
        "Probability that a segment reaches; its other windows have at least half of it.",
        metavar="P",
        least=0,
        most=1,
    )
    smooth: float | None = option(
        None,
        "Take the mean of the windows whose middles are less than half as far away; 0: no mean.",
        metavar="SECONDS",
        least=0,
        most=3600,
        shown_default=f"{SMOOTHED_WINDOWS} windows",
    )
    min_duration: float = option(
        1.0, "Leave out shorter segments.", metavar="SECONDS", least=0, most=10**6
    )
    topk: int | None = option(
        None,
        "Classes of a window that can be in segments, or that --windows prints.",
        metavar="K",
        least=1,
        most=MAX_CLASSES,
        shown_default=f"1, all of a multi-label model, {WINDOWS_SHOWN} with --windows",
    )
    windows: bool = option(False, "Print the windows, not the segments, as JSON lines.")

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class TimelineOutput:
    """Format of timelines, and their destination."""

    format: TimelineFormat | None = option(
        None,
        "How to print.",
        flags=("--format", "-f"),
        shown_default="by the suffix of --out, else table",
        in_python=False,
    )
    out: str | None = option(
        None,
        "Write to a file, or to a folder with a file per video (a name without suffix is one).",
        metavar="FILE|DIR/",
        flags=("--out", "-o"),
        in_python=False,
        place="write",
    )
    annotate: Path | None = option(
        None,
        "Write each video with its timeline drawn on it, as DIR/PATH.mp4.",
        metavar="DIR",
        place="write",
    )
    html: Path | None = option(
        None,
        "Write a page for each video that plays its segments, as DIR/PATH.html.",
        metavar="DIR",
        place="write",
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.out is None or self.is_folder or self._is_device:
            return
        suffix = Path(self.out).suffix.lower()
        fitting = FORMATS_OF_SUFFIX.get(suffix)
        if fitting is None and self.format is None:
            raise UsageError(
                f"--out {self.out}: unknown suffix {suffix!r}",
                hint=f"use {', '.join(FORMATS_OF_SUFFIX)}, a folder with / at its end, or say "
                "--format",
            )
        if self.format is not None and fitting is not None and self.format not in fitting:
            raise UsageError(
                f"--format {self.format} does not fit --out {self.out}, which is {fitting[0]}",
                hint=f"leave out --format, or end the name in {SUFFIX_OF_FORMAT[self.format]}",
            )

    @property
    def file(self) -> Path | None:
        return None if self.out is None else Path(self.out)

    @property
    def beside(self) -> tuple[tuple[Path, str], ...]:
        """Folders of files for people to look at, each with the suffix that they have."""
        folders = ((self.annotate, ".mp4"), (self.html, ".html"))
        return tuple((folder, suffix) for folder, suffix in folders if folder is not None)

    @property
    def is_folder(self) -> bool:
        """Whether each video gets a file of its own."""
        if self.out is None or self._is_device:
            return False
        return self.out.endswith(("/", "\\")) or Path(self.out).is_dir() or not self.file_suffix

    @property
    def file_suffix(self) -> str:
        return "" if self.out is None else Path(self.out).suffix.lower()

    @property
    def chosen_format(self) -> TimelineFormat:
        """The format that is asked for, else that of the suffix."""
        if self.format is not None:
            return self.format
        return FORMATS_OF_SUFFIX.get(self.file_suffix, ("table",))[0]

    @property
    def _is_device(self) -> bool:
        path = Path(self.out or "")
        return path.exists() and not path.is_file() and not path.is_dir()

    def check(self, *, videos: int, windows: bool) -> None:
        """Raises UsageError where the format has no room for what was asked for."""
        format = self.chosen_format
        if windows and format != "jsonl" and (self.format or self.out):
            raise UsageError(f"--windows does not fit --format {format}", hint="use jsonl")
        if self.is_folder and self.format is None:
            raise UsageError(
                f"--out {self.out} is a folder: which format do its files have?",
                hint="say --format",
            )
        if format in ONE_VIDEO and videos > 1 and not self.is_folder:
            raise UsageError(
                f"--format {format} is of one video, and there are {videos}",
                hint="write a folder with a file per video: --out DIR/",
            )
