"""A machine of which nothing is known to be faster than the usual, so that tests compute alike."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videoswin_cli.model.cpu.profile import Machine


def plain_machine(**faster: float) -> "Machine":
    """A machine with the usual speed of every kernel, but for those that are named."""
    from videoswin_cli.model.cpu.profile import Machine

    return Machine(**{speed.name: 1.0 for speed in fields(Machine)} | faster)


def make_home(folder: Path, *, bf16: float = 1.0) -> Path:
    """A folder for VIDEOSWIN_HOME; commands measure nothing there."""
    from videoswin_cli.model.cpu import profile

    folder.mkdir(exist_ok=True)
    text = profile.encode({profile._name_machine(): plain_machine(bf16=bf16)})
    (folder / "machine.json").write_text(text, encoding="utf-8")
    return folder
