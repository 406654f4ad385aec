"""`videoswin finetune` on classes called by numbers, of clips cut from recordings."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from colors import CLASSES
from typer.testing import Result

from videoswin_cli import predict

Run = Callable[..., Result]

NAMES = dict(zip(("10", "1", "2"), CLASSES, strict=True))  # in the order of text it would be 1 10 2
LEARN = ("--epochs", 12, "--workers", 0, "--set", "lr=0.03", "--set", "backbone_lr_mult=1", "--set",
         "head_dropout=0", "--set", "scale_lr=false")  # fmt: skip


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# Three trainings; class names that are numbers have tests in tests/data.
@pytest.mark.slow
def test_what_is_trained_as_10_is_answered_10(
    run: Run, tiny: str, data: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "data", tmp_path / "o"
    folder.mkdir()
    for name, color in NAMES.items():
        (folder / name).symlink_to(data / color)
    line = ("finetune", folder, "--model", tiny, "--out", out, "--group", r"(\d)\.mp4$", *LEARN)
    done = run(*line)
    assert done.exit_code == 0, done.output
    assert "30 videos are of 10 recordings, by --group" in done.stderr

    rows = read(out / "splits.csv")
    assert list(rows[0]) == ["path", "label", "split", "group"]
    assert all(row["path"] == f"{row['label']}/{row['group']}.mp4" for row in rows)
    validated = {row["group"] for row in rows if row["split"] == "val"}
    assert len(validated) == 2
    assert sum(row["split"] == "val" for row in rows) == 6, "both of all three classes"

    model = str(out / "best.safetensors")
    answers = predict(folder, model=model)
    assert [score.label for score in sorted(answers[0].top, key=lambda s: s.index)] == [
        *("1", "2", "10")
    ]
    hits = dict.fromkeys(NAMES, 0)
    for answer in answers:
        hits[answer.top[0].label] += Path(answer.path).parent.name == answer.top[0].label
    assert sum(hits.values()) > 18
    tables = ("--per-class", tmp_path / "c.csv", "--confusion", tmp_path / "m.csv")
    listed = run("eval", folder, "--model", model, "--views", "1x1", *tables)
    assert listed.exit_code == 0, listed.output
    assert {row["label"]: int(row["correct"]) for row in read(tmp_path / "c.csv")} == hits
    confusions = read(tmp_path / "m.csv")
    assert {
        r["label"]: int(r["videos"]) for r in confusions if r["label"] == r["predicted_label"]
    } == {name: count for name, count in hits.items() if count}
    again = run("eval", "--list", out / "splits.csv", "--root", folder, "--model", model, "--split",
                "train", "--views", "1x1", *tables)  # fmt: skip
    assert again.exit_code == 0, again.output
    assert {row["label"]: row["videos"] for row in read(tmp_path / "c.csv")} == dict.fromkeys(
        NAMES, "8"
    )

    other = run(*line[:6], *LEARN, "--resume", "--group", "none")
    assert other.exit_code == 2
    shown = " ".join(other.stderr.split())
    assert r"groups was '(\\d)\\.mp4$', now None (train, val differ too)" in shown
    assert "give --group as that run had it" in shown
