"""Compiled OpenVINO graphs on the disk, and how fast they were measured to be.

A file is named after all that its content depends on: the source text that builds it, the weights
and the structure of the network, the input size, the answer, the precision, OpenVINO's version and
the processor.
"""

import inspect
import json
from functools import cache
from hashlib import sha256
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoswin_cli.errors import VideoSwinError
from videoswin_cli.io.atomic import atomic_write, to_json, write_error
from videoswin_cli.io.paths import cache_dir
from videoswin_cli.model import swin3d
from videoswin_cli.model.cpu import chunks
from videoswin_cli.model.openvino import graph
from videoswin_cli.model.openvino.graph import Answer
from videoswin_cli.model.swin3d import Swin3D, Triple

KIND = "graphs"  # folder of the cache
_SOURCES = (graph, chunks, swin3d)  # that decide the arithmetic of a graph
_DIGEST_BYTES = 32

Buffer = bytes | memoryview
Suffix = Literal["graph", "json"]  # of a compiled graph, of its speed


def name_graph(
    weights: str, size: Triple, answer: Answer, *, precision: str, processor: str, version: str
) -> str:
    """Name of the files of a graph, without a suffix.

    Args:
        weights: their `hash_network`.
        size: of clips.
        answer: of the graph.
        precision: that it computes in.
        processor: its name.
        version: of OpenVINO.
    """
    about = [_hash_sources(), weights, size, answer, precision, processor, version]
    return sha256(json.dumps(about).encode()).hexdigest()


def read_graph(name: str) -> mmap | None:
    """A file of `keep_graph`, mapped; None where there is none, or a damaged one."""
    if (file := find_file(name, "graph")) is None:
        return None
    try:
        with file.open("rb") as stream:
            expected, digest = stream.read(_DIGEST_BYTES), sha256()
            while block := stream.read(1 << 20):  # not by the map: all of it would be in memory
                digest.update(block)
            if digest.digest() != expected or stream.tell() == _DIGEST_BYTES:
                return None
            # Private, as a tensor of OpenVINO is of memory that could be written to.
            return mmap(stream.fileno(), 0, access=ACCESS_COPY)
    except OSError:  # not to be read
        return None


def view_graph(mapped: mmap) -> NDArray[np.uint8]:
    """The compiled graph in a map of `read_graph`, which lives as long as this."""
    return np.frombuffer(mapped, dtype=np.uint8, offset=_DIGEST_BYTES)


def keep_graph(name: str, compiled: Buffer) -> str:
    """Write a compiled graph. Returns why it could not be written; empty where it was."""
    return _write(name, "graph", sha256(compiled).digest(), compiled)


def read_speed(name: str) -> float | None:
    """Speed of a graph on this machine as it was measured, that of the inference plan being 1."""
    if (file := find_file(name, "json")) is None:
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Speed).times_as_fast
    except (OSError, msgspec.MsgspecError):
        return None


def keep_speed(name: str, speed: float) -> str:
    """Write a speed. Returns why it could not be written; empty where it was."""
    return _write(name, "json", (to_json({"times_as_fast": speed}) + "\n").encode())


class _Speed(msgspec.Struct):
    times_as_fast: float


def find_file(name: str, suffix: Suffix) -> Path | None:
    """A file of a graph; None where there is none, or something else, such as a pipe."""
    file = _path(name, suffix)
    try:
        return file if file is not None and file.is_file() else None
    except OSError:  # of a folder that cannot be searched
        return None


def _path(name: str, suffix: Suffix) -> Path | None:
    try:
        return cache_dir() / KIND / f"{name}.{suffix}"
    except RuntimeError:  # no home directory
        return None


def _write(name: str, suffix: Suffix, *content: Buffer) -> str:
    if (file := _path(name, suffix)) is None:
        return "there is no home directory"
    try:
        if file.exists() and not file.is_file():
            return f"{file} is not a regular file"
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as part, part.open("wb") as stream:
            stream.writelines(content)
    except OSError as error:
        return write_error(file, error).message
    except VideoSwinError as error:
        return error.message
    return ""


@cache
def _hash_sources() -> str:
    """SHA-256 of the source text that decides the arithmetic of a graph."""
    return sha256("".join(map(inspect.getsource, _SOURCES)).encode()).hexdigest()


def hash_network(network: Swin3D) -> str:
    """SHA-256 of all that the answers of a network depend on."""
    digest = sha256(repr(network).encode())
    for stage in network.layers:
        for block in stage.blocks:  # type: ignore[union-attr]
            attention: Any = block.attn
            digest.update(repr((attention.heads, attention.window_size, attention.shift)).encode())
    for key, tensor in network.state_dict().items():
        digest.update(f"{key} {tuple(tensor.shape)}".encode())
        digest.update(to_bytes(tensor))
    return digest.hexdigest()


def to_bytes(tensor: Tensor) -> memoryview:
    """The numbers of a tensor of the CPU, without a copy where they are in order."""
    return memoryview(tensor.detach().contiguous().view(torch.uint8).numpy())  # type: ignore[arg-type]
