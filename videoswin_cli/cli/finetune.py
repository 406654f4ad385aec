"""`videoswin finetune`: a model of one's own from a folder of clips."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from videoswin_cli.cli import options
from videoswin_cli.cli.console import ProgressBar, notice, result
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.options.run import DEFAULT_MODEL, MAX_PIXELS, OpenOptions
from videoswin_cli.records import METRIC_NAMES
from videoswin_cli.report.curves import draw_confusion, draw_curves
from videoswin_cli.report.failures import write_failures
from videoswin_cli.report.training import TrainingOutcome, describe_outcome

_INTERRUPTED = 130


def finetune(
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help="DATA/CLASS/CLIP (split by us), or DATA/train/CLASS/CLIP and DATA/val/CLASS/CLIP.",
        ),
    ] = None,
    train_list: Annotated[
        Path | None,
        typer.Option("--train-list", metavar="FILE", help="Instead of DATA; formats as for eval."),
    ] = None,
    val_list: Annotated[
        Path | None,
        typer.Option(
            "--val-list", metavar="FILE", help="Without it the training list is split by us."
        ),
    ] = None,
    root: options.Root = None,
    label_column: options.LabelColumn = None,
    labels: options.Labels = None,
    val_share: Annotated[
        float,
        typer.Option(
            "--val-share", min=0.01, max=0.9, help="Of each class, where we split.", metavar="SHARE"
        ),
    ] = 0.2,
    group: Annotated[
        str,
        typer.Option(
            "--group",
            metavar="auto|none|REGEX",
            help="Where we split, clips of one recording stay on one side: found by their names, "
            "not at all, or by what REGEX finds in the path.",
        ),
    ] = "auto",
    model: options.Model = DEFAULT_MODEL,
    checkpoint: options.Checkpoint = None,
    weights_set: options.WeightsSet = None,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Start from random weights of that architecture.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE.yaml",
            help="Recipe with all keys.",
            show_default="configs/finetune/default.yaml",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; repeatable."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, metavar="N", help="As --set epochs=N.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size", min=1, metavar="N", help="As --set batch_size=N: clips a device."
        ),
    ] = None,
    freeze: Annotated[
        str | None,
        typer.Option(
            "--freeze", metavar="backbone|stages:K", help="As --set freeze=...: what stays."
        ),
    ] = None,
    balance: Annotated[
        Literal["none", "sampler", "loss"] | None,
        typer.Option(
            "--balance",
            help="As --set balance=...: each class equally often, or rare ones weigh more.",
        ),
    ] = None,
    flip: Annotated[
        Literal["yes", "no", "auto", "swap"] | None,
        typer.Option(
            "--flip",
            help="As --set flip=...: mirrored clips; auto: as the class names allow; swap: left "
            "and right exchange their classes.",
        ),
    ] = None,
    multi_label: Annotated[
        bool,
        typer.Option(
            "--multi-label", help="As --set multi_label=true: clips may have several classes."
        ),
    ] = False,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"] | None,
        typer.Option(
            "--precision", help="As --set precision=...; auto: bf16 on a GPU, fp32 on a CPU."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="As --set seed=N.")
    ] = None,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            help="Refuse operations that may differ from run to run; sets CUBLAS_WORKSPACE_CONFIG. "
            "On a CPU runs are equal without it.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Where to write.", show_default="runs/NAME OF DATA"
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="auto|FILE",
            help="Resume from state.pt, of --out if there is one; more --epochs train longer.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at the data, print the plan and its cost, stop.")
    ] = False,
    device: options.Device = "auto",
    decoder: options.Decoder = "auto",
    stream: options.Stream = None,
    allow_truncated: options.AllowTruncated = False,
    all_files: options.AllFiles = False,
    max_pixels: options.MaxPixels = MAX_PIXELS,
    allow_private_redirects: options.AllowPrivateRedirects = False,
    workers: options.Workers = None,
) -> None:
    """Train a model on your own classes.

    videoswin finetune ./mydata

    videoswin predict clip.mp4 --model runs/mydata/best.safetensors

    Clips that cannot be read are left out and listed in failed.jsonl; the exit code is then 3.

    Under `torchrun --nproc-per-node N -m videoswin_cli finetune ...` N processes train together.
    """
    if (data is None) == (train_list is None):
        raise UsageError("expected one source of clips", hint="give DATA or --train-list FILE")
    if all_files and data is None:
        raise UsageError("--all-files is for DATA; a list's names are taken as they stand")
    if val_list is not None and train_list is None:
        raise UsageError("--val-list goes with --train-list")
    if label_column is not None and train_list is None:
        raise UsageError("--label-column goes with --train-list: it names a column of the lists")
    if labels is not None and train_list is None:
        raise UsageError(
            "--labels goes with --train-list", hint="the folders of DATA are the classes"
        )
    named = data if data is not None else train_list
    assert named is not None
    folder = out or Path("runs") / named.resolve().stem
    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "freeze": freeze,
        "balance": balance,
        "flip": flip,
        "multi_label": multi_label or None,
        "precision": precision,
        "seed": seed,
        "deterministic": deterministic or None,
    }
    named_changes = [f"{key}={value}" for key, value in given.items() if value is not None]
    wanted = [*(changes or []), *named_changes]

    from videoswin_cli.io.malloc import keep_freed_memory
    from videoswin_cli.training import finetuning as engine
    from videoswin_cli.training.found_clips import Source
    from videoswin_cli.training.preparation import FinetuneOptions
    from videoswin_cli.training.preparation import dry_run as print_plan
    from videoswin_cli.training.recipe import read_recipe
    from videoswin_cli.training.small_data import SIZED_KEYS

    keep_freed_memory()
    recipe = read_recipe(config, wanted)
    keys = frozenset(change.partition("=")[0].strip() for change in wanted)
    chosen = FinetuneOptions(
        source=Source(
            folder=data,
            train_list=train_list,
            val_list=val_list,
            root=root,
            label_column=label_column,
            labels=labels,
            val_share=val_share,
            group=group,
            multi_label=recipe.multi_label,
            all_files=all_files,
        ),
        model=model,
        checkpoint=checkpoint,
        weights_set=weights_set,
        scratch=scratch,
        out=folder,
        resume=_find_state(resume, folder),
        asked=keys,
        device=device,
        opening=OpenOptions(
            decoder=decoder,
            stream=stream,
            allow_truncated=allow_truncated,
            max_pixels=max_pixels,
        ),
        workers=workers,
        # The study behind them is of fine-tuning; a recipe of one's own is taken as it is.
        free_keys=frozenset() if config or scratch else SIZED_KEYS - keys,
    )
    with ProgressBar() as bar:
        if dry_run:
            print_plan(chosen, recipe, bar)
            return
        done = engine.finetune(chosen, recipe, bar)
    if done is None:
        return  # the first process tells
    if done.interrupted:
        notice(f"interrupted; --resume auto resumes {folder / 'state.pt'}")
        raise typer.Exit(_INTERRUPTED)
    rows = done.progress.epochs
    figures = {key: title for key, title in METRIC_NAMES.items() if key in rows[0]}
    draw_curves(folder / "curves.png", done.progress.losses, rows, figures)
    if not recipe.multi_label:
        counts = {(true, answered): count for true, answered, count in done.progress.confusions}
        draw_confusion(folder / "confusion.png", counts, done.classes)
    if done.broken:
        write_failures(folder / "failed.jsonl", done.broken)
    notice(
        describe_outcome(
            TrainingOutcome(
                model=done.best,
                classes=done.classes,
                multi_label=done.recipe.multi_label,
                frozen=done.recipe.freeze != "none",
                best=done.progress.best,
                best_epoch=done.best_epoch,
                planned_epochs=done.recipe.epochs,
                rows=rows,
                val_clips=done.val_clips,
                val_counts=done.val_counts,
                confusions=done.progress.confusions,
            )
        )
    )
    result(done.best)
    if done.broken:
        notice(f"{len(done.broken)} clips could not be read: {folder / 'failed.jsonl'}")
        raise typer.Exit(VideoError.exit_code)


def _find_state(resume: str | None, out: Path) -> Path | None:
    if resume is None:
        return None
    state = out / "state.pt" if resume == "auto" else Path(resume)
    if state.exists():
        return state
    if resume == "auto":
        notice(f"no {state} to resume: starting anew")
        return None
    raise UsageError(f"no such file: {state}")
