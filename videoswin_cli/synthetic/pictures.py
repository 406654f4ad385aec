"""Procedurally generated background pictures for synthetic clips.

Each is (height, width, 3) float32 RGB from 0 to 255 and follows from its generator alone.
"""

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Picture = NDArray[np.float32]
Mask = NDArray[np.float32]  # (height, width), 0 to 1


_LEAST_SPREAD = 25.0  # standard deviation of brightness, 0 to 255; of photographs it is 40 to 80


def draw_picture(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """A random scene or texture of `size`, (height, width)."""
    kinds: list[Callable[[tuple[int, int], np.random.Generator], Picture]]
    kinds = [clouds, clouds, shapes, shapes, street, landscape, tiles, scribbles]
    picture = kinds[rng.integers(len(kinds))](size, rng)
    # Dirt, grain and light: a plain surface shows no motion, and real ones are never plain.
    dirt = fractal(size, rng, coarsest=float(rng.uniform(8, 40)))[..., None] - 0.5
    picture = picture + dirt * rng.uniform(60, 200)
    spread = picture.mean(axis=2).std()
    if spread < _LEAST_SPREAD:
        middle = picture.mean()
        picture = middle + (picture - middle) * (_LEAST_SPREAD / spread)
    return _floats(np.clip(picture + rng.uniform(-20, 20), 0, 255))


def noise(size: tuple[int, int], cell: float, rng: np.random.Generator) -> Mask:
    """Smooth noise from 0 to 1 whose features are about `cell` px wide."""
    height, width = size
    rows, columns = int(height / cell) + 3, int(width / cell) + 3
    grid = rng.random((rows, columns), dtype=np.float32)
    y = np.linspace(0, rows - 2.001, height, dtype=np.float32)
    x = np.linspace(0, columns - 2.001, width, dtype=np.float32)
    top, left = y.astype(int), x.astype(int)
    fy, fx = _ease(y - top)[:, None], _ease(x - left)[None, :]
    upper = grid[top][:, left] * (1 - fx) + grid[top][:, left + 1] * fx
    lower = grid[top + 1][:, left] * (1 - fx) + grid[top + 1][:, left + 1] * fx
    return _floats(upper * (1 - fy) + lower * fy)


def fractal(
    size: tuple[int, int], rng: np.random.Generator, *, coarsest: float | None = None
) -> Mask:
    """Noise of several widths, from `coarsest` px down, coarse ones strongest; 0 to 1."""
    total = np.zeros(size, dtype=np.float32)
    weight, cell, sum_ = 1.0, coarsest or float(rng.uniform(40, 160)), 0.0
    persistence = rng.uniform(0.45, 0.75)
    while cell > 3:
        total += weight * noise(size, cell, rng)
        sum_ += weight
        weight, cell = weight * persistence, cell / 2
    return _floats(total / sum_)


def clouds(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Fractal noise between colors, with more or less contrast."""
    value = np.clip((fractal(size, rng) - 0.5) * rng.uniform(1.5, 4) + 0.5, 0, 1)
    colors = palette(rng, 4)
    place = value * (len(colors) - 1)
    low = np.minimum(place.astype(int), len(colors) - 2)
    share = (place - low)[..., None]
    return _floats(colors[low] * (1 - share) + colors[low + 1] * share)


def shapes(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Ellipses and boxes of all sizes, plain or textured, over each other."""
    picture = _background(size, rng)
    for _ in range(rng.integers(20, 90)):
        radius = float(np.exp(rng.uniform(np.log(8), np.log(140))))
        paint_blob(picture, rng.uniform(0, 1, 2) * size, radius, rng)
    return picture


def street(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """House fronts with rows of windows above a road."""
    height, width = size
    picture = np.empty((*size, 3), dtype=np.float32)
    picture[:] = palette(rng, 1)[0]
    picture += (np.linspace(40, -40, height)[:, None, None]).astype(np.float32)
    ground = int(height * rng.uniform(0.7, 0.9))
    left = 0
    while left < width:
        breadth = int(rng.integers(60, 200))
        roof = int(height * rng.uniform(0.05, 0.5))
        wall, pane, frame = palette(rng, 3)
        picture[roof:ground, left : left + breadth] = wall
        step_y, step_x = int(rng.integers(24, 60)), int(rng.integers(20, 50))
        tall, wide = int(step_y * rng.uniform(0.4, 0.75)), int(step_x * rng.uniform(0.4, 0.75))
        for y in range(roof + step_y // 3, ground - tall, step_y):
            for x in range(left + step_x // 3, min(left + breadth, width) - wide, step_x):
                picture[y - 2 : y + tall + 2, x - 2 : x + wide + 2] = frame
                picture[y : y + tall, x : x + wide] = pane * rng.uniform(0.5, 1.2)
        left += breadth + int(rng.integers(0, 20))
    picture[ground:] = palette(rng, 1)[0]
    for x in range(int(rng.integers(0, 40)), width, int(rng.integers(50, 120))):
        picture[ground + 8 : ground + 16, x : x + 30] = 230
    return _floats(picture + (fractal(size, rng)[..., None] - 0.5) * rng.uniform(10, 60))


def landscape(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Hills behind hills under a sky, trees on some."""
    height, width = size
    low, high = palette(rng, 2)
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    picture = np.broadcast_to(low * (1 - share) + high * share, (*size, 3)).astype(np.float32)
    rows = np.arange(height)[:, None]
    for layer in range(int(rng.integers(3, 7))):
        line = (0.25 + 0.12 * layer + 0.25 * (noise((2, width), 120, rng)[0] - 0.5)) * height
        mask = (rows > line[None, :]).astype(np.float32)
        picture += mask[..., None] * (_surface(size, rng) - picture)
        if rng.random() < 0.6:
            for x in rng.integers(0, width, rng.integers(5, 30)):
                top = np.array([line[x], x]) - [rng.uniform(5, 25), 0]
                paint_blob(picture, top, rng.uniform(6, 26), rng)
    return picture


def tiles(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """A grid of cells of different colors, turned by some angle: floors, shelves, facades."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    wide, tall = rng.uniform(14, 90, 2)
    columns, rows = np.floor(u / wide).astype(int), np.floor(v / tall).astype(int)
    colors = palette(rng, 40)
    picture = colors[(columns * 7919 + rows * 104729 + rng.integers(1000)) % len(colors)].copy()
    joint = ((u % wide) < rng.uniform(0, 5)) | ((v % tall) < rng.uniform(0, 5))
    picture[joint] = palette(rng, 1)[0]
    return _floats(picture + (fractal(size, rng)[..., None] - 0.5) * rng.uniform(20, 90))


def scribbles(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Strokes on a background: writing, branches, wires."""
    picture = _background(size, rng)
    height, width = size
    for color in palette(rng, int(rng.integers(30, 120))):
        steps = int(rng.integers(10, 80))
        thick = int(rng.integers(1, 7))
        turns = np.cumsum(rng.normal(0, 0.35, steps)) + rng.uniform(0, 2 * np.pi)
        ys = rng.uniform(0, height) + np.cumsum(np.sin(turns)) * thick
        xs = rng.uniform(0, width) + np.cumsum(np.cos(turns)) * thick
        for y, x in zip(ys.astype(int), xs.astype(int), strict=True):
            if 0 <= y < height and 0 <= x < width:
                picture[y : y + thick, x : x + thick] = color
    return picture


def palette(rng: np.random.Generator, count: int) -> Picture:
    """(count, 3) colors that may or may not go together."""
    base = rng.uniform(20, 235, 3)
    spread = rng.uniform(20, 120)
    colors = base + rng.normal(0, spread, (count, 3))
    gray = colors.mean(axis=1, keepdims=True)
    colors = gray + (colors - gray) * rng.uniform(0.1, 1)  # most of the world is dull
    return _floats(np.clip(colors, 0, 255))


def paint_blob(
    picture: Picture, center: NDArray[np.float64], radius: float, rng: np.random.Generator
) -> None:
    """Paint an ellipse or box, turned by some angle, plain or striped; `center` is (y, x) in px."""
    box, mask = blob(picture.shape[:2], center, radius, rng)
    part = picture[box]
    part += mask[..., None] * (_surface(mask.shape, rng) - part)


def blob(
    size: tuple[int, ...], center: NDArray[np.float64], radius: float, rng: np.random.Generator
) -> tuple[tuple[slice, slice], Mask]:
    """The box of an ellipse's or box's place in a picture of `size`, and its mask in there."""
    reach = int(radius * 2) + 2
    (top, bottom), (left, right) = (
        (min(max(0, int(c) - reach), n), max(0, min(n, int(c) + reach)))
        for c, n in zip(center, size, strict=True)
    )
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    y, x = y - center[0], x - center[1]
    angle, flat = rng.uniform(0, np.pi), rng.uniform(0.35, 1)
    u, v = x * np.cos(angle) + y * np.sin(angle), (y * np.cos(angle) - x * np.sin(angle)) / flat
    far = np.hypot(u, v) if rng.random() < 0.5 else np.maximum(abs(u), abs(v))
    return (slice(top, bottom), slice(left, right)), _floats(np.clip(radius - far, 0, 1))


def _background(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    if rng.random() < 0.5:
        return clouds(size, rng)
    picture = np.empty((*size, 3), dtype=np.float32)
    picture[:] = palette(rng, 1)[0]
    return picture


def _surface(size: tuple[int, ...], rng: np.random.Generator) -> Picture:
    """A plain color, or stripes of two."""
    first, second = palette(rng, 2)
    if rng.random() < 0.6:
        return _floats(first)
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / rng.uniform(6, 50))
    share = (0.5 + 0.5 * wave)[..., None]
    return _floats(first * share + second * (1 - share))


def _ease(value: NDArray[np.floating]) -> Mask:
    return _floats(value * value * (3 - 2 * value))


def _floats(values: object) -> Picture:
    return cast("Picture", np.asarray(values, dtype=np.float32))
