"""Weights that leave memory while OpenVINO computes from a packed copy of its own."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from threading import Event, Thread

import torch
from torch import nn

from videoswin_cli.io.malloc import return_freed_memory
from videoswin_cli.model.openvino.store import to_bytes

_ALIGNED = 64  # bytes, as torch aligns what it allocates: sums depend on it
_RELEASE_SECONDS = 0.01
_RELEASES = hasattr(mmap, "MADV_DONTNEED")  # not on Windows


def offload(network: nn.Module) -> None:
    """Move the parameters of a network to a temporary file without a name, mapped.

    They stay what they are, to be read and to be written to: what is read comes back into memory.
    Where the file cannot be written, memory keeps them.
    """
    if not _RELEASES:
        return
    parameters, starts = [each for each in network.parameters() if each.numel()], []
    try:
        with TemporaryFile() as file:
            for parameter in parameters:
                file.write(bytes(-file.tell() % _ALIGNED))
                starts.append(file.tell())
                file.write(to_bytes(parameter))
            file.flush()
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError:
        return
    with torch.inference_mode(False):
        for parameter, start in zip(parameters, starts, strict=True):
            count = parameter.numel()
            flat = torch.frombuffer(mapped, dtype=parameter.dtype, count=count, offset=start)
            parameter.data = flat.view(parameter.shape)
    return_freed_memory()


@contextmanager
def releasing(mapped: mmap.mmap) -> Iterator[None]:
    """Pages of a file that nobody writes to leave memory soon after they were read."""
    if not _RELEASES:
        yield
        return
    done = Event()

    def release() -> None:
        while not done.wait(_RELEASE_SECONDS):
            mapped.madvise(mmap.MADV_DONTNEED)

    thread = Thread(target=release, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        mapped.madvise(mmap.MADV_DONTNEED)
