"""Unpickles without running anything. The only module that unpickles, and that calls torch.load.

Unpickling runs whatever a file names, so torch reads it with `weights_only=True` first. Trainer
files carry their configuration and history along as objects, which torch then refuses; those are
read again by an unpickler of ours that rebuilds numbers, replaces harmless objects by empty
stand-ins and refuses the rest. It never imports or calls anything that a file names.
"""

import io
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from torch import Tensor

UnpicklingError = pickle.UnpicklingError
PICKLE_STARTS = tuple(pickle.PROTO + bytes([n]) for n in range(pickle.HIGHEST_PROTOCOL + 1))


def load_torch(path: Path, *, mmap: bool) -> object:
    """What `torch.save` wrote, tensors on the CPU; mapped where the file allows and `mmap` says so.

    Raises:
        RefusedError: the file names code that would run.
        Exception: whatever a damaged file makes torch and pickle raise.
    """
    try:
        return _torch_load(path, mmap=mmap, weights_only=True)
    except pickle.UnpicklingError:
        # Only this error: of a TorchScript file or a tar torch says RuntimeError, and given
        # weights_only=False it would run the first and unpack the second.
        return _torch_load(path, mmap=mmap, weights_only=False, pickle_module=RestrictedPickle)


def load_pickle(path: Path) -> object:
    """What a plain pickle holds; tensors, and arrays as `Array`. Raises like `load_torch`."""
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore", UserWarning)  # of typed storages
        return RestrictedUnpickler(file).load()


def dump_pickle(path: Path, content: object) -> None:
    """Write a plain pickle; equal contents give equal bytes."""
    with path.open("wb") as file:
        _Pickler(file).dump(content)


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: object) -> Any:
        # torch's own way writes the address of the storage.
        if isinstance(value, Tensor):
            rebuild = torch._utils._rebuild_device_tensor_from_numpy
            return rebuild, (value.numpy(), value.dtype, "cpu", False)
        return NotImplemented


def _torch_load(path: Path, *, mmap: bool, **how: Any) -> object:
    with warnings.catch_warnings(), path.open("rb") as file:
        # "Detected pickle protocol 4": what torch then cannot read, it refuses.
        warnings.simplefilter("ignore", UserWarning)
        source = os.fspath(path) if mmap else file
        return torch.load(source, map_location="cpu", mmap=mmap, **how)  # noqa: TID251 (its home)


# --- what a file may rebuild ----------------------------------------------------------------------
# Every class here has a `__setstate__` and every function is wrapped in an object with one, so that
# the BUILD opcode, which otherwise sets any attribute of anything, can alter none of them.


class RefusedError(Exception):
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


class Array:
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


def _load_storage(raw: bytes) -> object:
    # A tensor in a plain pickle: its storage as an old-style file of its own.
    return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)  # noqa: TID251


def _encode(text: str, encoding: str) -> bytes:
    # Python 3 writes bytes so in protocol 2. Another codec could be any code.
    if encoding != "latin1":
        raise RefusedError(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


_REBUILT = {
    "collections.OrderedDict": _Dict,
    "builtins.tuple": _Call(tuple),
    "_codecs.encode": _Call(_encode),
    "torch.Size": _Call(tuple),
    "torch.storage._load_from_bytes": _Call(_load_storage),
    "torch._utils._rebuild_tensor": _Call(_rebuild_tensor),
    "torch._utils._rebuild_tensor_v2": _Call(_rebuild_tensor),
    "torch._utils._rebuild_parameter": _Call(lambda data, *_: data),
    "torch._utils._rebuild_parameter_with_state": _Call(lambda data, *_: data),
    "torch._tensor._rebuild_from_type_v2": _Call(lambda rebuild, _type, args, _: rebuild(*args)),
    "torch._utils._rebuild_device_tensor_from_numpy": _Call(lambda array, *_: array.tensor),
    "numpy.ndarray": Array,
    "numpy.dtype": _Dtype,
    "numpy.core.multiarray._reconstruct": _Call(lambda *_: Array()),  # numpy 1
    "numpy._core.multiarray._reconstruct": _Call(lambda *_: Array()),  # numpy 2
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


class RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = _PYTHON2_MODULES.get(module, module)
        found = f"{module}.{name}"
        if found in _REBUILT:
            return _REBUILT[found]
        if found in _INERT_NAMES or module.partition(".")[0] in _INERT_PACKAGES:
            return _Inert
        raise RefusedError(ascii(found)[:200])  # the file may hold control characters

    def __setattr__(self, name: str, value: Any) -> None:
        # torch gives its unpickler a persistent_load this way. In an old-style file that function
        # also serves "module", for which it compares sources and may write a .patch file whose
        # name and text the file chooses.
        super().__setattr__(name, _only_storages(value) if name == "persistent_load" else value)


def _only_storages(load: Callable[[Any], object]) -> Callable[[Any], object]:
    def load_storage(saved: Any) -> object:
        if not isinstance(saved, tuple) or saved[:1] != ("storage",):
            raise RefusedError(f"the persistent object {ascii(saved)[:80]}")
        return load(saved)

    return load_storage


class RestrictedPickle:
    """What torch.load wants of a `pickle_module`."""

    Unpickler = RestrictedUnpickler

    @staticmethod
    def load(file: BinaryIO, **options: Any) -> object:
        return RestrictedUnpickler(file, **options).load()
