"""Decoders, and what each reads: tried in a process of its own, which a crash may end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.encoding.codec_samples import ENCODERS, LEVELS, find_encoder, write_sample
from videoswin_cli.data.workers import load_in_workers
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.options.run import DecoderChoice
from videoswin_cli.records import HealthRow
from videoswin_cli.tasks.doctor.packages import requirement_of

_PART = "decoders"
_READS = "reads it"
_MOST_OFF = 12  # of a gray, which lossy coding changes

Trial = Callable[[], HealthRow]


@dataclass(frozen=True)
class _Trials:
    """Rows by the functions that find them, and in place of one that crashed."""

    def __getitem__(self, trial: "partial[HealthRow]") -> HealthRow:
        return trial()

    def failed(self, trial: "partial[HealthRow]", reason: str) -> HealthRow:
        what, codec = trial.args[:2]
        advice = _reinstall(what)
        if what == "decord":
            advice = "use --decoder pyav, or pip uninstall decord"
        return HealthRow(
            part=_PART,
            name=f"{what}, {codec}",
            value=f"crashes: {reason}",
            state="note" if what in ("encoder", "torchcodec") else "problem",
            advice=advice,
        )


def _reinstall(what: str) -> str:
    package = "av" if what in ("encoder", "pyav") else what
    return f'pip install --force-reinstall --no-deps "{requirement_of(package)}"'


def try_decoders() -> Iterator[HealthRow]:
    """A row per decoder and codec."""
    with TemporaryDirectory() as folder:
        samples = {codec: Path(folder, f"{number}.mkv") for number, codec in enumerate(ENCODERS)}
        made = _run([partial(make_sample, "encoder", *item) for item in samples.items()])
        yield from (row for row in made if row.state != "ok")
        there = [item for item in samples.items() if item[1].exists()]
        for name in get_args(DecoderChoice):
            if name != "auto":
                found = list(_run([partial(read_sample, name, *item) for item in there]))
                yield from _merge(name, found)


def _merge(decoder: str, rows: list[HealthRow]) -> list[HealthRow]:
    """One row where all codecs have the same answer, as of a decoder that is not installed."""
    same = len({row.value for row in rows}) == 1 and rows[0].state == "ok"
    return [replace(rows[0], name=decoder)] if same and rows[0].value != _READS else rows


def _run(trials: "list[partial[HealthRow]]") -> Iterator[HealthRow]:
    return load_in_workers(_Trials(), trials, workers=1)


def make_sample(what: str, codec: str, path: Path) -> HealthRow:
    """Write a sample; without an encoder the row says that the codec was not tried."""
    try:
        encoder = find_encoder(codec)
        if encoder is not None:
            part = path.with_suffix(".part")
            write_sample(part, encoder)
            part.rename(path)
            return HealthRow(part=_PART, name=f"{what}, {codec}", value=encoder)
        value = "not tried: PyAV's FFmpeg has no encoder to make a sample with"
    except Exception as error:  # noqa: BLE001 - of whatever library is broken
        value = f"not tried: no sample could be made: {error}"
    return HealthRow(part=_PART, name=codec, value=value, state="note")


def read_sample(decoder: DecoderChoice, codec: str, path: Path) -> HealthRow:
    """Read a sample and compare its frames with those that were written."""
    row = partial(HealthRow, part=_PART, name=f"{decoder}, {codec}")
    broken = partial(
        row,
        state="note" if decoder == "torchcodec" else "problem",
        advice=_reinstall(decoder),
    )
    try:
        with open_video(path, decoder=decoder) as video:
            frames = video.read_frames(range(len(LEVELS)))
    except UsageError as error:  # it is not installed, or does not load
        return row(value=error.message)
    except VideoError as error:
        reason = error.message.replace(str(path), "").removeprefix(": ")
        if decoder == "pyav":
            return broken(value=reason)
        return row(value=f"{reason}; PyAV reads it")
    except Exception as error:  # noqa: BLE001 - of whatever library is broken
        return broken(value=f"{type(error).__name__}: {error}")
    means = frames.reshape(len(LEVELS), -1).mean(axis=1)
    off = max(abs(mean - level) for mean, level in zip(means, LEVELS, strict=True))
    if off > _MOST_OFF:
        return broken(value=f"gives wrong pixels: up to {off:.0f} of 255 off")
    return row(value=_READS)
