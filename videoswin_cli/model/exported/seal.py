"""Seal of an exported file: the SHA-256 of its content, inside it, which tells damage and mixing.

An engine computes with damaged weights, and with those of another model, as if nothing were wrong.
Programs of torch.export have checksums of their own: see `program_scan`.
"""

import re
from collections.abc import Sequence
from hashlib import sha256
from mmap import ACCESS_COPY, mmap
from pathlib import Path

from videoswin_cli.errors import CheckpointError

KEY = "videoswin-sha256"
BLANK = "0" * 64  # stands for the digest in what is hashed

_DIGEST = re.compile(
    rb'(?:<videoswin-sha256 value="'  # in the .xml of OpenVINO
    rb"|videoswin-sha256\x12\x40)"  # in ONNX: field 2 of an entry, 64 bytes long
    rb"([0-9a-f]{64})"
)
_BLOCK = 1 << 20  # bytes
_HINT = "export the model again with `videoswin export`"


def seal(files: Sequence[Path]) -> None:
    """Put the digest of an export in place of `BLANK`.

    Args:
        files: all of it, the one with the metadata first.
    """
    place = _find(files[0])
    assert place is not None
    digest = _hash(files, place)
    with files[0].open("r+b") as file:
        file.seek(place)
        file.write(digest.encode())


def is_sealed(path: Path) -> bool:
    """Whether a file is of `videoswin export`, whole or not."""
    return path.is_file() and _find(path) is not None


def check_seal(files: Sequence[Path]) -> None:
    """Hold an export against the digest in it.

    Args:
        files: as for `seal`.

    Raises:
        CheckpointError: it is damaged, of several exports, or of something else.
        OSError: it cannot be read.
    """
    first, *others = files
    place = _find(first)
    if place is None:
        raise CheckpointError(
            f"{first} was not written by `videoswin export`, or is cut off: it has no {KEY}",
            hint=_HINT,
        )
    for other in others:
        if not other.is_file():
            raise CheckpointError(
                f"{first}: its weights {other.name} are not beside it",
                hint="copy the .xml and the .bin of an export together",
            )
    with first.open("rb") as file:
        file.seek(place)
        written = file.read(len(BLANK)).decode()
    if (found := _hash(files, place)) != written:
        what = " and ".join(map(str, files))
        raise CheckpointError(
            f"{what} {'are not of one export, or one is' if others else 'is'} damaged: expected "
            f"SHA-256 {written[:8]}, found {found[:8]}",
            hint=_HINT,
        )


def _find(path: Path) -> int | None:
    """Place of the digest in a file."""
    if not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_COPY) as content:
        found = _DIGEST.search(content)
        return None if found is None else found.start(1)


def _hash(files: Sequence[Path], place: int) -> str:
    """SHA-256 of the bytes of all files, with `BLANK` in place of the digest."""
    first, *others = files
    digest = sha256()
    with first.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_COPY) as content:
        content[place : place + len(BLANK)] = BLANK.encode()  # in memory alone
        digest.update(content)
    for other in others:
        with other.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
