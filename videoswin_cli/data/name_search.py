"""Names of a list and the files that they mean, below one root."""

import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from videoswin_cli.class_names import fold_name
from videoswin_cli.data.spelling import (
    compose,
    decompose,
    is_absolute,
    with_slashes,
)
from videoswin_cli.data.trees import open_tree
from videoswin_cli.data.video_files import VIDEO_SUFFIXES
from videoswin_cli.data.walking import LeftOut, Walk, describe_left_out
from videoswin_cli.errors import UsageError
from videoswin_cli.io.addresses import is_url
from videoswin_cli.io.visible import name_some
from videoswin_cli.records import NO_SUCH_FILE

_FEW = 3  # files that an ambiguous name shows
_MOST_COMPARED = 100  # files of a missing one's name: in a million folders each may have one


@dataclass(frozen=True, kw_only=True, slots=True)  # there may be a million
class Match:
    """The file or frame folder of a name, or why there is none."""

    path: str | None = None  # under the root; absolute where it is not below it
    problem: str = NO_SUCH_FILE
    ambiguous: bool = False  # there are several, and none was taken
    stripped: str | None = None  # start of an absolute path whose tail was found


class NameSearch:
    """A root and, once it is needed, all videos below it."""

    def __init__(self, root: Path | str) -> None:
        """Raises UsageError where `root` is no folder, and FetchError for one of no service."""
        self._tree = open_tree(root)
        self.root = root
        self._beside: dict[str, Mapping[str, list[str]]] = {}  # files by folder and stem

    def locate(self, path: str) -> str:
        """The file or address of a match."""
        return path if is_url(path) else self._tree.join(path)

    def find(self, name: str, label: int | str | None, *, of_frames: bool = False) -> Match:
        """The file or frame folder that a name means.

        A name that the system refuses is only not found.

        Args:
            name: path or id, as a list has it.
            label: class of the row: of files of one name, that in the folder of its class.
            of_frames: the row states a number of frames. Of a frame folder and a video file it then
                is the folder, else the file.
        """
        try:
            match = self._find(name, label, of_frames)
            return match if of_frames else self._prefer_file(match)
        except OSError as error:  # too long, no permission
            return Match(problem=error.strerror or str(error))
        except ValueError as error:  # a NUL character, half a character
            return Match(problem=f"no file can have this name ({error})")
        except UsageError as error:  # the root may be entered, but not listed
            return Match(problem=error.message)

    def notices(self, *, missing: bool) -> list[str]:
        """Sentences on the search as a whole, in which some names may be `missing`."""
        if "_index" not in self.__dict__:
            return []
        lines = [f"no video under {self.root}"] if missing and not self._index.by_stem else []
        unreadable = describe_left_out(self._index.unreadable, what="video")
        return [*lines, unreadable] if unreadable else lines

    def _prefer_file(self, match: Match) -> Match:
        """The video file beside a frame folder of its name, where there is one."""
        if match.path is None or not self._tree.is_folder(match.path):
            return match
        folder, name = posixpath.split(match.path.rstrip("/"))
        if folder not in self._beside:
            stems: dict[str, list[str]] = defaultdict(list)
            for other in self._tree.list_names(folder):
                stem, suffix = _split_suffix(other)
                if suffix:
                    stems[stem].append(posixpath.join(folder, other))
            self._beside[folder] = stems
        files = self._beside[folder].get(name, [])
        return _choose(files) if files else match

    def _find(self, name: str, label: int | str | None, of_frames: bool) -> Match:
        if is_url(name):  # it is missed when it is read
            return Match(path=name)
        spelled = with_slashes(name)
        try:
            if self._tree.is_file(name):
                return Match(path=self._tree.plain(name))
        except PermissionError:
            if not is_absolute(spelled):
                raise
            # The folders of another user, perhaps on another machine: the tail may be here.
        if is_absolute(spelled):
            return self._find_tail(posixpath.normpath(spelled), of_frames)
        if spelled != name and self._tree.is_file(spelled):
            return Match(path=self._tree.plain(spelled))
        plain = posixpath.normpath(spelled)
        match = self._look_up(plain, label, of_frames)
        if match.path is None and not match.ambiguous:
            # The index has no files of other extensions.
            forms = [form for form in (compose(plain), decompose(plain)) if form != plain]
            if found := [form for form in forms if self._tree.is_file(form)]:
                return _choose(found)
            return Match(problem=self._explain(plain))
        return match

    def _find_tail(self, path: str, of_frames: bool) -> Match:
        """The longest tail of an absolute path that is there under the root."""
        parts = [part for part in path.split("/") if part]
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            try:
                match = (
                    Match(path=tail)
                    if self._tree.is_file(tail)
                    else self._look_up_path(tail, of_frames)
                )
            except PermissionError:
                match = Match()
            if match.path is not None:
                stripped = path[: len(path) - len(tail)]
                return Match(path=match.path, stripped=stripped)
            if match.ambiguous:
                return match
        return Match()

    def _look_up(self, name: str, label: int | str | None, of_frames: bool) -> Match:
        """A video with this path; an id also in subfolders."""
        match = self._look_up_path(name, of_frames)
        if match.path is not None or match.ambiguous or "/" in name:
            # A name in a folder that is not there is another video than one of another folder.
            return match
        places = self._of_kind(_pick(self._index.by_name, name), of_frames)
        if label is not None:
            own = fold_name(str(label))
            places = [p for p in places if fold_name(Path(p).parent.name) == own] or places
        return _choose(places)

    def _look_up_path(self, name: str, of_frames: bool) -> Match:
        """A video with this path but for its extension and Unicode form."""
        return _choose(self._of_kind(_pick(self._index.by_stem, name), of_frames))

    def _of_kind(self, places: Sequence[str], of_frames: bool) -> Sequence[str]:
        """The frame folders or the files among some places, where there are both."""
        folders = self._index.folders
        return [place for place in places if (place in folders) == of_frames] or places

    @cached_property
    def _index(self) -> "_Index":
        return _Index(self._tree.find_videos())

    def _explain(self, name: str) -> str:
        """Why a name is not found, with the file that might be meant."""
        if self._tree.is_folder(name):
            return "a folder without numbered pictures"
        stem, _ = _split_suffix(compose(name))
        if near := self._index.by_folded.get(stem.casefold()):
            return f"{NO_SUCH_FILE}; {near[0]} differs in letter case"
        for place in self._index.by_name.get(posixpath.basename(stem), [])[:_MOST_COMPARED]:
            other, _ = _split_suffix(compose(place))
            if f"/{other}".endswith(f"/{stem}") or f"/{stem}".endswith(f"/{other}"):
                return f"{NO_SUCH_FILE}; {place} exists: should --root be another folder?"
        return NO_SUCH_FILE


class _Index:
    """All videos below a root, by what a list may say of them. All names are composed (NFC)."""

    def __init__(self, walk: Walk) -> None:
        self.unreadable = LeftOut(unreadable=walk.left_out.unreadable)
        self.folders = {path.as_posix() for path in walk.wholes}
        self.by_stem: dict[str, list[str]] = defaultdict(list)  # path without extension
        self.by_name: dict[str, list[str]] = defaultdict(list)  # file name without extension
        for file in walk.files:
            path = file.as_posix()
            stem, _ = _split_suffix(compose(path))
            self.by_stem[stem].append(path)
            self.by_name[posixpath.basename(stem)].append(path)

    @cached_property
    def by_folded(self) -> dict[str, list[str]]:
        """Path without extension and without regard to case."""
        folded: dict[str, list[str]] = defaultdict(list)
        for stem, paths in self.by_stem.items():
            folded[stem.casefold()] += paths
        return folded


def _split_suffix(path: str) -> tuple[str, str]:
    """Path without a video's extension, and that extension in small letters."""
    stem, suffix = posixpath.splitext(path)
    suffix = suffix.lower()
    return (stem, suffix) if suffix in VIDEO_SUFFIXES else (path, "")


def _pick(index: Mapping[str, list[str]], name: str) -> list[str]:
    """Files of a name: those with its extension, else with any; it may be no extension, too."""
    stem, suffix = _split_suffix(compose(name))
    places = index.get(stem, [])
    if suffix:
        same = [place for place in places if _split_suffix(place)[1] == suffix]
        places = same or [*places, *index.get(compose(name), [])]
    return places


def _choose(places: Sequence[str]) -> Match:
    """The only one of some files."""
    if len(places) == 1:
        return Match(path=places[0])
    if not places:
        return Match()
    shown = name_some(places, _FEW)
    return Match(problem=f"ambiguous: {len(places)} files are meant: {shown}", ambiguous=True)
