"""Small files that ask for much: each is refused at once, with the limit."""

import json
import os
import pickle
import resource
import socket
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from videoswin_cli.errors import CheckpointError, UsageError
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.model.description import read_description
from videoswin_cli.model.loading import check_finite, find_model, load
from videoswin_cli.model.pickle_scan import MAX_DEPTH

GIB = 1 << 30


@pytest.fixture(autouse=True, scope="module")
def _little_memory() -> Any:
    """Whatever is made although it should not be ends in a MemoryError, not in a full machine."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (16 * GIB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def values(tiny: str) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in read_checkpoint(tiny).tensors.items()}


def read_apart(folder: Path) -> dict[str, str]:
    """What a process of its own says of each file of a folder; it must not need much memory."""
    code = """
import json, resource, sys
from pathlib import Path
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.model.checkpoint import read_checkpoint
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        said = f"{len(read_checkpoint(path).tensors)} tensors"
    except VideoSwinError as error:
        said = error.message
    print(json.dumps([path.name, said, peak() - before]), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (rows[-1:], done.stderr[-500:])
    assert [row for row in rows if row[2] > 500] == []  # MiB
    return {name: said for name, said, _ in rows}


# --- pickles --------------------------------------------------------------------------------------

ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR"
STATE = b"(I1\n(I%d\ntcnumpy\ndtype\n(X\x02\x00\x00\x00u1I0\nI1\ntRI00\n%btb"


def shared_dicts() -> object:
    inner: object = {"a": 1}
    for _ in range(60):
        inner = {"a": inner, "b": inner}
    return inner


def many_keys(numbers: list[int]) -> bytes:
    """A pickled dict, which is never made here: keys of one hash take minutes."""
    sizes = [(number, number.bit_length() // 8 + 1) for number in numbers]
    keys = (b"\x8a" + bytes([n]) + number.to_bytes(n, "little", signed=True) for number, n in sizes)
    return b"\x80\x02}(" + b"".join(key + b"N" for key in keys) + b"u."


def nested_tuples(depth: int) -> bytes:
    return b"\x80\x02}(" + b")" + b"\x85" * depth + b"I1\nu."


HOSTILE: dict[str, tuple[bytes, str]] = {
    "shared references": (pickle.dumps(shared_dicts(), protocol=4), "without a single named"),
    "memo index": (b"\x80\x02}r\x00\x00\x00\x40.", "memo index 1073741824"),
    "memo index as text": (b"\x80\x02}p1073741824\n.", "memo index 1073741824"),
    "frame": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"}.", "a frame of 1099511627776"),
    "bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"}.", "cannot be read"),
    "a long number": (b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b"1.", "cannot be read"),
    "a number of many digits": (b"\x80\x02}(L" + b"9" * 9000 + b"L\nI1\nu.", "cannot be read"),
    "a key of many digits": (
        pickle.dumps({1 << 100_000: 1}, protocol=4),
        "without a single named tensor",
    ),
    "nested tuples as a key": (nested_tuples(300_000), f"more than {MAX_DEPTH} deep"),
    "shared tuples as a key": (
        b"\x80\x02}N" + b"2\x86" * 60 + b"Ns.",
        "keys that hold more than",
    ),
    "one large key again and again": (
        b"\x80\x02}N" + b"2\x86" * 16 + b"q\x000(" + b"h\x00N" * 100_000 + b"u.",
        "keys that hold more than",
    ),
    "keys of one hash": (
        many_keys([n * ((1 << 61) - 1) for n in range(1, 60_000)]),
        "more than 10000 integers of more than 64 bits",
    ),
    "shared tuples as a shape": (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nNK\x00N" + b"2\x86" * 60 + b"\x85N\x87R.",
        "cannot be read",
    ),
    "shared tuples as a codec": (
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aN" + b"2\x86" * 60 + b"\x86R.",
        "_codecs.encode to tuple",
    ),
    "shared tuples as a byte order": (
        b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85RNN" + b"2\x86" * 60 + b"\x86b.",
        "unknown byte order",
    ),
    "nested lists": (
        b"\x80\x02}X\x01\x00\x00\x00a" + b"]" * 20_000 + b"a" * 19_999 + b"s.",
        f"more than {MAX_DEPTH} deep",
    ),
    "raw data as a number": (
        b"\x80\x02}X\x01\x00\x00\x00a" + ARRAY + STATE % (8 * GIB, b"I8589934592\n") + b"s.",
        "whose data are int",
    ),
    "a shape without data": (
        b"\x80\x02}X\x01\x00\x00\x00a" + ARRAY + STATE % (8 * GIB, b"C\x01x") + b"s.",
        "buffer is too small",
    ),
    "a tuple of bytes": (
        b"\x80\x02cbuiltins\ntuple\nq\x00C\x04abcd\x85R.",
        "a tuple of bytes",
    ),
    "a name that is long": (
        pickle.dumps({"k" * 5000: np.zeros(1, np.float32)}, protocol=4),
        "a name of 5000 characters; the limit is 1000",
    ),
    # torch.load with weights_only would make these ten billion bytes.
    "a call that torch allows": (
        b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\xe4\x0b\x54\x02\x85R.",
        "without a single named tensor",
    ),
    "bytes copied again and again": (
        b"\x80\x04c_codecs\nencode\nq\x00X"
        + struct.pack("<I", 400_000)
        + b"x" * 400_000
        + b"q\x01X\x06\x00\x00\x00latin1q\x02"
        + b"]("
        + b"h\x00h\x01h\x02\x86R" * 2000
        + b"e.",
        "arrays that copy more than",
    ),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of each hostile pickle, plain and as the content of a zip file."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, (content, _) in HOSTILE.items():
        assert len(content) < 1_000_000
        (folder / name).write_bytes(content)
        with zipfile.ZipFile(folder / f"{name}.pth", "w") as archive:
            archive.writestr("w/data.pkl", content)
    return read_apart(folder)


@pytest.mark.parametrize("suffix", ["", ".pth"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused(name: str, suffix: str, said: dict[str, str]) -> None:
    assert HOSTILE[name][1] in said[name + suffix]


def test_an_ordinary_depth_is_read(tmp_path: Path) -> None:
    content: dict[str, object] = {"a": np.zeros(1, np.float32)}
    for _ in range(MAX_DEPTH // 4):
        content = {"a": content["a"], "deeper": [(content,)]}
    (tmp_path / "w").write_bytes(pickle.dumps(content, protocol=4))
    assert read_checkpoint(tmp_path / "w").tensors.keys() == {"a"}


# --- torch.save -----------------------------------------------------------------------------------


def rewritten(path: Path, content: object, change: Callable[[bytes], bytes], **how: Any) -> Path:
    """A file of torch.save whose pickle was changed, or whose entries were packed."""
    torch.save(content, path)
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", **how) as archive:
        for name, data in entries.items():
            archive.writestr(name, change(data) if name.endswith("data.pkl") else data)
    return path


def test_packed_entries_are_read_as_what_they_hold(tmp_path: Path) -> None:
    content = {"a": torch.randn(100), "b": torch.arange(3)}
    path = rewritten(tmp_path / "w", content, lambda data: data, compression=zipfile.ZIP_DEFLATED)
    found = read_checkpoint(path).tensors
    assert torch.equal(found["a"], content["a"])
    assert torch.equal(found["b"], content["b"])


def test_entries_that_are_stored_unaligned_are_read(tmp_path: Path) -> None:
    content = {"a": torch.randn(100), "b": torch.arange(3)}
    found = read_checkpoint(rewritten(tmp_path / "w", content, lambda data: data)).tensors
    assert torch.equal(found["a"], content["a"])


@pytest.mark.parametrize("entry", ["w/data.pkl", "w/data/0"])
def test_entries_that_unpack_to_much_more_are_refused(entry: str, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "w")
    with zipfile.ZipFile(tmp_path / "w", "a", compression=zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{entry}.more", bytes(100_000_000))
    with pytest.raises(CheckpointError, match=r"unpack to 1\d+ bytes; the limit for a file of"):
        read_checkpoint(tmp_path / "w")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_shape_that_is_larger_than_its_numbers_is_refused(legacy: bool, tmp_path: Path) -> None:
    def larger(data: bytes) -> bytes:
        assert b"K\x03\x85" in data
        return data.replace(b"K\x03\x85", b"J\x00\x00\x00\x40\x85", 1)

    path = tmp_path / "w"
    if legacy:
        torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
        path.write_bytes(larger(path.read_bytes()))
    else:
        rewritten(path, {"a": torch.ones(3)}, larger)
    with pytest.raises(CheckpointError, match=r"shape \(1073741824,\) from 3 stored numbers"):
        read_checkpoint(path)


def test_a_storage_that_is_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "w", _use_new_zipfile_serialization=False)
    data = (tmp_path / "w").read_bytes()
    at = data.index(b"cpu") + 3
    at += data[at:].index(b"K\x03")
    (tmp_path / "w").write_bytes(data[:at] + b"J\x00\x00\x00\x40" + data[at + 2 :])
    with pytest.raises(CheckpointError, match="a storage of 4294967296 bytes, of which"):
        read_checkpoint(tmp_path / "w")


# --- tensors that are no weights ------------------------------------------------------------------


STRANGE: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "sparse": (lambda t: t.to_sparse(), "a sparse tensor"),
    "meta": (lambda t: t.to("meta"), "a meta tensor"),
    "quantized": (
        lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
        "a quantized tensor",
    ),
    "int8": (lambda t: (100 * t).to(torch.int8), "holds int8 numbers"),
    "bool": (lambda t: t > 0, "holds bool numbers"),
    "complex": (lambda t: t.to(torch.complex64), "holds complex64 numbers"),
    "float8": (lambda t: t.to(torch.float8_e4m3fn), "holds float8_e4m3fn numbers"),
}


@pytest.mark.filterwarnings("ignore")  # torch is about to drop some of these kinds
@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("kind", STRANGE)
def test_tensors_that_are_no_weights_are_told(
    kind: str, every: bool, tiny: str, values: dict[str, Tensor], tmp_path: Path
) -> None:
    change, told = STRANGE[kind]
    some = values if every else {"norm.weight": values["norm.weight"]}
    torch.save({**values, **{n: change(t) for n, t in some.items()}}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=told) as caught:
        load(tiny, checkpoint=tmp_path / "w.pth")
    assert str(tmp_path / "w.pth") in caught.value.message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_told(
    value: float, tiny: str, values: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save({**values, "norm.weight": torch.full((16,), value)}, tmp_path / "w.pth")
    model = load(tiny, checkpoint=tmp_path / "w.pth")
    assert "NaN or infinite numbers in 1 tensor: norm.weight" in model.summary
    with pytest.raises(CheckpointError, match=r"in float32: norm\.weight"):
        check_finite(model)
    check_finite(load(tiny))


def test_numbers_too_large_for_half_precision_are_told(
    tiny: str, values: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save({**values, "norm.weight": torch.full((16,), 1e6)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"in float16: norm\.weight"):
        check_finite(load(tiny, checkpoint=tmp_path / "w.pth", dtype=torch.float16))


# --- descriptions ---------------------------------------------------------------------------------


def described(tiny: str, path: Path, change: Callable[[dict[str, Any]], object]) -> str:
    raw = read_checkpoint(tiny)
    data = json.loads(raw.metadata["videoswin-1"])
    text = change(data)
    text = text if isinstance(text, str) else json.dumps(data)
    save_file(dict(raw.tensors), path, metadata={"videoswin-1": text})
    return str(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: "[" * 20_000, "cannot be read: .*recursion"),
        (lambda d: "9" * 5000, "cannot be read"),
        (lambda d: d.update(labels=7), "labels"),
        (lambda d: d.update(labels=[[1]]), "labels"),
        (lambda d: d.update(training=[]), "training"),
        (lambda d: d.update(spec=[]), "spec"),
        (lambda d: d["spec"].update(embed_dim="8"), "embed_dim"),
        (lambda d: d["spec"].update(depths=[10**9, 1]), "depths: expected numbers from 1 to"),
        (lambda d: d["spec"].update(num_classes=10**9), "num_classes: expected a number from 0"),
        (lambda d: d["spec"].update(depths=[100, 1]), "for 101 blocks"),
        (lambda d: d["spec"].update(embed_dim=800), "does not fit tiny"),
        (lambda d: d["spec"].update(window_size=[60, 3, 3]), "does not fit tiny"),
    ],
)
def test_a_description_that_cannot_be_is_told(
    change: Callable[[dict[str, Any]], object], told: str, tiny: str, tmp_path: Path
) -> None:
    path = described(tiny, tmp_path / "w.safetensors", change)
    for check in (load, find_model):
        with pytest.raises(CheckpointError, match=told):
            check(path)


def test_classes_that_are_claimed_are_compared_first(tiny: str, tmp_path: Path) -> None:
    def claim(description: dict[str, Any]) -> None:
        description["spec"].update(num_classes=90_000)
        description.update(labels=list(map(str, range(90_000))))

    path = described(tiny, tmp_path / "w.safetensors", claim)
    found = find_model(path)
    spec, labels = found.spec, found.labels
    assert spec.architecture.num_classes == len(labels) == 7
    assert "the file has 7 classes, tiny has 90000" in load(path).summary


def test_the_metadata_of_others_is_no_description() -> None:
    assert read_description({"format": "pt"}, Path("w")) is None


# --- what is no file ------------------------------------------------------------------------------


def test_pipes_sockets_and_devices_are_refused_at_once(tiny: str, tmp_path: Path) -> None:
    pipe, address = tmp_path / "pipe", str(tmp_path / "socket")
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        for path in (str(pipe), address, "/dev/zero"):
            for what in (
                lambda path=path: load(tiny, checkpoint=path),
                lambda path=path: load(path),
                lambda path=path: load(tiny, labels=path),
            ):
                with pytest.raises(UsageError, match="a pipe, socket or device"):
                    what()
    (tmp_path / "m.yaml").symlink_to(pipe)
    with pytest.raises(UsageError, match="a pipe, socket or device"):
        load(str(tmp_path / "m.yaml"))


def test_an_ordinary_dict_of_a_trainer_is_read(tmp_path: Path) -> None:
    torch.save({"model": OrderedDict(a=torch.ones(2)), "step": 3}, tmp_path / "w")
    assert read_checkpoint(tmp_path / "w").tensors.keys() == {"model.a"}
