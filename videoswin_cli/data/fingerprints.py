"""Videos of the same content, coded anew or resized: found by what a few frames look like.

A fingerprint is four frames, each averaged to 9 x 8 grey values. Coding, resizing and other
containers change them by a few levels; difference hashes of the same values lose a bit wherever
neighbors are about equal, as in a plain sky, and miss more.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from videoswin_cli.data.segments import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from videoswin_cli.data.decoding.open import Video

LARGEST_DISTANCE = 5.0  # grey levels of 255, root mean square over two fingerprints
_FRAMES, _ROWS, _COLUMNS = 4, 8, 9
_PLAIN = 4.0  # grey levels, standard deviation; of less contrast all look alike
_AT_ONCE = 256  # fingerprints that are held against all behind them


def take_fingerprint(video: "Video", span: Span) -> bytes:
    """Grey values of frames that are evenly spaced over a span.

    Raises:
        VideoError: one of the frames cannot be decoded.
    """
    import numpy as np
    from PIL import Image

    numbers = [span.first + (2 * n + 1) * span.count // (2 * _FRAMES) for n in range(_FRAMES)]
    small = (
        Image.fromarray(frame).convert("L").resize((_COLUMNS, _ROWS), Image.Resampling.BOX)
        for frame in video.read_frames(numbers)
    )
    return b"".join(np.asarray(picture).tobytes() for picture in small)


def find_near(fingerprints: Sequence[bytes]) -> list[list[int]]:
    """Numbers of the fingerprints of each content that occurs more than once.

    All are held against each other: a second for 10,000, some minutes for 100,000.
    """
    import numpy as np

    if len(fingerprints) < 2:
        return []
    values = np.frombuffer(b"".join(fingerprints), np.uint8)
    values = values.reshape(len(fingerprints), _FRAMES * _ROWS * _COLUMNS)
    numbers = np.flatnonzero(values.std(axis=1) > _PLAIN)
    kept = values[numbers].astype(np.float32)
    first = list(range(len(fingerprints)))  # of each content, by way of earlier numbers

    def find_first(number: int) -> int:
        while first[number] != number:
            number = first[number]
        return number

    for start in range(0, len(kept), _AT_ONCE):
        rows, columns = np.nonzero(_measure(kept, start) <= LARGEST_DISTANCE)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if row < column:
                one, other = (find_first(int(numbers[start + n])) for n in (row, column))
                first[max(one, other)] = min(one, other)
    return _group(len(first), find_first)


def _measure(values: "NDArray[np.float32]", start: int) -> "NDArray[np.float32]":
    """Distances of the next fingerprints to all from them on, (rows, columns)."""
    import numpy as np

    these, those = values[start : start + _AT_ONCE], values[start:]
    squares = (those**2).sum(axis=1)
    sums = squares[: len(these), None] + squares - 2 * these @ those.T
    distances: NDArray[np.float32] = np.sqrt(np.maximum(sums, 0) / values.shape[1])
    return distances


def _group(count: int, find_first: Callable[[int], int]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for number in range(count):
        groups.setdefault(find_first(number), []).append(number)
    return [group for group in groups.values() if len(group) > 1]
