"""Geometry of line charts; templates draw it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 420, 240  # px of the plotting area
_TICKS = 5


@dataclass(frozen=True, kw_only=True)
class Line:
    """One series, in px from the upper left corner of the plotting area."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Lines with their axes. Ticks are a place in px and a text."""

    title: str
    x_label: str
    lines: Sequence[Line]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT


def line_chart(
    title: str, x_label: str, x: Sequence[float], series: Mapping[str, Sequence[float]]
) -> LineChart:
    """Chart of series over the same `x`; values that are not finite are left out."""
    values = [v for row in series.values() for v in row if math.isfinite(v)]
    x_ticks = nice_ticks(min(x, default=0), max(x, default=1), whole=True)
    y_ticks = nice_ticks(min(values, default=0), max(values, default=1))
    x_low, x_high, y_low, y_high = x_ticks[0], x_ticks[-1], y_ticks[0], y_ticks[-1]

    def place(a: float, b: float) -> tuple[float, float]:
        across = WIDTH * (a - x_low) / (x_high - x_low)
        down = HEIGHT * (1 - (b - y_low) / (y_high - y_low))
        return round(across, 1), round(down, 1)

    return LineChart(
        title=title,
        x_label=x_label,
        lines=[
            Line(
                name=name, points=[place(*at) for at in zip(x, row, strict=True) if _is_finite(at)]
            )
            for name, row in series.items()
        ],
        x_ticks=[(place(tick, y_low)[0], f"{tick:g}") for tick in x_ticks],
        y_ticks=[(place(x_low, tick)[1], f"{tick:g}") for tick in y_ticks],
    )


def _is_finite(values: Sequence[float]) -> bool:
    return all(map(math.isfinite, values))


def nice_ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`; `whole` ones only."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]
