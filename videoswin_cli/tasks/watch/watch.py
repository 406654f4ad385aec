"""Classes of a live stream, as it goes on: what `videoswin watch` runs."""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone
from difflib import get_close_matches

from torch import Tensor

from videoswin_cli.data.decoding.recording import check_recording
from videoswin_cli.data.live.clips import LiveClip
from videoswin_cli.data.live.connection import Reading
from videoswin_cli.data.live.mailbox import Mailbox
from videoswin_cli.data.live.pace import Clock
from videoswin_cli.data.live.reader import LiveReader
from videoswin_cli.data.live.source import LiveSource
from videoswin_cli.data.sampling import clip_step
from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.engine.aggregate import average_views, top_classes
from videoswin_cli.engine.progress import Monitor, Reporter
from videoswin_cli.engine.runner import Runner, open_runner
from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.model.loading import FoundModel, LoadedModel
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.watch import Condition, WatchOptions
from videoswin_cli.records import InputProtocol, LiveEvent, WatchSummary
from videoswin_cli.tasks.watch.command import CommandRunner, split_command

Show = Callable[[LiveEvent], None]


def watch_stream(
    source: LiveSource,
    model: FoundModel | LoadedModel,
    run: RunOptions,
    options: WatchOptions,
    *,
    show: Show,
    ended: threading.Event,
    reporter: Reporter,
    clock: Clock | None = None,
) -> WatchSummary:
    """Predict the classes of a stream, again and again, until it ends or `ended` is set.

    Args:
        source: camera, stream or file.
        model: with classes.
        run: how clips are taken and computed.
        options: how often, and what happens with the answers.
        show: takes each answer.
        ended: set by another thread or a signal.
        reporter: of what is lost and found.
        clock: of this machine, for tests.

    Raises:
        UsageError: options that do not fit the model.
        CheckpointError: the weights cannot be loaded.
        FetchError: the source, or weights, cannot be reached.
        VideoError: the source holds no video.
    """
    if options.record is not None:
        check_recording(options.record)
    command = None if options.exec is None else split_command(options.exec)
    runner = open_runner(
        model,
        run,
        with_head=True,
        reporter=reporter,
        check=lambda spec, settings: _check_protocol(settings.protocol),
    )
    wanted = [(each, _find_class(each, runner.model.labels)) for each in options.conditions]
    mailbox = Mailbox()
    reader = LiveReader(
        _describe_reading(source, runner, options),
        mailbox,
        ended=ended,
        notice=reporter.notice,
        clock=clock,
    )
    commands = CommandRunner(
        command or [], cooldown=options.cooldown, now=reader.clock.now, notice=reporter.notice
    )
    watch = _Watch(runner, reader, mailbox, options.topk)
    with closing(commands), reader:
        while (clip := mailbox.take(ended)) is not None:
            event, probabilities = watch.answer(clip)
            show(event)
            for condition, index in wanted:
                if probabilities[index] > condition.above:
                    commands.start(event, condition)
    return watch.summarize(source, commands)


class _Watch:
    """Answers to the clips of one reader."""

    def __init__(self, runner: Runner, reader: LiveReader, mailbox: Mailbox, topk: int) -> None:
        self._runner = runner
        self._reader = reader
        self._mailbox = mailbox
        self._topk = topk
        self._monitor = Monitor()
        self._clips = 0
        self._longest = 0.0

    def answer(self, clip: LiveClip) -> tuple[LiveEvent, Tensor]:
        """Classes of a clip, and the probabilities of all.

        Raises:
            VideoSwinError: the network answers with what is no number.
        """
        model, state = self._runner.model, self._reader.state
        (found,) = self._runner.forward([clip.views], monitor=self._monitor)
        if isinstance(found, FailedVideo):
            raise VideoSwinError(f"{found.path}: {found.reason}")
        probabilities = average_views(found.outputs, multi_label=model.spec.multi_label)
        delay = self._reader.clock.now() - clip.captured
        self._clips, self._longest = self._clips + 1, max(self._longest, delay)
        ((start, end),) = found.times
        event = LiveEvent(
            source=found.info.path,
            model=model.spec.name,
            time=_ago(delay),
            start=start,
            end=end,
            top=top_classes(probabilities, model.labels, k=self._topk),
            delay=delay,
            fps=found.info.fps,
            frames=state.frames,
            dropped=self._dropped,
            damaged=state.damaged,
            reconnects=state.reconnects,
        )
        return event, probabilities

    @property
    def _dropped(self) -> int:
        return self._mailbox.dropped + self._reader.state.passed_over

    def summarize(self, source: LiveSource, commands: CommandRunner) -> WatchSummary:
        """The run, after the reader has let go of its source."""
        state = self._reader.state
        return WatchSummary(
            source=source.shown,
            clips=self._clips,
            skipped=self._mailbox.skipped,
            frames=state.frames,
            dropped=self._dropped,
            damaged=state.damaged,
            reconnects=state.reconnects,
            longest_delay=self._longest,
            commands=commands.runs,
            failed_commands=commands.failed,
            recordings=tuple(map(str, state.recordings)),
            recording_failed=state.recording_failed,
        )


def _check_protocol(protocol: InputProtocol) -> None:
    clip_step(protocol)  # raises UsageError where frames are spread over whole videos


def _describe_reading(source: LiveSource, runner: Runner, options: WatchOptions) -> Reading:
    settings = runner.settings
    return Reading(
        source=source,
        protocol=settings.protocol,
        views=settings.views,
        opening=settings.opening,
        every=options.every,
        record=options.record,
        stall=options.stall,
    )


def _find_class(condition: Condition, labels: Sequence[str]) -> int:
    if condition.label in labels:
        return labels.index(condition.label)
    near = get_close_matches(condition.label, labels, n=3)
    raise UsageError(
        f"--on {condition}: the model has no class {condition.label!r}",
        hint=f"did you mean {' or '.join(near)}?" if near else "`videoswin models` lists classes",
    )


def _ago(seconds: float) -> str:
    """Such as 2026-03-01T12:00:00.123Z."""
    then = datetime.now(timezone.utc) - timedelta(seconds=seconds)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")
