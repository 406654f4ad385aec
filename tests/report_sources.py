"""Sources of report pages, with names that would break out of a page that trusts them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from videoswin_cli.engine.dumps import write_dump
from videoswin_cli.engine.metrics import ScoredVideo, rank_scores
from videoswin_cli.records import ActionSegment, Timeline, UnreadSpan

SCRIPT = "<script>alert(1)</script>"
QUOTED = 'it\'s "q" & <b>bold</b>/</script><img src=x onerror=alert(1)>.mp4'
NAMES = ("run", SCRIPT, 'sit "down"')


def scored(path: str, label: int, *scores: float) -> ScoredVideo:
    """A video with the scores of all classes; without any a failed one."""
    if not scores:
        return ScoredVideo(path=path, label=label, error=f"no video in {SCRIPT}")
    array = np.array(scores, dtype=np.float32)
    top = rank_scores(array, k=len(scores))
    probs = tuple(float(array[index]) for index in top)
    return ScoredVideo(path=path, label=label, top=top, top_probs=probs, scores=array)


FIRST = (
    scored("a.mp4", 0, 0.7, 0.2, 0.1),
    scored("b.mp4", 0, 0.3, 0.6, 0.1),
    scored(QUOTED, 1, 0.9, 0.05, 0.05),
    scored("d.mp4", 1, 0.1, 0.8, 0.1),
    scored("e.mp4", 2, 0.2, 0.2, 0.6),
    scored("f.mp4", 2),
)
SECOND = (
    scored("a.mp4", 0, 0.7, 0.2, 0.1),
    scored("b.mp4", 0, 0.6, 0.3, 0.1),
    scored(QUOTED, 1, 0.1, 0.8, 0.1),
    scored("d.mp4", 1, 0.8, 0.1, 0.1),
    scored("e.mp4", 2, 0.2, 0.2, 0.6),
    scored("f.mp4", 2, 0.0, 0.0, 1.0),
)


def write_dumps(folder: Path) -> tuple[Path, Path, Path]:
    """Two dumps of the same videos, and the names of their classes."""
    first, second, labels = folder / "first.npz", folder / "second.jsonl", folder / "names.txt"
    write_dump(first, FIRST, NAMES)
    write_dump(second, SECOND, NAMES)
    labels.write_text("".join(f"{name}\n" for name in NAMES))
    return first, second, labels


def make_timeline(path: str = "clip.mp4", **more: Any) -> Timeline:
    segments = (
        ActionSegment(start=0.0, end=0.8, label="run", index=0, mean=0.8, peak=0.9),
        ActionSegment(start=0.5, end=1.2, label=SCRIPT, index=1, mean=0.6, peak=0.7),
        ActionSegment(start=1.2, end=2.0, label="run", index=0, mean=0.55, peak=0.6),
    )
    facts: dict[str, Any] = {
        "path": path,
        "model": "tiny",
        "duration": 2.0,
        "window": 0.5,
        "stride": 0.25,
        "segments": segments,
        "gaps": (UnreadSpan(start=0.9, end=1.0, reason=f"lost {SCRIPT}"),),
    }
    return Timeline(**facts | more)


def write_timelines(path: Path, *timelines: Timeline) -> Path:
    path.write_text(json.dumps([asdict(timeline) for timeline in timelines]))
    return path


def write_run(folder: Path, *, finished: bool = True) -> Path:
    """The files of a fine-tuning run that a report reads."""
    folder.mkdir()
    (folder / "metrics.csv").write_text(
        "epoch,step,train_loss,val_loss,top1,mean_class_accuracy\n"
        "1,10,1.5,1.2,50.0,48.0\n2,20,0.9,nan,75.0,70.0\n3,30,0.7,1.1,70.0,66.0\n"
    )
    (folder / "config.yaml").write_text("lr: 0.001\nbetas:\n- 0.9\n- 0.999\nclip_frames: null\n")
    (folder / "confusion.csv").write_text(
        "index,label,predicted_index,predicted_label,videos\n"
        f"0,run,0,run,3\n0,run,1,{SCRIPT},1\n1,{SCRIPT},1,{SCRIPT},2\n"
    )
    (folder / "failed.jsonl").write_text(json.dumps({"path": QUOTED, "error": "cut off"}) + "\n")
    if finished:
        result = {"start": "swin-tiny-k400", "best_epoch": 2, "train_clips": 20, "val_clips": 8}
        (folder / "result.json").write_text(json.dumps(result))
    return folder
