"""Tar shards written as WebDataset reads them: samples of files that share a key."""

import io
import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from videoswin_cli.data.video_files import VIDEO_SUFFIXES
from videoswin_cli.errors import DatasetError, OutputExistsError, UsageError
from videoswin_cli.io.atomic import atomic_write, write_error

MOST_SAMPLES = 10_000  # of a shard
MOST_BYTES = 1 << 30  # of a shard: 1 GiB, as WebDataset advises

_NUMBER = re.compile(r"\{(0+)\}")
_HELD = 1024  # bytes that a file takes in a tar at most, beside its content: header and padding


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Files of one sample, by extension: `mp4`, `cls`, `txt`, `json`, `npy`."""

    key: str  # see `make_key`
    source: str  # what messages call it
    files: Mapping[str, bytes | Path]


@dataclass(frozen=True, kw_only=True)
class ShardNames:
    """Names of shards: `train-{000000}.tar` is train-000000.tar, train-000001.tar and so on."""

    folder: Path
    before: str
    digits: int
    after: str

    def file(self, number: int, folder: Path | None = None) -> Path:
        """The shard with a number, from 0."""
        name = f"{self.before}{number:0{self.digits}}{self.after}"
        return (self.folder if folder is None else folder) / name

    def existing(self, folder: Path | None = None) -> list[Path]:
        """Files with such names, in their order."""
        place = self.folder if folder is None else folder
        wanted = f"{re.escape(self.before)}[0-9]{{{self.digits},}}{re.escape(self.after)}"
        if not place.is_dir():
            return []
        found = [file for file in place.iterdir() if re.fullmatch(wanted, file.name)]
        return sorted(found, key=lambda file: (len(file.name), file.name))


def parse_names(pattern: str | Path) -> ShardNames:
    """Names by a pattern such as `train-{000000}.tar`.

    Raises:
        UsageError: it is none.
    """
    path = Path(pattern)
    parts = _NUMBER.split(path.name)
    if len(parts) != 3 or not path.name.endswith(".tar"):
        raise UsageError(
            f"{pattern} names no shards",
            hint="expected a place for the number: train-{000000}.tar is train-000000.tar and on",
        )
    return ShardNames(folder=path.parent, before=parts[0], digits=len(parts[1]), after=parts[2])


def make_key(path: str) -> str:
    """Key of the sample of a video: its path without extension.

    A key ends at the first dot of the file's name, so dots in it, and those that hide or lead out,
    are `%2E`; `%` is `%25`, so that no two names become one.
    """
    folder, name = posixpath.split(path.replace("%", "%25").replace("\0", "%00"))
    stem, suffix = posixpath.splitext(name)
    name = stem if stem and suffix.lower() in VIDEO_SUFFIXES else name
    folders = [part for part in folder.split("/") if part]
    folders = [part.replace(".", "%2E") if part.startswith(".") else part for part in folders]
    return "/".join([*folders, name.replace(".", "%2E") or "%"])


def write_shards(
    samples: Iterable[Sample],
    names: ShardNames,
    *,
    most_samples: int = MOST_SAMPLES,
    most_bytes: int = MOST_BYTES,
) -> list[Path]:
    """Write samples in their order, each shard whole or not at all; equal samples, equal bytes.

    Args:
        samples: taken one by one.
        names: of the shards.
        most_samples: of a shard.
        most_bytes: of a shard; one sample that is larger is a shard of its own.

    Returns:
        The shards.

    Raises:
        OutputExistsError: there are files with such names.
        DatasetError: two samples have one key.
        UsageError, VideoSwinError: a shard cannot be written, or a file of a sample not be read.
    """
    if there := names.existing():
        raise OutputExistsError(f"{there[0]} exists", hint="choose other names, or remove it")
    written = []
    numbered = _number(samples, most_samples, most_bytes)
    for number, group in groupby(numbered, key=itemgetter(0)):
        written.append(names.file(number))
        write_shard(written[-1], (sample for _, sample in group))
    return written


def write_shard(path: Path, samples: Iterable[Sample]) -> None:
    """Write one shard, whole or not at all.

    Raises:
        UsageError, VideoSwinError: it cannot be written, or a file of a sample not be read.
    """
    with (
        atomic_write(path) as part,
        tarfile.open(part, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar,
    ):
        for sample in samples:
            for suffix, content in sample.files.items():
                _add(tar, f"{sample.key}.{suffix}", content, path)


def _add(tar: tarfile.TarFile, name: str, content: bytes | Path, path: Path) -> None:
    member = tarfile.TarInfo(name)  # of nobody, from 1970
    try:
        if isinstance(content, bytes):
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        else:
            with content.open("rb") as file:
                member.size = content.stat().st_size
                tar.addfile(member, file)
    except OSError as error:
        raise write_error(path, error) from error


def _number(
    samples: Iterable[Sample], most_samples: int, most_bytes: int
) -> Iterator[tuple[int, Sample]]:
    """Samples with the numbers of their shards."""
    owners: dict[str, str] = {}
    number, count, size = 0, 0, 0
    for sample in samples:
        if (other := owners.setdefault(sample.key, sample.source)) != sample.source:
            raise same_key(other, sample.source, sample.key)
        own = sum(_HELD + _size(content) for content in sample.files.values())
        if count and (count == most_samples or size + own > most_bytes):
            number, count, size = number + 1, 0, 0
        count, size = count + 1, size + own
        yield number, sample


def same_key(one: str, other: str, key: str) -> DatasetError:
    """Error for two videos that would be one sample."""
    return DatasetError(
        f"{one} and {other} would both be the sample {key}",
        hint="rename one of them, or write them to different shards",
    )


def _size(content: bytes | Path) -> int:
    if isinstance(content, bytes):
        return len(content)
    try:
        return content.stat().st_size
    except OSError as error:
        raise UsageError(f"cannot read {content}: {error.strerror or error}") from error
