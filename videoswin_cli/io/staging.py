"""Local copies of files behind addresses that are no videos, and of outputs on their way there.

What is read (lists, class names, weights) is fetched once per version. What is written is made in a
folder of the cache that is named after the address, so that a run that was interrupted finds it
again, and goes up as a whole in the end: whatever describes it last, as the run itself writes it.
"""

import json
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.errors import FetchError, OutputExistsError, UsageError
from videoswin_cli.io.addresses import (
    forbid,
    is_out_of_reach,
    is_web,
    join_address,
    name_of,
    parent_address,
)
from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.io.fetch import Limits, fetch
from videoswin_cli.io.paths import cache_dir, offline, private_redirects
from videoswin_cli.io.storage import (
    Stored,
    check_bucket,
    download,
    list_below,
    list_starting,
    look_up,
    remove,
    upload,
)
from videoswin_cli.io.web_objects import look_up_web

MAX_SECONDS = 6 * 3600.0

_RECORD = ".videoswin-output.json"
_UNFINISHED = re.compile(r".*(\.part|\.lock|\.old)", re.DOTALL)
_NAMES: dict[str, str] = {}  # local folder or file -> address, as people see it

_Records: TypeAlias = dict[str, list[str]]  # name -> version there, stamp here


def staged_folder() -> Path:
    return cache_dir() / "staged"


def name_addresses(text: str) -> str:
    """A message with addresses in place of their local copies."""
    for local, address in _NAMES.items():
        text = text.replace(local, address)
    return text


# --- what is read ---------------------------------------------------------------------------------


def fetch_staged(address: str) -> Path:
    """A local copy of a file, of the version that is there now; it keeps its name.

    Raises:
        FetchError: there is no such file, or it cannot be fetched.
        UsageError: it is a folder, or a package is missing.
    """
    start = _digest(address)
    name = name_of(address.partition("?")[0] if is_web(address) else address) or "file"
    if is_out_of_reach(address):
        found = sorted(staged_folder().glob(f"{start}-*/*"), key=_used)
    else:
        found = []
    if found:
        return _named(found[-1], address)
    stored = look_up_web(address) if is_web(address) else look_up(address)
    if stored is None and not is_web(address):
        raise UsageError(f"{address} is a folder", hint="expected a file")
    version = "" if stored is None else stored.version
    path = staged_folder() / f"{start}-{_digest(version)[:8]}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and stored is not None:
        with suppress(OSError):
            os.utime(path)
        return _named(path, address)
    if is_web(address):
        limits = Limits(private_redirects=private_redirects())
        fetch(address, path, limits=limits, force=True, offline=offline())
    else:
        with atomic_write(path) as part:
            _bring(address, part)
    return _named(path, address)


def _bring(address: str, path: Path) -> None:
    """Fetch an object, whose facts a listing does not tell in full."""
    stored = look_up(address)
    if stored is None:
        raise FetchError(f"cannot fetch {address}: it is a folder now")
    download(address, path, stored, deadline=time.monotonic() + MAX_SECONDS)


def _named(path: Path, address: str) -> Path:
    _NAMES[str(path)] = hide_credentials(address)
    return path


def _used(path: Path) -> float:
    return path.stat().st_mtime


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:24]


# --- what is written ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class StagedOutput:
    """An output that is written here and belongs there."""

    address: str
    folder: Path  # has what belongs into the folder of the address

    @property
    def path(self) -> Path:
        return self.folder / name_of(self.address)

    @property
    def text(self) -> str:
        """The path as an option; a `/` at the end of the address says that it is a folder."""
        return str(self.path) + ("/" if self.address.endswith("/") else "")

    def begin(self) -> None:
        """Bring what is there: it is continued, refused or replaced as a local output is.

        Raises:
            OutputExistsError: an interrupted run began it, and another one has written it since.
            FetchError: it cannot be brought, or offline mode forbids to write it.
        """
        if is_out_of_reach(self.address):
            raise forbid("write", self.address)
        check_bucket(self.address)
        there = self._list()
        record = self._read_record()
        if record is not None:
            self._check_unchanged(record, there)
            return
        stamps: _Records = {}
        for name, stored in there.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            _bring(join_address(parent_address(self.address), name), file)
            stamps[name] = [stored.version, _stamp(file)]
        self._write_record(stamps, uploading=False)

    def finish(self) -> int:
        """Upload what was made or changed, remove what was removed. Gives the number of files.

        Raises:
            FetchError: a file cannot be written; the same command tries again.
        """
        stamps = (self._read_record() or {}).copy()
        stamps.pop("", None)
        files = {file.relative_to(self.folder).as_posix(): file for file in self._files()}
        changed = [
            name for name, file in files.items() if stamps.get(name, ["", ""])[1] != _stamp(file)
        ]
        changed.sort(key=lambda name: (files[name].stat().st_mtime_ns, name))
        parent = parent_address(self.address)
        self._write_record(stamps, uploading=True)
        if len(changed) > 1 and changed[-1] in stamps:  # it would describe a mixture meanwhile
            remove(join_address(parent, changed[-1]))
        for name in stamps.keys() - files.keys():
            remove(join_address(parent, name))
        for name in changed:
            upload(files[name], join_address(parent, name))
        self.discard()
        return len(changed)

    def discard(self) -> None:
        """Remove what is here."""
        import shutil

        shutil.rmtree(self.folder, ignore_errors=True)

    def is_empty(self) -> bool:
        """Whether nothing was made here."""
        return not any(True for _ in self.folder.rglob("*") if _.is_file() and _.name != _RECORD)

    def _list(self) -> dict[str, Stored]:
        """Files of the output by their names in the folder of the address."""
        name = name_of(self.address)
        found: dict[str, Stored] = {}
        if not self.address.endswith("/"):
            stem = name.rpartition(".")[0] or name
            starting = list_starting(join_address(parent_address(self.address), stem))
            found = {n: s for n, s in starting.items() if n == name or n.startswith(f"{stem}.")}
        if "." not in name or self.address.endswith("/"):
            found |= {f"{name}/{below}": s for below, s in list_below(self.address).items()}
        return found

    def _check_unchanged(self, record: _Records, there: dict[str, Stored]) -> None:
        if "" in record:  # its upload was interrupted: what is there is ours
            return
        versions = {name: stored.version for name, stored in there.items()}
        if versions != {name: entry[0] for name, entry in record.items()}:
            raise OutputExistsError(
                f"{self.address} was written by another run since an interrupted one began it here",
                hint=f"choose another output; or remove {self.folder}, the unfinished work, to go "
                "on from what is there",
            )

    def _files(self) -> list[Path]:
        """Finished files; journals, drafts and locks stay here."""
        return [
            file
            for file in sorted(self.folder.rglob("*"))
            if file.is_file()
            and file.name != _RECORD
            and not any(_UNFINISHED.fullmatch(p) for p in file.relative_to(self.folder).parts)
        ]

    def _read_record(self) -> _Records | None:
        try:
            found: _Records = json.loads((self.folder / _RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found

    def _write_record(self, stamps: _Records, *, uploading: bool) -> None:
        with atomic_write(self.folder / _RECORD) as part:
            part.write_text(json.dumps(stamps | ({"": []} if uploading else {})), encoding="utf-8")


def stage_output(address: str) -> StagedOutput:
    """The folder here in which an output is made.

    Raises:
        UsageError: nothing can be written to such an address.
    """
    if is_web(address):
        raise UsageError(f"cannot write {address}: a web server takes no files")
    if not name_of(address) or not name_of(parent_address(address)):
        raise UsageError(f"cannot write {address}: expected a name below a bucket")
    folder = staged_folder() / f"out-{_digest(address.rstrip('/'))}"
    folder.mkdir(parents=True, exist_ok=True)
    _NAMES[str(folder)] = _NAMES[str(folder.resolve())] = hide_credentials(parent_address(address))
    return StagedOutput(address=address, folder=folder)


def _stamp(file: Path) -> str:
    found = file.stat()
    return f"{found.st_size}-{found.st_mtime_ns}"
