"""Proof that a program of torch.export names nothing but arithmetic, before torch loads it.

`torch.export.load` unpickles tensors where the file asks for it, evaluates sizes and guards as
Python, and calls whatever function a node names, `torch.os.system` among them. So all that the file
says is read first, and a program that says anything unknown here is not loaded at all.
"""

import json
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from videoswin_cli.errors import CheckpointError
from videoswin_cli.model.rebuilding import RefusedError
from videoswin_cli.model.torch_files import load_torch
from videoswin_cli.model.unpickling import UnreadableError

_ENTRIES = re.compile(
    r"[^/]+/(data/weights/(weight_[0-9]+|model_weights_config\.json)"
    r"|data/constants/(tensor_[0-9]+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt|models/model\.json|extra/[^/]+"
    r"|archive_format|archive_version|byteorder|\.data/(version|serialization_id))"
)
_JSON = re.compile(r"[^/]+/(models/model|data/\w+/model_\w+_config)\.json")
_INPUTS = "/data/sample_inputs/model.pt"
_MAX_JSON = 200_000_000  # bytes

_PLAIN = re.compile(r"[\w.]*", re.ASCII)
_TARGET = re.compile(
    r"torch\.ops\.aten\.(?!from_file)\w+\.\w+|torch\.sym_(max|min|ite|sum|not|int|float)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|mod|neg|ge|gt|le|lt|eq|ne)",
    re.ASCII,
)
_SIZE = re.compile(  # as sympy writes an expression of sizes
    r"(Symbol\('[su][0-9]+'|Integer\(-?[0-9]+\)|(positive|integer|nonnegative)=True"
    r"|Mul|Add|Mod|Max|Min|FloorDiv|[su][0-9]+|[0-9]+|[(), ])*"
)
_TREE = re.compile(
    r'(builtins\.(tuple|list|dict)|type|context|children_spec|null|clips|frames|[\[\]{}0-9,: "])*'
)
_KINDS = {"target": _TARGET, "expr_str": _SIZE, "in_spec": _TREE, "out_spec": _TREE}
_REMARKS = frozenset({"stack_trace", "nn_module_stack", "torch_fn", "torch_version"})


def check_program(path: Path) -> None:
    """Read all that a program of torch.export would have torch do.

    Raises:
        CheckpointError: it is damaged, or names what is no part of an exported network.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            strange = [name for name in names if not _ENTRIES.fullmatch(name)]
            if strange or len(set(names)) != len(names):
                raise _unsafe(path, f"the entry {strange[0]!r}" if strange else "an entry twice")
            if (spoilt := archive.testzip()) is not None:  # torch does not look
                raise ValueError(f"{spoilt} has another checksum than was written")
            for name in filter(_JSON.fullmatch, names):
                if archive.getinfo(name).file_size > _MAX_JSON:
                    raise _unsafe(path, f"{name} of more than {_MAX_JSON} bytes")
                for key, value in _walk(json.loads(archive.read(name)), ""):
                    if problem := _find_problem(key, value):
                        raise _unsafe(path, problem)
            for name in names:
                if name.endswith(_INPUTS):
                    _check_inputs(archive.read(name))
    except RefusedError as refused:
        raise _unsafe(path, str(refused)) from None
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, UnreadableError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path}: cannot be read as a program of torch.export: {reason}",
            hint="export the model again with `videoswin export`",
        ) from error


def _check_inputs(content: bytes) -> None:
    """Raises RefusedError where the pickle of the example inputs names code."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "inputs.pt"
        copy.write_bytes(content)
        load_torch(copy, mmap=False)


def _walk(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every key, and every value that is no collection under its key."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield "", name
            yield from _walk(each, name)
    elif isinstance(value, list):
        yield from ((key, "guard") for _ in value[:1] if key == "guards_code")
        for each in value:
            yield from _walk(each, key)
    else:
        yield key, value


def _find_problem(key: str, value: Any) -> str | None:
    if key == "use_pickle" and value is not False:
        return "a pickled tensor"
    if key == "guards_code":
        return "guards, which are code"
    known = key in _REMARKS or not isinstance(value, str)
    if not known and not _KINDS.get(key, _PLAIN).fullmatch(value):
        return f"{key} {value[:80]!r}" if key else f"the name {value[:80]!r}"
    return None


def _unsafe(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: has {what}, which is no part of an exported network and might run code; it was "
        "not loaded",
        hint="export the model again with `videoswin export` and this version of torch",
    )
