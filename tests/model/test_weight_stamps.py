"""Weight files that somebody writes over while a model of them is at work."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copy, copy2

import pytest
import torch
from make_video import write_video
from safetensors.torch import load_file
from torch import Tensor

from videoswin_cli import extract, load_model
from videoswin_cli.errors import CheckpointError
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.model.loading import find_model, load, load_found
from videoswin_cli.model.weight_stamps import check_unchanged, hash_unchanged, take_stamp


def write_zip(path: Path, weights: dict[str, Tensor]) -> None:
    torch.save({"state_dict": weights}, path)


def write_legacy(path: Path, weights: dict[str, Tensor]) -> None:
    torch.save({"state_dict": weights}, path, _use_new_zipfile_serialization=False)


def spoil(path: Path) -> None:
    """Noughts over the second half of a file, in place, as of another time."""
    half = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.seek(half)
        file.write(bytes(half))
    os.utime(path, ns=(1, 1))


def shorten(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(10)


@pytest.fixture
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path, tiny: str) -> Path:
    path = tmp_path / "latest.pth"
    write = getattr(request, "param", None)
    if write is None:
        copy(tiny, path)
    else:
        write(path, load_file(tiny))
    return path


@pytest.mark.parametrize("change", [spoil, shorten])
@pytest.mark.parametrize("checkpoint", [None, write_zip, write_legacy], indirect=True)
def test_a_loaded_network_keeps_its_weights(
    checkpoint: Path, tiny: str, change: Callable[[Path], None]
) -> None:
    network = load(tiny, checkpoint=checkpoint).module
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    change(checkpoint)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("checkpoint", [write_zip], indirect=True)
def test_a_file_that_is_cut_off_while_it_is_loaded_ends_no_process(checkpoint: Path) -> None:
    raw = read_checkpoint(checkpoint, mapped=False)
    shorten(checkpoint)
    assert all(tensor.isfinite().all() for tensor in raw.tensors.values())


@pytest.mark.parametrize("checkpoint", [write_zip], indirect=True)
def test_damaged_numbers_are_told(checkpoint: Path, tiny: str) -> None:
    content, numbers = bytearray(checkpoint.read_bytes()), load_file(tiny)["head.weight"].numpy()
    content[content.index(numbers.tobytes())] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(CheckpointError, match="Bad CRC-32"):
        load(tiny, checkpoint=checkpoint)


@pytest.mark.parametrize("checkpoint", [write_zip], indirect=True)
def test_weights_that_change_before_they_are_loaded_are_told(checkpoint: Path, tiny: str) -> None:
    found = find_model(tiny, checkpoint=checkpoint)
    write_zip(checkpoint, {name: 2 * tensor for name, tensor in load_file(tiny).items()})
    with pytest.raises(CheckpointError, match=r"latest\.pth has changed since it was read"):
        load_found(found)


def test_results_are_not_recorded_under_the_hash_of_other_weights(
    checkpoint: Path, tiny: str, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "a.mp4", frames=8)
    model = load_model(tiny, checkpoint=checkpoint)
    table = model.extract(video)
    assert table.meta["weights_sha256"] == hash_unchanged([take_stamp(Path(tiny))])
    spoil(checkpoint)
    with pytest.raises(CheckpointError, match="has changed since it was read: it was written to"):
        model.extract(video)
    checkpoint.unlink()
    with pytest.raises(CheckpointError, match="has changed since it was read: No such file"):
        extract(video, model=model)


def test_another_file_of_the_same_size_and_time_is_told(checkpoint: Path, tmp_path: Path) -> None:
    stamp, other = take_stamp(checkpoint), tmp_path / "other"
    copy2(checkpoint, other)
    other.replace(checkpoint)
    with pytest.raises(CheckpointError, match="another file has its name now"):
        check_unchanged([stamp])


def test_a_change_behind_an_old_time_is_told(checkpoint: Path) -> None:
    stamp = take_stamp(checkpoint)
    time.sleep(0.05)  # the clock of a file system ticks a hundred times a second
    spoil(checkpoint)
    os.utime(checkpoint, ns=(stamp.mtime_ns, stamp.mtime_ns))
    with pytest.raises(CheckpointError, match="it was written to"):
        check_unchanged([stamp])


def test_a_size_that_changed_is_told(checkpoint: Path) -> None:
    stamp = take_stamp(checkpoint)
    shorten(checkpoint)
    message = f"it was written to, {stamp.size} bytes then, 10 now"
    with pytest.raises(CheckpointError, match=re.escape(message)):
        check_unchanged([stamp])
