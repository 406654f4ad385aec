"""Reads and writes weight files: file in, named tensors out, and the way back."""

import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from videoswin_cli.errors import CheckpointError, VideoSwinError
from videoswin_cli.io.atomic import atomic_write, check_no_stream
from videoswin_cli.model.exported.reading import refuse_exported
from videoswin_cli.model.pickle_scan import LimitError
from videoswin_cli.model.rebuilding import Array, MalformedError, RefusedError, Strange
from videoswin_cli.model.torch_files import load_pickle, load_torch
from videoswin_cli.model.unpickling import PICKLE_STARTS, ForeignError, UnreadableError
from videoswin_cli.model.weight_stamps import Stamp, take_stamp

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

_FETCH_AGAIN = "If it should be weights, fetch it again: compare its size with the publisher's."
_FORMATS = "Expected a weight file: safetensors, PyTorch (.pth, .pt) or Paddle (.pdparams)."

_READ_WHOLE = 1 << 30  # bytes; larger ones, with the state of an optimizer, are mapped in any case
_MAX_LEVELS = 12  # mappings inside each other that tensors are looked for in
_MAX_NAME = 1000  # characters of a tensor's name with the keys that lead to it
_SHOWN_KEYS = 20


@dataclass(frozen=True, kw_only=True)
class RawCheckpoint:
    """The tensors of one weight file under the file's own names, on the CPU.

    A tensor inside nested mappings has their keys in front: `state_dict.head.weight`.
    """

    # Of safetensors and mapped zip files they are views, which change with the file.
    tensors: dict[str, Tensor]
    stamp: Stamp  # of the file
    metadata: dict[str, str]  # safetensors only, else empty
    strange: dict[str, str] = field(default_factory=dict)  # sparse, meta, ...: name -> what it is
    mmengine: bool = False  # written by mmengine, which swaps plain and averaged weights


def read_checkpoint(path: str | os.PathLike[str], *, mapped: bool = True) -> RawCheckpoint:
    """Reads a weight file of any known format, told by its content and not by its suffix.

    The state of an optimizer is passed over. Dtypes and shapes are the file's.

    Args:
        path: of the file.
        mapped: numbers of a zip file come into memory as they are used. To use them while somebody
            cuts the file off ends the process; without it, files up to 1 GiB are read at once, and
            their checksums are compared.

    Raises:
        CheckpointError: no such file, no weight file, damaged, without tensors, or naming code that
            would run while it is opened; in that case nothing of it has run.
    """
    path = Path(path)
    refuse_exported(str(path), what="this")
    head = _read_head(path)
    read: Callable[[Path], tuple[object, dict[str, str]]]
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _SAFETENSORS_MAX_HEADER:
        kind, read = "a safetensors file", _read_safetensors
    elif head.startswith(_ZIP):
        kind, read = "a zip file of torch.save", partial(_read_torch, mapped=mapped)
    elif _TORCH_LEGACY in head[:32]:
        kind, read = "an old-style file of torch.save", _read_torch
    elif head.startswith(PICKLE_STARTS):
        kind, read = "a pickle", lambda path: (load_pickle(path), {})
    else:
        raise _not_a_weight_file(path, head)
    try:
        stamp = take_stamp(path)
        content, metadata = read(path)
        tensors, strange = _find_tensors(content)
    except RefusedError as refused:
        raise CheckpointError(
            f"{path}: names {refused}, code that would run while the file is opened; "
            "it was not opened",
            hint="Get the file from its publisher, or ask for it as safetensors.",
        ) from None
    except (UnreadableError, SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, kind, error) from error
    if not tensors and not strange:
        raise CheckpointError(
            f"{path}: {kind} without a single named tensor; found: {_describe_keys(content)}",
            hint="Expected a state dict. From a whole model, save `model.state_dict()`.",
        )
    return RawCheckpoint(
        tensors=tensors,
        stamp=stamp,
        metadata=metadata,
        strange=strange,
        mmengine=_is_of_mmengine(content),
    )


def write_safetensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Writes tensors of any device and memory layout; the file appears when it is complete.

    Raises:
        VideoSwinError: the file cannot be written.
    """
    try:
        with atomic_write(Path(path)) as part:
            # Its save_file() would leave a file of a random name when it is killed.
            part.write_bytes(save(_separate(tensors), metadata=dict(metadata)))
    except SafetensorError as error:
        raise VideoSwinError(
            f"cannot write {path}: {error}", hint="check the folder and the free space"
        ) from error


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
        check_no_stream(path)  # to open a pipe would wait for its writer
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


def _read_torch(path: Path, *, mapped: bool = True) -> tuple[object, dict[str, str]]:
    return load_torch(path, mmap=mapped or path.stat().st_size > _READ_WHOLE), {}


def _unreadable(path: Path, kind: str, error: Exception) -> CheckpointError:
    if isinstance(error, ForeignError):
        return CheckpointError(
            f"{path}: {error}", hint=f"{_FORMATS} From a module, save `module.state_dict()`."
        )
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    size = path.stat().st_size
    cause = error.__cause__ or error
    if isinstance(cause, LimitError | MalformedError):
        return CheckpointError(
            f"{path}: {kind} of {size} bytes, refused: {reason}",
            hint="no training program writes such a file: ask its publisher for safetensors",
        )
    if isinstance(cause, OSError):
        return CheckpointError(f"{path}: cannot be read: {reason}", hint="Check its permissions.")
    return CheckpointError(
        f"{path}: {kind} by its first bytes, but cannot be read, {size} bytes: {reason}",
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


def _find_tensors(content: object) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors of nested mappings, and what stands for tensors without plain numbers."""
    tensors: dict[str, Tensor] = {}
    strange: dict[str, str] = {}
    seen: set[int] = set()  # a mapping may be there many times
    pending: deque[tuple[str, int, object]] = deque([("", 0, content)])
    while pending:
        path, level, mapping = pending.popleft()
        if not isinstance(mapping, Mapping) or id(mapping) in seen:
            continue
        seen.add(id(mapping))
        for key, value in mapping.items():
            if not isinstance(key, str):
                continue
            name = path + key
            if len(name) > _MAX_NAME:
                raise LimitError(f"a name of {len(name)} characters; the limit is {_MAX_NAME}")
            if isinstance(value, Mapping):
                if level < _MAX_LEVELS and not key.startswith("optim"):
                    pending.append((f"{name}.", level + 1, value))
                continue
            if isinstance(value, tuple) and len(value) == 2:
                value = value[1]  # Paddle saves a tensor inside another structure as (name, array)
            tensor = value.tensor if isinstance(value, Array) else value
            if isinstance(tensor, Tensor):
                tensors[name] = tensor.detach()
            elif isinstance(tensor, Strange):
                strange[name] = tensor.kind
    return tensors, strange


def _describe_keys(content: object) -> str:
    if not isinstance(content, Mapping):
        return "no entries"
    some = islice(content, _SHOWN_KEYS)
    return ascii([key[:80] if isinstance(key, str) else type(key).__name__ for key in some])[:200]


def _is_of_mmengine(content: object) -> bool:
    meta = content.get("meta") if isinstance(content, Mapping) else None
    return isinstance(meta, Mapping) and "mmengine_version" in meta
