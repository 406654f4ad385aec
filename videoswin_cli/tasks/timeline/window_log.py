"""Windows of the video that a process is at, on disk, so that it can be resumed within."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from videoswin_cli.data.view_dataset import Gap
from videoswin_cli.engine.file_stamps import read_stamp
from videoswin_cli.engine.windows import WindowProbabilities
from videoswin_cli.io.atomic import to_json, write_error
from videoswin_cli.io.typed_records import to_record
from videoswin_cli.records import ListedVideo, VideoInfo


class WindowLog:
    """Lines of one video: its path and stamp, then the windows of each piece.

    Probabilities are written as their bytes: a resumed timeline has the numbers of one that was not
    interrupted. The file is of one process, whose journal holds the lock; the next video's lines
    replace those of the last one.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._path: str | None = None  # of the video whose lines are being written
        self._lines = self._read_whole_lines()

    def earlier(self, video: ListedVideo) -> tuple[WindowProbabilities, ...]:
        """Pieces that an earlier run left of a video; none where its file was changed since.

        Where there are some, the next ones that are added are of this video.
        """
        stamp = read_stamp(video.file)
        if not self._lines or not stamp or self._lines[0] != _head(video.path, stamp):
            return ()
        lines, self._lines, self._path = self._lines[1:], [], video.path  # others are added
        return tuple(map(_from_line, lines))

    def add(self, piece: WindowProbabilities, path: str, stamp: str) -> None:
        """Add windows of a video; they are in the file when this returns.

        Raises:
            VideoSwinError: the disk is full.
        """
        if not stamp:  # of a URL: whether it is the same another time is not known
            return
        lines = [_to_line(piece)]
        mode = "ab"
        if self._path != path:
            self._path, mode = path, "wb"
            lines.insert(0, _head(path, stamp))
        try:
            with self._file.open(mode) as stream:
                stream.writelines(f"{to_json(line)}\n".encode() for line in lines)
        except OSError as error:
            raise write_error(self._file, error) from error

    def _read_whole_lines(self) -> list[dict[str, Any]]:
        """Lines that were written to their end; the torn one behind them is cut off."""
        if not self._file.exists():
            return []
        content = self._file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            with self._file.open("ab") as stream:
                stream.truncate(len(whole))
        return [json.loads(line) for line in whole.split(b"\n")[:-1]]


def _head(path: str, stamp: str) -> dict[str, Any]:
    return {"path": path, "stamp": stamp}


def _to_line(piece: WindowProbabilities) -> dict[str, Any]:
    values = piece.probabilities.contiguous().numpy().tobytes()
    return {
        "info": asdict(piece.info),
        "times": piece.times,
        "classes": piece.probabilities.shape[1],
        "probabilities": base64.b64encode(values).decode(),
        "gaps": [asdict(gap) for gap in piece.gaps],
        "notes": piece.notes,
        "unread": piece.unread,
        "until": piece.until,
    }


def _from_line(line: Mapping[str, Any]) -> WindowProbabilities:
    values = bytearray(base64.b64decode(line["probabilities"]))
    empty = torch.empty(0, dtype=torch.float64)
    found = torch.frombuffer(values, dtype=torch.float64) if values else empty
    return WindowProbabilities(
        info=to_record(VideoInfo, line["info"], source="windows"),
        times=tuple((start, end) for start, end in line["times"]),
        probabilities=found.reshape(-1, line["classes"]),
        gaps=tuple(Gap(**gap | {"missing": tuple(gap["missing"])}) for gap in line["gaps"]),
        notes=tuple(line["notes"]),
        unread=line["unread"],
        until=line["until"],
    )
