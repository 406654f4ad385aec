"""A folder with an output for each video of a run, made in worker processes, resumed by a journal.

The journal stays in the folder, in `.prepare`: it says with which settings the outputs were made,
of which files, and which names they got.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from videoswin_cli.data.encoding.pictures import DRAFTS
from videoswin_cli.data.encoding.resized import CopyFacts
from videoswin_cli.data.failures import name_reason
from videoswin_cli.data.walking import JOURNAL_FOLDER
from videoswin_cli.data.workers import count_workers, load_in_workers
from videoswin_cli.engine.file_stamps import FileStamps
from videoswin_cli.engine.journal import (
    Journal,
    discard,
    guarded,
    is_worked_on,
    kept_description,
    read_journals,
)
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.engine.provenance import Description, check_equal
from videoswin_cli.errors import OutputExistsError, UsageError, VideoError, VideoSwinError
from videoswin_cli.io.atomic import atomic_write, remove_drafts, to_json, write_error
from videoswin_cli.records import ListedVideo, VideoPart
from videoswin_cli.tasks.prepare.names import name_outputs

FAILED = "failed.jsonl"
_NOTED = 5  # videos whose notes are printed

Make = Callable[[VideoPart, Path], CopyFacts]


@dataclass(frozen=True, kw_only=True)
class Made:
    """The output of one video, or the reason why there is none."""

    path: str  # of the video
    output: str  # below the folder
    frames: int = 0
    fps: float = 0.0
    notes: tuple[str, ...] = ()
    error: str | None = None


_MADE = {field.name for field in fields(Made)}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Outputs of a run and their settings."""

    out: Path
    suffix: str  # of the outputs; empty where they are folders
    make: Make
    description: Description  # of the settings that outputs depend on
    workers: int | None
    overwrite: bool


def make_all(videos: Sequence[ListedVideo], plan: Plan, reporter: Reporter) -> list[Made]:
    """The outputs of all videos, in their order; those that an earlier run made are kept.

    Raises:
        UsageError: the folder is not ours, of other settings, or another process writes it.
        VideoSwinError: the disk is full.
    """
    with _open_journal(plan) as journal:
        entries = {path: entry for path, (_, entry) in journal.entries().items()}
        before = {path: entry["output"] for path, entry in entries.items() if entry["output"]}
        outputs = name_outputs(videos, suffix=plan.suffix, before=before)
        stamps = FileStamps(videos)
        kept = {
            path: _to_made(entry)
            for path, entry in entries.items()
            if entry["error"] is None
            and stamps.is_current(path, entry["file_stamp"])
            and _measure(plan.out / entry["output"]) == entry["output_bytes"]
        }
        made = {video.path: kept[video.path] for video in videos if video.path in kept}
        if made:
            reporter.notice(f"{len(made)} of {len(videos)} videos were done before: kept")
        todo = [video for video in videos if video.path not in made]
        folders = {(plan.out / outputs[video.path]).parent for video in todo
                   if video.path in outputs}  # fmt: skip
        _tidy(folders)
        reporter.start(len(videos), unit="video", done=len(made))
        for each in _make(todo, outputs, plan, reporter):
            written = None if each.error is not None else _measure(plan.out / each.output)
            state = {"file_stamp": stamps[each.path], "output_bytes": written}
            journal.append(asdict(each) | state)
            made[each.path] = each
            reporter.advance(failed=each.error is not None)
        _tidy(folders)  # a worker that died has left its draft
        done = [made[video.path] for video in videos]
        _write_failed(plan.out / FAILED, done)
    _describe(done, reporter)
    return done


def _measure(output: Path) -> int | None:
    """Bytes of a file, or of all pictures of a folder; None where it is not there."""
    try:
        if output.is_dir():
            with os.scandir(output) as entries:
                return sum(entry.stat().st_size for entry in entries)
        return output.stat().st_size
    except OSError:
        return None


def _to_made(entry: Mapping[str, object]) -> Made:
    values = {key: value for key, value in entry.items() if key in _MADE}
    return Made(**values | {"notes": tuple(entry["notes"])})  # type: ignore[arg-type]


# --- journal --------------------------------------------------------------------------------------


@contextmanager
def _open_journal(plan: Plan) -> Iterator[Journal]:
    """The journal of the folder, which is made; what an earlier run left goes where it is to."""
    out, folder = plan.out, plan.out / JOURNAL_FOLDER / "journal"
    try:
        there = kept_description(folder)
        if there is None and out.exists() and any(out.iterdir()):
            raise OutputExistsError(
                f"{out} is not empty, and was not written by `videoswin prepare`",
                hint="choose another folder",
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(out, error) from error
    with guarded(folder):
        if plan.overwrite and there is not None:
            _remove_outputs(out, folder)
        elif there is not None:
            hint = "choose another folder, or start over with --overwrite"
            check_equal(there, plan.description, where=str(out), hint=hint)
        journal = Journal(folder, plan.description, part="videos")
    with journal:
        yield journal


def _remove_outputs(out: Path, folder: Path) -> None:
    if is_worked_on(folder):
        raise UsageError(f"another process is writing {out}", hint="wait for it, or end it")
    try:
        for output in read_journals(folder, lambda part, entry: entry["output"]).values():
            place = out / output
            if output and place.is_dir():
                shutil.rmtree(place)
            elif output:
                place.unlink(missing_ok=True)
        discard(folder)
    except OSError as error:
        raise write_error(out, error) from error


# --- work -----------------------------------------------------------------------------------------


class _Maker:
    """Outputs by the number of the video; a `VideoSwinError` that is no video's is raised."""

    def __init__(
        self, videos: Sequence[ListedVideo], outputs: Mapping[str, str], out: Path, make: Make
    ) -> None:
        self._videos, self._outputs, self._out, self._make = videos, outputs, out, make

    def __getitem__(self, number: int) -> Made:
        video = self._videos[number]
        output = self._outputs.get(video.path)
        if video.file is None or output is None:
            return self.failed(number, video.missing if output else "no name is left of it")
        try:
            facts = self._make(video.part, self._out / output)
        except Exception as error:
            if isinstance(error, VideoSwinError) and not isinstance(error, VideoError | UsageError):
                raise
            return self.failed(number, name_reason(error, video.part.path))
        return Made(path=video.path, output=output, **asdict(facts))

    def failed(self, number: int, reason: str) -> Made:
        path = self._videos[number].path
        return Made(path=path, output=self._outputs.get(path, ""), error=reason)


def _make(
    videos: Sequence[ListedVideo], outputs: Mapping[str, str], plan: Plan, reporter: Reporter
) -> Iterator[Made]:
    workers = plan.workers
    if workers is None:
        workers = count_workers(len(videos), on_cpu=False)
    maker = _Maker(videos, outputs, plan.out, plan.make)
    found = load_in_workers(maker, range(len(videos)), workers=workers, notice=reporter.notice)
    with closing(found) as items:
        yield from items


def _tidy(folders: Collection[Path]) -> None:
    """Make the folders of outputs, and remove what processes that are gone left half done."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for draft in folder.glob(DRAFTS):
                shutil.rmtree(draft)
            remove_drafts(folder)
        except OSError as error:
            raise write_error(folder, error) from error


def _write_failed(file: Path, made: Sequence[Made]) -> None:
    rows = [{"path": each.path, "error": each.error} for each in made if each.error is not None]
    if not rows:
        file.unlink(missing_ok=True)
        return
    with atomic_write(file) as draft:
        draft.write_text("".join(f"{to_json(row)}\n" for row in rows), encoding="utf-8")


def _describe(made: Sequence[Made], reporter: Reporter) -> None:
    """Say which videos failed, and what is to be known of the others."""
    failed = [each for each in made if each.error is not None]
    for each in failed[:_NOTED]:
        reporter.notice(f"failed: {each.path}: {each.error}")
    noted = [each for each in made if each.notes]
    for each in noted[:_NOTED]:
        reporter.notice(f"{each.path}: {'; '.join(each.notes)}")
    if len(noted) > _NOTED:
        reporter.notice(f"{len(noted)} videos have such notes")
