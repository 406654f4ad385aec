"""Reads and writes weight files. The only module that unpickles anything.

Unpickling runs whatever the file names, so torch reads a file with `weights_only=True` first.
Trainer files carry their configuration and history along as objects, which torch then refuses;
those are read again by an unpickler of ours that rebuilds numbers, replaces harmless objects by
empty stand-ins and refuses the rest. It never imports or calls anything that a file names.
"""

import os
import pickle
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from videoswin_cli.errors import CheckpointError

_ZIP = b"PK\x03\x04"
_TORCH_LEGACY = b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # torch.serialization.MAGIC_NUMBER
_SAFETENSORS_MAX_HEADER = 100_000_000  # bytes; the format's own limit

# What else gets handed over by mistake: (offset, bytes found there, what it is).
_LOOKS_LIKE = (
    (0, b"version https://git-lfs", "a Git LFS pointer in place of the file"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (257, b"ustar", "a tar archive"),
    (4, b"ftyp", "an MP4 video"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (0, b"RIFF", "an AVI or WAV file"),
)

# What a damaged or hostile file makes torch, pickle and numpy raise.
_DAMAGE = (
    pickle.UnpicklingError,
    SafetensorError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,  # RecursionError too
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)
_FETCH_AGAIN = "Fetch the file again and compare its size with the publisher's."
_FORMATS = "Expected a weight file: safetensors, PyTorch (.pth, .pt) or Paddle (.pdparams)."

_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "network",
    "net",
    "weights",
)
_PREFIXES = ("module.", "model.", "_orig_mod.")  # DataParallel, Lightning, torch.compile


@dataclass(frozen=True, kw_only=True)
class RawCheckpoint:
    """The tensors of one weight file under the file's own names, on the CPU."""

    tensors: dict[str, Tensor]  # safetensors and torch zip: views of the mapped file
    metadata: dict[str, str]  # safetensors only, else empty


def read_checkpoint(path: str | os.PathLike[str]) -> RawCheckpoint:
    """Reads a weight file of any known format, told by its content and not by its suffix.

    Wrapper levels (`state_dict`, `model`, ...) are taken off, and so are prefixes that all names
    share (`module.`, `model.`, `_orig_mod.`). Dtypes and shapes are the file's.

    Raises:
        CheckpointError: no such file, no weight file, damaged, without tensors, or naming code that
            would run while it is opened; in that case nothing of it has run.
    """
    path = Path(path)
    head = _read_head(path)
    read: Callable[[Path], tuple[object, dict[str, str]]]
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _SAFETENSORS_MAX_HEADER:
        kind, read = "a safetensors file", _read_safetensors
    elif head.startswith(_ZIP):
        kind, read = "a zip file written by torch.save", _read_torch_zip
    elif _TORCH_LEGACY in head[:32]:
        kind, read = "an old-style file written by torch.save", _read_torch_legacy
    elif head[:1] == pickle.PROTO and head[1:2] <= bytes([pickle.HIGHEST_PROTOCOL]):
        kind, read = "a Paddle file", _read_pickle
    else:
        raise _not_a_weight_file(path, head)
    try:
        content, metadata = read(path)
        tensors = _find_tensors(content)
    except _Refused as refused:
        raise CheckpointError(
            f"{path}: names {refused}, code that would run while the file is opened; "
            "it was not opened",
            hint="Get the file from its publisher, or ask for it as safetensors.",
        ) from None
    except _DAMAGE as error:
        raise _unreadable(path, kind, error) from error
    if not tensors:
        found = ascii(list(content))[:200] if isinstance(content, Mapping) else "no entries"
        raise CheckpointError(
            f"{path}: {kind} without a single named tensor; found: {found}",
            hint="Expected a state dict. From a whole model, save `model.state_dict()`.",
        )
    return RawCheckpoint(tensors=_strip_shared_prefixes(tensors), metadata=metadata)


def write_safetensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Writes tensors of any device and memory layout; the file appears when it is complete.

    Raises:
        CheckpointError: the file cannot be written.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(_separate(tensors), unfinished, metadata=dict(metadata))
        unfinished.replace(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: cannot be written: {error}", hint="Check the folder and the free space."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # safetensors refuses tensors that share a storage, as tied ones and slices do.
    separate: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        if tensor.untyped_storage().data_ptr() in taken:
            tensor = tensor.clone()
        taken.add(tensor.untyped_storage().data_ptr())
        separate[name] = tensor
    return separate


# --- formats --------------------------------------------------------------------------------------


def _read_head(path: Path) -> bytes:
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder", hint="Name the weight file inside it.")
    try:
        with path.open("rb") as file:
            return file.read(512)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file", hint="Check the path.") from None
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read: {error.strerror}", hint="Check its permissions."
        ) from error


def _read_safetensors(path: Path) -> tuple[object, dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 (no mapping)


def _read_torch_zip(path: Path) -> tuple[object, dict[str, str]]:
    # Newer torch goes by this suffix before it looks at the content, and maps by path only.
    return _read_torch(path, mmap=path.suffix != ".safetensors"), {}


def _read_torch_legacy(path: Path) -> tuple[object, dict[str, str]]:
    return _read_torch(path, mmap=False), {}


def _read_torch(path: Path, *, mmap: bool) -> object:
    try:
        return _torch_load(path, mmap=mmap, weights_only=True)
    except pickle.UnpicklingError:
        # Only this error: of a TorchScript file or a tar torch says RuntimeError, and given
        # weights_only=False it would run the first and unpack the second.
        return _torch_load(path, mmap=mmap, weights_only=False, pickle_module=_RestrictedPickle)


def _torch_load(path: Path, *, mmap: bool, **how: Any) -> object:
    with warnings.catch_warnings(), path.open("rb") as file:
        # "Detected pickle protocol 4": what torch then cannot read, it refuses.
        warnings.simplefilter("ignore", UserWarning)
        source = os.fspath(path) if mmap else file
        return torch.load(source, map_location="cpu", mmap=mmap, **how)  # noqa: TID251 (its home)


def _read_pickle(path: Path) -> tuple[object, dict[str, str]]:
    with path.open("rb") as file:
        return _RestrictedUnpickler(file).load(), {}


def _unreadable(path: Path, kind: str, error: BaseException) -> CheckpointError:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    if "TorchScript" in reason:
        return CheckpointError(
            f"{path}: a TorchScript program, not weights; it was not opened",
            hint=f"{_FORMATS} From a loaded module, save `module.state_dict()`.",
        )
    return CheckpointError(
        f"{path}: starts like {kind}, but cannot be read, {path.stat().st_size} bytes: {reason}",
        hint=_FETCH_AGAIN,
    )


def _not_a_weight_file(path: Path, head: bytes) -> CheckpointError:
    if not head:
        return CheckpointError(f"{path}: the file is empty", hint=_FETCH_AGAIN)
    if head.lstrip()[:1] == b"<":
        return CheckpointError(
            f"{path}: a web page, not weights; it starts with {head.lstrip()[:40]!r}",
            hint="The server sent a page in place of the file: open the address in a browser.",
        )
    guesses = (what for offset, mark, what in _LOOKS_LIKE if head.startswith(mark, offset))
    what = next(guesses, "no weight file")
    return CheckpointError(
        f"{path}: {what}, {path.stat().st_size} bytes; it starts with {head[:16]!r}",
        hint=_FORMATS,
    )


# --- from what a file holds to named tensors ------------------------------------------------------


def _find_tensors(content: object) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for key in _WRAPPERS:
        if found := _find_tensors(content.get(key)):
            return found
    if found := _named_tensors(content):
        return found
    # A wrapper of another name; averaged weights (`model_ema`), if there are no plain ones.
    others = (value for key, value in content.items() if not str(key).startswith("optim"))
    return max(map(_find_tensors, others), key=len, default={})


def _named_tensors(content: Mapping[object, object]) -> dict[str, Tensor]:
    tensors = {}
    for name, value in content.items():
        if isinstance(value, tuple) and len(value) == 2:
            value = value[1]  # Paddle saves a tensor inside another structure as (name, array)
        tensor = value.tensor if isinstance(value, _Array) else value
        if isinstance(name, str) and isinstance(tensor, Tensor):
            tensors[name] = tensor.detach()
    return tensors


def _strip_shared_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            bare = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
            return _strip_shared_prefixes(bare)
    return tensors


# --- restricted unpickling ------------------------------------------------------------------------
# Every class here has a `__setstate__` and every function is wrapped in an object with one, so that
# the BUILD opcode, which otherwise sets any attribute of anything, can alter none of them.


class _Refused(Exception):  # noqa: N818 (an answer to read_checkpoint, not an error for users)
    """Says which global was refused, as `module.name`."""


def _do_nothing(*_args: object) -> None:
    pass


class _Inert:
    """Stands for any harmless object: takes every argument, state and item, and keeps none."""

    def __new__(cls, *_args: object, **_kwargs: object) -> "_Inert":
        return super().__new__(cls)

    __setstate__ = __setitem__ = append = extend = _do_nothing


class _Dict(dict[Any, Any]):
    """Stands for OrderedDict; the state of a state dict (`_metadata`) is dropped."""

    __setstate__ = _do_nothing


class _Dtype:
    """Stands for numpy.dtype: made from a code such as `f4`; its state brings the byte order."""

    def __init__(self, code: object, *_options: object) -> None:
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = str(state[1])


class _Array:
    """Stands for numpy.ndarray; `tensor` stays None for text, objects and the like."""

    tensor: Tensor | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, fortran, raw = state
        if isinstance(dtype, _Dtype) and dtype.code in _NUMBERS:
            # The copy makes it writable, as torch wants it; pickle keeps `raw` for itself.
            order: Literal["C", "F"] = "F" if fortran else "C"
            array = np.ndarray(shape, dtype.order + dtype.code, bytearray(raw), order=order)
            self.tensor = torch.from_numpy(array.astype(dtype.code, order="C", copy=False))


_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")


class _Call:
    """A function that a file may call, behind an object that it cannot change."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *args: object) -> object:
        return self._function(*args)

    __setstate__ = _do_nothing


def _rebuild_tensor(
    storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_grad: object
) -> Tensor:
    # Not torch's own function, which would keep the file's backward hooks. (The warning that
    # `untyped` gives of typed storages is silenced by `_torch_load`.)
    empty = torch.empty(0, dtype=storage.dtype)
    return empty.set_(storage.untyped(), offset, size, stride)


def _encode(text: str, encoding: str) -> bytes:
    # Python 3 writes bytes so in protocol 2. Another codec could be any code.
    if encoding != "latin1":
        raise _Refused(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


_REBUILT = {
    "collections.OrderedDict": _Dict,
    "builtins.tuple": _Call(tuple),
    "_codecs.encode": _Call(_encode),
    "torch.Size": _Call(tuple),
    "torch._utils._rebuild_tensor": _Call(_rebuild_tensor),
    "torch._utils._rebuild_tensor_v2": _Call(_rebuild_tensor),
    "torch._utils._rebuild_parameter": _Call(lambda data, *_: data),
    "torch._utils._rebuild_parameter_with_state": _Call(lambda data, *_: data),
    "torch._tensor._rebuild_from_type_v2": _Call(lambda rebuild, _type, args, _: rebuild(*args)),
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "numpy.core.multiarray._reconstruct": _Call(lambda *_: _Array()),  # numpy 1
    "numpy._core.multiarray._reconstruct": _Call(lambda *_: _Array()),  # numpy 2
}
# Becomes _Inert, so a wrong entry could hide a tensor but not run anything.
_INERT_PACKAGES = frozenset(
    {
        *("mmcv", "mmengine", "mmaction", "mmcls", "mmdet", "mmpretrain"),
        *("yacs", "addict", "easydict", "ml_collections", "omegaconf", "fvcore", "iopath"),
        *("torch", "torchvision", "torchmetrics", "timm", "apex"),
        *("lightning", "lightning_fabric", "pytorch_lightning"),
        *("numpy", "argparse", "pathlib", "datetime", "collections", "uuid", "decimal", "enum"),
        *("typing", "__main__"),
    }
)
_INERT_BUILTINS = frozenset(
    {
        *("object", "set", "frozenset", "list", "dict", "str", "bytes", "bytearray"),
        *("int", "float", "complex", "bool", "range", "slice"),
        "getattr",  # mmengine's HistoryBuffer: methods by name
    }
)
_INERT_NAMES = frozenset(
    {"copyreg._reconstructor", "types.SimpleNamespace", "functools.partial"}
    | {f"builtins.{name}" for name in _INERT_BUILTINS}
)
_PYTHON2_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # as protocol 2 has them


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = _PYTHON2_MODULES.get(module, module)
        found = f"{module}.{name}"
        if found in _REBUILT:
            return _REBUILT[found]
        if found in _INERT_NAMES or module.partition(".")[0] in _INERT_PACKAGES:
            return _Inert
        raise _Refused(ascii(found)[:200])  # the file may hold control characters

    def __setattr__(self, name: str, value: Any) -> None:
        # torch gives its unpickler a persistent_load this way. In an old-style file that function
        # also serves "module", for which it compares sources and may write a .patch file whose
        # name and text the file chooses.
        super().__setattr__(name, _only_storages(value) if name == "persistent_load" else value)


def _only_storages(load: Callable[[Any], object]) -> Callable[[Any], object]:
    def load_storage(saved: Any) -> object:
        if not isinstance(saved, tuple) or saved[:1] != ("storage",):
            raise _Refused(f"the persistent object {ascii(saved)[:80]}")
        return load(saved)

    return load_storage


class _RestrictedPickle:
    """What torch.load wants of a `pickle_module`."""

    Unpickler = _RestrictedUnpickler

    @staticmethod
    def load(file: BinaryIO, **options: Any) -> object:
        return _RestrictedUnpickler(file, **options).load()
