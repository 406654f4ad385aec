"""Options of single commands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from videoswin_cli.errors import UsageError
from videoswin_cli.options.fields import check_options, option
from videoswin_cli.options.parsers import parse_stage, parse_stride, parse_topk, parse_weights
from videoswin_cli.records import Stride

Average = Literal["prob", "score"]
TableFormat = Literal["table", "json", "jsonl", "csv"]
SummaryFormat = Literal["table", "json"]
OnError = Literal["wrong", "skip", "fail"]
Per = Literal["video", "clip", "window"]
Pool = Literal["avg", "time", "none"]
FloatType = Literal["fp32", "fp16"]
PartFormat = Literal["parquet", "webdataset", "npy"]

MAX_CLASSES = 100_000  # of a model; ImageNet-22k has 21,841
FORMAT_OF_SUFFIX: dict[str, TableFormat] = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".txt": "table",
}


def format_option() -> Any:
    """Format of results, one by one or all; `check` has it too."""
    return option(
        None,
        "How to print.",
        flags=("--format", "-f"),
        shown_default="by the suffix of --out, else table",
        in_python=False,
    )


def out_option() -> Any:
    """File of results; `check` has it too."""
    return option(
        None,
        "Write to a file (.json, .jsonl, .csv, .txt) and not to stdout.",
        metavar="FILE",
        flags=("--out", "-o"),
        in_python=False,
        place="write",
    )


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Content of a prediction, and its destination."""

    topk: int = option(5, "Classes to show.", metavar="K", least=1, most=MAX_CLASSES)
    average: Average = option("prob", "Mean of the views' probabilities, or of their logits.")
    logits: bool = option(False, "Add the logits of each view (json, jsonl).")
    format: TableFormat | None = format_option()
    out: Path | None = out_option()
    annotate: Path | None = option(
        None,
        "Write each video with its classes drawn on it, as DIR/PATH.mp4.",
        metavar="DIR",
        place="write",
    )

    def __post_init__(self) -> None:
        check_options(self)
        by_suffix = FORMAT_OF_SUFFIX.get(self.out.suffix.lower()) if self.out else None
        if self.format and by_suffix and self.format != by_suffix:
            raise UsageError(
                f"--format {self.format} does not fit --out {self.out}, which is {by_suffix}",
                hint="leave out --format, or choose another name",
            )

    def check_report(self) -> None:
        """Raises UsageError where the format has no room for what was asked for."""
        if self.logits and self.report_format in ("table", "csv"):
            raise UsageError(
                f"--logits does not fit --format {self.report_format}", hint="use json or jsonl"
            )

    def check_suffix(self) -> None:
        """Raises UsageError where neither --format nor the suffix of a file says the format."""
        if self.out is None or self.format is not None:
            return
        is_device = self.out.exists() and not self.out.is_file()
        if self.out.suffix.lower() not in FORMAT_OF_SUFFIX and not is_device:
            raise UsageError(
                f"--out {self.out}: unknown suffix {self.out.suffix!r}",
                hint="use .json, .jsonl, .csv or .txt, or say --format",
            )

    @property
    def report_format(self) -> TableFormat:
        """The format that is asked for, else that of the suffix."""
        if self.format is not None:
            return self.format
        return FORMAT_OF_SUFFIX.get(self.out.suffix.lower(), "table") if self.out else "table"


@dataclass(frozen=True, kw_only=True)
class ExplainOptions:
    """Subject of an explanation, and its files."""

    class_name: str | None = option(
        None,
        "Explain this class.",
        metavar="NAME|INDEX",
        flags=("--class",),
        parse=str,
        shown_default="the predicted one",
    )
    stage: int | None = option(
        None,
        "From the features after this stage; earlier ones are finer and say less.",
        metavar="1|2|3|4",
        least=1,
        most=99,
        shown_default="the last one",
    )
    average: Average = option("prob", "Mean of the views' probabilities, or of their logits.")
    out: Path | None = option(
        None,
        "Write the video with the heat map on it: .mp4, or .gif of the frames that were sampled.",
        metavar="FILE",
        flags=("--out", "-o"),
        shown_default="NAME.explained.mp4, unless another file is asked for",
        in_python=False,
        place="write",
    )
    contact_sheet: Path | None = option(
        None,
        "Write some frames above their heat.",
        metavar="FILE.png",
        in_python=False,
        place="write",
    )
    npy: Path | None = option(
        None,
        "Write the maps [T, H, W]; a .json beside it has their times.",
        metavar="FILE.npy",
        in_python=False,
        place="write",
    )

    def __post_init__(self) -> None:
        check_options(self)
        for flag, path, suffixes in (
            ("--out", self.out, (".mp4", ".gif")),
            ("--contact-sheet", self.contact_sheet, (".png",)),
            ("--npy", self.npy, (".npy",)),
        ):
            if path is not None and path.suffix.lower() not in suffixes:
                raise UsageError(
                    f"{flag} {path}: unknown suffix {path.suffix!r}",
                    hint=f"use {' or '.join(suffixes)}",
                )


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """Metrics of an evaluation, and its files."""

    from_dump: tuple[Path, ...] = option(
        (), "Score earlier dumps; no model runs.", metavar="FILE...", in_python=False, place="read"
    )
    average: Average = option("prob", "Mean of the views' probabilities, or of their logits.")
    topk: tuple[int, ...] = option(
        (1, 5), "Which top-k accuracies.", metavar="K,K", parse=parse_topk, shown_default="1,5"
    )
    dump: Path | None = option(
        None,
        "Keep the probabilities: .jsonl, .npz (of all classes) or .pkl (as mmaction2).",
        metavar="FILE",
        place="write",
    )
    out: Path | None = option(
        None,
        "Folder for result.json, per_class.csv, confusion.csv and failed.jsonl.",
        metavar="DIR",
        flags=("--out", "-o"),
        place="write",
    )
    per_class: Path | None = option(
        None,
        "Write the accuracy of each class.",
        metavar="FILE.csv",
        in_python=False,
        place="write",
    )
    confusion: Path | None = option(
        None,
        "Write confused class pairs (true, predicted, count).",
        metavar="FILE.csv",
        in_python=False,
        place="write",
    )
    ci: bool = option(False, "Add the 95 % confidence interval of top-1 (bootstrap).")
    fuse: bool = option(
        False,
        "Average the probabilities of several models' dumps of the same videos.",
        in_python=False,
    )
    weights: tuple[float, ...] | None = option(
        None,
        "Of the dumps in the average of --fuse, in their order.",
        metavar="W,W",
        parse=parse_weights,
        shown_default="equal",
        in_python=False,
    )
    on_error: OnError = option("wrong", "Failed videos count as wrong, do not count, or stop.")
    min_found: float = option(
        0.95, "Share of the videos that must exist.", metavar="SHARE", least=0, most=1
    )
    expect: float | None = option(
        None,
        "Exit 5 unless top-1 (or mAP), in percent, is this.",
        metavar="ACC",
        least=0,
        most=100,
        in_python=False,
    )
    tolerance: float = option(
        0.1, "Of --expect, in percent.", metavar="T", least=0, in_python=False
    )
    format: SummaryFormat = option(
        "table", "How to print.", flags=("--format", "-f"), in_python=False
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.expect is not None and 1 not in self.topk:
            raise UsageError("--expect is about top-1: add 1 to --topk")
        if self.weights is not None and not self.fuse:
            raise UsageError("--weights needs --fuse: they are of the dumps that it averages")

    def with_dumps(self, more: Sequence[Path]) -> "EvalOptions":
        """These options with more dumps to score."""
        return replace(self, from_dump=(*self.from_dump, *more))


@dataclass(frozen=True, kw_only=True)
class FeatureOptions:
    """Kind of features, and how they become rows."""

    per: Per = option("video", "What a row is. Windows slide over the whole video.")
    stride: Stride | None = option(
        None,
        "From window to window: 2 or 0.5 seconds, or 16f for 16 frames.",
        metavar="SECONDS|Nf",
        parse=parse_stride,
        shown_default="no gap and no overlap",
    )
    stage: int | None = option(
        None,
        "After this stage; final: after the last one and its norm.",
        metavar="1|2|3|4|final",
        parse=parse_stage,
        shown_default="final",
    )
    pool: Pool = option("avg", "Rows of C; time: T' x C, mean over space; none: C x T' x H' x W'.")
    dtype: FloatType = option("fp32", "Of the numbers written.")

    def __post_init__(self) -> None:
        check_options(self)
        if self.stride is not None and self.per != "window":
            raise UsageError("a stride is for windows: --per window")


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Destination of features."""

    out: str = option(
        "",
        "One matrix (.npy, with index and description beside it), all in one file "
        "(.npz, .safetensors), tar shards (feats-{000000}.tar), or a folder with a file per video "
        "(a name without suffix is one).",
        metavar="FILE|DIR/",
        flags=("--out", "-o"),
        required=True,
        place="write",
    )
    output_format: PartFormat | None = option(
        None,
        "Write the folder --out as parts of many videos each, and a manifest last. Each part is "
        "there when it is whole, also behind an address.",
    )
    overwrite: bool = option(False, "Remove what --out holds first.")
