"""Frames on their way to the device: pinned memory, a copy stream, and resize and crop behind it.

A video is the views of the published protocol: 4 clips of 32 frames of 340x256, 3 crops. Sent as
frames it is 33 MB, as crops 58 MB.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from benchmarks.gpu.report import Value
from benchmarks.gpu.resizing import resize_cv2_at_once
from benchmarks.gpu.section import Bench, make_ours, milliseconds, ratio, take_turns
from videoswin_cli.data.transforms import (
    crop_corners,
    normalize,
    resize_cv2,
    resize_torchvision,
    resized_size,
)
from videoswin_cli.model.network import VideoNetwork
from videoswin_cli.records import InputProtocol

VIDEOS = 6  # in a run of the pipelines
Work = Callable[[], Tensor]


def measure(bench: Bench) -> None:
    protocol = bench.spec().protocol
    height, width = (40, 52) if bench.tiny else (256, 340)
    clips = 1 if bench.tiny else protocol.clips
    frames = torch.randint(256, (clips * protocol.clip_frames, height, width, 3), dtype=torch.uint8)
    bench.row("send pageable and pinned", partial(send, bench, frames))
    bench.row("resize as cv2", partial(hold_resize, bench, frames, "cv2"))
    bench.row("resize as torchvision", partial(hold_resize, bench, frames, "torchvision"))
    network = make_ours(bench.spec(), bench.runtime("bf16"))
    for what, compute, pinned, stream in (
        ("crops pageable", send_crops, False, False),  # as the package does
        ("crops pinned", send_crops, True, False),
        ("crops pinned, copy stream", send_crops, True, True),
        ("frames pinned", send_frames, True, False),
        ("frames pinned, copy stream", send_frames, True, True),
    ):
        bench.row(
            f"pipeline, {what}",
            partial(run_pipeline, bench, frames, network, compute, pinned, stream),
        )


def send(bench: Bench, frames: Tensor) -> dict[str, Value]:
    bench.need_card()
    pinned = frames.pin_memory()
    works: dict[str, Work] = {
        "pageable": lambda: frames.to(bench.device),
        "pinned": lambda: pinned.to(bench.device, non_blocking=True),
    }
    seconds = take_turns(works, bench.runtime("bf16"), bench.repeats)
    found: dict[str, Value] = {f"{name}_ms": milliseconds(s) for name, s in seconds.items()}
    gigabytes = frames.numel() / 1e9
    return found | {f"{n}_gb_per_second": 1e3 * gigabytes / milliseconds(s)
                    for n, s in seconds.items()}  # fmt: skip


def hold_resize(bench: Bench, frames: Tensor, rule: str) -> dict[str, Value]:
    """Resize on the device against the one on a CPU, which is the references' to the last bit."""
    size = target_size(bench, frames)
    on_device, on_cpu = (
        (resize_cv2_at_once, resize_cv2) if rule == "cv2" else (resize_torchvision,) * 2
    )
    moved = frames.to(bench.device)
    work = {"device": lambda: on_device(moved, size)}
    seconds = take_turns(work, bench.runtime("bf16"), bench.repeats)
    found, expected = on_device(moved, size).cpu().int(), on_cpu(frames, size).int()
    differs = found != expected
    return {
        "ms": milliseconds(seconds["device"]),
        "bytes_that_differ": float(differs.sum()),
        "share_that_differs": float(differs.double().mean()),
        "apart": float((found - expected).abs().max()),
    }


def target_size(bench: Bench, frames: Tensor) -> tuple[int, int]:
    protocol = bench.spec().protocol
    height, width = frames.shape[1:3]
    return resized_size(height, width, short_side=protocol.crop_size, rule=protocol.resize)


def cut_views(frames: Tensor, protocol: InputProtocol) -> Tensor:
    """Resized frames of all clips -> views (crops * clips, T, side, side, 3)."""
    side = protocol.crop_size
    height, width = frames.shape[1:3]
    corners = crop_corners(
        height, width, crop_size=side, crops=protocol.crops, rule=protocol.resize
    )
    cut = [frames[:, top : top + side, left : left + side] for top, left in corners]
    return torch.cat(cut).unflatten(0, (-1, protocol.clip_frames))


def send_crops(bench: Bench, network: VideoNetwork, views: Tensor) -> Tensor:
    """As `engine.forward` does once the views are on the device."""
    protocol = bench.spec().protocol
    return network(
        normalize(views, mean=protocol.mean, std=protocol.std, dtype=bench.runtime("bf16").dtype)
    )


def send_frames(bench: Bench, network: VideoNetwork, frames: Tensor) -> Tensor:
    resized = resize_cv2_at_once(frames, target_size(bench, frames))
    return send_crops(bench, network, cut_views(resized, bench.spec().protocol))


def run_pipeline(
    bench: Bench,
    frames: Tensor,
    network: VideoNetwork,
    compute: Callable[[Bench, VideoNetwork, Tensor], Tensor],
    pinned: bool,
    stream: bool,
) -> dict[str, Value]:
    """Videos one after the other, against the network alone on views that are there."""
    if pinned:
        bench.need_card()
    resized = resize_cv2(frames, target_size(bench, frames))
    sent = frames if compute is send_frames else cut_views(resized, bench.spec().protocol)
    videos = [sent.pin_memory() if pinned else sent.clone() for _ in range(2)] * (VIDEOS // 2)
    here = cut_views(resized, bench.spec().protocol).to(bench.device)
    way = move_beside if stream else move_in_turn

    def run() -> Tensor:
        outputs = [compute(bench, network, moved) for moved in way(videos, bench.device)]
        return torch.cat([output.float().cpu() for output in outputs])

    def run_alone() -> Tensor:
        outputs = [send_crops(bench, network, here) for _ in videos]
        return torch.cat([output.float().cpu() for output in outputs])

    with torch.inference_mode():
        works = {"alone": run_alone, "this": run}
        seconds = take_turns(works, bench.runtime("bf16"), 1 if bench.tiny else 3)
        same = torch.equal(run(), run_alone())
    return {
        "video_ms": milliseconds(seconds["this"]) / len(videos),
        "share_of_network": ratio(seconds, "alone", "this"),
        "same_bits": same,
    }


def move_in_turn(videos: Sequence[Tensor], device: torch.device) -> Iterator[Tensor]:
    for video in videos:
        yield video.to(device, non_blocking=video.is_pinned())


def move_beside(videos: Sequence[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Each video is sent while the device computes the one before, on a stream of its own."""
    beside, here = torch.cuda.Stream(), torch.cuda.current_stream()

    def start(video: Tensor) -> tuple[Tensor, torch.cuda.Event]:
        with torch.cuda.stream(beside):
            return video.to(device, non_blocking=True), beside.record_event()

    moving = start(videos[0])
    for number in range(len(videos)):
        moved, done = moving
        if number + 1 < len(videos):
            moving = start(videos[number + 1])
        here.wait_event(done)
        moved.record_stream(here)  # its memory is free once the network has read it
        yield moved
