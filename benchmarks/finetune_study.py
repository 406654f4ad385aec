"""Fine-tuning on few clips: `videoswin finetune` with several recipes against a plain loop.

    python benchmarks/finetune_study.py FOLDER [--sizes 5 20 50] [--seeds 0 1 2] [--arms ...]
    python benchmarks/finetune_study.py FOLDER --table

The start is the bundled model `camera-motion`, which knows ten camera motions. The classes are held
out of its training (see `move`): a camera that looks aside and back, a camera that moves in an arc,
two objects that meet, and two that part; chance is 25 %. No name has a direction, and a mirrored
clip keeps its class. Every seed draws its own training clips from a pool, its own head and its own
order. One set of 50 clips a class, which no run sees, measures all. What `finetune` validates on,
and chooses its best epoch by, is 2 clips a class more: as few as a user of so little data has.

The plain loop is what a script does: AdamW with a learning rate of 1e-4 and torch's defaults, all
weights, batches of 8, one fixed center view of each clip, a constant rate, the last weights. It is
measured after as many passes over the clips, forward and backward, as the runs that it is compared
with have epochs.

Clips are seen at 56x56 px, half of the model's side, which costs a fifth. FOLDER keeps the clips
and `results.jsonl`, a line a run; what is there is not run again.
"""

import argparse
import csv
import json
import shutil
import statistics
import time
from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from videoswin_cli.data.transforms import normalize
from videoswin_cli.data.view_dataset import FailedVideo, ViewDataset
from videoswin_cli.data.views import resolve_views
from videoswin_cli.model.loading import load
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import InputProtocol, VideoPart
from videoswin_cli.seeding import seeded
from videoswin_cli.synthetic.camera import View
from videoswin_cli.synthetic.clips import SyntheticClip, look, write_clip
from videoswin_cli.synthetic.pictures import blob, draw_picture
from videoswin_cli.training.finetune import finetune
from videoswin_cli.training.initialize import initialize_model, spec_for
from videoswin_cli.training.recipe import read_recipe

MOTIONS = ("arc", "meet", "part", "sweep")
SIDE = 56  # px of a training clip
BATCH = 8
POOL, OWN_VAL, TEST = 70, 2, 50  # clips a class: to draw from, validated on by a run, measured on
SIZE = 96, 112  # px of a clip, height and width

EPOCHS = {5: (15, 60), 20: (15,), 50: (6,)}  # of each size; 60 epochs of 20 clips: 150 steps
RECIPES = {
    "before": (  # the defaults of commit 11b6d5e: a learning rate of 0.001 x 8 / 64 for the head
        *("lr=0.001", "lr_batch=64", "scale_lr=true"),
        *("head_dropout=0.5", "crop_area=[0.08,1.0]"),
    ),
    "not scaled": ("lr=0.001", "scale_lr=false", "head_dropout=0.5", "crop_area=[0.08,1.0]"),
    "few": ("lr=0.001", "scale_lr=false", "head_dropout=0.0", "crop_area=[0.5,1.0]"),
}
MODES = {"full": "none", "last stage": "stages:4", "linear probe": "backbone"}
VARIANTS = {  # of "few, full", with 5 clips a class
    "15 epochs": ("epochs=15",),
    "15 epochs, crops from 8 %": ("epochs=15", "crop_area=[0.08,1.0]"),
    "15 epochs, head dropout 0.5": ("epochs=15", "head_dropout=0.5"),
}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What is run; `changes` None: the plain loop."""

    name: str
    clips: int  # a class
    changes: tuple[str, ...] | None = None


def list_arms(sizes: list[int]) -> list[Arm]:
    """All arms of these sizes."""
    arms = []
    for clips in sizes:
        arms.append(Arm(name="plain loop", clips=clips))
        for recipe, changes in RECIPES.items():
            epochs = EPOCHS[clips][-1 if recipe == "few" else 0]
            for mode, freeze in MODES.items():
                own = (*changes, f"freeze={freeze}", f"epochs={epochs}")
                arms.append(Arm(name=f"{recipe}, {mode}", clips=clips, changes=own))
        if clips == min(EPOCHS):
            few = (*RECIPES["few"], f"epochs={EPOCHS[clips][-1]}")
            for name, changes in VARIANTS.items():
                arms.append(Arm(name=f"few, full, {name}", clips=clips, changes=(*few, *changes)))
    return arms


def move(motion: str, times: np.ndarray, rng: np.random.Generator) -> tuple[View, np.ndarray]:
    """The camera's way, and the two objects' places, (frames, 2, 2): (y, x) in frame heights."""
    s = (times / times[-1]) ** rng.uniform(0.8, 1.25)  # share of the motion that is done
    still = np.cumsum(rng.normal(0, 0.002, (2, len(times))), axis=1)
    turn = rng.uniform(0, 2 * np.pi)
    along = np.array([np.sin(turn), np.cos(turn)])
    apart = np.full(len(times), rng.uniform(0.15, 0.3))  # half of the distance of the objects
    way = np.zeros((len(times), 2))  # of the camera, frame widths
    if motion == "sweep":
        way = (1 - abs(2 * s - 1))[:, None] * along * rng.uniform(0.08, 0.3)
    elif motion == "arc":
        angle = turn + rng.choice((-1, 1)) * s * rng.uniform(1.2, 2.0) * np.pi
        way = np.stack([np.sin(angle), np.cos(angle)], axis=1) * rng.uniform(0.04, 0.15)
    else:
        far, near = rng.uniform(0.28, 0.38), rng.uniform(0.1, 0.14)
        apart = far + (near - far) * (s if motion == "meet" else 1 - s)
    one = apart[:, None] * along
    places = np.stack([one, -one], axis=1) + rng.uniform(-0.05, 0.05, 2)
    size = np.ones(len(times))
    return View(x=way[:, 1] + still[0], y=way[:, 0] + still[1], scale=size, angle=0 * size), places


def make_clip(motion: str, rng: np.random.Generator) -> SyntheticClip:
    """A clip of 1.3 s at 15 frames a second: two objects before a scene, whatever moves."""
    view, places = move(motion, np.arange(20) / 15, rng)
    scene = torch.from_numpy(draw_picture((260, 260), rng))
    frames = look(scene, view, SIZE, rng)
    for number in range(2):
        radius = rng.uniform(0.08, 0.14) * SIZE[0]
        color = torch.from_numpy(rng.uniform(0, 255, 3).astype(np.float32))
        shape = int(rng.integers(2**32))
        for frame, place in zip(frames, places[:, number], strict=True):
            center = (place + 0.5) * SIZE[0] + (0, (SIZE[1] - SIZE[0]) / 2)
            box, mask = blob(SIZE, center, radius, np.random.default_rng(shape))
            part = frame[box]
            part += torch.from_numpy(mask)[..., None] * (color - part)
    frames += torch.from_numpy(rng.normal(0, rng.uniform(1, 6), frames.shape).astype(np.float32))
    array = frames.round_().clamp_(0, 255).to(torch.uint8).numpy()
    return SyntheticClip(frames=array, fps=15, quality=int(rng.integers(18, 28)))


def make_clips(folder: Path) -> None:
    """FOLDER/clips/MOTION/NUMBER.mp4, as many as the pool and both sets of validation take."""
    for label, motion in enumerate(MOTIONS):
        (folder / "clips" / motion).mkdir(parents=True, exist_ok=True)
        for number in range(POOL + OWN_VAL + TEST):
            path = folder / "clips" / motion / f"{number:03}.mp4"
            if not path.exists():
                part = path.with_suffix(".part")
                write_clip(part, make_clip(motion, np.random.default_rng((label, number))))
                part.rename(path)


def draw_numbers(seed: int, clips: int) -> list[int]:
    """Clips of the pool that a seed trains on; those of a smaller size are among them."""
    return torch.randperm(POOL, generator=seeded("study", seed)).tolist()[:clips]


def read_views(
    folder: Path, numbers: range, protocol: InputProtocol
) -> dict[tuple[str, int], Tensor]:
    """One center view of each clip, uint8 (T, H, W, 3), decoded once and kept on disk."""
    kept = folder / f"views-{numbers.start}-{numbers.stop}.npy"
    keys = [(motion, number) for motion in MOTIONS for number in numbers]
    if not kept.exists():
        parts = [VideoPart(path=str(folder / "clips" / m / f"{n:03}.mp4")) for m, n in keys]
        views = resolve_views("1x1", protocol)
        dataset = ViewDataset(parts, protocol=protocol, views=views, opening=OpenOptions())
        found = []
        for place in range(len(keys)):
            video = dataset[place]
            assert not isinstance(video, FailedVideo), video.reason
            rows, (top, left) = video.key(0)
            found.append(video.frames[list(rows), top : top + SIDE, left : left + SIDE].numpy())
        np.save(kept, np.stack(found))
    return dict(zip(keys, map(torch.from_numpy, np.load(kept)), strict=True))


class Study:
    """The clips, and what measures a network on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        recipe = read_recipe(None, [f"crop_size={SIDE}"])
        self.spec = spec_for("camera-motion", recipe, MOTIONS, name="study", scratch=False)
        make_clips(folder)
        self.pool = read_views(folder, range(POOL), self.spec.protocol)
        self.test = read_views(
            folder, range(POOL + OWN_VAL, POOL + OWN_VAL + TEST), self.spec.protocol
        )

    def normalized(self, clips: list[Tensor]) -> Tensor:
        protocol = self.spec.protocol
        return normalize(
            torch.stack(clips), mean=protocol.mean, std=protocol.std, dtype=torch.float32
        )

    @torch.no_grad()
    def accuracy(self, network: Swin3D) -> float:
        """Percent of the test clips."""
        network.eval()
        right = 0
        keys = list(self.test)
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            answers = network(self.normalized([self.test[key] for key in batch])).argmax(dim=1)
            right += sum(
                MOTIONS[a] == key[0] for a, key in zip(answers.tolist(), batch, strict=True)
            )
        network.train()
        return 100 * right / len(keys)

    def run_ours(self, arm: Arm, seed: int) -> dict[str, float]:
        """One run of `finetune`; its best and last weights measured."""
        out = self.folder / "runs" / f"{arm.name}, {arm.clips}, {seed}"
        shutil.rmtree(out, ignore_errors=True)
        numbers = draw_numbers(seed, arm.clips)
        rows = [(f"clips/{m}/{n:03}.mp4", m, "train") for m in MOTIONS for n in numbers]
        rows += [
            (f"clips/{m}/{POOL + n:03}.mp4", m, "val") for m in MOTIONS for n in range(OWN_VAL)
        ]
        listed = self.folder / f"{arm.name}, {arm.clips}, {seed}.csv"
        with listed.open("w", newline="") as file:
            csv.writer(file).writerows([("path", "label", "split"), *rows])
        own = (f"crop_size={SIDE}", f"seed={seed}", f"batch_size={BATCH}")
        reporter = _Quiet()
        done = finetune(
            train_list=listed,
            root=self.folder,
            model="camera-motion",
            changes=[*own, *(arm.changes or ())],
            out=out,
            device="cpu",
            workers=0,
            reporter=reporter,
        )
        best, last = (
            self.accuracy(load(str(out / f"{name}.safetensors")).module)
            for name in ("best", "last")
        )
        shutil.rmtree(out)
        loss = done.epochs[-1]["train_loss"]
        return {"best": best, "last": last, "steps": reporter.steps, "train_loss": loss}

    def run_plain(self, clips: int, seed: int) -> dict[str, float]:
        """The plain loop, measured after as many passes as the arms of this size have epochs."""
        epochs = EPOCHS[clips]
        keys = [(m, n) for m in MOTIONS for n in draw_numbers(seed, clips)]
        recipe = read_recipe(None, [f"crop_size={SIDE}", f"seed={seed}", "drop_path_rate=0",
                                    "head_dropout=0", "freeze=none"])  # fmt: skip
        start = initialize_model(
            "camera-motion", self.spec, recipe, MOTIONS, checkpoint=None, scratch=False
        )
        network = start.model.network.train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
        found = {}
        for epoch in range(1, max(epochs) + 1):
            order = torch.randperm(len(keys), generator=seeded("plain", seed, epoch)).tolist()
            for at in range(0, len(order), BATCH):
                batch = [keys[i] for i in order[at : at + BATCH]]
                labels = torch.tensor([MOTIONS.index(key[0]) for key in batch])
                loss = F.cross_entropy(
                    network(self.normalized([self.pool[k] for k in batch])), labels
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            if epoch in epochs:
                found[f"after {epoch}"] = self.accuracy(network)
        return found


class _Quiet:
    """Counts the steps of a run."""

    steps = 0

    def notice(self, text: str) -> None:
        pass

    def start(self, total: int, *, unit: str, done: int = 0) -> None:
        pass

    def advance(self, *, failed: bool = False, status: str = "") -> None:
        self.steps += 1

    def show(self, text: str) -> None:
        pass

    def printing(self) -> AbstractContextManager[object]:
        return nullcontext()


def read_results(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def print_table(results: list[dict[str, Any]]) -> None:
    """Percent of the test clips: mean (lowest to highest) over the seeds; mean of last weights."""
    cells: dict[tuple[str, int], list[float]] = defaultdict(list)
    lasts: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in results:
        for column in row:
            if column.startswith("after "):
                name = f"plain loop, {column.removeprefix('after ')} epochs"
                cells[name, row["clips"]].append(row[column])
        if "best" in row:
            cells[row["arm"], row["clips"]].append(row["best"])
            lasts[row["arm"], row["clips"]].append(row["last"])
    sizes = sorted({clips for _, clips in cells})
    print("| " + " | ".join(["", *(f"{n} clips a class" for n in sizes)]) + " |")
    print("| --- " * (len(sizes) + 1) + "|")
    for name in sorted({name for name, _ in cells}):
        texts = []
        for key in ((name, clips) for clips in sizes):
            found = cells.get(key)
            text = ""
            if found:
                text = f"{statistics.mean(found):.1f} ({min(found):.1f} to {max(found):.1f})"
            texts.append(text + (f"; {statistics.mean(lasts[key]):.1f}" if key in lasts else ""))
        print("| " + " | ".join([name, *texts]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(EPOCHS), choices=list(EPOCHS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=[""], help="Only those that begin so.")
    parser.add_argument("--table", action="store_true", help="Print what is there; run nothing.")
    options = parser.parse_args()
    path = options.folder / "results.jsonl"
    if not options.table:
        study = Study(options.folder)
        for arm in list_arms(options.sizes):
            for seed in options.seeds:
                key = {"arm": arm.name, "clips": arm.clips, "seed": seed}
                there = any(key.items() <= row.items() for row in read_results(path))
                if there or not arm.name.startswith(tuple(options.arms)):
                    continue
                begun = time.process_time()
                plain = arm.changes is None
                found = study.run_plain(arm.clips, seed) if plain else study.run_ours(arm, seed)
                row = key | found | {"cpu_seconds": round(time.process_time() - begun)}
                print(row, flush=True)
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    print_table(read_results(path))


if __name__ == "__main__":
    main()
