"""Transport of items from a decoding process to the run.

Tensors go through shared memory. Where that is full (Docker gives a container 64 MB), or there is
no file descriptor left for a piece of it, their bytes go through the pipe of the process: a copy or
two more, and neither is needed.
"""

import errno
import io
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from torch import Tensor

from videoswin_cli.errors import VideoSwinError

_SPARE = 16  # descriptors, for an item's memory, the way of it, and the next video


@dataclass(frozen=True)
class Packed:
    """An item as bytes."""

    content: bytes
    unshared: str = ""  # why its tensors are within `content`, where they should not be


class UnreachableError(Exception):
    """The shared memory of an item cannot be opened here; the message is why."""


@dataclass(frozen=True)
class _Raised:
    error: VideoSwinError


def pack(items: Iterator[Any], *, shared: bool) -> Iterator[Packed]:
    """Items, their tensors in shared memory if possible; an error in place of the rest."""
    try:
        for item in items:
            yield _pack(item, shared=shared)
    except VideoSwinError as error:  # torch would make it a text with a traceback
        yield _pack(_Raised(error), shared=False)


def _pack(item: Any, *, shared: bool) -> Packed:
    reason = ""
    if shared:
        try:
            _check_descriptors()
            return Packed(bytes(ForkingPickler.dumps(item)))
        except (OSError, RuntimeError) as error:
            reason = _name_cause(error)
    buffer = io.BytesIO()
    _ByValue(buffer, protocol=5).dump(item)
    return Packed(buffer.getvalue(), reason)


def _check_descriptors() -> None:
    """Raises OSError where few are left, since who asks for shared memory waits for one of them.

    The thread that hands it over tries again for ever.
    """
    spare: list[int] = []
    try:
        while len(spare) < _SPARE:
            spare.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for descriptor in spare:
            os.close(descriptor)


def unpack(packed: Packed) -> Any:
    """The unpickled item.

    Raises:
        VideoSwinError: it was raised while the item was made.
        UnreachableError: no descriptor or address space for its shared memory.
        OSError, EOFError: the process that has its shared memory is gone.
    """
    try:
        item = pickle.loads(packed.content)  # noqa: S301 - from our own process
    except (ConnectionError, FileNotFoundError):
        raise
    except (OSError, RuntimeError) as error:
        raise UnreachableError(_name_cause(error)) from error
    if isinstance(item, _Raised):
        raise item.error
    return item


class _ByValue(pickle.Pickler):
    """Pickles tensors with their bytes."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return torch.from_numpy, (value.numpy(),)
        return NotImplemented


def _name_cause(error: OSError | RuntimeError) -> str:
    """Such as `No space left on device (28)`, without the file name, which differs each time."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if "ancdata" in str(error):  # what Python says where a descriptor cannot be received
        return os.strerror(errno.EMFILE)
    return str(error).splitlines()[0].rpartition(": ")[2]
