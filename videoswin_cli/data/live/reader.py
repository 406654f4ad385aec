"""The thread that reads a live source, and connects again where it is lost."""

import threading
from contextlib import ExitStack

from videoswin_cli.data.decoding.live_input import open_live
from videoswin_cli.data.live.clips import ClipRing
from videoswin_cli.data.live.connection import Connection, Reading, StreamState
from videoswin_cli.data.live.mailbox import Mailbox
from videoswin_cli.data.live.pace import Clock, MonotonicClock
from videoswin_cli.data.live.recorder import Recorder
from videoswin_cli.data.workers import Notice
from videoswin_cli.errors import VideoSwinError

LONGEST_WAIT = 30.0  # seconds between two tries to connect


class LiveReader:
    """Clips of a source, put into a mailbox by a thread while the block lasts."""

    def __init__(
        self,
        reading: Reading,
        mailbox: Mailbox,
        *,
        ended: threading.Event,
        notice: Notice,
        clock: Clock | None = None,
    ) -> None:
        """`ended` is set by whoever wants no more clips.

        Raises:
            UsageError: a model without windows.
        """
        self.state = StreamState()
        self.clock = clock or MonotonicClock(ended)
        self._reading = reading
        self._mailbox = mailbox
        self._ended = ended
        self._notice = notice
        self._ring = ClipRing(reading.protocol, every=reading.every)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "LiveReader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """The source is let go of, and what is recorded is complete."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._read_on()
        except BaseException as error:  # noqa: BLE001 - raised where clips are taken
            self._mailbox.close(error)
        else:
            self._mailbox.close()

    def _read_on(self) -> None:
        """One connection after the other, until the source ends or nothing more is wanted."""
        reading, state = self._reading, self.state
        shown, wait = reading.source.shown, reading.first_wait
        while True:
            before = state.frames
            try:
                sized = self._connect()
                reason = "the stream ended"
            except VideoSwinError as error:
                sized, reason = False, reading.source.hide(error.message)
                if not state.frames:  # a wrong address, most likely
                    reason = reason.removeprefix(f"{shown}: ")
                    raise type(error)(f"{shown}: {reason}", hint=error.hint) from error
            if sized or self._ended.is_set():
                return
            if state.frames > before:
                wait = reading.first_wait
            state.lost = reason
            self._notice(f"{shown}: lost ({reason}); connecting again in {wait:g} s")
            self.clock.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _connect(self) -> bool:
        """Read one connection to its end; whether the source is a file and ends with it."""
        reading, state = self._reading, self.state
        self._ring.clear()
        with ExitStack() as stack:
            live = open_live(
                reading.source, reading.opening, stall=reading.stall, ended=self._ended
            )
            opened = stack.enter_context(live)
            recorder = Recorder(
                reading.record, opened, state, clock=self.clock, notice=self._notice
            )
            stack.callback(recorder.close)
            connection = Connection(
                opened, reading, state, ring=self._ring, clock=self.clock, notice=self._notice
            )
            for packet in opened.packets(sound=reading.record is not None):
                if self._ended.is_set():
                    return False
                for clip in connection.receive(packet):
                    self._mailbox.put(clip)
                recorder.keep(packet)
                connection.ask()
            for clip in connection.finish() if opened.sized else ():
                self._mailbox.put(clip)
            return opened.sized
