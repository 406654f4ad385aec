"""`videoswin models`: what there is, and everything about one of them."""

import sys
from typing import Annotated, Any

import typer

from videoswin_cli.cli.console import cell, print_table, result
from videoswin_cli.cli.options import SummaryFormatOption
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import to_json
from videoswin_cli.model.catalog import ModelSpec, flatten_spec, list_specs, load_spec
from videoswin_cli.model.weights import cached_path, is_cached

_SHORT_NAMES = {
    "k400": "kinetics400",
    "k600": "kinetics600",
    "k700": "kinetics700",
    "k710": "kinetics710",
    "ssv2": "sthv2",
    "in1k": "imagenet1k",
    "in22k": "imagenet22k",
}
_LONG_TO_SHORT = {long: short for short, long in _SHORT_NAMES.items()}


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show all about this one.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="D", help="Only those trained on it, say k400 or ssv2."),
    ] = None,
    format: SummaryFormatOption = "table",
) -> None:
    """List available models, or show one in detail.

    Accuracies are as published, under the protocol shown; GFLOPs are counted multiply-adds of one
    view of 32x224x224, which papers print as FLOPs.
    """
    if name is not None:
        facts = _facts(load_spec(name))
        result(to_json(facts, indent=2) if format == "json" else _page(facts))
        return
    specs = [spec for spec in list_specs() if dataset is None or _is_of(spec, dataset)]
    if not specs:
        known = sorted({s.publication.dataset for s in list_specs() if s.publication.dataset})
        raise UsageError(
            f"no model was trained on {dataset!r}",
            hint=f"there are {', '.join(known)}, or for short {', '.join(_SHORT_NAMES)}",
        )
    if format == "json":
        result(to_json([_facts(spec) for spec in specs], indent=2))
    else:
        _print_table(specs)


def _is_of(spec: ModelSpec, dataset: str) -> bool:
    return spec.publication.dataset == _SHORT_NAMES.get(dataset.lower(), dataset.lower())


def _facts(spec: ModelSpec) -> dict[str, Any]:
    return {
        **flatten_spec(spec),
        "labels": spec.labels.name if spec.labels else None,
        "path": str(cached_path(spec)),
        "cached": is_cached(spec),
    }


def _page(facts: dict[str, Any]) -> str:
    width = max(map(len, facts))
    return "\n".join(f"{key:<{width}}  {_text(value)}" for key, value in facts.items())


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


_COLUMNS = {
    "model": "left",
    "dataset": "left",
    "classes": "right",
    "params": "right",
    "GFLOPs": "right",
    "top-1": "right",
    "top-5": "right",
    "protocol": "left",
    "MiB": "right",
    "cached": "left",
}


def _row(spec: ModelSpec) -> list[str]:
    source, protocol = spec.publication, spec.protocol
    image = spec.kind == "image"
    step = f"@{protocol.frame_rate:g}fps" if protocol.frame_rate else f"x{protocol.interval_frames}"
    step = " uniform" if protocol.sampling == "uniform" else step
    return [
        spec.name,
        _LONG_TO_SHORT.get(source.dataset or "", source.dataset or "-"),
        "image" if image else str(spec.architecture.num_classes),
        f"{source.parameters / 1e6:.1f}M" if source.parameters else "-",
        f"{source.gmacs_per_view:.0f}" if source.gmacs_per_view else "-",
        f"{source.top1:.1f}" if source.top1 else "-",
        f"{source.top5:.1f}" if source.top5 else "-",
        "image weights"
        if image
        else f"{protocol.clip_frames}{step}, {protocol.clips}x{protocol.crops}",
        f"{source.file_mib:.0f}" if source.file_mib else "-",
        "bundled" if source.bundled else "yes" if is_cached(spec) else "",
    ]


def _print_table(specs: list[ModelSpec]) -> None:
    rows = [_row(spec) for spec in specs]
    if not sys.stdout.isatty():  # plain and complete: no column is cut to a width
        widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
        for row in [list(_COLUMNS), *rows]:
            cells = zip(row, widths, _COLUMNS.values(), strict=True)
            line = "  ".join(c.rjust(w) if side == "right" else c.ljust(w) for c, w, side in cells)
            result(line.rstrip())
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 1))
    for title, side in _COLUMNS.items():
        table.add_column(title, justify="right" if side == "right" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(cell, row))
    print_table(table)
