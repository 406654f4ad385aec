"""Files of torch.save, new and old, and plain pickles, read without torch.load.

torch.load runs a TorchScript program, unpacks a tar archive, takes compressed weights for plain
ones where it maps the file, and makes storages as large as a file claims.
"""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np
import torch
from numpy.typing import NDArray

from videoswin_cli.model.pickle_scan import LimitError, check_pickle
from videoswin_cli.model.rebuilding import DamagedError, Storage, StorageType
from videoswin_cli.model.unpickling import ForeignError, RestrictedUnpickler, reading

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_ALIGNED = 64  # bytes; torch.save begins each tensor at a multiple
_LOCAL_HEADER = 30  # bytes of a zip entry's header before its name
_UNPACKED = 4  # times the bytes of a .pth that its entries may unpack to; torch.save packs nothing
_SMALL = 1 << 18  # bytes that any archive may unpack to
_PICKLES_BEFORE = 3  # pickles of an old-style file before its content


def load_torch(path: Path, *, mmap: bool) -> object:
    """Content written by `torch.save`, tensors on the CPU; memory-mapped if `mmap` and possible.

    Raises:
        RefusedError: the file names code that would run.
        UnreadableError: it is damaged, or asks for more than it may.
        OSError: it cannot be read.
    """
    with reading(), path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            return _load_zip(path, mapped=mmap)
        size = path.stat().st_size
        file.seek(0)
        return _load_legacy(file, size=size)


def load_pickle(path: Path) -> object:
    """Content of a plain pickle: tensors, and arrays as `Array`. Raises like `load_torch`."""
    with reading(), path.open("rb") as file:
        size = path.stat().st_size
        check_pickle(file, size=size)
        file.seek(0)
        return RestrictedUnpickler(file, size=size, load_bytes=_load_bytes).load()


def check_unpacked(archive: zipfile.ZipFile, *, size: int, times: int, small: int) -> None:
    """Compare what the entries of a zip file unpack to with the size of the file.

    Raises:
        LimitError: they say that they are more than `times` the file, and more than `small`.
    """
    unpacked = sum(entry.file_size for entry in archive.infolist())
    limit = small + times * size
    if unpacked > limit:
        raise LimitError(
            f"its entries unpack to {unpacked} bytes; the limit for a file of {size} is {limit}"
        )


# --- zip ------------------------------------------------------------------------------------------


def _load_zip(path: Path, *, mapped: bool) -> object:
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        check_unpacked(archive, size=size, times=_UNPACKED, small=_SMALL)
        entries = {entry.filename: entry for entry in archive.infolist()}
        if any(name.endswith("constants.pkl") for name in entries):
            raise ForeignError("a TorchScript program, not weights; it was not opened")
        roots = [name.removesuffix("data.pkl") for name in entries if _is_content(name)]
        if not roots:
            raise ForeignError("a zip file, but not one of torch.save: it has no data.pkl")
        if len(roots) != 1:
            raise DamagedError(f"{len(roots)} entries named data.pkl, expected one")
        root = roots[0]
        order = f"{root}byteorder"
        if order in entries and archive.read(order) != b"little":
            raise DamagedError("its numbers are not little-endian")
        whole = _map(path, size) if mapped else None
        storages: dict[str, torch.UntypedStorage] = {}

        def load_storage(kind: StorageType, key: str, count: int) -> Storage:
            if key not in storages:
                entry = entries[f"{root}data/{key}"]
                storages[key] = _read_entry(archive, entry, whole)
            _check_count(kind, count, storages[key].nbytes())
            return Storage(storages[key], kind.dtype)

        pickled = entries[f"{root}data.pkl"]
        if pickled.file_size > _SMALL + size:
            raise LimitError(f"a pickle of {pickled.file_size} bytes in a file of {size}")
        content = archive.read(pickled)
        check_pickle(io.BytesIO(content), size=len(content))
        file = io.BytesIO(content)
        return RestrictedUnpickler(file, size=len(content), load_storage=load_storage).load()


def _map(path: Path, size: int) -> torch.UntypedStorage:
    whole: Any = torch.UntypedStorage.from_file(str(path), False, size)  # private, not shared
    return cast("torch.UntypedStorage", whole)


def _make(length: int) -> torch.UntypedStorage:
    return torch.UntypedStorage(length)  # type: ignore[no-untyped-call]


def _is_content(name: str) -> bool:
    return name == "data.pkl" or (name.endswith("/data.pkl") and name.count("/") == 1)


def _read_entry(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, whole: torch.UntypedStorage | None
) -> torch.UntypedStorage:
    if whole is not None and entry.compress_type == zipfile.ZIP_STORED:
        begin, file = entry.header_offset, cast("IO[bytes]", archive.fp)
        file.seek(begin)  # as zipfile does before each of its reads
        header = file.read(_LOCAL_HEADER)  # not from the map, which the file may have left
        if len(header) != _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
            raise DamagedError(f"{entry.filename} is not where the archive says")
        name, extra = struct.unpack("<HH", header[26:30])
        start = begin + _LOCAL_HEADER + name + extra
        if start + entry.file_size > whole.nbytes():
            raise DamagedError(f"{entry.filename} is not where the archive says")
        if start % _ALIGNED == 0:
            return cast("torch.UntypedStorage", whole[start : start + entry.file_size])
    storage = _make(entry.file_size)
    with archive.open(entry) as file:
        _fill(storage, file.read())
    return storage


def _check_count(kind: StorageType, count: int, held: int) -> None:
    claimed = count * (kind.dtype.itemsize if kind.dtype else 1)
    if not 0 <= claimed <= held:
        raise DamagedError(f"a storage of {claimed} bytes, of which the file has {held}")


def _fill(storage: torch.UntypedStorage, data: bytes) -> None:
    if len(data) != storage.nbytes():
        raise DamagedError(f"{len(data)} bytes of a storage of {storage.nbytes()}")
    if data:
        _to_array(storage)[:] = np.frombuffer(data, dtype=np.uint8)


def _to_array(storage: torch.UntypedStorage) -> NDArray[np.uint8]:
    """The bytes of a storage."""
    return torch.empty(0, dtype=torch.uint8).set_(storage).numpy()


# --- before torch 1.6 -----------------------------------------------------------------------------


def _load_bytes(raw: bytes) -> object:
    """A storage that a plain pickle holds as an old-style file."""
    return _load_legacy(io.BytesIO(raw), size=len(raw))


def _load_legacy(file: BinaryIO, *, size: int) -> object:
    """Magic number, version, facts of the system, content, keys of the storages; then these.

    Args:
        file: that is looked through, then read.
        size: of it in bytes.
    """
    storages: dict[str, tuple[torch.UntypedStorage, int]] = {}  # and its numbers
    left = size

    def make_storage(kind: StorageType, key: str, count: int) -> Storage:
        nonlocal left
        if key not in storages:
            length = count * (kind.dtype.itemsize if kind.dtype else 1)
            _check_count(kind, count, left)
            left -= length
            storages[key] = _make(length), count
        _check_count(kind, count, storages[key][0].nbytes())
        return Storage(storages[key][0], kind.dtype)

    def load(load_storage: Callable[..., Storage] | None = None) -> object:
        start = file.tell()
        check_pickle(file, size=size)
        end = file.tell()
        file.seek(start)
        content = RestrictedUnpickler(file, size=size, load_storage=load_storage).load()
        file.seek(end)
        return content

    magic, _version, system = (load() for _ in range(_PICKLES_BEFORE))
    if magic != LEGACY_MAGIC:
        raise DamagedError("not a file of torch.save")
    if isinstance(system, dict) and not system.get("little_endian", True):
        raise DamagedError("its numbers are not little-endian")
    content = load(make_storage)
    named = load()
    keys = [key for key in named if isinstance(key, str)] if isinstance(named, list) else []
    if sorted(keys) != sorted(storages):
        raise DamagedError("its storages differ from those that it names")
    for key in keys:
        storage, count = storages[key]
        (found,) = struct.unpack("<q", file.read(8))
        if found != count:
            raise DamagedError(f"a storage of {found} numbers, expected {count}")
        _fill(storage, file.read(storage.nbytes()))
    return content
