"""Values of options that are written as text: times, shards, strides, rates."""

import re
from dataclasses import dataclass
from string import Formatter
from typing import Literal, get_args

from videoswin_cli.errors import UsageError
from videoswin_cli.ranges import parse_bytes, shown
from videoswin_cli.records import Shard, Stride

Logger = Literal["tensorboard", "wandb", "mlflow"]

EXPECTED_TIME = "seconds, or MM:SS or HH:MM:SS.mmm, such as 1:02.5"

_TIME = re.compile(r"(?:[0-9]+:){0,2}(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_MOST_CHARACTERS = 30  # of a time: what is longer is not looked at
_MOST_FPS = 1000
_LEAST_RATE = 0.001  # frames per second
_MOST_DIGITS = 18  # of the number of a picture


def parse_seconds(text: str) -> float:
    """Seconds from `SS`, `MM:SS` or `HH:MM:SS`, the last with a fraction or without.

    Raises:
        ValueError: anything else; its text says what was expected.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError("too many digits for a time")
    if "," in text:
        raise ValueError(f"expected {EXPECTED_TIME}, with a point and no comma")
    if _TIME.fullmatch(text) is None:
        raise ValueError(f"expected {EXPECTED_TIME}")
    *units, last = text.split(":")
    parts = [*map(int, units), float(last)]
    if any(part >= 60 for part in parts[1:]):
        raise ValueError("more than 59 after a colon")
    return float(sum(part * 60**power for power, part in enumerate(reversed(parts))))


def parse_start(text: str) -> float:
    """Seconds of `--start`; raises UsageError."""
    return _parse_time("--start", text)


def parse_end(text: str) -> float:
    """Seconds of `--end`; raises UsageError."""
    return _parse_time("--end", text)


def _parse_time(name: str, text: str) -> float:
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise UsageError(f"{name} {text}: {error}") from error


def parse_shard(text: str) -> Shard:
    """`2/4` is the second of four.

    Raises:
        UsageError: anything else.
    """
    match = re.fullmatch(r"([0-9]{1,5})/([1-9][0-9]{0,4})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(
            f"no such shard: {shown(text)}",
            hint="use I/N with I from 1 to N, at most 99999: 1/4, 2/4, 3/4, 4/4",
        )
    return Shard(index=int(match[1]) - 1, count=int(match[2]))


def parse_stride(text: str) -> Stride:
    """`2` or `0.5` are seconds, `16f` are frames.

    Raises:
        UsageError: anything else.
    """
    if match := re.fullmatch(r"([0-9]{1,7}) ?f(?:rames?)?", text):
        stride = Stride(frames=int(match[1]))
    elif match := re.fullmatch(r"([0-9]{0,6}\.?[0-9]{1,12}) ?s?", text):
        stride = Stride(seconds=float(match[1]))
    else:
        raise UsageError(
            f"--stride {shown(text)}: expected seconds below 1000000, like 2 or 0.5, or frames "
            "below 10000000, like 16f"
        )
    if not (stride.frames or stride.seconds):
        raise UsageError(f"--stride {text}: expected seconds or frames above 0")
    return stride


def parse_fps(text: str) -> float | Literal["source"]:
    """Frames per second, or `source`.

    Raises:
        UsageError: anything else.
    """
    if text == "source":
        return "source"
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", text) and 0 < float(text) <= _MOST_FPS:
        return float(text)
    raise UsageError(
        f"--fps {shown(text)}: expected frames per second above 0 and up to {_MOST_FPS}, or source"
    )


def parse_rate(text: str) -> float:
    """Frames per second, also as a fraction: `25`, `29.97`, `30000/1001`.

    Raises:
        UsageError: anything else.
    """
    match = re.fullmatch(r"([0-9]{1,7}(?:\.[0-9]{1,17})?)(?:/([1-9][0-9]{0,6}))?", text)
    rate = float(match[1]) / int(match[2] or 1) if match else 0.0
    if not _LEAST_RATE <= rate <= _MOST_FPS:
        raise UsageError(
            f"--frames-fps {shown(text)}: expected frames per second from {_LEAST_RATE} to "
            f"{_MOST_FPS}, such as 25 or 30000/1001"
        )
    return rate


@dataclass(frozen=True, kw_only=True)
class Template:
    """Name of a picture by its number."""

    prefix: str
    width: int  # digits at least; zeros fill them
    suffix: str

    def name(self, number: int) -> str:
        return f"{self.prefix}{number:0{self.width}d}{self.suffix}"

    def __str__(self) -> str:
        """As `parse_template` takes it."""
        prefix, suffix = (
            part.replace("{", "{{").replace("}", "}}") for part in (self.prefix, self.suffix)
        )
        field = f":0{self.width}" if self.width > 1 else ""
        return f"{prefix}{{{field}}}{suffix}"


def parse_template(text: str) -> str:
    """The template of file names that `split_template` takes.

    Raises:
        UsageError: anything else.
    """
    split_template(text)
    return text


def split_template(text: str) -> Template:
    """`img_{:05}.jpg` is img_00001.jpg and so on; `{}` is a number without zeros before it.

    Raises:
        UsageError: no field or several, another field, a path, or no suffix of a picture.
    """
    wrong = UsageError(
        f"--frame-template {shown(text)}: expected the name of a picture with one field for its "
        "number",
        hint="such as img_{:05}.jpg for img_00001.jpg, or {}.png for 1.png; .jpg, .jpeg, .png or "
        ".webp",
    )
    printf = re.fullmatch(r"([^%{}]*)%(0[1-9][0-9]?)?d([^%{}]*)", text)  # as FFmpeg has it
    if printf is not None:
        text = f"{printf[1]}{{:{printf[2] or ''}}}{printf[3]}"
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        raise wrong from None
    before, behind = "", ""
    widths: list[int] = []
    for literal, name, format, conversion in parts:
        before, behind = (before + literal, "") if not widths else (before, behind + literal)
        if name is None:
            continue
        field = re.fullmatch(r"(?:0([1-9][0-9]?))?d?", format or "")
        if name or conversion or field is None or int(field[1] or 1) > _MOST_DIGITS:
            raise wrong
        widths.append(int(field[1] or 1))
    is_path = "/" in text or "\\" in text or "\0" in text
    if len(widths) != 1 or is_path or not re.fullmatch(r".*\.(?:jpe?g|png|webp)", behind, re.I):
        raise wrong
    return Template(prefix=before, width=widths[0], suffix=behind)


def parse_size(name: str, text: str) -> int:
    """Bytes of `500MB` or `20GB`, given as the option `name`; raises UsageError."""
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise UsageError(f"{name} {shown(text)}: {error}") from error


def parse_topk(text: str) -> tuple[int, ...]:
    """`1,5` are the top-1 and the top-5 accuracy.

    Raises:
        UsageError: no whole numbers from 1 up, separated by commas.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,5}(,[1-9][0-9]{0,5}){0,19}", text):
        raise UsageError(f"--topk {shown(text)}: expected up to 20 numbers below 1000000, like 1,5")
    return tuple(dict.fromkeys(int(part) for part in text.split(",")))


def parse_loggers(text: str) -> tuple[str, ...]:
    """`tensorboard,wandb` are two loggers; `none` is none.

    Raises:
        UsageError: another name.
    """
    names = text.split(",")
    unknown = [name for name in names if name not in get_args(Logger)]
    if unknown and text != "none":
        raise UsageError(
            f"--log {shown(text)}: expected {', '.join(get_args(Logger))} or none",
            hint="several are separated by commas",
        )
    return () if unknown else tuple(names)


def parse_weights(text: str) -> tuple[float, ...]:
    """`1,2` gives the second of two models twice the weight of the first.

    Raises:
        UsageError: no numbers separated by commas, or none above 0.
    """
    numbers = r"[0-9]{1,6}(\.[0-9]{1,6})?"
    if not re.fullmatch(rf"{numbers}(,{numbers})*", text):
        raise UsageError(
            f"--weights {shown(text)}: expected a number per dump, like 1,2 or 0.3,0.7"
        )
    weights = tuple(float(part) for part in text.split(","))
    if not sum(weights):
        raise UsageError(f"--weights {shown(text)}: expected one above 0")
    return weights


def parse_stage(text: str) -> int | None:
    """A stage from 1; `final` is None.

    Raises:
        UsageError: anything else.
    """
    if text == "final":
        return None
    if not re.fullmatch(r"[1-9]", text):
        raise UsageError(f"--stage {shown(text)}: expected a number from 1, or final")
    return int(text)
