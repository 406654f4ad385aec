"""Timing of a run, in a sentence."""

from videoswin_cli.io.visible import counted
from videoswin_cli.records import Timing


def describe_timing(timing: Timing) -> str:
    """Decoding and network run beside each other, so their times do not add up to the whole."""
    rate = timing.videos / timing.seconds if timing.seconds else 0.0
    processes = f" in {timing.processes} processes" if timing.processes > 1 else ""
    limit = "; decoding is the limit" if timing.wait_seconds > timing.model_seconds else ""
    return (
        f"{counted(timing.videos, 'video')} in {format_seconds(timing.seconds)}{processes}, "
        f"{rate:.3g} videos/s; decoding {format_seconds(timing.decode_seconds)} over all workers, "
        f"network {format_seconds(timing.model_seconds)}, waiting for frames "
        f"{format_seconds(timing.wait_seconds)}{limit}"
    )


def format_seconds(seconds: float) -> str:
    """4.2 s, 3 min 10 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def clock(seconds: float, *, digits: int = 0, point: str = ".") -> str:
    """Time of a player: 00:12:30, with digits 00:12:30.250."""
    units = round(max(seconds, 0.0) * 10**digits)
    whole, fraction = divmod(units, 10**digits)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours:02}:{minute:02}:{second:02}"
    return f"{text}{point}{fraction:0{digits}}" if digits else text
