"""Destinations of features: one matrix, one file with all of it, shards, or a file per video."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from videoswin_cli.data.encoding.shards import ShardNames, parse_names
from videoswin_cli.errors import UsageError
from videoswin_cli.io.paths import file_below

OutputKind = Literal[".npy", ".npz", ".safetensors", ".tar", "folder"]


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
        if self.kind == ".tar":
            return *self.shards(), *_files_beside(self.path)
        return (self.path,)

    @property
    def shard_names(self) -> ShardNames:
        """Names of the shards of an output of such."""
        return parse_names(self.path)

    def shards(self) -> list[Path]:
        """Shards that are in their place, or will be."""
        places = (self.path.parent, self.part)
        names = {file.name for place in places for file in self.shard_names.existing(place)}
        return [self.path.with_name(name) for name in sorted(names)]

    def feature_file(self, path: str) -> Path | None:
        """File of one video in a folder; see `file_below`."""
        return file_below(self.path, path, ".npy")


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
            hint="use .npy, .npz, .safetensors, shards-{000000}.tar, or a folder with / at its end",
        )
    if kind == ".tar":
        parse_names(path)
    path = path.resolve()
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {text}: no such folder: {path.parent}")
    return Output(path=path, kind=kind)


def _files_beside(shards: Path) -> tuple[Path, Path]:
    """Index and description of shards: `f-{000000}.tar` has f.index.csv and f.meta.json."""
    stem = parse_names(shards).before.rstrip("-_.")
    names = (f"{stem}.{name}".lstrip(".") for name in ("index.csv", "meta.json"))
    index, meta = map(shards.with_name, names)
    return index, meta


def remove_empty_folders(file: Path, top: Path) -> None:
    with suppress(OSError):  # not empty
        for folder in file.relative_to(top).parents[:-1]:
            (top / folder).rmdir()
