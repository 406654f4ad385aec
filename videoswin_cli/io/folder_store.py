"""A folder, here or behind an address, whose files appear when they are whole."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from videoswin_cli.errors import UsageError
from videoswin_cli.io.addresses import check_scheme, is_url, is_web, join_address
from videoswin_cli.io.atomic import atomic_write, write_error
from videoswin_cli.io.storage import (
    check_bucket,
    download,
    list_below,
    list_starting,
    look_up,
    remove,
    upload,
)

_SECONDS = 3600.0  # for one file


class FolderStore(Protocol):
    """A folder of files without folders in it."""

    @property
    def name(self) -> str:
        """The folder, for people."""
        ...

    def check(self) -> None:
        """Raises UsageError or FetchError where nothing can be written."""

    def names(self) -> set[str]:
        """Files that are there, drafts excepted."""
        ...

    def read(self, name: str) -> bytes | None:
        """Content of a file; None where there is none."""
        ...

    def write(self, name: str, make: Callable[[Path], None]) -> None:
        """A file that `make` writes to the path it is given; it replaces one of that name."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file."""
        ...


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine, or one that it shares with others."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def check(self) -> None:
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise write_error(self.path, error) from error

    def names(self) -> set[str]:
        if not self.path.is_dir():
            return set()
        return {file.name for file in self.path.iterdir() if not file.name.endswith(".part")}

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"{self.path / name} cannot be read: {error.strerror}") from error

    def write(self, name: str, make: Callable[[Path], None]) -> None:
        with atomic_write(self.path / name, tidy=False) as part:
            make(part)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class RemoteFolder:
    """A folder of a storage service."""

    name: str

    def check(self) -> None:
        check_bucket(self.name)

    def names(self) -> set[str]:
        return set(list_below(self.name))

    def read(self, name: str) -> bytes | None:
        address = join_address(self.name, name)
        if name not in list_starting(address):  # of this name alone: a folder may be long
            return None
        stored = look_up(address)
        assert stored is not None
        with TemporaryDirectory(prefix="videoswin-") as folder:
            file = Path(folder) / "file"
            download(address, file, stored, deadline=time.monotonic() + _SECONDS)
            return file.read_bytes()

    def write(self, name: str, make: Callable[[Path], None]) -> None:
        with TemporaryDirectory(prefix="videoswin-") as folder:
            file = Path(folder) / name
            make(file)
            upload(file, join_address(self.name, name))

    def remove(self, name: str) -> None:
        remove(join_address(self.name, name))


def open_folder(text: str) -> FolderStore:
    """The folder of a path or an address.

    Raises:
        UsageError: nothing can be written to such an address, or it is below no folder.
    """
    if "://" in text and not Path(text).exists():
        check_scheme(text)
        if is_web(text) or not is_url(text):
            raise UsageError(f"cannot write {text}: a web server takes no files")
        return RemoteFolder(text.rstrip("/"))
    path = Path(text).resolve()
    if path.exists() and not path.is_dir():
        raise UsageError(f"--out {text}: expected a folder, found a file")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {text}: no such folder: {path.parent}")
    return LocalFolder(path)
