"""`videoswin download`: published checkpoints into the cache, or a directory."""

from pathlib import Path
from typing import Annotated

import typer

from videoswin_cli.cli.console import result, show_error
from videoswin_cli.cli.options import AllowPrivateRedirects
from videoswin_cli.errors import FetchError, UsageError
from videoswin_cli.model.catalog import list_specs, load_spec


def download(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Models to fetch.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every published model.")] = False,
    directory: Annotated[
        Path | None, typer.Option("--dir", metavar="D", help="Where to put them; else the cache.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch even what is there.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only check what is there; fetch nothing.")
    ] = False,
    allow_private_redirects: AllowPrivateRedirects = False,
) -> None:
    """Download checkpoints, check their hashes, and print their paths."""
    from videoswin_cli.model.weights import ensure

    if bool(names) == everything:
        raise UsageError(
            "give the names of the models to fetch, or --all",
            hint="`videoswin models` lists them.",
        )
    # All names first: a mistyped one is found before gigabytes are fetched.
    specs = list_specs() if everything else [load_spec(name) for name in names or []]
    failed = False
    for spec in specs:
        try:
            path = ensure(spec, directory=directory, force=force, offline=offline, verify=True)
        except FetchError as error:
            failed = True
            show_error(error)
        else:
            result(path)
    if failed:
        raise typer.Exit(FetchError.exit_code)
