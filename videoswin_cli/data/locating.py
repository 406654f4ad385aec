"""Where the videos of a list lie: under a root, by path or by id, whatever their extension."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from videoswin_cli.data.lists import ListRow, VideoList
from videoswin_cli.data.sources import VIDEO_SUFFIXES
from videoswin_cli.errors import UsageError
from videoswin_cli.records import ListedVideo, Segment


def locate(
    videos: VideoList,
    labels: Sequence[int | None],
    *,
    root: Path | None,
    multi_label: bool = False,
) -> tuple[list[ListedVideo], list[str]]:
    """Look for the file of every row.

    A name is tried as it stands, then with other video extensions; an id without a folder is also
    looked for in the subfolders, first in that of its class.

    Args:
        videos: the list.
        labels: class index of each row.
        root: folder that the names are relative to; by default the folder of the list.
        multi_label: several rows of one video give it several classes.

    Returns:
        Each video once, in the order of the list, and what was noticed on the way.

    Raises:
        UsageError: `root` is no folder, or one video is listed with two labels.
    """
    folder = _Folder(root or _default_root(videos))
    found: dict[str, ListedVideo] = {}
    repeated = 0
    for row, label in zip(videos.rows, labels, strict=True):
        relative, segment = folder.find(row)
        key = (relative or row.name).replace(os.sep, "/")
        key = key if segment is None else f"{key}#{segment}"
        if key in found and multi_label and label is not None:
            more = (*found[key].more_labels, label)
            found[key] = replace(found[key], more_labels=more)
            continue
        if key in found:
            repeated += 1
            if found[key].label != label:
                raise UsageError(
                    f"{videos.source}:{row.line}: {key} has label {label} here and "
                    f"{found[key].label} in line {found[key].line}",
                    hint="leave one of the two lines",
                )
            continue
        file = None if relative is None else str(folder.path / relative)
        found[key] = ListedVideo(path=key, file=file, label=label, line=row.line, segment=segment)
    notices = [f"{repeated} rows name a video again; each is scored once"] if repeated else []
    return list(found.values()), notices


def _default_root(videos: VideoList) -> Path:
    source = Path(videos.source)
    return source if videos.format == "folder" else source.parent


class _Folder:
    """A root and, once it is needed, all videos below it."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise UsageError(f"no such folder: {path}", hint="--root is where the videos lie")
        self.path = path

    def find(self, row: ListRow) -> tuple[str | None, Segment | None]:
        """Path under the root, or None; and the segment of that file which the row means."""
        for name in row.trimmed_names:
            if (found := self._find_name(name, row.label)) is not None:
                return found, None
        return self._find_name(row.name, row.label), row.segment

    def _find_name(self, name: str, label: int | str | None) -> str | None:
        if Path(name).suffix.lower() in VIDEO_SUFFIXES and (self.path / name).is_file():
            return name
        return self._find_stem(name, label)

    def _find_stem(self, name: str, label: int | str | None) -> str | None:
        stem = name.replace(os.sep, "/")
        if Path(stem).suffix.lower() in VIDEO_SUFFIXES:
            stem = stem.rpartition(".")[0]
        if stem in self._by_path:
            return self._by_path[stem]
        if "/" in stem:  # in a folder that is not there; another folder's file is another video
            return None
        places = self._by_name.get(stem, [])
        if len(places) > 1 and label is not None:
            own = str(label).replace("_", " ")
            places = [p for p in places if Path(p).parent.name.replace("_", " ") == own] or places
        return places[0] if len(places) == 1 else None

    @cached_property
    def _by_path(self) -> dict[str, str]:
        """Path without extension -> path, for every video below the root."""
        return {path.rpartition(".")[0]: path for path in sorted(self._walk(), reverse=True)}

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """File name without extension -> paths."""
        names: dict[str, list[str]] = defaultdict(list)
        for stem, path in self._by_path.items():
            names[stem.rpartition("/")[2]].append(path)
        return names

    def _walk(self) -> Iterator[str]:
        seen: set[tuple[int, int]] = set()  # links are followed, but never in a circle
        for folder, subfolders, files in os.walk(self.path, followlinks=True):
            status = Path(folder).stat()
            if (status.st_dev, status.st_ino) in seen:
                subfolders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            prefix = Path(folder).relative_to(self.path).as_posix()
            for file in files:
                if Path(file).suffix.lower() in VIDEO_SUFFIXES:
                    yield file if prefix == "." else f"{prefix}/{file}"
