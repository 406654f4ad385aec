"""`videoswin watch`: what happens in this stream, as it goes on?"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from videoswin_cli.cli.console import LiveScreen, notice, result
from videoswin_cli.cli.options import AllowPrivateRedirects
from videoswin_cli.data.live.source import parse_source
from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.options.run import ClassifierOptions
from videoswin_cli.options.watch import LiveFormat, StreamOptions, WatchOptions
from videoswin_cli.records import LiveEvent
from videoswin_cli.report.live import describe_watch, live_line, live_table

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="camera:0, a file, or a rtsp://, http(s)://, tcp:// or udp:// address.",
    ),
]


def watch(
    source: Source,
    model: ClassifierOptions = ClassifierOptions(),
    stream: StreamOptions = StreamOptions(),
    options: WatchOptions = WatchOptions(),
    allow_private_redirects: AllowPrivateRedirects = False,
) -> None:
    """Recognize the actions of a live stream.

    videoswin watch camera:0

    videoswin watch rtsp://192.168.0.7/stream --record day.ts

    Ctrl-C ends it with exit code 0. A stream that is lost is connected to again.
    """
    opened = parse_source(source)
    format: LiveFormat = options.format or ("table" if sys.stdout.isatty() else "jsonl")
    if format == "table" and not sys.stdout.isatty():
        raise UsageError("--format table needs a terminal", hint="use --format jsonl")

    from videoswin_cli.model.loading import find_chosen
    from videoswin_cli.tasks.watch.watch import watch_stream

    ended = threading.Event()
    chosen = find_chosen(model.weights, labels=model.labels, with_head=True)
    with LiveScreen(table=format == "table") as screen, _ending_with_signals(ended):

        def show(event: LiveEvent) -> None:
            if format == "table":
                screen.draw(live_table(event))
            else:
                result(live_line(event))

        done = watch_stream(
            opened, chosen, stream.run, options, show=show, ended=ended, reporter=screen
        )
    notice(describe_watch(done))
    for path in done.recordings:
        notice(f"recorded: {path}")
    if done.recording_failed:
        raise typer.Exit(VideoSwinError.exit_code)


@contextmanager
def _ending_with_signals(ended: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block after what it is at; a second one interrupts it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {int(number): signal.getsignal(number) for number in numbers}

    def end(number: int, frame: object) -> None:
        ended.set()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
