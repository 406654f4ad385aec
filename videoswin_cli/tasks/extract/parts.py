"""Features in a folder of parts: files of consecutive videos, each written whole, then a manifest.

A part counts when its file is there. Its name has a digest of the names, segments and file stamps
of its videos, so a part of other videos, or of files that changed since, is not taken for it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from videoswin_cli.engine.cluster.dealing import default_part_size
from videoswin_cli.engine.file_stamps import FileStamps
from videoswin_cli.engine.numerics import NO_RECORD, Record
from videoswin_cli.engine.provenance import Description, check_equal, read_numerics, to_text
from videoswin_cli.engine.runner import Runner
from videoswin_cli.engine.runtime import Numerics
from videoswin_cli.engine.settings import Settings
from videoswin_cli.errors import OutputExistsError, ResumeError
from videoswin_cli.io.folder_store import FolderStore, open_folder
from videoswin_cli.io.visible import counted
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.options.tasks import FeatureOptions, PartFormat
from videoswin_cli.records import ListedVideo, Timing
from videoswin_cli.tasks.extract.features import Plan, plan_features
from videoswin_cli.tasks.extract.part_files import SUFFIXES, read_part, write_part
from videoswin_cli.tasks.extract.sink import Extraction, Piece, describe_features
from videoswin_cli.tasks.extract.tables import StoredVideo, join_rows

MANIFEST = "_manifest.json"  # the last file of a finished output; readers of Parquet skip it
_RUN = "_run.json"  # the first one: which run this is
_PART = re.compile(r"part-([0-9]{6,})-[0-9a-f]{12}\.(parquet|tar|npy|index\.csv)")
_THREADS = 16


@dataclass(frozen=True, kw_only=True)
class PartsOutput:
    """A folder of parts."""

    store: FolderStore
    format: PartFormat
    size: int  # videos of a part


def open_parts(
    out: str, format: PartFormat, size: int | None, options: FeatureOptions, videos: int
) -> PartsOutput:
    """The folder of parts that a text names; `videos` are in the list.

    Raises:
        UsageError: nothing can be written there.
    """
    size = size or default_part_size(videos, windows=options.per == "window")
    return PartsOutput(store=open_folder(out), format=format, size=size)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A part of the list."""

    name: str  # of its file
    videos: Sequence[ListedVideo]


class PartSink:
    """Keeper of features, part by part."""

    in_order = False

    def __init__(
        self,
        listed: Sequence[ListedVideo],
        output: PartsOutput,
        options: FeatureOptions,
        *,
        resume: bool,
        overwrite: bool,
    ) -> None:
        self._listed = listed
        self._output = output
        self._options = options
        self._resume = resume
        self._overwrite = overwrite
        self._plan: Plan | None = None
        self._description: Description = {}
        self._stamps = FileStamps(listed)
        self._parts: list[_Part] = []
        self._there: set[str] = set()  # names of files
        self._part_of: dict[str, int] = {}  # path of a video -> number of its part
        self._open: dict[int, dict[str, list[Piece]]] = {}  # part -> path -> pieces so far
        self._ended: dict[str, StoredVideo] = {}  # by this process

    @property
    def record(self) -> Record:
        if self._overwrite:
            return NO_RECORD
        return Record(read=lambda: read_numerics(self._recorded()), keep=self._keep)

    def check(self) -> None:
        """Refuse a folder of something else; with `overwrite` remove what is there."""
        store = self._output.store
        store.check()
        names = store.names()
        ours = {name for name in names if _PART.fullmatch(name) or name in (MANIFEST, _RUN)}
        if others := sorted(names - ours):
            raise OutputExistsError(
                f"{store.name} has {others[0]}, which is no part of an output",
                hint="choose another --out: a folder of parts is read as a whole",
            )
        if ours and self._overwrite:
            for name in sorted(ours, key=lambda name: name == _RUN):
                store.remove(name)
        elif ours and not self._resume:
            raise OutputExistsError(
                f"{store.name} has parts of an output",
                hint="use --resume to continue it, or --overwrite to start over",
            )

    def begin(self, runner: Runner, part: str) -> bool:
        self.join(runner, part)
        store = self._output.store
        recorded = self._recorded()
        if recorded is None:
            store.write(_RUN, lambda path: _write(path, to_text(self._description)))
        else:
            check_equal(recorded, self._description, where=store.name)
        for name in self._stray():
            store.remove(name)
        return MANIFEST not in self._there or any(p.name not in self._there for p in self._parts)

    def join(self, runner: Runner, part: str) -> None:
        self._plan = plan_features(runner.model.spec, runner.settings, self._options)
        self._description = self._describe(runner.model, runner.settings)
        self._there = self._output.store.names()
        self._parts = self._list_parts()
        self._part_of = {
            video.path: number for number, each in enumerate(self._parts) for video in each.videos
        }

    def finished(self) -> Mapping[str, str]:
        done = [part for part in self._parts if part.name in self._there]
        return {
            video.path: self._stamps[video.path] if video.file is not None else ""
            for part in done
            for video in part.videos
        }

    def keep(self, result: Piece, stamps: FileStamps) -> None:
        """Keep rows until their part is complete, which is written then."""
        path, rows = result.video.path, result.rows
        number = self._part_of[path]
        videos = self._open.setdefault(number, {})
        videos.setdefault(path, []).append(result)
        if rows is not None and not rows.last:
            return
        stamp = "" if result.video.file is None else stamps[path]
        self._ended[path] = _store(videos[path], stamp)
        videos[path] = []
        part = self._parts[number]
        if all(video.path in self._ended for video in part.videos):
            self._write_part(part)
            del self._open[number]

    def close(self) -> None:
        pass

    def finish(self, collected: Sequence[Piece], timing: Timing) -> Extraction:
        """Write the manifest, if all parts are there."""
        store = self._output.store
        self._there = store.names()
        there = [part for part in self._parts if part.name in self._there]
        with ThreadPoolExecutor(_THREADS) as pool:
            videos = [video for found in pool.map(self._statuses, there) for video in found]
        complete = len(there) == len(self._parts)
        if complete:
            manifest = self._make_manifest(there, videos)
            if store.read(MANIFEST) != manifest.encode():
                store.write(MANIFEST, lambda path: _write(path, manifest))
        return Extraction(videos=tuple(videos), complete=complete, timing=timing)

    def _write_part(self, part: _Part) -> None:
        assert self._plan is not None
        ended = [self._ended[video.path] for video in part.videos]
        write_part(self._output.store.write, part.name, ended, self._plan, self._description)
        for video in ended:  # their features are safe, and would fill the memory
            self._ended[video.path] = replace(video, features=None)

    def _statuses(self, part: _Part) -> list[StoredVideo]:
        """Videos of a part that is there; of other processes' it is read."""
        if all(video.path in self._ended for video in part.videos):
            return [self._ended[video.path] for video in part.videos]
        found = read_part(self._output.store.read, part.name)
        if len(found) != len(part.videos):
            raise ResumeError(
                f"{part.name} has {counted(len(found), 'video')}, expected {len(part.videos)}",
                hint="remove it: the same command makes it again",
            )
        return list(found.values())

    def _make_manifest(self, parts: Sequence[_Part], videos: Sequence[StoredVideo]) -> str:
        rest = iter(videos)
        rows = []
        for part in parts:
            own = [next(rest) for _ in part.videos]
            failed = sum(video.error is not None for video in own)
            rows.append({"file": part.name, "videos": len(own), "failed": failed})
        failed = sum(row["failed"] for row in rows)  # type: ignore[misc]
        facts = {"videos": len(videos), "failed": failed, "run": self._description}
        return json.dumps({**facts, "parts": rows}, indent=1) + "\n"

    def _list_parts(self) -> list[_Part]:
        self._stamps.read(video.path for video in self._listed if video.file is not None)
        size, suffix = self._output.size, SUFFIXES[self._output.format]
        return [
            _Part(
                name=f"part-{number:06}-{_digest(videos, self._stamps)}{suffix}",
                videos=videos,
            )
            for number, videos in enumerate(
                self._listed[first : first + size] for first in range(0, len(self._listed), size)
            )
        ]

    def _stray(self) -> list[str]:
        """Files of parts whose videos changed since they were written."""
        wanted = {part.name.partition(".")[0] for part in self._parts}
        parts = (name for name in self._there if _PART.fullmatch(name))
        return sorted(name for name in parts if name.partition(".")[0] not in wanted)

    def _describe(self, model: LoadedModel, settings: Settings) -> Description:
        described = describe_features(model, settings, self._options)
        paths = "\n".join(video.path for video in self._listed)
        return described | {
            "output_format": self._output.format,
            "part_size": self._output.size,
            "list_sha256": sha256(paths.encode(errors="surrogateescape")).hexdigest(),
        }

    def _recorded(self) -> Description | None:
        content = self._output.store.read(_RUN)
        try:
            return None if content is None else dict(json.loads(content))
        except (ValueError, TypeError) as error:
            raise ResumeError(
                f"{self._output.store.name}/{_RUN} cannot be read",
                hint="choose another --out, or start over with --overwrite",
            ) from error

    def _keep(self, model: LoadedModel, settings: Settings) -> Numerics:
        store, described = self._output.store, self._describe(model, settings)
        if self._recorded() is None:
            store.write(_RUN, lambda path: _write(path, to_text(described)))
        return read_numerics(self._recorded()) or settings.runtime.numerics


def _digest(videos: Sequence[ListedVideo], stamps: FileStamps) -> str:
    digest = sha256()
    for video in videos:
        stamp = stamps[video.path] if video.file is not None else ""
        digest.update(f"{video.path}\0{stamp}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:12]


def _store(pieces: Sequence[Piece], stamp: str) -> StoredVideo:
    """A video from its pieces; a failed one has nothing."""
    path, last = pieces[-1].video.path, pieces[-1]
    if last.rows is None:
        return StoredVideo(path=path, error=last.reason or "", file_stamp=stamp)
    return join_rows(path, [piece.rows for piece in pieces if piece.rows is not None], stamp)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
