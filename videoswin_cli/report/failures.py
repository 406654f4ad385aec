"""Videos that failed, as JSON lines."""

from collections.abc import Iterable
from pathlib import Path

from videoswin_cli.io.atomic import atomic_write, to_json


def write_failures(path: Path, failures: Iterable[tuple[str, str]]) -> None:
    """Write a line of JSON per failed video: path and error."""
    with atomic_write(path) as part, part.open("w", encoding="utf-8") as file:
        for name, error in failures:
            file.write(to_json({"path": name, "error": error}) + "\n")
