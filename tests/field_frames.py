"""What a picture of `field/` says: its number, and which way is up, whatever codec it went through.

160x128. Corners: red top left, green top right, blue bottom left, white bottom right. Two rows of
eight blocks in the middle: the number in binary, and its complement below.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

FOLDER = Path(__file__).parent / "field"
WIDTH, HEIGHT = 160, 128
COLOURS = {"R": (230, 20, 20), "G": (20, 200, 20), "B": (20, 20, 230), "W": (240, 240, 240)}
ORIENTATIONS = {
    "RGBW": "up",
    "GWRB": "turned 90 ccw",
    "WBGR": "turned 180",
    "BRWG": "turned 90 cw",
    "GRWB": "mirrored",
    "BWRG": "upside down (mirrored)",
    "RBGW": "transposed",
    "WGBR": "transverse",
}


def read_truth() -> dict[str, dict[str, Any]]:
    """What FFmpeg's command line shows of each video of `field/`.

    "numbers" are runs, first and last of each, null for pictures without a number. "times" are
    seconds after the first frame; where there are none, frames are 1/25 s apart.
    """
    truth: dict[str, dict[str, Any]] = json.loads((FOLDER / "truth.json").read_text())
    return truth


def draw_picture(number: int) -> Image:
    """Such a picture, (height, width, 3) RGB."""
    image = np.full((HEIGHT, WIDTH, 3), (90, 100, 110), np.uint8)
    image[:24, :24], image[:24, -24:] = COLOURS["R"], COLOURS["G"]
    image[-24:, :24], image[-24:, -24:] = COLOURS["B"], COLOURS["W"]
    for bit in range(8):
        on, left = number >> (7 - bit) & 1, bit * 20
        image[32:64, left : left + 20] = 235 if on else 16
        image[64:96, left : left + 20] = 16 if on else 235
    return image


def read_orientation(image: Image) -> str:
    """One of ORIENTATIONS, or the colours of the corners."""
    height, width, _ = image.shape
    a, b = max(height // 16, 1), max(width // 16, 1)
    found = ""
    for patch in (image[:a, :b], image[:a, -b:], image[-a:, :b], image[-a:, -b:]):
        mean = patch.reshape(-1, 3).mean(axis=0)
        found += min(COLOURS, key=lambda name: float(np.abs(mean - COLOURS[name]).sum()))
    return ORIENTATIONS.get(found, found)


def turn_upright(image: Image) -> Image:
    kind = read_orientation(image)
    if kind in ("turned 90 ccw", "turned 90 cw", "transposed", "transverse"):
        image = image.swapaxes(0, 1)
        kind = read_orientation(image)
    if kind in ("turned 180", "upside down (mirrored)"):
        image = image[::-1]
    if kind in ("turned 180", "mirrored"):
        image = image[:, ::-1]
    return image


def read_number(image: Image) -> int:
    """The number in the picture, -1 where the two rows disagree (a damaged picture)."""
    image = turn_upright(image)
    y, x = image.shape[0] / HEIGHT, image.shape[1] / WIDTH
    grey = image.mean(axis=-1)
    number = 0
    for bit in range(8):
        columns = slice(int((bit * 20 + 5) * x), int((bit * 20 + 15) * x))
        above = grey[int(40 * y) : int(56 * y), columns].mean()
        below = grey[int(72 * y) : int(88 * y), columns].mean()
        if abs(above - below) < 60:
            return -1
        number = number * 2 + int(above > below)
    return number
