"""Files that cannot be read, found before the work begins."""

from collections.abc import Callable, Sequence
from functools import partial

from videoswin_cli.data.decoding.open import OpenOptions
from videoswin_cli.data.decoding.picture import read_picture
from videoswin_cli.data.feeding import count_workers, feed
from videoswin_cli.errors import VideoSwinError

_FEW = 5  # of which each gets a line


def find_broken_videos(
    files: Sequence[str],
    *,
    opening: OpenOptions = OpenOptions(),  # noqa: B008 - frozen
    workers: int | None = None,
) -> dict[str, str]:
    """Open every video once. Returns the reason of each that cannot be read."""
    return _find(files, partial(_open_video, opening=opening), workers)


def find_broken_pictures(files: Sequence[str], *, workers: int | None = None) -> dict[str, str]:
    """Decode every picture once. Returns the reason of each that cannot be read."""
    return _find(files, read_picture, workers)


def describe_broken(broken: Sequence[tuple[str, str]]) -> list[str]:
    """Sentences for the user, from names and reasons."""
    lines = [f"left out: {name}: {reason}" for name, reason in broken[:_FEW]]
    if len(broken) > _FEW:
        lines.append(f"left out: {len(broken)} files in all")
    return lines


def _find(
    files: Sequence[str], look: Callable[[str], object], workers: int | None
) -> dict[str, str]:
    processes = count_workers(len(files), on_cpu=True) if workers is None else workers
    reasons = feed(_Looked(files, look), range(len(files)), workers=processes)
    return {file: why for file, why in zip(files, reasons, strict=True) if why is not None}


def _open_video(file: str, *, opening: OpenOptions) -> None:
    with opening.open(file):
        pass


class _Looked:
    """What is wrong with a file, by number."""

    def __init__(self, files: Sequence[str], look: Callable[[str], object]) -> None:
        self._files = files
        self._look = look

    def __getitem__(self, number: int) -> str | None:
        try:
            self._look(self._files[number])
        except VideoSwinError as error:
            return error.message.removeprefix(f"{self._files[number]}: ")
        return None

    def failed(self, number: int, reason: str) -> str | None:
        return reason
