"""A data set of sixty files with one fault of every kind, and the faults."""

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from make_video import (
    damage_video,
    rotate_video,
    truncate_video,
    write_audio,
    write_video,
)

FRAMES = 6
SIZE = (64, 48)
CLASSES = ("jump", "run", "turn left", "turn right", "swim", "walk")
COUNT = 60

Row = tuple[str, str, str, int]  # path, label, split, frames
Fault = tuple[str, str | None, str | None]  # kind, path, partner


def paint(seed: int) -> Callable[[int], np.ndarray]:
    """Frames of large random blocks that move: each seed is another content."""
    blocks = np.random.default_rng(seed).integers(20, 236, (6, 8, 3), dtype=np.uint8)
    picture = np.kron(blocks, np.ones((8, 8, 1), dtype=np.uint8))
    return lambda number: np.roll(picture, 4 * number, axis=1)


def write_clip(path: Path, seed: int, **options: Any) -> Path:
    """A clip of that content."""
    settings: dict[str, Any] = {"frames": FRAMES, "size": SIZE, "codec": "mpeg4", "b_frames": 0}
    settings |= options
    return write_video(path, draw=paint(seed), **settings)


def _spell(number: int) -> str:
    """A name without digits, which could be those of a recording."""
    return "q" + "".join(chr(ord("a") + int(digit)) for digit in str(number))


def plant(folder: Path) -> tuple[list[Row], set[Fault]]:
    """Write the files, `list.csv` and `classes.txt`; the rows and what is to be found."""
    folder.mkdir()
    rows: list[Row] = []
    faults: set[Fault] = set()

    def row(name: str, label: str = "run", split: str = "train", frames: int = FRAMES) -> Path:
        rows.append((name, label, split, frames))
        return folder / name

    def fault(kind: str, name: str | None, partner: str | None = None) -> None:
        faults.add((kind, name, partner))

    _plant_files(row, fault)
    _plant_copies(row, fault)
    row("gone.mp4")
    fault("missing", "gone.mp4")
    write_clip(row("counted.mp4", frames=9), 101)
    fault("frame-count", "counted.mp4")
    write_clip(row("unknown.mp4", label="fly"), 102)
    fault("label", "unknown.mp4")
    write_clip(row("twice.mp4", label="jump"), 103)
    row("twice.mp4", label="turn left")
    fault("two-labels", "twice.mp4")
    write_clip(row("again.mp4"), 104)
    row("again.mp4")
    fault("repeated", "again.mp4")
    write_clip(row("spelled.mp4", label="Jump"), 105)
    write_clip(row("water.mp4", label="swim", split="val"), 106)
    for kind in ("class-spelling", "untrained-class", "left-right", "balance"):
        fault(kind, None)
    fault("unused-class", None)  # walk; turn right, which val lacks, is in a finding of its own
    for label, split, count in (
        *(("jump", "train", 2), ("turn left", "train", 3), ("turn right", "train", 1)),
        *(("jump", "val", 1), ("turn left", "val", 1), ("run", "val", 1), ("run", "train", 99)),
    ):
        for _ in range(count):
            if len(list(folder.iterdir())) < COUNT:
                number = len(rows)
                write_clip(row(f"{_spell(number)}.mp4", label=label, split=split), number)
    with (folder.parent / "list.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerows([("path", "label", "split", "num_frames"), *rows])
    (folder.parent / "classes.txt").write_text("\n".join(CLASSES))
    return rows, faults


def _plant_files(row: Callable[..., Path], fault: Callable[..., None]) -> None:
    row("text.mp4").write_text("no video, only its name")
    row("empty.mp4").touch()
    fault("unreadable", "text.mp4")
    fault("unreadable", "empty.mp4")
    write_audio(row("sound.mp4"))
    fault("no-video", "sound.mp4")
    whole = write_clip(row("whole.mp4"), 1, faststart=False)
    truncate_video(whole, row("cut.mp4"), share=0.5)
    fault("unreadable", "cut.mp4")  # its index was at its end
    truncate_video(write_clip(row("whole.mkv"), 2), row("cut.mkv"), share=0.8)
    fault("truncated", "cut.mkv")
    healthy = write_clip(row("healthy.mkv", frames=30), 3, frames=30)
    damage_video(healthy, row("damaged.mkv", frames=30), start=0.4, stop=0.6)
    fault("damaged", "damaged.mkv")
    write_clip(row("picture.mp4", frames=1), 4, frames=1)
    fault("few-frames", "picture.mp4")
    write_clip(row("pauses.mkv"), 5, times=(0, 0.04, 0.08, 0.9, 0.94, 0.98))
    fault("variable-rate", "pauses.mkv")
    rotate_video(write_clip(row("upright.mp4"), 6), row("turned.mp4"), degrees=90)
    fault("rotation", "turned.mp4")
    x264: dict[str, tuple[str, dict[str, Any]]] = {
        "pixel-aspect": ("sar=4/3", {}),
        "interlaced": ("tff=1", {}),
        "high-bit-depth": ("keyint=6", {"pix_fmt": "yuv420p10le"}),
        "hdr": ("transfer=smpte2084:colormatrix=bt2020nc", {"pix_fmt": "yuv420p10le"}),
    }
    for seed, (kind, (parameters, more)) in enumerate(x264.items(), start=10):
        options = {"x264-params": parameters}
        write_clip(row(f"{kind}.mp4"), seed, codec="libx264", options=options, **more)
        fault(kind, f"{kind}.mp4")


def _plant_copies(row: Callable[..., Path], fault: Callable[..., None]) -> None:
    first = write_clip(row("first.mp4"), 20)
    shutil.copy(first, row("copy.mp4"))
    fault("duplicate", "copy.mp4", "first.mp4")
    write_clip(row("anew.mp4"), 20, codec="libx264", size=SIZE, pix_fmt="yuv444p")
    fault("near-duplicate", "anew.mp4", "first.mp4")
    disputed = write_clip(row("this.mp4", label="turn left"), 21)
    shutil.copy(disputed, row("that.mp4", label="jump"))
    fault("duplicate", "that.mp4", "this.mp4")
    fault("two-labels", "that.mp4", "this.mp4")
    fault("two-labels", "this.mp4", "that.mp4")
    for seed, kind in enumerate(("linked", "copied", "coded"), start=22):
        trained = write_clip(row(f"{kind}-t.mp4"), seed)
        validated = row(f"{kind}-v.mp4", split="val")
        if kind == "linked":
            os.link(trained, validated)
        elif kind == "copied":
            shutil.copy(trained, validated)
        else:
            write_clip(validated, seed, codec="libx264")
        fault("leak", f"{kind}-t.mp4", f"{kind}-v.mp4")
    write_clip(row("both.mp4"), 25)
    row("both.mp4", split="val")
    fault("leak", "both.mp4", "both.mp4")
    write_clip(row("v_run_g01_c01.mp4"), 26)
    write_clip(row("v_run_g01_c02.mp4", split="val"), 27)
    fault("recording", "v_run_g01_c01.mp4", "v_run_g01_c02.mp4")
