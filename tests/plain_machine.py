"""A machine of which nothing is known to be faster than the usual, so that tests compute alike."""

from pathlib import Path

from videoswin_cli.io.atomic import to_json


def make_home(folder: Path, *, bf16: float = 1.0) -> Path:
    """A folder for VIDEOSWIN_HOME; commands measure nothing there."""
    from videoswin_cli.model.cpu import profile

    folder.mkdir(exist_ok=True)
    plain = {profile._name_machine(): {"convolution": 1.0, "bf16": bf16}}
    (folder / "machine.json").write_text(to_json(plain), encoding="utf-8")
    return folder
