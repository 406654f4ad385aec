"""Options of `videoswin prepare`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from videoswin_cli.errors import UsageError
from videoswin_cli.options.fields import check_options, option
from videoswin_cli.options.run import workers_option

ListForm = Literal["path-label", "csv", "json", "frames"]
PictureFormat = Literal["jpg", "png", "webp"]

SUFFIX_OF_FORM: dict[ListForm, str] = {
    "path-label": ".txt",
    "csv": ".csv",
    "json": ".json",
    "frames": ".txt",
}
FORM_OF_SUFFIX: dict[str, ListForm] = {".txt": "path-label", ".csv": "csv", ".json": "json"}

_OVERWRITE = "Replace what is there."


def _form_option(shown: str) -> Any:
    return option(
        None,
        "path-label: indices; csv and json: names of classes, and times; frames: FOLDER FRAMES "
        "LABEL, of frame folders.",
        shown_default=shown,
    )


def _labels_option() -> Any:
    return option(
        None,
        "Class names in index order, as classes.txt of another list.",
        metavar="FILE",
        shown_default="those of the data, sorted",
    )


def _multi_label_option() -> Any:
    return option(False, "A video of the list may have several classes.")


def _out_folder_option(help: str) -> Any:
    return option(Path(), help, metavar="DIR", flags=("--out", "-o"), required=True)


def _short_side_option(default: int | None, help: str) -> Any:
    return option(default, help, metavar="PX", least=16, most=8192)


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Form of a new list, and its destination."""

    out: Path = option(
        Path(), "The list; classes.txt is written beside it.", metavar="FILE",
        flags=("--out", "-o"), required=True,
    )  # fmt: skip
    form: ListForm | None = _form_option("by the suffix: .txt, .csv, .json")
    labels: Path | None = _labels_option()
    multi_label: bool = _multi_label_option()
    overwrite: bool = option(False, _OVERWRITE)

    def __post_init__(self) -> None:
        check_options(self)
        by_suffix = FORM_OF_SUFFIX.get(self.out.suffix.lower())
        if self.form is None and by_suffix is None and self.out != Path():
            raise UsageError(
                f"--out {self.out}: unknown suffix {self.out.suffix!r}",
                hint="use .txt, .csv or .json, or say --form",
            )

    @property
    def chosen_form(self) -> ListForm:
        """The form that is asked for, else that of the suffix."""
        return self.form or FORM_OF_SUFFIX[self.out.suffix.lower()]


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Shares of a split, and its lists."""

    out: Path = _out_folder_option("Folder for train, val and test lists and classes.txt.")
    val: float = option(
        0.1, "Share of each class to validate on.", metavar="SHARE", least=0, most=0.9
    )
    test: float = option(0.0, "Share of each class to test on.", metavar="SHARE", least=0, most=0.9)
    seed: int = option(0, "Other seeds, other splits.", metavar="N", least=0, most=2**63 - 1)
    group: str = option(
        "auto",
        "Videos of one recording stay on one side: found by their names, not at all, or by what "
        "REGEX finds in the path.",
        metavar="auto|none|REGEX",
    )
    form: ListForm | None = _form_option("path-label; csv for lists with times")
    labels: Path | None = _labels_option()
    multi_label: bool = _multi_label_option()
    overwrite: bool = option(False, _OVERWRITE)

    def __post_init__(self) -> None:
        check_options(self)
        if not 0 < self.val + self.test < 1:
            raise UsageError(
                f"--val {self.val:g} and --test {self.test:g}: expected shares that leave some to "
                "train on"
            )


@dataclass(frozen=True, kw_only=True)
class ResizeOptions:
    """Size and quality of smaller copies, and their folder."""

    out: Path = _out_folder_option("Folder for the copies, as the source's, in .mp4.")
    short_side: int = _short_side_option(
        256, "Of the copies; an even number. Smaller videos keep their size."
    )
    upscale: bool = option(False, "Enlarge smaller videos, too.")
    crf: int = option(
        18, "Quality of H.264: 0 is best, 18 is visually lossless, 23 is x264's default.",
        metavar="N", least=0, most=51,
    )  # fmt: skip
    workers: int | None = workers_option()
    overwrite: bool = option(False, "Remove what an earlier run left first.")

    def __post_init__(self) -> None:
        check_options(self)
        if self.short_side % 2:
            raise UsageError(
                f"--short-side {self.short_side}: expected an even number, as H.264 needs it"
            )


@dataclass(frozen=True, kw_only=True)
class ShardsOptions:
    """Names and size of tar shards."""

    out: Path = option(
        Path(),
        "Shards with a place for their number: DIR/train-{000000}.tar.",
        metavar="FILE",
        flags=("--out", "-o"),
        required=True,
    )
    samples: int = option(1000, "Videos per shard, at most.", metavar="N", least=1)
    workers: int | None = workers_option()
    overwrite: bool = option(False, "Replace all shards with such names.")

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class FramesOptions:
    """Pictures of the frames, and their folder."""

    out: Path = _out_folder_option("Gets a folder of pictures for each video.")
    format: PictureFormat = option("jpg", "png has the very bits of the frames.")
    quality: int | None = option(
        None,
        "Of jpg and webp.",
        metavar="1..100",
        least=1,
        most=100,
        shown_default="95",
    )
    short_side: int | None = _short_side_option(None, "Make larger pictures smaller.")
    rate: float | None = option(
        None,
        "Frames per second to keep, at the times of the video.",
        metavar="N",
        flags=("--fps",),
        least=0.001,
        most=1000,
        shown_default="all frames",
    )
    workers: int | None = workers_option()
    overwrite: bool = option(False, "Remove what an earlier run left first.")

    def __post_init__(self) -> None:
        check_options(self)
        if self.quality is not None and self.format == "png":
            raise UsageError("--quality is for jpg and webp: png loses nothing")

    @property
    def chosen_quality(self) -> int:
        return 95 if self.quality is None else self.quality
