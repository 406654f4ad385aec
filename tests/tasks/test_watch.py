"""`watch` with a network that is slow, and the commands that it starts."""

import json
import shlex
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live_server import FPS, QuickClock
from make_video import as_parts, write_video
from tiny import LABELS

from videoswin_cli.data.live.mailbox import Mailbox
from videoswin_cli.data.live.source import parse_source
from videoswin_cli.engine.aggregate import average_views, top_classes
from videoswin_cli.engine.progress import Monitor, Silent
from videoswin_cli.engine.runner import Runner, open_runner
from videoswin_cli.errors import UsageError
from videoswin_cli.model.loading import find_chosen
from videoswin_cli.options.run import ModelOptions, RunOptions
from videoswin_cli.options.watch import Condition, StreamOptions, WatchOptions, parse_condition
from videoswin_cli.records import LiveEvent, Segment, WatchSummary
from videoswin_cli.tasks.watch.command import CommandRunner, split_command
from videoswin_cli.tasks.watch.watch import watch_stream

Watch = Callable[..., tuple[list[LiveEvent], WatchSummary, list[str]]]


class Notices(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def watch(tiny: str) -> Watch:
    def run(
        path: Path, show: Callable[[LiveEvent], None] = lambda event: None, **options: Any
    ) -> tuple[list[LiveEvent], WatchSummary, list[str]]:
        events: list[LiveEvent] = []
        reporter = Notices()
        done = watch_stream(
            parse_source(str(path)),
            find_chosen(ModelOptions(model=tiny), labels=None, with_head=True),
            StreamOptions().run,
            WatchOptions(**{"every": 0.5} | options),
            show=lambda event: events.append(event) or show(event),
            ended=threading.Event(),
            reporter=reporter,
            clock=QuickClock(),
        )
        return events, done, reporter.texts[2:]  # what was loaded, and how it computes

    return run


@pytest.fixture
def in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that waits until its clip is taken: no clip is skipped."""
    taken, put, take = threading.Semaphore(0), Mailbox.put, Mailbox.take

    def put_and_wait(self: Mailbox, clip: Any) -> None:
        put(self, clip)
        assert taken.acquire(timeout=30)

    def take_and_tell(self: Mailbox, ended: threading.Event) -> Any:
        clip = take(self, ended)
        taken.release()
        return clip

    monkeypatch.setattr(Mailbox, "put", put_and_wait)
    monkeypatch.setattr(Mailbox, "take", take_and_tell)


@pytest.mark.usefixtures("in_step")
def test_the_answer_is_that_of_predict_on_the_same_frames(
    watch: Watch, tiny: str, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "v.mp4", frames=40, fps=FPS)
    events, done, _ = watch(path, topk=3)
    runner = open_runner(
        find_chosen(ModelOptions(model=tiny), labels=None, with_head=True), RunOptions()
    )
    segments = [Segment(start=n, end=n + 7, unit="frames") for n in (0, 15, 30)]
    parts = [part for each in segments for part in as_parts(path, segment=each)]
    monitor = Monitor()
    expected = [
        top_classes(average_views(output.outputs), LABELS, k=3)
        for output in runner.forward(runner.views(parts, monitor), monitor=monitor)
    ]
    assert [event.top for event in events] == expected
    assert (done.clips, done.skipped, done.dropped, done.frames) == (3, 0, 0, 40)


def test_a_slow_network_gets_the_latest_clip(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = threading.Event(), threading.Event()
    put, close, forward = Mailbox.put, Mailbox.close, Runner.forward

    def put_and_wait(self: Mailbox, clip: Any) -> None:
        put(self, clip)
        assert begun.wait(30)  # the first clip is on its way

    def close_and_tell(self: Mailbox, error: BaseException | None = None) -> None:
        close(self, error)
        over.set()

    def compute_late(self: Runner, *args: Any, **options: Any) -> Any:
        begun.set()
        assert over.wait(30)  # the stream has ended meanwhile
        return forward(self, *args, **options)

    monkeypatch.setattr(Mailbox, "put", put_and_wait)
    monkeypatch.setattr(Mailbox, "close", close_and_tell)
    monkeypatch.setattr(Runner, "forward", compute_late)
    path = write_video(tmp_path / "v.mp4", frames=240, fps=FPS)
    events, done, _ = watch(path, every=0.1)
    assert [round(event.start * FPS) for event in events] == [0, 231]  # the first and the last due
    assert (done.clips, done.skipped) == (2, 76)
    assert (done.frames, done.dropped) == (240, 231 - 7)
    assert events[0].delay == pytest.approx(240 / FPS, abs=0.5)  # as the clock tells
    assert events[1].delay < 0.5


@pytest.mark.usefixtures("in_step")
def test_events_run_a_command_not_too_often(watch: Watch, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=100, fps=FPS)
    out = tmp_path / "events.jsonl"
    script = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
    command = shlex.join([sys.executable, "-c", script, str(out)])
    events, done, notices = watch(path, on=("walk>0",), exec=command, cooldown=100)
    assert len(events) == 7
    assert (done.commands, done.failed_commands, notices) == (1, 0, [])
    (line,) = out.read_text(encoding="utf-8").splitlines()
    found = json.loads(line)
    assert found.pop("on") == "walk>0"
    assert found["start"] == events[0].start
    assert [each["label"] for each in found["top"]] == [each.label for each in events[0].top]
    _, done, _ = watch(path, on=("walk>0.999",), exec=command)
    assert done.commands == 0


def event() -> LiveEvent:
    return LiveEvent(
        source="camera:0", model="m", time="2026-01-01T00:00:00.000Z", start=0, end=1, top=(),
        delay=0.1, fps=30, frames=40, dropped=0, damaged=0, reconnects=0,
    )  # fmt: skip


def test_a_command_that_fails_is_told_of_and_one_that_runs_is_not_waited_for(
    tmp_path: Path,
) -> None:
    clock = QuickClock()
    notices: list[str] = []
    script = (
        "import pathlib, sys, time\n"
        "sys.stdin.read()\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
        "sys.exit('no \\x1b[31m light')"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "go")]
    runner = CommandRunner(words, cooldown=10, now=clock.now, notice=notices.append)
    condition = Condition("a", 0.5)
    assert runner.start(event(), condition)
    clock.time = 9
    assert not runner.start(event(), condition)
    clock.time = 11
    assert not runner.start(event(), condition)
    assert notices == ["--exec: the command still runs; events meanwhile do not start it"]
    (tmp_path / "go").touch()
    runner.close()
    assert notices[1:] == [r"--exec failed: exit code 1: no \x1b[31m light"]
    assert runner.start(event(), condition)
    runner.close()
    assert (runner.runs, runner.failed) == (2, 2)


def test_conditions_and_commands_are_checked_first(watch: Watch, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=5)
    assert parse_condition("a > b>0.5") == Condition("a > b", 0.5)
    for text in ("walk", "walk>", ">0.5", "walk>1", "walk>nan", "walk>-0.1"):
        with pytest.raises(UsageError, match="expected a class and a probability"):
            parse_condition(text)
    with pytest.raises(UsageError, match="one needs the other"):
        WatchOptions(on=("walk>0.5",))
    with pytest.raises(UsageError, match="no such program: 'no-such-program'"):
        split_command("no-such-program x")
    with pytest.raises(UsageError, match="No closing quotation"):
        split_command("sh 'x")
    with pytest.raises(UsageError, match="no class 'wal'") as caught:
        watch(path, on=("wal>0.5",), exec=sys.executable)
    assert caught.value.hint == "did you mean walk?"
    with pytest.raises(UsageError, match="unknown suffix"):
        watch(path, record=tmp_path / "day.avi")
    with pytest.raises(UsageError, match="taken by time"):
        StreamOptions(fps="source")
