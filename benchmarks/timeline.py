"""Quality and speed of timelines, on videos that are spliced from synthetic clips.

    python benchmarks/timeline.py quality [--seeds 7 8 9] [--clips 40] [--tune]
    python benchmarks/timeline.py speed --video FILE [--model NAME] [--seconds S]

quality: clips of camera motion, 3 to 6 s each, are joined by hard cuts; neighbors are of different
classes. A true segment is found where a segment of its class overlaps it with IoU 0.5 or more (each
found one counts once). The model is the bundled `camera-motion`, all options are the defaults.
--tune tries other options, too.

speed: the whole run at half-window stride, decoding in a process of its own, against the network on
as many windows of frames that are in memory, in turns. Weights are random. On a busy machine CPU
time tells more than time on the clock.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import torch

from videoswin_cli.data.sampling import half_window
from videoswin_cli.data.transforms import normalize
from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner, open_runner
from videoswin_cli.engine.windows import window_probabilities
from videoswin_cli.io.process_state import full_float32
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.loading import LoadedModel, find_chosen
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.options.run import ModelOptions, RunOptions
from videoswin_cli.options.timeline import SegmentOptions
from videoswin_cli.records import ActionSegment, ListedVideo, Segment, VideoPart
from videoswin_cli.synthetic.camera import MOTIONS
from videoswin_cli.synthetic.clips import SyntheticClip, make_clip, write_clip
from videoswin_cli.tasks.timeline.builder import make_rule
from videoswin_cli.tasks.timeline.segments import Segmenter, SegmentRule
from videoswin_cli.tasks.timeline.worker import TimelineWorker

FPS, SIZE = 30, (144, 192)  # height, width in px
SECONDS = (3.0, 6.0)


@dataclass(frozen=True, kw_only=True)
class TrueSegment:
    """A clip of the spliced video."""

    start: float  # s
    end: float
    label: str


def splice_video(path: Path, *, seed: int, clips: int) -> list[TrueSegment]:
    """Write a video of clips of random classes, and say where they are."""
    rng = np.random.default_rng(seed)
    truth, parts, begin, before = [], [], 0, ""
    for _ in range(clips):
        label = str(rng.choice([motion for motion in MOTIONS if motion != before]))
        clip = make_clip(label, rng, size=SIZE, fps=FPS, seconds=SECONDS)
        end = begin + len(clip.frames)
        truth.append(TrueSegment(start=begin / FPS, end=end / FPS, label=label))
        parts.append(clip.frames)
        begin, before = end, label
    write_clip(path, SyntheticClip(frames=np.concatenate(parts), fps=FPS, quality=23))
    return truth


def count_found(truth: Sequence[TrueSegment], found: Sequence[ActionSegment]) -> int:
    """True segments with a found one of their class at IoU 0.5."""
    return sum(
        any(each.label == true.label and iou(true, each) >= 0.5 for each in found) for true in truth
    )


def iou(true: TrueSegment, found: ActionSegment) -> float:
    both = min(true.end, found.end) - max(true.start, found.start)
    return max(both, 0.0) / (max(true.end, found.end) - min(true.start, found.start))


def compute_windows(runner: Runner, path: Path) -> list[tuple[float, float, np.ndarray]]:
    parts = [VideoPart(path=str(path))]
    stride = half_window(runner.settings.protocol)
    windows = []
    for piece in window_probabilities(runner, parts, stride=stride, monitor=Monitor()):
        assert not isinstance(piece, FailedVideo), piece.reason
        for (start, end), values in zip(piece.times, piece.probabilities, strict=True):
            windows.append((start, end, values.numpy()))
    return windows


def find_segments(
    windows: Sequence[tuple[float, float, np.ndarray]], labels: Sequence[str], rule: SegmentRule
) -> tuple[ActionSegment, ...]:
    segmenter = Segmenter(labels, rule)
    for start, end, values in windows:
        segmenter.add(start, end, values)
    return segmenter.finish()


def measure_quality(seeds: Sequence[int], clips: int, *, tune: bool) -> None:
    runner = open_runner(find_chosen(ModelOptions(model="camera-motion")), RunOptions(workers=0))
    rule = make_rule(runner, SegmentOptions(), fps=FPS)
    rules = {"the defaults": rule}
    if tune:
        for threshold, smooth, shortest in product(
            (0.3, 0.4, 0.5, 0.6, 0.7), (0.0, 1.0, 1.2, 2.2, 3.3), (0.0, 0.5, 1.0, 1.5, 2.0)
        ):
            name = f"threshold {threshold} smooth {smooth} min-duration {shortest}"
            rules[name] = SegmentRule(
                threshold=threshold, smooth=smooth, min_duration=shortest, topk=1
            )
    totals = dict.fromkeys(rules, (0, 0))  # found, segments
    number = 0
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "spliced.mp4"
            truth = splice_video(path, seed=seed, clips=clips)
            windows = compute_windows(runner, path)
        number += len(truth)
        for name, each in rules.items():
            segments = find_segments(windows, runner.model.labels, each)
            count = count_found(truth, segments)
            totals[name] = totals[name][0] + count, totals[name][1] + len(segments)
            if name == "the defaults":
                print(f"seed {seed}: {count} of {len(truth)} found, {len(segments)} segments")
                missed = [t.label for t in truth if not count_found([t], segments)]
                print(f"  missed: {', '.join(sorted(missed))}", flush=True)
    for name, (hits, made) in sorted(totals.items(), key=lambda entry: -entry[1][0])[:30]:
        print(f"{hits / number:6.1%} of {number}, {made} segments  {name}")


def measure_speed(video: Path, model: str, *, seconds: float | None, repeats: int) -> None:
    """Print the ratio of runs to the network time of their windows, in turns."""
    runner = open_runner(make_model(model), RunOptions())
    segment = None if seconds is None else Segment(start=0, end=seconds)
    listed = [ListedVideo(path=str(video), file=str(video), label=None, line=1, segment=segment)]
    ratios = []
    for _ in range(repeats):
        begun, cpu = time.perf_counter(), cpu_seconds()
        options = SegmentOptions(windows=True, topk=1)
        (timeline,) = TimelineWorker(options=options).compute(runner, listed, Monitor())
        whole, whole_cpu = time.perf_counter() - begun, cpu_seconds() - cpu
        cpu = cpu_seconds()
        alone = time_network(runner, len(timeline.windows))
        cpu_ratio = whole_cpu / (cpu_seconds() - cpu)
        ratios.append(whole / alone)
        print(
            f"{timeline.duration:.0f} s of video, {len(timeline.windows)} windows: {whole:.1f} s, "
            f"network alone {alone:.1f} s, ratio {ratios[-1]:.3f}, "
            f"{timeline.duration / whole:.2f}x real time; CPU time {whole_cpu:.1f} s, ratio "
            f"{cpu_ratio:.3f}",
            flush=True,
        )
    print(f"median ratio {median(ratios):.3f}")


def cpu_seconds() -> float:
    """CPU time of this process and of those that it started and that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def make_model(name: str) -> LoadedModel:
    """A model of random weights: they change no time."""
    spec = load_spec(name)
    network = Swin3D(spec.architecture).eval()
    labels = tuple(map(str, range(spec.architecture.num_classes)))
    return LoadedModel(
        network=network, spec=spec, labels=labels, weights=Path(), layout="videoswin"
    )


def time_network(runner: Runner, windows: int) -> float:
    """Seconds of the network for so many windows of frames that are in memory."""
    protocol, runtime = runner.settings.protocol, runner.settings.runtime
    side, size = protocol.crop_size, runner.settings.batch_size
    views = torch.randint(0, 256, (size, protocol.clip_frames, side, side, 3), dtype=torch.uint8)
    begun = time.perf_counter()
    with torch.inference_mode(), full_float32():
        for _ in range(0, windows, size):
            clips = normalize(
                views.to(runtime.device), mean=protocol.mean, std=protocol.std, dtype=runtime.dtype
            )
            runner.network(clips).float().cpu()
    return time.perf_counter() - begun


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("quality", "speed"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--model", default="swin-tiny-k400")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    if options.what == "quality":
        measure_quality(options.seeds, options.clips, tune=options.tune)
    else:
        measure_speed(
            options.video, options.model, seconds=options.seconds, repeats=options.repeats
        )


if __name__ == "__main__":
    main()
