"""`videoswin doctor`: is everything here that a run needs?"""

from typing import Annotated

import typer

from videoswin_cli.cli.console import result
from videoswin_cli.cli.options import SummaryFormatOption
from videoswin_cli.errors import MachineError
from videoswin_cli.io.atomic import to_json


def doctor(
    network: Annotated[
        bool,
        typer.Option("--network", help="Ask the servers of checkpoints for a byte each."),
    ] = False,
    format: SummaryFormatOption = "table",
) -> None:
    """Examine this installation: versions, decoders, devices, caches, extras.

    Each decoder reads a tiny video of each codec. The report ends with what to do. Exit code 1 if
    something was found that makes runs fail.
    """
    from videoswin_cli.report.doctor import health_lines, health_record, is_healthy
    from videoswin_cli.tasks.doctor.doctor import examine

    rows = list(examine(network=network))
    if format == "json":
        result(to_json(health_record(rows), indent=2))
    else:
        for line in health_lines(rows):
            result(line)
    if not is_healthy(rows):
        raise typer.Exit(MachineError.exit_code)
