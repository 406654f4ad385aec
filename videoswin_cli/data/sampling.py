"""Numbers of the frames to read: integers in, integers out, one named rule per upstream.

The rules differ where nobody looks: for 300 frames and four clips the official code starts at
29, 88, 148, 207 and mmaction2 1.x at 0, 79, 158, 237. Scores of a checkpoint belong to its own
rule, so each model's YAML names one. Short videos loop: frames are taken modulo their number.
"""

import math
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, takewhile

from videoswin_cli.errors import UsageError
from videoswin_cli.records import InputProtocol, SamplingRule, Stride

Clips = tuple[tuple[int, ...], ...]
Bounds = Sequence[float]  # s: start of each frame, and the end of the last one

TRAINING_FPS = 30.0  # of the videos that models without a frame rate were trained with, mostly
_SAME_TIME = 1e-6  # seconds by which sums of frame durations may be off


def sample_clips(
    protocol: InputProtocol, *, frames: int, fps: float, clips: int, bounds: Bounds | None = None
) -> Clips:
    """Frame numbers of every clip of a video.

    Args:
        protocol: names the rule, the frames a clip and the interval or frame rate.
        frames: frames of the video, at least 1.
        fps: frames per second of the video; used where it is resampled.
        clips: how many clips to take.
        bounds: start of each frame and the end of the last one in seconds, where the frame rate is
            not constant; used where it is resampled.

    Returns:
        `clips` tuples of `protocol.clip_frames` frame numbers, each in 0..frames - 1.

    Raises:
        UsageError: the rule cannot give that many clips.
    """
    assert frames >= 1, frames
    assert clips >= 1, clips
    kept = _timeline(protocol, frames, fps, bounds)
    if protocol.sampling == "torchvision":
        return _torchvision(protocol, kept, clips)
    found = _RULES[protocol.sampling](protocol, len(kept), clips)
    return tuple(tuple(kept[number] for number in clip) for clip in found)


def random_clip(
    protocol: InputProtocol, *, frames: int, fps: float, share: float, bounds: Bounds | None = None
) -> tuple[int, ...]:
    """Frame numbers of one clip for training, at a random place.

    Args:
        protocol: names the rule, the frames a clip and the interval or frame rate.
        frames: frames of the video, at least 1.
        fps: frames per second of the video; used where it is resampled.
        share: random number, 0 to below 1, that decides the place. The uniform rule moves the frame
            within each of its segments by it.
        bounds: as for `sample_clips`.
    """
    timeline = _timeline(protocol, frames, fps, bounds)
    if protocol.sampling == "uniform":
        segment = len(timeline) / protocol.clip_frames
        return tuple(timeline[int((i + share) * segment)] for i in range(protocol.clip_frames))
    steps = [i * _interval(protocol) for i in range(protocol.clip_frames)]
    start = int(share * max(len(timeline) - steps[-1], 1))
    return tuple(timeline[(start + step) % len(timeline)] for step in steps)


def slide_windows(
    protocol: InputProtocol,
    *,
    times: Sequence[float],
    stride: Stride | None,
    bounds: Bounds | None = None,
) -> Clips:
    """Frame numbers of clips that slide over a whole video.

    Windows start at the first frame and exactly `stride` apart: a model of a frame rate takes its
    frames from there on, as if the video began there. Where frames are left behind the last window,
    another ends with the last frame (it overlaps more). A video shorter than a clip gives one
    window, which loops as in training.

    Args:
        protocol: names the rule, the frames a clip and the interval or frame rate.
        times: start of each frame in seconds, ascending.
        stride: without it windows follow each other without a gap.
        bounds: as for `sample_clips`.

    Raises:
        UsageError: the model spreads its frames over the whole video.
    """
    if protocol.sampling == "uniform":
        raise UsageError(
            "this model spreads its frames over the whole video: there are no windows to slide",
            hint="use --per video or --per clip",
        )
    interval = _interval(protocol)
    timeline = _timeline(protocol, len(times), _average_fps(times), bounds)
    steps = [i * interval for i in range(protocol.clip_frames)]
    room = len(timeline) - (steps[-1] + 1)
    if room < 0:
        return (tuple(timeline[step % len(timeline)] for step in steps),)
    if stride is not None and resamples(protocol):
        tail = tuple(timeline[room + step] for step in steps)
        return _slide_at_rate(protocol, times, stride, bounds, tail=tail)
    if stride is None:
        starts = list(range(0, room + 1, len(steps) * interval))
    else:
        starts = list(takewhile(lambda frame: frame <= room, _stride_frames(times, stride)))
    if room - starts[-1] >= interval:  # fewer frames than that are skipped anyway
        starts.append(room)
    return tuple(tuple(timeline[start + step] for step in steps) for start in starts)


def latest_clip(protocol: InputProtocol, times: Sequence[float]) -> tuple[int, ...]:
    """Frame numbers of the clip that ends with the last frame of a stream.

    Its frames are `clip_step` apart; each is the one whose time is nearest. The frame that is shown
    at a time, which files are sampled by, would be the one before as soon as a stamp trembles.

    Args:
        protocol: names the frames of a clip and their rate.
        times: of each frame in seconds, ascending.
    """
    middles = [(before + after) / 2 for before, after in pairwise(times)]
    step = clip_step(protocol)
    ticks = (times[-1] - number * step for number in reversed(range(protocol.clip_frames)))
    return tuple(bisect_right(middles, tick + _SAME_TIME) for tick in ticks)


def clip_step(protocol: InputProtocol) -> float:
    """Seconds from one frame of a clip to the next, as in training.

    Of a protocol that counts frames whatever their rate, at the rate that its videos had.

    Raises:
        UsageError: the model spreads its frames over the whole video.
    """
    if protocol.sampling == "uniform":
        raise UsageError(
            "this model spreads its frames over the whole video, and a stream has no end",
            hint="use a model of another rule: `videoswin models NAME` shows how it samples",
        )
    return _interval(protocol) / (protocol.frame_rate or TRAINING_FPS)


def half_window(protocol: InputProtocol) -> Stride:
    """The stride at which each moment of a video is in two windows."""
    frames = protocol.clip_frames * _interval(protocol)
    if protocol.frame_rate is None:
        return Stride(frames=max(frames // 2, 1))
    return Stride(seconds=frames / protocol.frame_rate / 2)


def window_seconds(protocol: InputProtocol, *, fps: float) -> float:
    """Seconds that one window spans in a video of `fps` frames per second."""
    return protocol.clip_frames * _interval(protocol) / (protocol.frame_rate or fps)


def _slide_at_rate(
    protocol: InputProtocol,
    times: Sequence[float],
    stride: Stride,
    bounds: Bounds | None,
    *,
    tail: tuple[int, ...],
) -> Clips:
    """Windows of the frame rate of a model; `tail` is that which ends with the video."""
    interval, fps = _interval(protocol), _average_fps(times)
    size = (protocol.clip_frames - 1) * interval + 1
    windows = []
    for first in _stride_frames(times, stride):
        kept = _resample(protocol, len(times), fps, bounds, first=first, most=size + 1)
        if len(kept) < size:
            break
        windows.append(tuple(kept[:size:interval]))
        if len(kept) == size:  # no frame is left behind it
            tail = windows[-1]
    return (*windows, tail) if tail[0] > windows[-1][0] else tuple(windows)


def _stride_frames(times: Sequence[float], stride: Stride) -> Iterator[int]:
    """Numbers of the frames 0, stride, 2 * stride, ...; of seconds the first frame from then on."""
    if stride.seconds is None:
        yield from range(0, len(times), stride.frames or 1)
        return
    frame = 0
    while frame < len(times):
        yield frame
        passed = math.floor((times[frame] - times[0] + _SAME_TIME) / stride.seconds)
        following = times[0] + (passed + 1) * stride.seconds
        frame = bisect_left(times, following - _SAME_TIME, lo=frame + 1)


def _average_fps(times: Sequence[float]) -> float:
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 1.0


def loops(
    protocol: InputProtocol, *, frames: int, fps: float, bounds: Bounds | None = None
) -> bool:
    """Whether the video is shorter than one clip, so that its frames are repeated."""
    kept = len(_timeline(protocol, frames, fps, bounds))
    if protocol.sampling == "uniform":
        return kept < protocol.clip_frames
    return kept < (protocol.clip_frames - 1) * _interval(protocol) + 1


def _official(protocol: InputProtocol, frames: int, clips: int) -> Clips:
    """Middles of equal segments. Source: Video-Swin `SampleFrames`; PaddleVideo is the same."""
    span = protocol.clip_frames * protocol.interval_frames
    if frames < span:
        return _strided(protocol, frames, [0] * clips)
    segment = (frames - span + 1) / clips
    return _strided(protocol, frames, [int(i * segment + segment / 2) for i in range(clips)])


def _mmaction2(protocol: InputProtocol, frames: int, clips: int) -> Clips:
    """From the first frame to the last, evenly. Source: mmaction2 1.x `SampleFrames`."""
    room = max(frames - _clip_span(protocol), 0)
    if clips == 1:
        return _strided(protocol, frames, [room // 2])
    step = room / (clips - 1)
    return _strided(protocol, frames, [round(i * step) for i in range(clips)])


def _uniform(protocol: InputProtocol, frames: int, clips: int) -> Clips:
    """Middles of `clip_frames` equal segments of the whole video. Source: Video-Swin, SSv2."""
    if clips != 1:
        raise UsageError(
            f"the uniform rule of this model spreads one clip over the whole video: {clips} clips "
            "cannot be taken",
            hint="use --views 1x1, 1x3 or paper",
        )
    segment = (frames - 1) / protocol.clip_frames
    bounds = [round(segment * i) for i in range(protocol.clip_frames + 1)]
    return (tuple((a + b) // 2 for a, b in pairwise(bounds)),)


def _torchvision(protocol: InputProtocol, kept: Sequence[int], clips: int) -> Clips:
    """Consecutive frames of the video resampled to `frame_rate`, clip starts evenly spread.

    Source: torchvision `VideoClips` with one frame between clips, `UniformClipSampler` and the
    video reference script. torchvision drops videos shorter than a clip; ours loop. A single clip
    is the middle one (theirs would be the first), as the quick protocol of the others.
    """
    room = len(kept) - protocol.clip_frames
    if room <= 0:
        starts = [0] * clips
    elif clips == 1:
        starts = [room // 2]
    else:
        starts = _linspace_floor(room, clips)
    return tuple(
        tuple(kept[(start + i) % len(kept)] for i in range(protocol.clip_frames))
        for start in starts
    )


_RULES: dict[SamplingRule, Callable[[InputProtocol, int, int], Clips]] = {
    "official": _official,
    "mmaction2": _mmaction2,
    "uniform": _uniform,
}


def _clip_span(protocol: InputProtocol) -> int:
    """Source frames from the first frame of a clip to its last, both counted."""
    return (protocol.clip_frames - 1) * protocol.interval_frames + 1


def _strided(protocol: InputProtocol, frames: int, starts: list[int]) -> Clips:
    steps = [i * protocol.interval_frames for i in range(protocol.clip_frames)]
    return tuple(tuple((start + step) % frames for step in steps) for start in starts)


def resamples(protocol: InputProtocol) -> bool:
    """Whether the frames of a video are brought to another rate before clips are taken."""
    return protocol.sampling == "torchvision" or protocol.frame_rate is not None


def _interval(protocol: InputProtocol) -> int:
    """Frames from one sampled frame to the next, of those that are left after resampling."""
    return 1 if protocol.sampling == "torchvision" else protocol.interval_frames


def _timeline(
    protocol: InputProtocol, frames: int, fps: float, bounds: Bounds | None
) -> Sequence[int]:
    """Frames of a video that clips are taken from."""
    return _resample(protocol, frames, fps, bounds) if resamples(protocol) else range(frames)


def _resample(
    protocol: InputProtocol,
    frames: int,
    fps: float,
    bounds: Bounds | None,
    *,
    first: int = 0,
    most: int | None = None,
) -> Sequence[int]:
    """Frames kept when a video is brought to the rate of a model; see `resample`."""
    rate = protocol.frame_rate or fps
    return resample(rate, frames=frames, fps=fps, bounds=bounds, first=first, most=most)


def resample(
    frame_rate: float,
    *,
    frames: int,
    fps: float,
    bounds: Bounds | None,
    first: int = 0,
    most: int | None = None,
) -> Sequence[int]:
    """Frames kept when a video is brought to `frame_rate` by dropping or repeating some.

    Those from frame `first` on, as if the video began there; not more than `most`.

    At a constant rate as torchvision does it, which takes the average rate for the rate of all. At
    another one (`bounds`) it is the frame that is shown at that time: a model of motion has to see
    its speed.
    """
    if bounds is not None:
        count = math.floor((bounds[-1] - bounds[first]) * frame_rate + _SAME_TIME)
        places = range(max(count, 1))[:most]
        ticks = (bounds[first] + i / frame_rate + _SAME_TIME for i in places)
        return [bisect_right(bounds, tick, hi=frames) - 1 for tick in ticks]
    step = fps / frame_rate
    if step.is_integer():
        return range(first, frames, int(step))[:most]
    count = math.floor((frames - first) * frame_rate / fps)
    rounded_step = _float32(step)  # torchvision multiplies in float32, which shifts some frames
    offsets = [math.floor(_float32(i * rounded_step)) for i in range(count)[:most]]
    return [first + offset for offset in offsets] or [first]


def _linspace_floor(last: int, count: int) -> list[int]:
    """`torch.linspace(0, last, count).floor()` for count > 1: float32, symmetric from both ends."""
    step = _float32(last / (count - 1))
    first_half = [_float32(step * i) for i in range(count // 2)]
    second_half = [
        _float32(last - _float32(step * (count - 1 - i))) for i in range(count // 2, count)
    ]
    return [math.floor(value) for value in first_half + second_half]


def _float32(value: float) -> float:
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded
