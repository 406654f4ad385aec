"""Reasons why a video cannot be read, kept apart from what the machine lacks."""

import errno
import os

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.errors import MachineError, VideoSwinError

_OTHER_DISK = "free some, or set VIDEOSWIN_HOME and TMPDIR to another disk"
_HINTS = {
    errno.EMFILE: "raise the limit (ulimit -n 4096), or use fewer --workers",
    errno.ENFILE: "close other programs, or raise fs.file-max",
    errno.ENOSPC: _OTHER_DISK,
    errno.EDQUOT: _OTHER_DISK,
}


def name_reason(error: Exception, path: str) -> str:
    """Reason why the video at `path` cannot be read, without the path.

    Raises:
        MachineError: no open files or no disk space are left: no video is to blame.
    """
    if isinstance(error, MachineError):
        raise error
    cause: BaseException | None = error
    while cause is not None:
        number = cause.errno if isinstance(cause, OSError) else None
        if number in _HINTS:
            limit = f" (limit: {_file_limit()})" if number == errno.EMFILE else ""
            raise MachineError(f"{os.strerror(number)}{limit}", hint=_HINTS[number]) from error
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, VideoSwinError):
        return error.message.removeprefix(f"{hide_credentials(path)}: ")
    if isinstance(error, OSError):
        return error.strerror or hide_credentials(str(error))
    return hide_credentials(f"{type(error).__name__}: {error}")


def _file_limit() -> int:
    import resource  # not on Windows, which has no such error

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
