"""Videos below an address of a storage service: one listing in place of a walk."""

import posixpath
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from videoswin_cli.data.video_files import VIDEO_SUFFIXES
from videoswin_cli.data.walking import LeftOut, Walk, system_name_kind
from videoswin_cli.errors import MissingInputError, UsageError
from videoswin_cli.io.addresses import is_out_of_reach, join_address
from videoswin_cli.io.storage import NothingThereError, compile_pattern, list_below, look_up
from videoswin_cli.io.tar_files import SUFFIX

_MAGIC = "*?["
_ODD = "odd names"  # `a//b`, `a/../b`: no file could have them


def is_pattern(address: str) -> bool:
    return not set(_MAGIC).isdisjoint(address)


def expand_address(address: str, *, all_files: bool) -> tuple[list[str], LeftOut]:
    """Addresses of the videos that one address means: an object, a folder or a pattern.

    Raises:
        MissingInputError: it means none.
        UsageError: `all_files`, which would fetch every object.
    """
    is_video = posixpath.splitext(address)[1].lower() in VIDEO_SUFFIXES
    if is_out_of_reach(address) and is_video and not is_pattern(address):
        return [address], LeftOut()  # a copy of it may be here
    if not address.endswith("/"):
        try:
            if look_up(address) is not None:
                return [address], LeftOut()
        except NothingThereError as error:
            if not is_pattern(address):
                raise MissingInputError(
                    f"no such file: {address}", hint="is the bucket there, and the name right?"
                ) from error
    if all_files:
        raise UsageError(f"--all-files looks into local files only, not into {address}")
    if is_pattern(address):
        folder, walk = _fixed_part(address), _match(address)
    else:
        folder, names = address, list_below(address)
        walk = sort_out(names)
        tars = [name for name in names if name.lower().endswith(SUFFIX)]
        if tars and not walk.files:
            return [join_address(folder, name) for name in tars], LeftOut()
    if not walk.files:
        what = "nothing matches" if is_pattern(address) else "no video below"
        raise MissingInputError(
            f"{what} {address}", hint="is the bucket there, and the name right?"
        )
    return [join_address(folder, path.as_posix()) for path in walk.files], walk.left_out


def _fixed_part(pattern: str) -> str:
    """The folder above the first wildcard of a pattern."""
    place = min(place for mark in _MAGIC if (place := pattern.find(mark)) >= 0)
    return pattern[: pattern.rfind("/", 0, place)]


def _match(pattern: str) -> Walk:
    """Objects that a pattern means, and the videos in the folders that it means."""
    folder = _fixed_part(pattern)
    matches = compile_pattern(pattern[len(folder) + 1 :].rstrip("/")).fullmatch
    found = list_below(folder)
    named = [name for name in found if matches(name)]
    below = {
        name
        for name in found
        if name not in named and any(matches(str(p)) for p in PurePosixPath(name).parents)
    }
    videos = sort_out(below)
    spelled = set(pattern.split("/"))
    kinds = {name: _system_kind(name, spelled) for name in named}
    files = {Path(name) for name in named if kinds[name] is None} | set(videos.files)
    names = Counter(videos.left_out.names) + Counter(filter(None, kinds.values()))
    return Walk(
        files=tuple(sorted(files, key=lambda path: path.parts)),
        left_out=LeftOut(names=names, files=videos.left_out.files),
    )


def sort_out(names: Iterable[str]) -> Walk:
    """The videos among names below a folder, and what was left out."""
    files: list[Path] = []
    system: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for name in names:
        suffix = posixpath.splitext(name)[1].lower()
        if (kind := _system_kind(name, set())) is not None:
            system[kind] += 1
        elif str(PurePosixPath(name)) != name or ".." in name.split("/"):
            others[_ODD] += 1
        elif suffix in VIDEO_SUFFIXES:
            files.append(Path(name))
        else:
            others[suffix or "no extension"] += 1
    files.sort(key=lambda path: path.parts)
    return Walk(files=tuple(files), left_out=LeftOut(names=system, files=others))


def _system_kind(name: str, spelled: set[str]) -> str | None:
    parts = (part for part in name.split("/") if part and part not in spelled)
    return next((kind for part in parts if (kind := system_name_kind(part)) is not None), None)
