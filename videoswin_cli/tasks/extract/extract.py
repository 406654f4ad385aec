"""Videos in, features out, as arrays or as files: `extract()` and `videoswin extract`."""

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from videoswin_cli.data.decoding.container import MAX_PIXELS
from videoswin_cli.data.decoding.open import DecoderChoice
from videoswin_cli.data.sampling import Stride
from videoswin_cli.data.sources import expand_inputs
from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.data.window_dataset import Begun
from videoswin_cli.engine.distributed import Shard, find_world, process_group
from videoswin_cli.engine.file_stamps import FileStamps, read_stamp
from videoswin_cli.engine.journal import guarded, keep_description
from videoswin_cli.engine.precision import Record, resolve_auto
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.provenance import Description, describe_run, read_precision
from videoswin_cli.engine.runtime import Precision, RunOptions, choose_runtime
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import DEFAULT_MODEL
from videoswin_cli.model.loading import LoadedModel, describe, load
from videoswin_cli.records import ListedVideo, Timing, VideoPart
from videoswin_cli.tasks.extract.features import (
    FeatureOptions,
    FloatType,
    Per,
    Plan,
    Pool,
    Rows,
    compute_rows,
    plan_features,
)
from videoswin_cli.tasks.extract.files import (
    finish,
    join_output,
    look_at_output,
    open_output,
    read_all,
    recorded_description,
    settle,
)
from videoswin_cli.tasks.extract.output import Output
from videoswin_cli.tasks.extract.tables import FeatureTable, StoredVideo, make_table
from videoswin_cli.tasks.extract.writer import FeatureWriter, FileState, find_refusal


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What a run of `extract_to_files` came to."""

    videos: tuple[StoredVideo, ...]  # in the order of the list; those that are done by now
    complete: bool  # they are all, and the output is in its place
    timing: Timing


def extract(
    path_or_paths: str | Path | Sequence[str | Path],
    *,
    model: str | LoadedModel = DEFAULT_MODEL,
    checkpoint: str | Path | None = None,
    weights_set: str | None = None,
    views: str = "1x1",
    per: Per = "video",
    stride_frames: int | None = None,
    stride_seconds: float | None = None,
    stage: int | None = None,
    pool: Pool = "avg",
    dtype: FloatType = "fp32",
    device: str = "auto",
    precision: Precision = "fp32",
    decoder: DecoderChoice = "auto",
    stream: int | None = None,
    allow_truncated: bool = False,
    all_files: bool = False,
    max_pixels: int = MAX_PIXELS,
    workers: int | None = 0,
    batch_size: int | None = None,
) -> FeatureTable:
    """Features of one or several videos, folders, globs or URLs, in memory.

    The keywords are the options of `videoswin extract`. A video that cannot be read has NaN rows
    and says why in `status`.

    Raises:
        UsageError, CheckpointError, FetchError: nothing could be computed at all.
    """
    inputs = [path_or_paths] if isinstance(path_or_paths, str | Path) else path_or_paths
    paths = expand_inputs([str(path) for path in inputs], all_files=all_files).videos
    options = FeatureOptions(
        run=RunOptions(
            views=views,
            device=device,
            precision=precision,
            decoder=decoder,
            stream=stream,
            allow_truncated=allow_truncated,
            max_pixels=max_pixels,
            workers=workers,
            batch_size=batch_size,
        ),
        per=per,
        stride=make_stride(frames=stride_frames, seconds=stride_seconds),
        stage=stage,
        pool=pool,
        dtype=dtype,
    )
    if not isinstance(model, LoadedModel):
        model = _load(model, options, checkpoint=checkpoint, weights_set=weights_set)
    run = resolve_auto(model, options.run, notice=lambda text: None)
    plan = plan_features(model.spec, replace(options, run=run))
    videos, parts = [], []
    parts_to_read = [VideoPart(path=path) for path in paths]
    stamps = {path: read_stamp(path) for path in paths}
    rows = compute_rows(model, parts_to_read, plan, monitor=Monitor())
    for path in paths:
        own = list(_rows_of_one(rows))
        last = own[-1]
        if isinstance(last, FailedVideo):
            videos.append(StoredVideo(path=path, error=last.reason, file_stamp=stamps[path]))
            parts.append(np.full((plan.failed_rows, *plan.shape), np.nan, dtype=plan.dtype))
            continue
        good = [part for part in own if isinstance(part, Rows)]
        times = tuple(time for part in good for time in part.times)
        gaps: dict[int, str] = {}
        count = 0
        notes = tuple(note for part in good for note in part.notes)
        for part in good:
            gaps |= {count + row: reason for row, reason in part.gaps.items()}
            count += len(part.times)
        videos.append(
            StoredVideo(
                path=path,
                times=times,
                decoder=last.decoder,
                gaps=gaps,
                notes=notes,
                file_stamp=stamps[path],
            )
        )
        parts += [part.features for part in good]
    return make_table(videos, np.concatenate(parts), _describe(model, plan), plan)


def extract_to_files(
    listed: Sequence[ListedVideo],
    output: Output,
    options: FeatureOptions,
    *,
    model: str,
    checkpoint: Path | None,
    weights_set: str | None = None,
    shard: Shard,
    resume: bool,
    overwrite: bool,
    monitor: Monitor,
) -> Extraction | None:
    """Compute the features of every video once and write them, or resume that.

    Args:
        listed: all videos of the output, also where only a shard of them is to be computed here.
        output: where to.
        options: which features.
        model: as for `load`.
        checkpoint: as for `load`.
        weights_set: as for `load`.
        shard: the part to compute; the process that ends last writes the output.
        resume: go on with what is there; without it, it is an error that something is.
        overwrite: remove what is there first.
        monitor: is told; of several processes the first one's.

    Returns:
        What was done; None in all processes but the first.

    Raises:
        UsageError: options that do not fit, or an output of another run.
        VideoSwinError: the disk is full.
    """
    world = find_world()
    if not world.is_main:
        monitor = Monitor()
    _check_names(listed, output)
    run = replace(options.run, device=world.device(options.run.device))
    options = replace(options, run=run)
    with process_group(world):
        loaded = _load(model, options, checkpoint=checkpoint, weights_set=weights_set)
        monitor.notice(loaded.summary)
        if world.is_main:
            look_at_output(output, resume=resume, overwrite=overwrite)
        world.wait()
        run = resolve_auto(
            loaded,
            run,
            notice=monitor.notice,
            world=world,
            record=Record() if overwrite else _make_record(output, loaded, options),
        )
        plan = plan_features(loaded.spec, replace(options, run=run))
        description = _describe(loaded, plan)
        paths, stamps = [video.path for video in listed], FileStamps(listed)
        part = str(shard) if world.size == 1 else f"{shard}.{world.shard}"
        writer: FeatureWriter | None = None
        if world.is_main:
            writer = open_output(
                output,
                description,
                plan,
                paths,
                part=part,
                overwrite=overwrite,
                is_current=stamps.is_current,
            )
        (nothing_left,) = world.share([writer is None] if world.is_main else [])
        if not world.is_main and not nothing_left:
            writer = join_output(output, description, plan, part=part)
        with writer or nullcontext():
            found = read_all(output, description, plan)
            world.wait()  # nobody writes before all have looked
            mine = shard.select(listed)
            before = {path: video.file_stamp for path, video in found.items() if not video.error}
            for text in stamps.describe({v.path: before[v.path] for v in mine if v.path in before}):
                monitor.notice(text)
            done = {path for path, stamp in before.items() if stamps.is_current(path, stamp)}
            skipped = sum(video.path in done for video in mine)
            if skipped:
                monitor.notice(f"{skipped} of {len(mine)} videos were done before: skipped")
            pending = [video for video in world.shard.select(mine) if video.path not in done]
            monitor.begin(len(pending))
            if writer is not None:
                _write(writer, loaded, plan, pending, stamps, monitor)
            if not world.is_main and writer is not None:
                writer.close()
            timing = monitor.timing(world)  # all have ended with this
            if not world.is_main:
                return None
            complete = True
            if writer is not None:
                complete, found = finish(writer, description, plan, paths)
        videos = tuple(found[video.path] for video in listed if video.path in found)
        return Extraction(videos=videos, complete=complete, timing=timing)


def make_stride(*, frames: int | None = None, seconds: float | None = None) -> Stride | None:
    """From the start of one window to that of the next; None where neither is given.

    Raises:
        UsageError: both are given, or not above 0.
    """
    if frames is None and seconds is None:
        return None
    value = seconds if seconds is not None else frames or 0
    if None not in (frames, seconds) or not 0 < value < math.inf:
        unit = "frames" if seconds is None else "seconds"
        raise UsageError(
            f"a stride of {value:g} {unit}: expected frames or seconds, one of them, above 0"
        )
    return Stride(frames=frames, seconds=seconds)


def _load(
    model: str,
    options: FeatureOptions,
    *,
    checkpoint: str | Path | None,
    weights_set: str | None,
) -> LoadedModel:
    """Look at all that can be wrong before weights are fetched, then load."""
    spec, _ = describe(model, with_head=False)
    plan_features(spec, options)
    choose_runtime(device=options.run.device, precision=options.run.precision)
    return load(model, checkpoint=checkpoint, weights_set=weights_set)


def _describe(model: LoadedModel, plan: Plan) -> Description:
    options, stride = plan.options, plan.options.stride
    return describe_run(
        model,
        replace(options.run, views=str(plan.views)),
        per=options.per,
        stride_frames=stride.frames if stride else None,
        stride_seconds=stride.seconds if stride else None,
        stage=options.stage or "final",
        pool=options.pool,
        dtype=options.dtype,
    )


def _make_record(output: Output, model: LoadedModel, options: FeatureOptions) -> Record:
    """Where shards that start at the same time on different machines agree on a precision."""

    def read() -> Precision | None:
        return read_precision(recorded_description(output))

    def keep(run: RunOptions) -> Precision:
        description = _describe(model, plan_features(model.spec, replace(options, run=run)))
        with guarded(output.part):
            settle(output)
            return read_precision(keep_description(output.part, description)) or run.precision

    return Record(read=read, keep=keep)


def _check_names(listed: Sequence[ListedVideo], output: Output) -> None:
    """Two videos must not share a file of a folder."""
    if output.kind != "folder":
        return
    owners: dict[Path, str] = {}
    for video in listed:
        file = output.feature_file(video.path)
        if file is None:
            continue  # a row that says so
        if (other := owners.setdefault(file, video.path)) != video.path:
            raise UsageError(
                f"{other} and {video.path} would both be written to {file}",
                hint="start from a folder above both, or write one matrix (.npy)",
            )


def _write(
    writer: FeatureWriter,
    model: LoadedModel,
    plan: Plan,
    pending: Sequence[ListedVideo],
    stamps: FileStamps,
    monitor: Monitor,
) -> None:
    for video in pending:
        stamps[video.path]  # before any is read: one that is replaced later is seen to be another
    refused = {video.path: find_refusal(writer.output, video.path) for video in pending}
    readable = [v for v in pending if v.file is not None and refused[v.path] is None]
    begun = None
    for video in readable:
        if (begun := writer.resume(video.path, _read_state(video))) is not None:
            monitor.notice(f"{video.path}: {begun.windows} windows were done before: skipped")
            pending = [video, *(other for other in pending if other is not video)]
            readable = [video, *(other for other in readable if other is not video)]
            break
    else:
        writer.forget()
    parts = [video.part for video in readable]
    rows = compute_rows(model, parts, plan, monitor=monitor, begun=begun or Begun())
    for video in pending:
        reason: str | None = None
        if video.file is None or refused[video.path] is not None:
            reason = refused[video.path] or video.missing
            writer.fail(video.path, reason)
            monitor.advance(failed=True)
            continue
        state = _read_state(video)
        for part in _rows_of_one(rows):
            if isinstance(part, FailedVideo):
                reason = part.reason
                writer.fail(video.path, reason, stamp=stamps[video.path])
                continue
            writer.add(part, video.path, state)
            monitor.note(video.path, part.notes)
            if part.last:
                reason = writer.end(video.path, part.decoder, stamp=stamps[video.path])
        monitor.advance(failed=reason is not None)


def _read_state(video: ListedVideo) -> FileState | None:
    """By which a file is known to be unchanged; None of a URL."""
    assert video.file is not None
    try:
        found = Path(video.file).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _rows_of_one(rows: Iterator[Rows | FailedVideo]) -> Iterator[Rows | FailedVideo]:
    """What `rows` has of its next video."""
    for part in rows:
        yield part
        if isinstance(part, FailedVideo) or part.last:
            return
