"""Form of the JSON file that `benchmarks/gpu.sh` writes."""

from dataclasses import dataclass

Value = float | str | bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement: values, or one reason why there are none.

    The end of a value's name is its unit: `_ms`, `_seconds`, `_mib`, `_per_second`. `ratio` is the
    time of the other over ours, the median of pairs that took turns; `apart` the largest
    difference of two numbers.
    """

    section: str
    name: str
    seconds: float = 0.0  # that the measurement took
    values: dict[str, Value] | None = None
    needs: str | None = None  # what is not here: a GPU, torchvision
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Section:
    """End of a section, which is a process of its own."""

    name: str
    seconds: float
    ended: str  # done; out of time; exit code N


@dataclass(frozen=True, kw_only=True)
class Report:
    """The whole file."""

    machine: dict[str, str]  # device, torch, cuda, python, cores, ...
    tiny: bool  # a rehearsal: its times say nothing
    seconds: float
    sections: list[Section]
    rows: list[Row]
