"""Options of `videoswin watch`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from videoswin_cli.errors import UsageError
from videoswin_cli.options.fields import check_options, option
from videoswin_cli.options.parsers import parse_fps
from videoswin_cli.options.run import (
    OpenOptions,
    PrecisionChoice,
    RunOptions,
    device_option,
    engine_option,
    max_pixels_option,
    stream_option,
)
from videoswin_cli.options.tasks import MAX_CLASSES
from videoswin_cli.ranges import shown

LiveFormat = Literal["table", "jsonl"]


class Condition(NamedTuple):
    """A class whose probability is above a limit."""

    label: str
    above: float  # 0..1

    def __str__(self) -> str:
        return f"{self.label}>{self.above:g}"


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """Sampling and computing of a stream, which gives one clip at a time."""

    views: Literal["1x1", "1x3"] = option("1x1", "Crops of each clip: the center, or three.")
    fps: float | Literal["source"] | None = option(
        None,
        "Frames per second of the videos that the model was trained with.",
        metavar="N",
        parse=parse_fps,
        shown_default="those of the model, else 30",
    )
    device: str = device_option()
    precision: PrecisionChoice = option("fp32", "auto: bf16 where it is fast and close.")
    engine: Literal["torch", "openvino"] = engine_option()
    stream: int | None = stream_option()
    max_pixels: int = max_pixels_option()

    def __post_init__(self) -> None:
        check_options(self)
        if self.fps == "source":
            raise UsageError(
                "--fps source: the frames of a stream are taken by time",
                hint="leave it out, or say a number",
            )

    @property
    def run(self) -> RunOptions:
        """The same as options of a run over files."""
        opening = OpenOptions(stream=self.stream, max_pixels=self.max_pixels)
        return RunOptions(
            views=self.views,
            fps=self.fps,
            device=self.device,
            precision=self.precision,
            engine=self.engine,
            opening=opening,
        )


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """Rate and destination of the answers of a stream."""

    every: float = option(
        1.0, "From one clip to the next, in seconds.", metavar="S", least=0.02, most=3600
    )
    topk: int = option(5, "Classes to show.", metavar="K", least=1, most=MAX_CLASSES)
    format: LiveFormat | None = option(
        None,
        "How to print: a live table, or one JSON object per line.",
        flags=("--format", "-f"),
        shown_default="table on a terminal, else jsonl",
    )
    record: Path | None = option(
        None,
        "Keep the stream as it is (.ts, .mkv, .mp4, .mov); NAME-2 and so on after a reconnect.",
        metavar="FILE",
    )
    on: tuple[str, ...] = option(
        (), "Run --exec when this class is above this probability.", metavar='"CLASS>P"'
    )
    exec: str | None = option(
        None,
        "Command to run, with the event as JSON on its stdin; no shell.",
        metavar="CMD",
    )
    cooldown: float = option(
        10.0, "Least seconds from one run of --exec to the next.", metavar="S", least=0
    )
    stall: float = option(
        10.0, "Without data for so long, a stream is lost.", metavar="S", least=0.1, most=3600
    )

    def __post_init__(self) -> None:
        check_options(self)
        if bool(self.on) != bool(self.exec):
            raise UsageError(
                "--on says when, --exec says what: one needs the other",
                hint="""like --on "pan-left>0.8" --exec 'notify-send seen'""",
            )
        _ = self.conditions

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return tuple(map(parse_condition, self.on))


def parse_condition(text: str) -> Condition:
    """`CLASS>0.8`; the class may have a `>` in its name.

    Raises:
        UsageError: anything else.
    """
    label, found, limit = text.rpartition(">")
    try:
        above = float(limit)
    except ValueError:
        above = -1.0
    if not (found and label.strip() and 0 <= above < 1):
        raise UsageError(
            f"--on {shown(text)}: expected a class and a probability, 0 to below 1, such as "
            '"pan-left>0.8"'
        )
    return Condition(label.strip(), above)
