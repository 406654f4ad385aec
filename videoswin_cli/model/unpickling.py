"""Unpickles without running anything. The only module that unpickles.

Unpickling runs whatever a file names. The unpickler here rebuilds numbers, replaces harmless
objects (configurations, histories) by empty stand-ins and refuses the rest. It never imports or
calls anything that a file names, and copies no more bytes than the file may have.
"""

import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from videoswin_cli.model import rebuilding
from videoswin_cli.model.pickle_scan import LimitError
from videoswin_cli.model.rebuilding import MalformedError, RefusedError, Storage, StorageType

PICKLE_STARTS = tuple(pickle.PROTO + bytes([n]) for n in range(pickle.HIGHEST_PROTOCOL + 1))

# What a damaged or hostile file makes pickle, zipfile, torch and numpy raise.
_DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,  # RecursionError too
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)
_COPIES = 4  # times the bytes of a file that its arrays may copy on their way
_SMALL = 1 << 26  # bytes that any file may copy


class UnreadableError(Exception):
    """Says why a file cannot be read: it is damaged, or asks for more than it may."""


class ForeignError(UnreadableError):
    """Says what a whole file is that is none of weights."""


@contextmanager
def reading() -> Iterator[None]:
    """Turn what a damaged file raises into an UnreadableError."""
    try:
        yield
    except _DAMAGE as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UnreadableError(reason) from error


def dump_pickle(path: Path, content: object) -> None:
    """Write a plain pickle; equal contents give equal bytes."""
    with path.open("wb") as file:
        _Pickler(file).dump(content)


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: object) -> Any:
        """Tensors as their numbers; all else as ever."""
        # torch's own way writes the address of the storage.
        if isinstance(value, Tensor):
            rebuild = torch._utils._rebuild_device_tensor_from_numpy
            return rebuild, (value.numpy(), value.dtype, "cpu", False)
        return NotImplemented


class RestrictedUnpickler(pickle.Unpickler):
    """Rebuilds tensors and plain values.

    Args:
        file: the pickle.
        size: bytes of the whole file, which bound what may be copied.
        load_storage: makes the storage of a persistent id; without it there is none.
        load_bytes: makes the storage that is a file inside this one; without it there is none.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        size: int,
        load_storage: Callable[..., Storage] | None = None,
        load_bytes: Callable[[bytes], object] | None = None,
    ) -> None:
        super().__init__(file)
        self._left = _SMALL + _COPIES * size
        self._limit = self._left
        self._load_storage = load_storage
        self._load_bytes = load_bytes

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of what a pickle names; nothing is imported.

        Raises:
            RefusedError: it is none of what weight files need.
        """
        module = rebuilding.PYTHON2_MODULES.get(module, module)
        found = f"{module}.{name}"
        if found in rebuilding.REBUILT:
            return rebuilding.REBUILT[found]
        if found in rebuilding.COPYING:
            return rebuilding.Call(partial(rebuilding.COPYING[found], self._take))
        if found == "torch.storage._load_from_bytes":
            return rebuilding.Call(self._unpack)
        if module.partition(".")[0] == "torch" and name in rebuilding.STORAGES:
            return StorageType(rebuilding.STORAGES[name])
        if module == "torch" and name in rebuilding.DTYPES:
            return rebuilding.DTYPES[name]
        if found in rebuilding.INERT_NAMES or module.partition(".")[0] in rebuilding.INERT_PACKAGES:
            return rebuilding.Inert
        raise RefusedError(ascii(found)[:200])  # the file may hold control characters

    def persistent_load(self, saved: Any) -> Storage:
        """The storage of a persistent id, as torch writes them."""
        # In an old-style file "module" would be compared with the installed source.
        if self._load_storage is None or not (
            isinstance(saved, tuple) and len(saved) >= 5 and saved[0] == "storage"
        ):
            first = saved[0] if isinstance(saved, tuple) and saved else saved
            name = ascii(first)[:80] if isinstance(first, str) else type(first).__name__
            raise RefusedError(f"the persistent object {name}")
        kind, key, _device, count, *more = saved[1:]
        if not (isinstance(kind, StorageType) and isinstance(key, str) and type(count) is int):
            raise MalformedError("a storage of unknown type")
        if any(value is not None for value in more):
            raise MalformedError("a storage that is a view of another one")
        return self._load_storage(kind, key, count)

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise LimitError(f"arrays that copy more than {self._limit} bytes")

    def _unpack(self, raw: bytes) -> object:
        if self._load_bytes is None or not isinstance(raw, bytes):
            raise MalformedError("a storage inside of a storage")
        self._take(2 * len(raw))
        return self._load_bytes(raw)
