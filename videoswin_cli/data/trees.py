"""Folders that the names of a list are looked for in: of this machine, or of a storage service."""

import os
import re
import stat
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from videoswin_cli.data.decoding.frame_folder import is_frame_folder
from videoswin_cli.data.remote_folders import sort_out
from videoswin_cli.data.spelling import same_spelling, with_slashes
from videoswin_cli.data.video_files import find_videos
from videoswin_cli.data.walking import Walk
from videoswin_cli.errors import MissingInputError, UsageError
from videoswin_cli.io.addresses import is_web, join_address, scheme_of
from videoswin_cli.io.remote import remember
from videoswin_cli.io.storage import list_below
from videoswin_cli.io.tar_files import has_member, split_member

_ODD = re.compile(r"//|/\.|\\|^[./]|^.:|/$|^$")  # in names that a Path may spell otherwise


class Tree(Protocol):
    """A folder and what is below it."""

    def is_file(self, name: str) -> bool:
        """Whether a file has this name, a video in a tar file, or a frame folder."""
        ...

    def is_folder(self, name: str) -> bool: ...

    def list_names(self, folder: str) -> Iterable[str]:
        """Names in a folder that is there."""
        ...

    def plain(self, name: str) -> str:
        """One form for the spellings of a file's name."""
        ...

    def join(self, name: str) -> str:
        """Path or address of a file."""
        ...

    def find_videos(self) -> Walk: ...


def open_tree(root: Path | str) -> Tree:
    """The tree of a folder, or of the address of one.

    Raises:
        MissingInputError: there is no such folder.
        UsageError: an address that lists nothing.
    """
    if not isinstance(root, str) or not scheme_of(root):
        return LocalTree(Path(root))
    if is_web(root):
        raise UsageError(
            f"--root {root}: a web server does not list its files",
            hint="write the whole URLs into the list, without --root",
        )
    return RemoteTree(root)


class LocalTree:
    """A folder of this machine, whose files are looked at one by one."""

    def __init__(self, root: Path) -> None:
        """Raises MissingInputError where `root` is no folder."""
        if not root.is_dir():
            raise MissingInputError(
                f"no such folder: {root}", hint="--root is where the videos lie"
            )
        self._root = root
        self._start = os.path.join("" if str(root) == "." else str(root), "")  # noqa: PTH118
        self._latest: tuple[str | None, int] = (
            None,
            0,
        )  # name that was looked at, and its mode: it is asked for again

    def is_file(self, name: str) -> bool:
        path = self.join(name)
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116 - a Path takes longer than the question
        except (FileNotFoundError, NotADirectoryError):
            return has_member(path)
        self._latest = name, mode
        return stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and is_frame_folder(Path(path)))

    def is_folder(self, name: str) -> bool:
        latest, mode = self._latest
        return stat.S_ISDIR(mode) if name == latest else (self._root / name).is_dir()

    def list_names(self, folder: str) -> Iterable[str]:
        return os.listdir(self._root / folder)  # noqa: PTH208 - names

    def plain(self, name: str) -> str:
        """One form for the spellings of a file's name."""
        if not _ODD.search(name) or not {"", ".", ".."} & set(with_slashes(name).split("/")):
            return name
        plain = Path(same_spelling(str(self._root / name)))
        for path in (plain, Path(os.path.realpath(plain.parent), plain.name)):
            for root in self._roots:
                if path.is_relative_to(root):
                    return str(path.relative_to(root))
        return str(Path(name))

    def join(self, name: str) -> str:
        if _ODD.search(name):
            return str(self._root / name)
        return self._start + name.replace("/", os.sep)

    def find_videos(self) -> Walk:
        return find_videos(self._root, all_files=False)

    @cached_property
    def _roots(self) -> tuple[str, str]:
        """The root as it is named, and where its links lead."""
        return same_spelling(str(self._root)), os.path.realpath(self._root)


class RemoteTree:
    """A folder of a storage service, which is listed once: a request a name would take hours."""

    def __init__(self, address: str) -> None:
        """Raises FetchError where it cannot be listed, and MissingInputError where it is empty."""
        self._address = address
        found = list_below(address)
        self._names = found.keys()
        remember(address, found)  # nobody needs to ask for them again
        if not self._names:
            raise MissingInputError(
                f"nothing below {address}", hint="--root is where the videos lie"
            )

    def is_file(self, name: str) -> bool:
        if name in self._names or self.plain(name) in self._names:
            return True
        inside = split_member(self.join(name))
        return inside is not None and has_member(self.join(name))

    def is_folder(self, name: str) -> bool:
        return name in self._folders

    def list_names(self, folder: str) -> Iterable[str]:
        return (path.name for path in map(PurePosixPath, self._names) if str(path.parent) == folder)

    def plain(self, name: str) -> str:
        return name if name in self._names else str(PurePosixPath(name))

    def join(self, name: str) -> str:
        return join_address(self._address, name)

    def find_videos(self) -> Walk:
        return sort_out(self._names)

    @cached_property
    def _folders(self) -> AbstractSet[str]:
        return {str(parent) for name in self._names for parent in PurePosixPath(name).parents}
