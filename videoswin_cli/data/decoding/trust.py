"""Trust in decoders that seek by themselves: when not to have it, and how they are heard.

decord and torchcodec choose where to start decoding. What they return is right only in files where
each of their choices is proven, and only as long as their FFmpeg complains of nothing.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from videoswin_cli.data.decoding.frame_index import FrameIndex
from videoswin_cli.data.decoding.orientation import UPRIGHT
from videoswin_cli.io.process_state import Shared, captured_stderr

UNPROVEN = (
    "it seeks to what the container calls key frames, and decoding cannot start at all of these"
)


# FFmpeg is heard from its level "info" on: it says no louder that it has patched up a picture
# ("concealing 31 DC, ... errors"). Of sound files it says this.
_HARMLESS = re.compile("deprecated pixel format used")
# Addresses in FFmpeg's messages; function, file and line in those of torchcodec.
_PLACE = re.compile(r" @ 0x[0-9a-f]+(?=\])|^\w+, \S+\.cpp:\d+, ")


class ReaderFailedError(Exception):
    """A decoder cannot be relied on for this file; the message says why."""


def find_shared_obstacle(index: FrameIndex) -> str | None:
    """The reason why neither decord nor torchcodec may read this file, or None.

    Each was seen to return wrong frames.
    """
    mov = index.container.startswith("mov,")
    if index.orientation.mirrored:
        return "it does not mirror pictures"
    if not index.orientation.exact:
        return "the turn of its pictures is not a quarter to the last bit"
    if index.orientation != UPRIGHT and not mov:
        return "it does not see how the pictures are turned"
    if index.coding.bits > 8:
        return f"of {index.coding.pixel_format} pictures it gives other pixels"
    if index.has_halved_odd_rows:
        return f"of {index.coding.pixel_format} pictures of odd height it gives other pixels"
    if index.clock.joins or index.clock.headless:
        return "the file is made of pieces"
    if index.corrupt or index.lossy:
        return "a part of the file is damaged or missing"
    if not index.marked_keys - {0} <= index.closed:
        return UNPROVEN
    return None


@contextmanager
def heard(*errors: type[Exception], complaints: bool = True) -> Iterator[None]:
    """A call into a decoder: its errors, and what its FFmpeg writes to stderr, are failures.

    Args:
        errors: what it raises.
        complaints: whether what is written is a failure, too.

    Raises:
        ReaderFailedError: one of `errors` was raised, or something was written.
    """
    try:
        with _stderr as read_lines:
            yield
            written = [line for line in read_lines() if not _HARMLESS.search(line)]
    except errors as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ReaderFailedError(_PLACE.sub("", lines[-1])) from error
    if complaints and written:
        raise ReaderFailedError(_PLACE.sub("", written[-1]))


# One for all decoders, or two threads would put back the stderr of each other. Of several threads
# one may hear of the file of another; PyAV decides then, which does no harm.
_stderr: Shared[Callable[[], list[str]]] = Shared(captured_stderr)
