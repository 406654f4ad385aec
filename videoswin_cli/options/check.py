"""Options of `videoswin check`."""

from dataclasses import dataclass, field
from pathlib import Path

from videoswin_cli.errors import UsageError
from videoswin_cli.options.fields import check_options, option
from videoswin_cli.options.run import OpenOptions, workers_option
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.options.tasks import FORMAT_OF_SUFFIX, TableFormat, format_option, out_option


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Extent of a check, and the destination of what it finds."""

    val_list: Path | None = option(
        None, "List of the validation videos, beside --list.", metavar="FILE"
    )
    test_list: Path | None = option(None, "List of the test videos, likewise.", metavar="FILE")
    multi_label: bool = option(False, "A video of a list may have several classes.")
    model: str | None = option(
        None,
        "Model whose classes and clip length the videos are held against.",
        metavar="NAME|FILE",
        flags=("--model", "-m"),
        shown_default="none",
    )
    labels: Path | None = option(
        None, "Class names in index order: one per line, CSV or JSON.", metavar="FILE"
    )
    deep: bool = option(False, "Decode every frame, not the first one only.")
    near_duplicates: bool = option(
        False, "Find videos that look the same, coded anew or resized; decodes four frames of each."
    )
    opening: OpenOptions = field(default_factory=OpenOptions)
    workers: int | None = workers_option()
    write_list: Path | None = option(
        None,
        "Write the videos without problems as a list, in the form of --list.",
        metavar="FILE",
    )
    format: TableFormat | None = format_option()
    out: Path | None = out_option()

    def __post_init__(self) -> None:
        check_options(self)
        if self.out is not None and self.format is None and not self._by_suffix:
            raise UsageError(
                f"--out {self.out}: unknown suffix {self.out.suffix!r}",
                hint="use .json, .jsonl, .csv or .txt, or say --format",
            )

    @property
    def _by_suffix(self) -> TableFormat | None:
        return None if self.out is None else FORMAT_OF_SUFFIX.get(self.out.suffix.lower())

    @property
    def report_format(self) -> TableFormat:
        """The format that is asked for, else that of the suffix."""
        return self.format or self._by_suffix or "table"

    def check_lists(self, source: SourceOptions) -> None:
        """Raises UsageError where an option about lists has no list."""
        listed = {
            "--val-list": self.val_list is not None,
            "--test-list": self.test_list is not None,
            "--multi-label": self.multi_label,
        }
        idle = [name for name, given in listed.items() if given]
        if source.list_file is None and idle:
            raise UsageError(f"{idle[0]} goes with --list")
        if source.split is not None and (self.val_list or self.test_list):
            raise UsageError("--split is for one list", hint="leave out --val-list and --test-list")
