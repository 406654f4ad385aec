"""Objects that a pickle may make: tensors, arrays, plain values; empty stand-ins for others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

_MAX_AXES = 64


class RefusedError(Exception):
    """Says which global was refused, as `module.name`."""


class DamagedError(ValueError):
    """Says what of a file makes no sense; a cut or a flipped bit may be why."""


class MalformedError(DamagedError):
    """Says what a whole pickle asks for that none that a training program wrote asks for."""


# Every class here has a `__setstate__` and every function is wrapped in an object with one, so that
# the BUILD opcode, which otherwise sets any attribute of anything, can alter none of them.


def _do_nothing(*_args: object) -> None:
    pass


class Inert:
    """Stands for any harmless object: takes every argument, state and item, and keeps none."""

    def __new__(cls, *_args: object, **_kwargs: object) -> "Inert":
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
        if state[1] not in ("<", ">", "=", "|"):
            raise MalformedError("numbers of an unknown byte order")
        self.order = state[1]


class Array:
    """Stands for numpy.ndarray; `tensor` stays None for text, objects and the like."""

    tensor: Tensor | None = None

    def __init__(self, take: Callable[[int], None]) -> None:
        self._take = take

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, fortran, raw = state
        if isinstance(dtype, _Dtype) and dtype.code in _NUMBERS:
            if not isinstance(raw, bytes | bytearray):
                raise MalformedError(f"an array whose data are {type(raw).__name__}, not bytes")
            self._take(2 * len(raw))
            # The copy makes it writable, as torch wants it; pickle keeps `raw` for itself.
            order: Literal["C", "F"] = "F" if fortran else "C"
            array = np.ndarray(shape, dtype.order + dtype.code, bytearray(raw), order=order)
            self.tensor = torch.from_numpy(array.astype(dtype.code, order="C", copy=False))


_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")


class Call:
    """A function that a file may call, behind an object that it cannot change."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *args: object) -> object:
        return self._function(*args)

    __setstate__ = _do_nothing


@dataclass(frozen=True)
class Storage:
    """Numbers that tensors are views of."""

    untyped: torch.UntypedStorage
    dtype: torch.dtype | None  # None: each tensor says its own

    __setstate__ = _do_nothing


@dataclass(frozen=True)
class StorageType:
    """Stands for a class of storages, such as torch.FloatStorage."""

    dtype: torch.dtype | None

    __setstate__ = _do_nothing


@dataclass(frozen=True)
class Strange:
    """Stands for a tensor that holds no plain numbers in memory."""

    kind: str

    __setstate__ = _do_nothing


def _rebuild_tensor(
    storage: object,
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    *more: object,
) -> Tensor:
    # Not torch's own function, which would keep the file's backward hooks and make the storage as
    # large as the shape says.
    if not isinstance(storage, Storage) or len(size) != len(stride) or len(size) > _MAX_AXES:
        raise MalformedError("a tensor without its numbers")
    if not all(type(n) is int and n >= 0 for n in (offset, *size, *stride)):
        raise MalformedError("a tensor whose shape or steps are no whole numbers from 0 up")
    own = (value for value in more if isinstance(value, torch.dtype))
    dtype = storage.dtype or next(own, torch.uint8)
    count = storage.untyped.nbytes() // dtype.itemsize
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if all(size) and last >= count:
        raise MalformedError(f"a tensor of shape {tuple(size)} from {count} stored numbers")
    return torch.empty(0, dtype=dtype).set_(storage.untyped, offset, size, stride)


def _to_tuple(value: object) -> tuple[object, ...]:
    if not isinstance(value, tuple):  # a tuple of anything else would be a copy
        raise MalformedError(f"a tuple of {type(value).__name__}")
    return value


def _encode(take: Callable[[int], None], text: str, encoding: str) -> bytes:
    # Python 3 writes bytes so in protocol 2. Another codec could be any code.
    if encoding != "latin1":
        name = ascii(encoding)[:80] if isinstance(encoding, str) else type(encoding).__name__
        raise RefusedError(f"_codecs.encode to {name}")
    take(len(text))
    return text.encode("latin1")


def _strange(kind: str) -> Call:
    return Call(lambda *_: Strange(kind))


REBUILT = {
    "collections.OrderedDict": _Dict,
    "builtins.tuple": Call(_to_tuple),
    "torch.Size": Call(_to_tuple),
    "torch._utils._rebuild_tensor": Call(_rebuild_tensor),
    "torch._utils._rebuild_tensor_v2": Call(_rebuild_tensor),
    "torch._utils._rebuild_tensor_v3": Call(_rebuild_tensor),
    "torch._utils._rebuild_sparse_tensor": _strange("a sparse tensor"),
    "torch._utils._rebuild_sparse_csr_tensor": _strange("a sparse tensor"),
    "torch._utils._rebuild_nested_tensor": _strange("a nested tensor"),
    "torch._utils._rebuild_qtensor": _strange("a quantized tensor"),
    "torch._utils._rebuild_meta_tensor_no_storage": _strange("a meta tensor, without numbers"),
    "torch._utils._rebuild_wrapper_subclass": _strange("a tensor of another class"),
    "torch._utils._rebuild_parameter": Call(lambda data, *_: data),
    "torch._utils._rebuild_parameter_with_state": Call(lambda data, *_: data),
    "torch._tensor._rebuild_from_type_v2": Call(lambda rebuild, _type, args, _: rebuild(*args)),
    "torch._utils._rebuild_device_tensor_from_numpy": Call(lambda array, *_: array.tensor),
    "numpy.dtype": _Dtype,
}
# These copy bytes; an unpickler counts how many.
COPYING: dict[str, Callable[..., object]] = {
    "_codecs.encode": _encode,
    "numpy.core.multiarray._reconstruct": lambda take, *_: Array(take),  # numpy 1
    "numpy._core.multiarray._reconstruct": lambda take, *_: Array(take),  # numpy 2
}
DTYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
STORAGES: dict[str, torch.dtype | None] = {
    "UntypedStorage": None,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "QInt8Storage": torch.int8,
    "QUInt8Storage": torch.uint8,
    "QInt32Storage": torch.int32,
}
# Becomes Inert, so a wrong entry could hide a tensor but not run anything.
INERT_PACKAGES = frozenset(
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
INERT_NAMES = frozenset(
    {"copyreg._reconstructor", "types.SimpleNamespace", "functools.partial"}
    | {f"builtins.{name}" for name in _INERT_BUILTINS}
)
PYTHON2_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # as protocol 2 has them
