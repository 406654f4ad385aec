"""Recording of a stream beside its use: what goes wrong with it does not stop the stream."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoswin_cli.data.decoding.live_input import LiveInput
from videoswin_cli.data.decoding.recording import (
    NothingRecordedError,
    next_name,
    open_recording,
)
from videoswin_cli.data.live.connection import StreamState
from videoswin_cli.data.live.pace import Clock
from videoswin_cli.data.workers import Notice
from videoswin_cli.errors import VideoSwinError

if TYPE_CHECKING:
    from videoswin_cli.data.decoding.live_input import Packet


class Recorder:
    """The file of one connection; without a path it keeps nothing."""

    def __init__(
        self,
        path: Path | None,
        opened: LiveInput,
        state: StreamState,
        *,
        clock: Clock,
        notice: Notice,
    ) -> None:
        self._clock = None if opened.stamped else clock
        self._state = state
        self._notice = notice
        self._stack = ExitStack()
        self._write: Any = None
        self._path = path
        if path is not None and not state.recording_failed:
            self._path = next_name(path)
            try:
                recording = open_recording(self._path, opened.streams)
                self._write = self._stack.enter_context(recording)
            except VideoSwinError as error:
                self._fail(error)

    def keep(self, packet: "Packet[Any]") -> None:
        """Write a packet, which nobody needs any more."""
        if self._write is not None:
            try:
                self._write(packet, self._clock and self._clock.now())
            except VideoSwinError as error:
                self._fail(error)
                self.close()

    def close(self) -> None:
        """Give the file its name; without a packet there is none."""
        if self._write is None:
            return
        self._write = None
        try:
            self._stack.close()
        except NothingRecordedError:
            pass
        except VideoSwinError as error:
            self._fail(error)
        else:
            assert self._path is not None
            self._state.recordings.append(self._path)

    def _fail(self, error: VideoSwinError) -> None:
        if not self._state.recording_failed:
            self._notice(f"{error.message}; the stream is not recorded any more")
        self._state.recording_failed = True
