"""What `videoswin finetune` makes of clips that a tiny network can tell apart."""

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from colors import CLASSES, QUICK, check_equal, read_state, weights
from tiny import LABELS, TINY
from typer.testing import Result

from videoswin_cli import predict
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.model.inference_plan import InferencePlan
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.model.transfer import fresh_tensors
from videoswin_cli.seeding import seeded
from videoswin_cli.training.optimizer import schedule
from videoswin_cli.training.recipe import read_recipe

Run = Callable[..., Result]


def test_a_folder_becomes_a_model(run: Run, tiny: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "colors"
    learn = ("--epochs", 12, "--set", "lr=0.03", "--set", "backbone_lr_mult=1", "--set",
             "head_dropout=0", "--set", "scale_lr=false")  # fmt: skip
    result = run("finetune", data, "--model", tiny, "--out", out, "--workers", 0, *learn)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out / 'best.safetensors'}\n"
    assert "3 classes, 24 training and 6 validation clips; 8 ('green') to 8" in result.stderr
    assert "1 device x 8 clips x 1 accumulated = 8 clips per step" in result.stderr
    assert "2 new (head)" in result.stderr
    names = {"best.safetensors", "last.safetensors", "state.pt", "config.yaml", "metrics.csv"}
    names |= {"splits.csv", "curves.png", "confusion.png", "confusion.csv", ".lock"}
    names |= {"classes.txt", "result.json", "train.log"}
    found = {path.name for path in out.iterdir()}
    (events,) = (name for name in found if name.startswith("events.out.tfevents"))
    assert found - {events} == names
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    with (out / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    assert float(rows[0]["train_loss"]) < 1.4, "it starts near the logarithm of 3"
    assert float(rows[-1]["train_loss"]) < 0.7 * float(rows[0]["train_loss"])
    best = max(float(row["top1"]) for row in rows)
    assert best > 60
    answers = predict(data, model=str(out / "best.safetensors"))
    hits = sum(Path(a.path).parent.name == a.top[0].label for a in answers)
    assert hits > 18
    assert {score.label for score in answers[0].top} == set(CLASSES)
    described = json.loads(read_checkpoint(out / "best.safetensors").metadata["videoswin-1"])
    assert described["training"]["metrics"]["top1"] == best
    assert described["spec"]["pretraining"] == "tiny"
    listed = run("eval", data, "--model", out / "best.safetensors", "--views", "1x1")
    assert listed.exit_code == 0, listed.output


def test_a_dry_run_writes_nothing(run: Run, tiny: str, data: Path, tmp_path: Path) -> None:
    result = run("finetune", data, "--model", tiny, "--out", tmp_path / "o", "--dry-run", *QUICK)
    assert result.exit_code == 0
    assert "2 epochs x 24 clips / 8 = 6 steps" in result.stderr
    assert "s per step; measured here) and 0.0 GiB of memory per device" in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_two_runs_give_the_same_weights(run: Run, tiny: str, data: Path, tmp_path: Path) -> None:
    augmented = ("--set", "rand_augment=1", "--set", "mixup=0.8", "--set", "ema=0.9")
    for name in ("1", "2"):
        out = ("--out", tmp_path / name)
        assert run("finetune", data, "--model", tiny, *out, *QUICK, *augmented).exit_code == 0
    check_equal(tmp_path / "1", tmp_path / "2")
    other = run(
        "finetune", data, "--model", tiny, "--out", tmp_path / "3", *QUICK, "--set", "seed=1"
    )
    assert other.exit_code == 0
    assert (tmp_path / "1/splits.csv").read_bytes() != (tmp_path / "3/splits.csv").read_bytes()


def test_without_matplotlib_a_run_has_no_pictures_and_says_so(
    run: Run, tiny: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("videoswin_cli.report.curves.find_spec", lambda name: None)
    out = tmp_path / "o"
    result = run("finetune", data, "--model", tiny, "--out", out, "--workers", 0, "--epochs", 1)
    assert result.exit_code == 0, result.output
    assert 'pip install "videoswin[plots]"' in result.stderr
    assert (out / "confusion.csv").exists()
    assert not list(out.glob("*.png"))


# Imports TensorBoard.
@pytest.mark.slow
def test_curves_for_tensorboard_are_those_of_the_table(
    run: Run, tiny: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "o"
    assert run("finetune", data, "--model", tiny, "--out", out, *QUICK).exit_code == 0
    events = EventAccumulator(str(out)).Reload()
    losses = read_state(out)["progress"]["losses"]
    steps = events.Scalars("step/loss")
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in steps] == pytest.approx(losses, rel=1e-6)
    with (out / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    top1 = events.Scalars("epoch/top1")
    assert [event.value for event in top1] == pytest.approx([float(row["top1"]) for row in rows])

    monkeypatch.setattr("videoswin_cli.training.loggers.find_spec", lambda name: None)
    out = tmp_path / "without"
    assert run("finetune", data, "--model", tiny, "--out", out, *QUICK).exit_code == 0
    assert not list(out.glob("events*"))


def test_named_options_are_keys_of_the_recipe(
    run: Run, tiny: str, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    named = ("--balance", "sampler", "--precision", "bf16", "--seed", 3, "--deterministic")
    result = run("finetune", data, "--model", tiny, "--out", out, *QUICK, *named)
    assert not torch.are_deterministic_algorithms_enabled(), "it is put back"
    assert result.exit_code == 0, result.output
    recipe = read_recipe(out / "config.yaml")
    assert (recipe.balance, recipe.precision, recipe.seed) == ("sampler", "bf16", 3)
    assert recipe.deterministic


def test_classes_of_the_same_name_keep_their_rows(
    run: Run, tiny: str, data: Path, tmp_path: Path
) -> None:
    keep = ("--set", "keep_classes=true", "--set", "lr=1e-12")
    result = run("finetune", data, "--model", tiny, "--out", tmp_path / "o", *QUICK, *keep)
    assert result.exit_code == 0, result.output
    assert "rows of the head kept for 1 class" in result.stderr
    before, after = weights(Path(tiny)), weights(tmp_path / "o/last.safetensors")
    row = after["head.weight"][CLASSES.index("walk")]
    assert torch.allclose(row, before["head.weight"][LABELS.index("walk")], atol=1e-6)


@pytest.mark.parametrize(
    ("freeze", "still"),
    [
        ("backbone", ("patch_embed", "layers", "norm")),
        ("stages:1", ("patch_embed", "layers.0")),
        ("none", ()),
    ],
)
def test_what_is_frozen_stays(
    freeze: str, still: tuple[str, ...], run: Run, tiny: str, data: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "o", "--freeze", freeze)
    result = run("finetune", data, "--model", tiny, *out, *QUICK)
    assert result.exit_code == 0, result.output
    before, after = weights(Path(tiny)), weights(tmp_path / "o/last.safetensors")
    for name in before.keys() - {"head.weight", "head.bias"}:
        assert torch.equal(before[name], after[name]) == name.startswith(still or ("-",)), name


def test_a_linear_probe_runs_the_backbone_once(
    run: Run, tiny: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    pool = InferencePlan.pool

    def counted(network: InferencePlan, clips: torch.Tensor) -> torch.Tensor:
        seen.append(pool(network, clips))
        return seen[-1]

    monkeypatch.setattr(InferencePlan, "pool", counted)
    plain = ("--set", "head_dropout=0", "--set", "lr=0.05", "--set", "clip_grad_norm=0",
             "--set", "test_views=none")  # fmt: skip
    out = tmp_path / "o"
    command = ("finetune", data, "--model", tiny, "--out", out, "--freeze", "backbone", *QUICK)
    result = run(*command, *plain, "--epochs", 40, "--batch-size", 24)
    assert result.exit_code == 0, result.output
    assert "computing the features of 30 clips once" in result.stderr
    features = torch.cat(seen)
    assert len(features) == 30

    # The same by hand: AdamW on a linear head, all training clips a step.
    labels = torch.arange(3).repeat_interleave(8)
    shapes = Swin3D(replace(TINY, num_classes=3)).state_dict()
    fresh = fresh_tensors(shapes, seeded(0, "start"), for_motion=False)
    weight = fresh["head.weight"].clone().requires_grad_()
    bias = fresh["head.bias"].clone().requires_grad_()
    recipe = read_recipe()
    optimizer = torch.optim.AdamW([weight, bias], weight_decay=recipe.weight_decay)
    losses = []
    for step in range(40):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * schedule(step, steps=40, warmup_steps=1, warmup_start=0.1)
        loss = F.cross_entropy(F.linear(features[:24], weight, bias), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    progress = read_state(out)["progress"]
    assert progress["losses"] == pytest.approx(losses, abs=1e-6)


# Draws all pictures; the multi-label loss has tests of its own.
@pytest.mark.slow
@pytest.mark.pictures
def test_clips_of_several_classes(run: Run, tiny: str, data: Path, tmp_path: Path) -> None:
    """Every red clip is warm as well, every green one cold, and the blue ones have one class."""
    lines = []
    for number in range(10):
        lines += [f"red/{number}.mp4 red;warm", f"green/{number}.mp4 green;cold"]
        lines += [f"walk/{number}.mp4 cold"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    out = tmp_path / "o"
    learn = ("--epochs", 15, "--set", "lr=0.03", "--set", "backbone_lr_mult=1", "--set",
             "head_dropout=0", "--set", "scale_lr=false")  # fmt: skip
    command = ("finetune", "--train-list", tmp_path / "list.txt", "--root", data, "--multi-label")
    result = run(*command, "--model", tiny, "--out", out, "--workers", 0, *learn)
    assert result.exit_code == 0, result.output
    assert (
        "4 classes, 24 training and 6 validation clips; 8 ('green') to 16 ('cold')" in result.stderr
    )
    assert "best after epoch" in result.stderr
    assert "mean average precision" in result.stderr
    assert not (out / "confusion.png").exists()
    assert (out / "curves.png").stat().st_size > 10_000
    with (out / "metrics.csv").open() as file:
        assert max(float(row["map"]) for row in csv.DictReader(file)) > 90
    with (out / "splits.csv").open() as file:
        assert {row["label"] for row in csv.DictReader(file)} == {"red;warm", "cold", "cold;green"}

    model = str(out / "best.safetensors")
    answer = predict(data / "red/0.mp4", model=model, topk=4)[0]
    probs = {score.label: score.prob for score in answer.top}
    assert probs["red"] > 0.5 < probs["warm"]
    assert probs["green"] < 0.5 > probs["cold"]

    check = ("eval", "--root", data, "--model", model, "--views", "1x1", "--format", "json")
    figures = []
    for kind in ("jsonl", "npz", "pkl"):
        dump = ("--dump", tmp_path / f"d.{kind}")
        measured = run(*check, "--list", tmp_path / "list.txt", *dump)
        assert measured.exit_code == 0, measured.output
        figures.append(json.loads(measured.stdout)["accuracy"])
    assert figures[0]["map"] > 90
    assert figures == [figures[0]] * 3
    for kind in ("npz", "pkl"):
        again = run("eval", "--from-dump", tmp_path / f"d.{kind}", "--format", "json")
        assert json.loads(again.stdout)["accuracy"]["map"] == pytest.approx(figures[0]["map"])
    table = run(*check[:-2], "--list", tmp_path / "list.txt").stdout
    assert table.startswith(f"mean average precision  {figures[0]['map']:6.2f} %\n")
    assert "class accuracy" not in table
    refused = run(*check, "--list", tmp_path / "list.txt", "--confusion", tmp_path / "c.csv")
    assert refused.exit_code == 2
    assert "for models that give a video one class" in refused.stderr
    assert run(*check, "--list", tmp_path / "list.txt", "--expect", 1).exit_code == 5
    folders = run("finetune", data, "--multi-label", "--model", tiny, "--out", tmp_path / "p")
    assert folders.exit_code == 2
    assert "--multi-label goes with --train-list" in folders.stderr


def test_another_window_and_clip_length(run: Run, tiny: str, data: Path, tmp_path: Path) -> None:
    longer = ("--set", "window_size=[4,3,3]", "--set", "clip_frames=8", "--set", "crop_size=48")
    result = run("finetune", data, "--model", tiny, "--out", tmp_path / "o", *QUICK, *longer)
    assert result.exit_code == 0, result.output
    assert "3 tensors resized" in result.stderr
    spec = json.loads(read_checkpoint(tmp_path / "o/best.safetensors").metadata["videoswin-1"])[
        "spec"
    ]
    assert (spec["clip_frames"], spec["crop_size"], spec["window_size"]) == (8, 48, [4, 3, 3])
    assert predict(data / "red/0.mp4", model=str(tmp_path / "o/best.safetensors"))[0].error is None


# tests/training/test_step.py has the mean over micro-batches.
@pytest.mark.slow
def test_accumulation_is_the_same_as_a_larger_batch(
    run: Run, tiny: str, data: Path, tmp_path: Path
) -> None:
    exact = ("--set", "drop_path_rate=0", "--set", "head_dropout=0")
    losses = []
    for batch, accumulate in ((8, 1), (4, 2), (2, 4)):
        out = tmp_path / str(batch)
        sizes = ("--batch-size", batch, "--set", f"accumulate={accumulate}")
        result = run("finetune", data, "--model", tiny, "--out", out, *QUICK, *exact, *sizes)
        assert result.exit_code == 0, result.output
        losses.append(read_state(out)["progress"]["losses"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[0] == pytest.approx(losses[2], abs=1e-5)


def test_the_complete_recipe_is_printed(run: Run, tmp_path: Path) -> None:
    """Without data; what is printed is a recipe again."""
    (tmp_path / "my.yaml").write_text("ema: 0.9\nlr: 1e-4\nseed: 3\n")
    line = ("finetune", "--print-config", "--config", tmp_path / "my.yaml", "--set", "mixup=0.8")
    printed = run(*line, "--lr", 0.5, "--epochs", 3, "--flip", "no", "--deterministic")
    assert printed.exit_code == 0, printed.output
    assert printed.stderr == ""
    (tmp_path / "all.yaml").write_text(printed.stdout)
    expected = ["ema=0.9", "seed=3", "mixup=0.8", "lr=0.5", "epochs=3", "flip=false"]
    recipe = read_recipe(tmp_path / "all.yaml")
    assert recipe == read_recipe(None, [*expected, "deterministic=true"])
    assert run("finetune", "--print-config", "--config", tmp_path / "all.yaml").stdout.startswith(
        "lr: 0.5\n"
    )
    refused = run("finetune", "--print-config", "--freeze", "all")
    assert refused.exit_code == 2
    assert "--freeze: freeze: expected none, backbone or stages:K" in refused.stderr


def test_few_clips_change_the_recipe_but_not_what_was_set(
    run: Run, tiny: str, data: Path, tmp_path: Path
) -> None:
    """8 clips a class. The run resumes with what it began with."""
    command = ("finetune", data, "--model", tiny, "--out", tmp_path / "o", *QUICK)
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert (
        "few clips per class (8): crop_area [0.08, 1] -> [0.5, 1], head_dropout 0.5 -> 0; --set"
        in result.stderr
    )
    resolved = read_recipe(tmp_path / "o/config.yaml")
    assert (resolved.epochs, resolved.crop_area, resolved.head_dropout) == (2, (0.5, 1.0), 0.0)
    resumed = run(*command, "--resume")
    assert resumed.exit_code == 0, resumed.output
    (tmp_path / "some.yaml").write_text("head_dropout: 0.5\n")
    some = ("--config", tmp_path / "some.yaml", "--dry-run")
    planned = run("finetune", data, "--model", tiny, "--out", tmp_path / "p", *some)
    assert "crop_area [0.08, 1] -> [0.5, 1]; --set" in planned.stderr
    own = ("--config", tmp_path / "o/config.yaml", "--set", "head_dropout=0.25")
    planned = run("finetune", data, "--model", tiny, "--out", tmp_path / "p", *own, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert "few clips" not in planned.stderr


def test_the_run_ends_with_how_good_it_is_and_how_to_use_it(
    run: Run, tiny: str, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    result = run("finetune", data, "--model", tiny, "--out", out, *QUICK)
    assert result.stdout == f"{out / 'best.safetensors'}\n"
    (last,) = (line for line in result.stderr.splitlines() if line.startswith("best after epoch"))
    assert " of 6 validation clips correct, top-1 " in last
    assert "guessing among 3 classes would get 33.3 %" in last
    assert last.endswith(f"videoswin predict CLIP --model {out / 'best.safetensors'}")
