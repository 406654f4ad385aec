"""Files below a folder: each folder once, in one order, without what no user means by it."""

import heapq
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from videoswin_cli.errors import UsageError
from videoswin_cli.io.visible import counted, name_some

_FEW = 5  # kinds, suffixes or folders that a notice names
_LONGEST_SUFFIX = 12  # characters; what is longer is part of a name, not its kind

# Made by operating systems, file servers and notebooks, not by users. Case does not matter.
_SYSTEM_NAMES = {
    name.casefold(): name
    for name in (
        *("__MACOSX", "Network Trash Folder", "Temporary Items"),
        *("$RECYCLE.BIN", "RECYCLER", "System Volume Information"),
        *("Thumbs.db", "ehthumbs.db", "desktop.ini"),
        *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot"),
        "lost+found",
    )
}
_NAMED_HIDDEN = frozenset({".ipynb_checkpoints", ".DS_Store"})


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Files and folders that a walk left out."""

    names: Mapping[str, int] = field(default_factory=dict)  # hidden and system names, by kind
    files: Mapping[str, int] = field(default_factory=dict)  # of other kinds, by suffix
    unreadable: tuple[str, ...] = ()  # folders, each with its reason
    repeated: int = 0  # links to folders that were walked under another name


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Files below a folder, relative to it, sorted by the parts of their paths."""

    files: tuple[Path, ...]
    left_out: LeftOut


def system_name_kind(name: str) -> str | None:
    """Kind of a hidden name or of one that a system made; None for a user's own."""
    if name.startswith("._"):
        return "._*"  # AppleDouble: what other file systems cannot keep of a Mac's file
    if name.startswith(".Trash"):
        return ".Trash*"
    if name.startswith("."):
        return name if name in _NAMED_HIDDEN else "other hidden"
    return _SYSTEM_NAMES.get(name.casefold())


def walk(folder: Path, wanted: Callable[[Path], bool]) -> Walk:
    """Files of a folder and its subfolders for which `wanted` says so. Links are followed.

    A folder that several links lead to is walked once: at its own place where it has one below
    `folder`, else under the first link. Hidden and system names are left out below `folder`, not
    in its own path: what the user names counts.

    Raises:
        UsageError: `folder` itself cannot be read.
    """
    files: list[tuple[str, ...]] = []
    names: Counter[str] = Counter()
    others: Counter[str] = Counter()
    unreadable: list[str] = []
    repeated = 0
    seen: set[tuple[int, int]] = set()
    folders: list[tuple[str, ...]] = [()]
    links: list[tuple[str, ...]] = []  # a heap; behind all folders that are there themselves
    while folders or links:
        parts = folders.pop() if folders else heapq.heappop(links)
        place = folder.joinpath(*parts)
        try:
            status = place.stat()
            if (status.st_dev, status.st_ino) in seen:
                repeated += 1
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as opened:
                entries = list(opened)
        except OSError as error:  # no permission, a path too long
            if not parts:
                raise UsageError(f"cannot read the folder {folder}: {error.strerror}") from error
            unreadable.append(f"{place}: {error.strerror}")
            continue
        for entry in entries:
            path = (*parts, entry.name)
            if (kind := system_name_kind(entry.name)) is not None:
                names[kind] += 1
            elif _is_folder(entry):
                if entry.is_symlink():
                    heapq.heappush(links, path)
                else:
                    folders.append(path)
            elif wanted(place / entry.name):
                files.append(path)  # a link to nothing too: it shall be missed
            else:
                others[_kind(entry)] += 1
    left_out = LeftOut(
        names=names, files=others, unreadable=tuple(sorted(unreadable)), repeated=repeated
    )
    return Walk(files=tuple(Path(*path) for path in sorted(files)), left_out=left_out)


def merge_left_out(parts: Iterable[LeftOut]) -> LeftOut:
    """Everything that several walks left out."""
    parts = list(parts)
    return LeftOut(
        names=sum((Counter(part.names) for part in parts), Counter()),
        files=sum((Counter(part.files) for part in parts), Counter()),
        unreadable=tuple(dict.fromkeys(text for part in parts for text in part.unreadable)),
        repeated=sum(part.repeated for part in parts),
    )


def describe_left_out(left_out: LeftOut, *, what: str, advice: str = "") -> str:
    """One line for the user; empty where nothing was left out.

    Args:
        left_out: by a walk, or several.
        what: what was looked for, such as "video".
        advice: what to do about files of other kinds.
    """
    texts = []
    if left_out.names:
        count = sum(left_out.names.values())
        texts.append(f"{counted(count, 'hidden or system name')} ({_show_counts(left_out.names)})")
    if left_out.files:
        count = sum(left_out.files.values())
        text = f"{counted(count, 'file')} that {'is' if count == 1 else 'are'} no {what}"
        text += "" if count == 1 else "s"
        texts.append(f"{text} ({_show_counts(left_out.files)}){f'; {advice}' if advice else ''}")
    if left_out.unreadable:
        shown = name_some([text[-200:] for text in left_out.unreadable])
        count = len(left_out.unreadable)
        texts.append(f"{counted(count, 'folder')} that cannot be read ({shown})")
    if left_out.repeated:
        texts.append(f"{counted(left_out.repeated, 'link')} to folders that are read already")
    return f"left out: {'; '.join(texts)}" if texts else ""


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or through a folder that cannot be entered
        return False


def _leads_somewhere(entry: "os.DirEntry[str]") -> bool:
    try:
        entry.stat()
    except OSError:
        return False
    return True


def _kind(entry: "os.DirEntry[str]") -> str:
    if entry.is_symlink() and not _leads_somewhere(entry):
        return "broken links"
    suffix = Path(entry.name).suffix.lower()
    if len(suffix) > _LONGEST_SUFFIX or not suffix.isprintable():
        return "other"
    return suffix or "no extension"


def _show_counts(counts: Mapping[str, int]) -> str:
    order = sorted(counts, key=lambda kind: (-counts[kind], kind))
    shown = ", ".join(f"{kind} {counts[kind]}" for kind in order[:_FEW])
    rest = sum(counts[kind] for kind in order[_FEW:])
    return f"{shown}, others {rest}" if rest else shown
