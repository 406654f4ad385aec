"""The cache of published checkpoints: where they lie, and whether they are still what was fetched.

Beside each FILE lies FILE.sha256.json, the record of its full hash, size and modification time.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videoswin_cli.errors import FetchError, UsageError, VideoSwinError
from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.io.fetch import Limits, fetch, hash_file
from videoswin_cli.io.paths import cache_dir, configs_dir, private_redirects
from videoswin_cli.io.paths import offline as offline_by_environment

if TYPE_CHECKING:
    from videoswin_cli.model.catalog import ModelSpec


_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"  # how published checkpoints begin


@dataclass(frozen=True, kw_only=True)
class _Record:
    sha256: str  # all 64 hex digits
    size: int  # bytes
    mtime_ns: int


def cached_path(spec: "ModelSpec", *, directory: Path | None = None) -> Path:
    """Return where the checkpoint lies or would lie: in `directory`, else in the cache.

    That of a bundled model came with the package and stays there.

    Raises:
        UsageError: the model has no published checkpoint.
    """
    if spec.publication.file is None:
        raise _unpublished(spec, "file")
    name = Path(spec.publication.file).name  # never a path that leaves the directory
    if spec.publication.bundled:
        return configs_dir() / "weights" / name
    return (cache_dir() / "checkpoints" if directory is None else directory) / name


def is_cached(spec: "ModelSpec", *, directory: Path | None = None) -> bool:
    """Tell whether the checkpoint is there; its hash is not looked at."""
    return cached_path(spec, directory=directory).is_file()


def find_damage(spec: "ModelSpec") -> str | None:
    """Damage of a checkpoint in the cache that shows without reading all of it; None: none does."""
    path = cached_path(spec)
    if spec.publication.bundled or not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            begin = file.read(len(_ZIP))
        size, record = path.stat().st_size, _read_record(path)
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    if not begin.startswith((_ZIP, _PICKLE)):
        return f"{path}: no weight file, {size} bytes"
    if record is not None and record.size != size:
        return f"{path}: {size} bytes, {record.size} when it was fetched"
    return None


def ensure(
    spec: "ModelSpec",
    *,
    directory: Path | None = None,
    force: bool = False,
    offline: bool = False,
    verify: bool = False,
) -> Path:
    """Return the path of the checkpoint, fetched if it is missing and checked against its hash.

    A file whose size and time are those of its record is not read again, unless `verify` is set.
    `force` fetches it anew; `offline`, like VIDEOSWIN_OFFLINE, forbids fetching.

    Raises:
        FetchError: it cannot be fetched, cannot be read, or has another hash than recorded or
            published.
        UsageError: the model has no published checkpoint.
    """
    path = cached_path(spec, directory=directory)
    if spec.publication.bundled:
        return path
    try:
        fetched = force or not path.is_file()
        if fetched:
            _fetch(spec, path, force=force, without_network=offline)
        _check(spec, path, fetched=fetched, verify=verify)
    except OSError as error:
        raise FetchError(
            f"cannot read {path}: {error.strerror or error}",
            hint="Make it readable, or give another file with --checkpoint FILE.",
        ) from error
    return path


def _fetch(spec: "ModelSpec", path: Path, *, force: bool, without_network: bool) -> None:
    if spec.publication.url is None:
        raise _unpublished(spec, "url")
    try:
        fetch(
            spec.publication.url,
            path,
            sha256=spec.publication.sha256,
            limits=Limits(private_redirects=private_redirects()),
            force=force,
            offline=without_network or offline_by_environment(),
        )
    except FetchError as error:
        raise type(error)(
            f"no checkpoint for {spec.name}: {error.message}",
            hint=f"{error.hint.rstrip('.')}. Run `videoswin download {spec.name}` on a connected "
            "machine, or give another file with --checkpoint FILE. What works without a network: "
            "`--model camera-motion`, which comes with the package and classifies camera motion.",
        ) from error


def _unpublished(spec: "ModelSpec", key: str) -> UsageError:
    return UsageError(
        f"model {spec.name} has no published checkpoint: its {key!r} is not set",
        hint="Give your own with --checkpoint FILE.",
    )


def _check(spec: "ModelSpec", path: Path, *, fetched: bool, verify: bool) -> None:
    published = (spec.publication.sha256 or "").lower()
    record = None if fetched else _read_record(path)
    if record and not record.sha256.startswith(published):
        record = None  # of a version that is no longer published
    stat = path.stat()
    if record and not verify and (record.size, record.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
        return
    digest = hash_file(path)
    expected = record.sha256 if record else published
    if not digest.startswith(expected):
        raise FetchError(
            f"{path} has SHA-256 {digest}, expected {expected}",
            hint=f"Download it again: `videoswin download {spec.name} --force`.",
        )
    _write_record(path, _Record(sha256=digest, size=stat.st_size, mtime_ns=stat.st_mtime_ns))


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256.json")


def _read_record(path: Path) -> _Record | None:
    try:
        return _Record(**json.loads(_record_path(path).read_text()))
    except (OSError, ValueError, TypeError):  # none, or another program's: the file is hashed again
        return None


def _write_record(path: Path, record: _Record) -> None:
    # A cache that others own and we only read: without a record the file is hashed each time.
    with suppress(VideoSwinError), atomic_write(_record_path(path)) as part:
        part.write_text(json.dumps(asdict(record)) + "\n")
