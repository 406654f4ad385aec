"""Options of the videos of a run, and of its share of the work."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from videoswin_cli.errors import UsageError
from videoswin_cli.options.cluster import ClusterOptions
from videoswin_cli.options.fields import check_options, option
from videoswin_cli.options.parsers import parse_end, parse_shard, parse_start
from videoswin_cli.records import Shard

ListFormat = Literal[
    "paths",
    "path-label",
    "path-labels",
    "id-label",
    "id-frames-label",
    "path-start-count-label",
    "moments",
    "csv",
    "json",
    "jsonl",
    "ucf101",
    "hmdb51",
    "elan",
    "webdataset",
]


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Videos of a run, and the part of each that is read."""

    list_file: Path | None = option(
        None,
        "List of videos: paths, CSV, JSON, Kinetics, UCF101 and others (docs/lists.md).",
        metavar="FILE",
        flags=("--list",),
        place="read",
    )
    root: Path | str | None = option(  # text: an address
        None,
        "Folder that the names in the list are relative to.",
        metavar="DIR",
        shown_default="that of the list",
    )
    list_format: ListFormat | None = option(None, "Of the list.", shown_default="by its content")
    split: str | None = option(
        None,
        "Rows of this split only, of a list with a column that names it: train, val, test.",
        metavar="NAME",
    )
    label_column: str | None = option(
        None,
        "Column of the list that names the class.",
        metavar="NAME",
        shown_default="by its usual names",
    )
    limit: int | None = option(None, "The first N videos only.", metavar="N", least=1)
    start: float | None = option(
        None,
        "From this time on: SS, MM:SS or HH:MM:SS.mmm from the start of each video.",
        metavar="TIME",
        parse=parse_start,
    )
    end: float | None = option(None, "Up to this time.", metavar="TIME", parse=parse_end)
    all_files: bool = option(
        False, "Look into every file of a folder, whatever its name, for a video."
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.list_file is not None and self.all_files:
            raise UsageError("--all-files is for folders; a list's names are taken as they stand")
        listed = {
            "--root": self.root,
            "--list-format": self.list_format,
            "--split": self.split,
            "--label-column": self.label_column,
        }
        idle = [name for name, value in listed.items() if value is not None]
        if self.list_file is None and idle:
            raise UsageError(f"{idle[0]} needs --list: it is about the rows of a list")


def shard_option() -> Any:
    """The share of one of several processes that were started by hand."""
    return option(
        Shard(),
        "Process only shard I of N (1-based).",
        metavar="I/N",
        parse=parse_shard,
        shown_default="1/1",
        in_python=False,
    )


def resume_option() -> Any:
    """Whether an earlier run is continued."""
    return option(
        False,
        "Continue an earlier run with the same output: finished videos are not computed again.",
        flags=("--resume/--no-resume",),
    )


@dataclass(frozen=True, kw_only=True)
class ShardOptions:
    """Shard of a run on this machine, and whether an earlier run is continued."""

    shard: Shard = shard_option()
    resume: bool = resume_option()


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Share of a run, its cluster, and whether an earlier run is continued."""

    shard: Shard = shard_option()
    resume: bool = resume_option()
    cluster: ClusterOptions = field(default_factory=ClusterOptions)
