"""Errors that a user can meet, and the exit code of each.

    VideoSwinError              1  the run failed
    ├── UsageError              2  wrong usage or configuration
    │   ├── UnknownModelError   2  no published model has this name
    │   ├── MissingInputError   2  no such file or folder, or nothing to read in it
    │   ├── DatasetError        2  a list or a folder of classes that is damaged or ambiguous
    │   ├── LabelError          2  class names or labels that do not fit the model or each other
    │   ├── ConfigError         2  a model YAML, a recipe, or a key or value in one of them
    │   ├── OutputExistsError   2  the output exists and would be overwritten
    │   ├── ResumeError         2  existing results of a different run, or damaged ones
    │   ├── DeviceError         2  a device, precision or engine that this machine does not offer
    │   └── CheckpointError     2  an unsafe or unreadable weight file, or of another model
    ├── MachineError            1  the machine lacks open files, disk or processes
    ├── FetchError              4  a file cannot be downloaded, or its hash is wrong
    │   └── OfflineError        4  it would have to be downloaded, and offline mode forbids that
    ├── VideoError              3  one video cannot be read; the others are processed all the same
    │   ├── NoVideoError        3  it holds something else: sound, a picture, text
    │   └── TruncatedVideoError 3  its end is missing; `allow_truncated` reads the rest
    └── ExpectationError        5  the accuracy, or an exported file, is not as expected

Each message says what was found and what was expected; the hint says what to do. Neither has a
password or a signature.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from videoswin_cli.credentials import hide_credentials


class VideoSwinError(Exception):
    """Base of every error that a user can meet."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = hide_credentials(message)
        self.hint = hide_credentials(hint)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors travel back from decode workers; the keyword-only hint needs help to be pickled.
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(kind: type[VideoSwinError], message: str, hint: str) -> VideoSwinError:
    return kind(message, hint=hint)


class UsageError(VideoSwinError):
    exit_code = 2


class UnknownModelError(UsageError):
    pass


class MissingInputError(UsageError):
    pass


class DatasetError(UsageError):
    pass


class LabelError(UsageError):
    pass


class ConfigError(UsageError):
    pass


class OutputExistsError(UsageError):
    pass


class ResumeError(UsageError):
    pass


class DeviceError(UsageError):
    pass


class CheckpointError(UsageError):
    pass


class MachineError(VideoSwinError):
    pass


class FetchError(VideoSwinError):
    exit_code = 4


class OfflineError(FetchError):
    pass


class VideoError(VideoSwinError):
    exit_code = 3


class NoVideoError(VideoError):
    pass


class TruncatedVideoError(VideoError):
    pass


class ExpectationError(VideoSwinError):
    exit_code = 5


def install_extra(extra: str) -> str:
    """Hint where a package of an extra is missing; double quotes suit every shell."""
    return f'pip install "videoswin[{extra}]"'


@contextmanager
def raised_as(kind: type[UsageError]) -> Iterator[None]:
    """Errors of shared readers as those of the caller's subject: a plain `UsageError` as `kind`.

    Readers of text, JSON and YAML serve lists, labels and recipes alike and cannot tell which.
    """
    try:
        yield
    except UsageError as error:
        if type(error) is not UsageError:
            raise
        raise kind(error.message, hint=error.hint) from error.__cause__
