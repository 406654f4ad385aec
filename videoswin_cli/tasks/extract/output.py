"""Destinations of features: one matrix, one file with all of it, or a file per video."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from videoswin_cli.errors import UsageError
from videoswin_cli.io.paths import path_inside

OutputKind = Literal[".npy", ".npz", ".safetensors", "folder"]


@dataclass(frozen=True, kw_only=True)
class Output:
    """Destination of features, and the names of its files."""

    path: Path
    kind: OutputKind

    @property
    def part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def files(self) -> tuple[Path, ...]:
        """Files of the output, those of single videos excepted. The description is last."""
        if self.kind == "folder":
            return self.path / "index.csv", self.path / "meta.json"
        if self.kind == ".npy":
            stem = self.path.stem
            beside = (self.path.with_name(f"{stem}.{name}") for name in ("index.csv", "meta.json"))
            return self.path, *beside
        return (self.path,)

    def feature_file(self, path: str) -> Path | None:
        """File of one video in a folder: its path without what leads out of the folder.

        None where that leaves no name, as of `..`.
        """
        inside = path_inside(path)
        return None if inside is None else self.path / inside.with_name(f"{inside.name}.npy")


def parse_output(text: str) -> Output:
    """`DIR/` or a name without suffix is a folder.

    Raises:
        UsageError: an unknown suffix, or no folder to write to.
    """
    path = Path(text)
    kind: OutputKind
    known = path.suffix in get_args(OutputKind)
    if known and path.is_dir() and not text.endswith(("/", os.sep)):
        raise UsageError(f"--out {text} is a folder", hint="write it with / at its end to use it")
    if text.endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
        kind = "folder"
    elif known:
        kind = path.suffix  # type: ignore[assignment]
    else:
        raise UsageError(
            f"--out {text}: unknown suffix {path.suffix!r}",
            hint="use .npy, .npz, .safetensors, or a folder with / at its end",
        )
    path = path.resolve()
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {text}: no such folder: {path.parent}")
    return Output(path=path, kind=kind)


def remove_empty_folders(file: Path, top: Path) -> None:
    with suppress(OSError):  # not empty
        for folder in file.relative_to(top).parents[:-1]:
            (top / folder).rmdir()
