"""Options of `finetune`: its clips, what it starts from, its recipe and its folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from videoswin_cli.errors import UsageError
from videoswin_cli.options.fields import check_options, option
from videoswin_cli.options.parsers import Logger, parse_loggers
from videoswin_cli.options.run import (
    MAX_BATCH_SIZE,
    ModelOptions,
    OpenOptions,
    PrecisionChoice,
    device_option,
    workers_option,
)

Balance = Literal["none", "sampler", "loss"]
FlipChoice = Literal["yes", "no", "auto", "swap"]
_FLIPS: dict[FlipChoice, object] = {"yes": True, "no": False, "auto": "auto", "swap": "swap"}


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """Clips of a training, and how they are split."""

    train_list: Path | None = option(
        None,
        "Instead of DATA: a list of labelled clips (docs/lists.md).",
        metavar="FILE",
        place="read",
    )
    val_list: Path | None = option(
        None, "Without it the training list is split automatically.", metavar="FILE", place="read"
    )
    root: Path | str | None = option(  # text: an address
        None,
        "Folder that the names in the lists are relative to.",
        metavar="DIR",
        shown_default="that of the list",
    )
    label_column: str | None = option(
        None,
        "Column of the lists that names the class.",
        metavar="NAME",
        shown_default="by its usual names",
    )
    labels: Path | None = option(
        None, "Class names in index order: one per line, CSV or JSON.", metavar="FILE", place="read"
    )
    val_share: float = option(
        0.2,
        "Share of each class that validates, where the split is automatic.",
        metavar="SHARE",
        least=0.01,
        most=0.9,
    )
    group: str = option(
        "auto",
        "In an automatic split, clips of one recording stay on one side: found by their names, "
        "not at all, or by what REGEX finds in the path.",
        metavar="auto|none|REGEX",
    )
    all_files: bool = option(False, "Look into every file of DATA, whatever its name, for a video.")

    def __post_init__(self) -> None:
        check_options(self)

    def check_source(self, data: Path | str | None) -> None:
        """Raises UsageError unless there is one source of clips, with options that are of it."""
        listed = self.train_list is not None
        if (data is None) != listed:
            raise UsageError("expected one source of clips", hint="give DATA or --train-list FILE")
        if listed and self.all_files:
            raise UsageError("--all-files is for DATA; a list's names are taken as they stand")
        if listed:
            return
        if self.val_list is not None:
            raise UsageError("--val-list goes with --train-list")
        if self.label_column is not None:
            raise UsageError("--label-column goes with --train-list: it names a column")
        if self.labels is not None:
            raise UsageError(
                "--labels goes with --train-list", hint="the folders of DATA are the classes"
            )


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """Keys of the recipe that differ from the default, or from a resumed run."""

    config: Path | None = option(
        None,
        "Recipe; missing keys are those of the default.",
        metavar="FILE.yaml",
        place="read",
        shown_default="see --print-config",
    )
    changes: tuple[str, ...] = option(
        (), "Change a key of the recipe; repeatable.", metavar="KEY=VALUE", flags=("--set",)
    )
    lr: float | None = option(None, "As --set lr=X: learning rate of the head.", metavar="X")
    epochs: int | None = option(None, "As --set epochs=N.", metavar="N", least=1)
    batch_size: int | None = option(
        None,
        "As --set batch_size=N: clips per device.",
        metavar="N",
        flags=("--batch-size", "-b"),
        least=1,
        most=MAX_BATCH_SIZE,
    )
    freeze: str | None = option(
        None, "As --set freeze=...: what is not trained.", metavar="backbone|stages:K"
    )
    balance: Balance | None = option(
        None, "As --set balance=...: each class equally often, or rare ones weigh more."
    )
    flip: FlipChoice | None = option(
        None,
        "As --set flip=...: mirrored clips; auto: as the class names allow; swap: left and right "
        "exchange their classes.",
    )
    multi_label: bool = option(False, "As --set multi_label=true: clips may have several classes.")
    precision: PrecisionChoice | None = option(
        None, "As --set precision=...; auto: bf16 on a GPU, fp32 on a CPU."
    )
    seed: int | None = option(None, "As --set seed=N.", metavar="N")
    deterministic: bool = option(
        False,
        "Refuse operations that may differ from run to run; sets CUBLAS_WORKSPACE_CONFIG. On a CPU "
        "runs are equal without it.",
    )

    def __post_init__(self) -> None:
        check_options(self)

    def named_keys(self) -> dict[str, Any]:
        """Keys of the recipe that have an option of their own, where it was given."""
        given = {
            key: value
            for key, value in vars(self).items()
            if key not in ("config", "changes") and value is not None and value is not False
        }
        if self.flip is not None:
            given["flip"] = _FLIPS[self.flip]
        return given


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions:
    """Options of `videoswin finetune`."""

    clips: ClipOptions = field(default_factory=ClipOptions)
    weights: ModelOptions = field(default_factory=ModelOptions)
    scratch: bool = option(False, "Start from random weights of that architecture.")
    recipe: RecipeOptions = field(default_factory=RecipeOptions)
    out: Path | None = option(
        None,
        "Where to write.",
        metavar="DIR",
        flags=("--out", "-o"),
        shown_default="runs/NAME OF DATA",
        place="write",
    )
    resume: bool = option(
        False,
        "Continue the run that --out holds, with its recipe; more --epochs train longer.",
        flags=("--resume/--no-resume",),
    )
    resume_from: Path | None = option(
        None, "Continue the run of this state.pt, in --out.", metavar="FILE", place="read"
    )
    log: tuple[Logger, ...] | None = option(
        None,
        "Where curves go besides metrics.csv: tensorboard, wandb, mlflow, or none.",
        metavar="NAME,NAME",
        parse=parse_loggers,
        shown_default="tensorboard where it is installed",
    )
    device: str = device_option()
    opening: OpenOptions = field(default_factory=OpenOptions)
    workers: int | None = workers_option()

    def __post_init__(self) -> None:
        check_options(self)
