"""Answers of a server: which worker gives each, with which options of a request."""

import re
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from videoswin_cli.engine.job import Worker
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner
from videoswin_cli.engine.settings import Settings
from videoswin_cli.engine.shared_forward import SharedForward, SharedRunner, VideoLimits
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.options.fields import Option, fill, list_options
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.ranges import shown
from videoswin_cli.records import ListedVideo
from videoswin_cli.tasks.serve.intake import Upload


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One kind of answer, as one command gives it."""

    summary: str
    record: type  # of the result, which has `error`
    options: Any  # option record with the defaults
    parameters: tuple[str, ...]  # options that a request may set
    worker: Callable[[Any], Worker[Any]]  # from options
    to_json: Callable[[Any], str]
    check: Callable[[ModelSpec, Settings], None] = lambda spec, settings: None

    def list_parameters(self) -> list[Option]:
        """Options that a request may set, that of how files are opened last."""
        own = [each for each in list_options(self.options) if each.name in self.parameters]
        return own + [each for each in list_options(OpenOptions()) if each.name == "frames_fps"]

    def name_parameters(self, text: str) -> str:
        """Text for a client, in which its parameters are not called as on a command line."""
        known = {each.name for each in self.list_parameters()}

        def rename(found: re.Match[str]) -> str:
            name = found[1].replace("-", "_")
            return name if name in known else found[0]

        return re.sub(r"--([a-z]+(?:-[a-z]+)*)", rename, text)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Parameters of one request."""

    options: Any
    frames_fps: float | None = None  # frames per second of an array


def read_wish(answer: Answer, given: Iterable[tuple[str, str]]) -> Wish:
    """Parameters of a request from their names and texts.

    Raises:
        UsageError: an unknown one, one that is given twice, or a wrong value.
    """
    known = {each.name: each for each in answer.list_parameters()}
    values: dict[str, Any] = {}
    for name, text in given:
        if name not in known:
            raise UsageError(
                f"unknown parameter {shown(name)}", hint=f"there are {', '.join(known)}"
            )
        if name in values:
            raise UsageError(f"{name} is given twice")
        values[name] = _convert(known[name], text)
    opening = fill(OpenOptions(), {n: v for n, v in values.items() if n == "frames_fps"})
    return Wish(options=fill(answer.options, values), frames_fps=opening.frames_fps)


def _convert(option: Option, text: str) -> Any:
    if option.about.parse is not None:
        return text  # `fill` does it
    try:
        return TypeAdapter(option.type).validate_python(text)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise UsageError(f"{option.name}={shown(text)}: {reason}") from error


@dataclass(frozen=True, kw_only=True)
class Computer:
    """Computation of answers in whatever thread asks."""

    runner: Runner
    shared: SharedForward
    limits: VideoLimits

    def compute(self, answer: Answer, wish: Wish, upload: Upload) -> Any:
        """The result of one video.

        Raises:
            UsageError: the model has no such answers.
            MachineError, VideoSwinError: the machine or the network fails.
        """
        settings = self.runner.settings
        answer.check(self.runner.model.spec, settings)
        opening = settings.opening
        if wish.frames_fps is not None:
            opening = replace(opening, frames_fps=wish.frames_fps, fps_for_both=False)
        runner = SharedRunner(self.runner, self.shared, opening, self.limits)
        video = ListedVideo(path=upload.name, file=str(upload.file), label=None, line=1)
        with closing(answer.worker(wish.options).compute(runner, [video], Monitor())) as results:
            return next(results)
