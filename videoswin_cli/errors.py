"""What can go wrong for a user, and the exit code that says so.

    VideoSwinError          1  the run failed
    ├── UsageError          2  wrong usage or configuration: unknown model, missing file, bad YAML
    │   └── CheckpointError 2  a weight file that is unsafe, unreadable or does not fit the model
    ├── MachineError        1  the machine lacks open files, disk or processes: no video is to blame
    ├── FetchError          4  a file could not be fetched, or its hash is wrong
    ├── VideoError          3  one video cannot be read; the others are done all the same
    └── ExpectationError    5  the accuracy is not the one that was expected

Each message says what was found and what was expected; the hint says what to do.
"""


class VideoSwinError(Exception):
    """Base of every error that a user can meet."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Errors travel back from decode workers; the keyword-only hint needs help to be pickled.
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(kind: type[VideoSwinError], message: str, hint: str) -> VideoSwinError:
    return kind(message, hint=hint)


class UsageError(VideoSwinError):
    exit_code = 2


class CheckpointError(UsageError):
    pass


class MachineError(VideoSwinError):
    pass


class FetchError(VideoSwinError):
    exit_code = 4


class VideoError(VideoSwinError):
    exit_code = 3


class ExpectationError(VideoSwinError):
    exit_code = 5
