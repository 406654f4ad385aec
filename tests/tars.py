"""Tar files of test samples, sound and odd."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path


def write_tar(
    path: Path,
    files: Iterable[tuple[str, bytes]],
    *,
    links: Iterable[tarfile.TarInfo] = (),
    format: int = tarfile.PAX_FORMAT,
) -> Path:
    """A tar file of named contents, in their order, then of links and the like."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=format) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for link in links:
            tar.addfile(link)
    return path


def make_link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """A member that is no file: a link by default."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member
