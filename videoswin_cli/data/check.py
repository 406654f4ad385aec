"""Files that cannot be read, found before the work begins."""

from collections.abc import Callable, Sequence
from functools import partial

from videoswin_cli.data.decoding.open import open_as
from videoswin_cli.data.decoding.picture import read_picture
from videoswin_cli.data.failures import name_reason
from videoswin_cli.data.segments import find_span
from videoswin_cli.data.workers import count_workers, load_in_workers
from videoswin_cli.io.visible import counted
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import VideoPart

_FEW = 5  # of which each gets a line


def find_broken_videos(
    parts: Sequence[VideoPart],
    *,
    opening: OpenOptions = OpenOptions(),  # noqa: B008 - frozen
    workers: int | None = None,
) -> list[str | None]:
    """Reasons why videos cannot be read, None for those that can; each is opened once."""
    return _check_all([part.path for part in parts], partial(_open, parts, opening), workers)


def find_broken_pictures(files: Sequence[str], *, workers: int | None = None) -> list[str | None]:
    """Reasons why pictures cannot be read, None for those that can; each is decoded once."""
    return _check_all(files, partial(_decode, files), workers)


def describe_broken(broken: Sequence[tuple[str, str]]) -> list[str]:
    """Sentences for the user, from names and reasons."""
    lines = [f"left out: {name}: {reason}" for name, reason in broken[:_FEW]]
    if len(broken) > _FEW:
        lines.append(f"left out: {counted(len(broken), 'file')} in all")
    return lines


def _check_all(
    paths: Sequence[str], look: Callable[[int], None], workers: int | None
) -> list[str | None]:
    processes = count_workers(len(paths), on_cpu=True) if workers is None else workers
    return list(load_in_workers(_FileCheck(paths, look), range(len(paths)), workers=processes))


def _open(parts: Sequence[VideoPart], opening: OpenOptions, number: int) -> None:
    with open_as(parts[number].path, opening) as video:
        find_span(video, parts[number].segment)


def _decode(files: Sequence[str], number: int) -> None:
    read_picture(files[number])


class _FileCheck:
    """Result of checking the file with a given number."""

    def __init__(self, paths: Sequence[str], look: Callable[[int], None]) -> None:
        self._paths = paths
        self._look = look

    def __getitem__(self, number: int) -> str | None:
        try:
            self._look(number)
        except Exception as error:  # noqa: BLE001 - as in `iter_video`
            return name_reason(error, self._paths[number])
        return None

    def failed(self, number: int, reason: str) -> str | None:
        return reason
