"""`videoswin finetune`: a model of one's own classes from a folder of clips."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from videoswin_cli.cli import options
from videoswin_cli.cli.console import ProgressBar, result
from videoswin_cli.data.decoding.container import MAX_PIXELS
from videoswin_cli.errors import VideoError
from videoswin_cli.model.catalog import DEFAULT_MODEL

_INTERRUPTED = 130


def finetune(
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help="DATA/CLASS/CLIP (split automatically), or DATA/train/CLASS/CLIP and "
            "DATA/val/CLASS/CLIP.",
        ),
    ] = None,
    train_list: Annotated[
        Path | None,
        typer.Option("--train-list", metavar="FILE", help="Instead of DATA; formats as for eval."),
    ] = None,
    val_list: Annotated[
        Path | None,
        typer.Option(
            "--val-list",
            metavar="FILE",
            help="Without it the training list is split automatically.",
        ),
    ] = None,
    root: options.Root = None,
    label_column: options.LabelColumn = None,
    labels: options.Labels = None,
    val_share: Annotated[
        float,
        typer.Option(
            "--val-share",
            min=0.01,
            max=0.9,
            help="Share of each class that validates, where the split is automatic.",
            metavar="SHARE",
        ),
    ] = 0.2,
    group: Annotated[
        str,
        typer.Option(
            "--group",
            metavar="auto|none|REGEX",
            help="In an automatic split, clips of one recording stay on one side: found by their "
            "names, not at all, or by what REGEX finds in the path.",
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
            help="Recipe; missing keys are those of the default.",
            show_default="see --print-config",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; repeatable."),
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", metavar="X", help="As --set lr=X: learning rate.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, metavar="N", help="As --set epochs=N.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size", min=1, metavar="N", help="As --set batch_size=N: clips per device."
        ),
    ] = None,
    freeze: Annotated[
        str | None,
        typer.Option(
            "--freeze",
            metavar="backbone|stages:K",
            help="As --set freeze=...: what is not trained.",
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
        bool,
        typer.Option(
            "--resume/--no-resume",
            help="Continue the run that --out holds, with its recipe; more --epochs train longer.",
        ),
    ] = False,
    resume_from: Annotated[
        Path | None,
        typer.Option("--resume-from", metavar="FILE", help="Continue the run of this state.pt."),
    ] = None,
    show_config: Annotated[
        bool,
        typer.Option("--print-config", help="Print the complete recipe as YAML, and stop."),
    ] = False,
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
    """Train a model on classes of your own.

    videoswin finetune ./mydata

    videoswin predict clip.mp4 --model runs/mydata/best.safetensors

    Clips that cannot be read are left out and listed in failed.jsonl; the exit code is then 3.

    Under `torchrun --nproc-per-node N -m videoswin_cli finetune ...` N processes train together.
    """
    from videoswin_cli.io.malloc import keep_freed_memory
    from videoswin_cli.training import dry_run as planning
    from videoswin_cli.training import finetune as training
    from videoswin_cli.training.options import FinetuneOptions, print_config

    wanted = FinetuneOptions(
        data=data,
        train_list=train_list,
        val_list=val_list,
        root=root,
        label_column=label_column,
        labels=labels,
        val_share=val_share,
        group=group,
        all_files=all_files,
        model=model,
        checkpoint=checkpoint,
        weights_set=weights_set,
        scratch=scratch,
        config=config,
        changes=tuple(changes or ()),
        lr=lr,
        epochs=epochs,
        batch_size=batch_size,
        freeze=freeze,
        balance=balance,
        flip=flip,
        multi_label=multi_label,
        precision=precision,
        seed=seed,
        deterministic=deterministic,
        out=out,
        resume=resume,
        resume_from=resume_from,
        device=device,
        decoder=decoder,
        stream=stream,
        allow_truncated=allow_truncated,
        max_pixels=max_pixels,
        workers=workers,
    )
    if show_config:
        result(print_config(wanted), end="")
        return
    keep_freed_memory()
    with ProgressBar() as bar:
        if dry_run:
            planning.dry_run(wanted, bar)
            return
        done = training.finetune(wanted, bar)
    if done.interrupted:
        raise typer.Exit(_INTERRUPTED)
    result(done.model)
    if done.failed:
        raise typer.Exit(VideoError.exit_code)
