"""Seals of exported files: what changes is noticed, and what is of something else."""

import hashlib
from pathlib import Path

import pytest

from videoswin_cli.errors import CheckpointError
from videoswin_cli.model.exported.seal import BLANK, check_seal, is_sealed, seal

GRAPH = f'<net><rt_info><videoswin-sha256 value="{BLANK}" /></rt_info></net>'


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A sealed pair."""
    return write_pair(tmp_path, b"weights")


def write_pair(folder: Path, weights: bytes) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    files = folder / "model.xml", folder / "model.bin"
    files[0].write_text(GRAPH)
    files[1].write_bytes(weights)
    seal(files)
    return files


def test_a_seal_is_what_the_docs_say(files: tuple[Path, Path]) -> None:
    """The SHA-256 of both files, where the digest itself counts as 64 zeros."""
    digest = hashlib.sha256(GRAPH.encode() + b"weights").hexdigest()
    assert files[0].read_text() == GRAPH.replace(BLANK, digest)
    check_seal(files)


def test_an_entry_of_onnx_is_sealed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"graph r\x54\n\x10videoswin-sha256\x12\x40" + BLANK.encode())
    seal([path])
    check_seal([path])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"graph", b"grAph"))
    with pytest.raises(CheckpointError, match=r"model\.onnx is damaged: expected SHA-256"):
        check_seal([path])


def test_weights_of_another_export_are_told(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Of equal size, as those of two fine-tunings are."""
    other = write_pair(tmp_path / "other", b"WEIGHTS")
    with pytest.raises(CheckpointError, match="not of one export, or one is damaged") as caught:
        check_seal((files[0], other[1]))
    assert str(files[0]) in str(caught.value)
    assert str(other[1]) in str(caught.value)


def test_a_changed_graph_is_told(files: tuple[Path, Path]) -> None:
    files[0].write_text(files[0].read_text().replace("<net>", "<NET>"))
    with pytest.raises(CheckpointError, match="damaged"):
        check_seal(files)


def test_a_graph_without_its_weights_is_told(files: tuple[Path, Path]) -> None:
    files[1].unlink()
    with pytest.raises(CheckpointError, match=r"model\.bin are not beside it"):
        check_seal(files)
    assert is_sealed(files[0])


@pytest.mark.parametrize("content", ["", "<net></net>", GRAPH[:-60]])
def test_what_has_no_seal_is_told(files: tuple[Path, Path], content: str) -> None:
    """Also without its weights: a file that was cut off says more than that they are missing."""
    files[0].write_text(content)
    files[1].unlink()
    assert not is_sealed(files[0])
    with pytest.raises(CheckpointError, match="cut off"):
        check_seal(files)
