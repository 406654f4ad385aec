"""Trainings of six clips, which take a second, and their folders held against each other."""

import json
from pathlib import Path
from typing import Any

import torch
from colors import read_state, write_color
from notices import Notices
from tiny import write_model

from videoswin_cli.training.finetune import finetune
from videoswin_cli.training.result import FinetuneResult

# Two epochs of two steps of three clips; `drop_path_rate` and `head_dropout` are on.
CHANGES = (
    *("epochs=2", "batch_size=3", "lr=0.02", "scale_lr=false", "ema=0.9"),
    *("head_dropout=0.5", "crop_area=[0.08, 1]"),  # else chosen by the number of clips
    "test_views=none",
)
STEPS = 4
VAL_CLIPS = 3


def write_few(folder: Path) -> Path:
    """`data` with three clips of each of three classes, and `tiny.safetensors`."""
    for channel, name in ((1, "green"), (0, "red"), (2, "walk")):
        for number in range(3):
            write_color(folder / "data" / name / f"{number}.mp4", channel, 10 * channel + number)
    write_model(folder / "tiny.safetensors")
    return folder


def train(
    few: Path,
    out: Path,
    *changes: str,
    notices: Notices | None = None,
    model: Path | None = None,
) -> FinetuneResult:
    """Begin a run, or resume the one that `out` holds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would wait for each other longer than they compute
    try:
        return finetune(
            few / "data",
            val_share=0.3,
            model=str(model or few / "tiny.safetensors"),
            changes=[*CHANGES, *changes],
            out=out,
            resume=True,
            device="cpu",
            workers=0,
            reporter=notices,
        )
    finally:
        torch.set_num_threads(threads)


def check_same_files(one: Path, two: Path) -> None:
    """Equal names and bytes, but for what holds times.

    Of the state equal content, as its bytes tell when it was resumed; of the result all but times.
    """
    names = [
        {path.name for path in out.iterdir() if not path.name.startswith("events.out.tfevents")}
        for out in (one, two)
    ]
    assert names[0] == names[1]
    for name in names[0] - {"state.pt", "train.log", "result.json"}:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    results = [json.loads((out / "result.json").read_text()) for out in (one, two)]
    assert results[0] | {"times": None} == results[1] | {"times": None}
    _check_same(read_state(one), read_state(two))


def read_scalars(out: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by tag, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out)).Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags}


def _check_same(one: Any, two: Any) -> None:
    assert type(one) is type(two)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, two)
    elif isinstance(one, dict):
        assert list(one) == list(two)
        for key in one:
            _check_same(one[key], two[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(two)
        for pair in zip(one, two, strict=True):
            _check_same(*pair)
    else:
        assert one == two
