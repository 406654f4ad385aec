"""Motion of a virtual camera, as its view of a picture in every frame.

Directions, once for all: pan-left, the camera turns left, so the scene moves right in the frame;
tilt-up, it looks up, so the scene moves down; zoom-in, the scene grows; roll-clockwise, the camera
turns clockwise about its axis as seen from behind it, so the scene turns counterclockwise; shake,
it trembles about its place; static, it does nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOTIONS = (
    *("static", "pan-left", "pan-right", "tilt-up", "tilt-down", "zoom-in", "zoom-out"),
    *("roll-clockwise", "roll-counterclockwise", "shake"),
)
_SECOND_SHARE = 0.2  # of a motion's least speed that another one may have beside it


@dataclass(frozen=True, kw_only=True)
class View:
    """View of the camera in each frame. Lengths in frame widths, angles in radians."""

    x: NDArray[np.float64]  # (frames,), to the right in the picture
    y: NDArray[np.float64]  # down
    scale: NDArray[np.float64]  # of the part of the picture that is seen; falls when zooming in
    angle: NDArray[np.float64]  # of the camera, clockwise


def move_camera(motion: str, times: NDArray[np.float64], rng: np.random.Generator) -> View:
    """The views of a clip.

    Args:
        motion: one of `MOTIONS`.
        times: of the frames in seconds, from 0.
        rng: of the speed, its unsteadiness, and a small second motion.
    """
    path = {name: np.zeros(len(times)) for name in ("x", "y", "zoom", "angle")}
    progress = _progress(times, rng)  # seconds at full speed
    axis, sign, slow, fast = _AXES.get(motion, ("x", 0, 0.0, 0.0))
    speed = np.exp(rng.uniform(np.log(slow), np.log(fast))) if sign else 0.0
    path[axis] += sign * speed * progress
    if motion == "shake":
        strength = np.exp(rng.uniform(np.log(0.012), np.log(0.06)))
        path["x"] += _tremble(times, rng) * strength
        path["y"] += _tremble(times, rng) * strength * rng.uniform(0.4, 1.2)
        path["angle"] += _tremble(times, rng) * strength * rng.uniform(0, 0.8)
    elif sign and rng.random() < 0.5:  # a motion is seldom pure
        others = [name for name in path if name != axis]
        other = others[rng.integers(len(others))]
        slowest = min(entry[2] for entry in _AXES.values() if entry[0] == other)
        path[other] += rng.uniform(-1, 1) * _SECOND_SHARE * slowest * progress
    if motion != "shake" and rng.random() < 0.5:  # a hand, or a mount in the wind
        path["x"] += _tremble(times, rng) * rng.uniform(0, 0.0015)
        path["y"] += _tremble(times, rng) * rng.uniform(0, 0.0015)
    return View(x=path["x"], y=path["y"], scale=np.exp(-path["zoom"]), angle=path["angle"])


# Axis, sign, slowest and fastest speed a second: frame widths, logarithms of scale, radians.
_AXES = {
    "pan-left": ("x", -1, 0.08, 0.9),
    "pan-right": ("x", 1, 0.08, 0.9),
    "tilt-up": ("y", -1, 0.08, 0.7),
    "tilt-down": ("y", 1, 0.08, 0.7),
    "zoom-in": ("zoom", 1, 0.12, 0.8),
    "zoom-out": ("zoom", -1, 0.12, 0.8),
    "roll-clockwise": ("angle", 1, 0.12, 1.0),
    "roll-counterclockwise": ("angle", -1, 0.12, 1.0),
}


def _progress(times: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Seconds of motion at full speed: eased starts, unsteady speed, never a stop in the middle."""
    speed = np.ones(len(times))
    if rng.random() < 0.4:
        speed *= np.clip((times + 0.05) / rng.uniform(0.1, 0.5), 0, 1)
    if rng.random() < 0.5:
        wave = np.sin(2 * np.pi * (times * rng.uniform(0.3, 1.5) + rng.random()))
        speed *= 1 + rng.uniform(0, 0.4) * wave
    steps = np.diff(times, prepend=times[0])
    return np.cumsum(speed * steps)


def _tremble(times: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Irregular swinging of about unit size, 3 to 9 times per second, without a drift."""
    total = np.zeros(len(times))
    for _ in range(4):
        total += np.sin(2 * np.pi * (times * rng.uniform(3, 9) + rng.random())) * rng.uniform(
            0.3, 1
        )
    return total / 1.6
