import argparse
import datetime
import io
import pathlib
import pickle
import struct
import sys
import types
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from videoswin_cli.errors import CheckpointError, VideoSwinError
from videoswin_cli.model.checkpoint import read_checkpoint, write_safetensors

TENSORS = {
    "backbone.norm.weight": torch.arange(6, dtype=torch.float32),
    "head.weight": torch.arange(6, dtype=torch.float16).reshape(2, 3),
    "index": torch.tensor([[1, -2]]),
    "steps": torch.tensor(7),
}
Writer = Callable[[Path, Any], None]


def write_zip(path: Path, content: object) -> None:
    torch.save(content, path)


def write_legacy(path: Path, content: object) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def write_protocol4(path: Path, content: object) -> None:
    torch.save(content, path, pickle_protocol=4)


def write_paddle(path: Path, content: object, *, protocol: int = 4) -> None:
    path.write_bytes(pickle.dumps(as_arrays(content), protocol=protocol))


def as_arrays(content: Any) -> Any:
    if isinstance(content, Tensor):
        return content.numpy()
    if isinstance(content, dict):
        return {key: as_arrays(value) for key, value in content.items()}
    return content


TORCH = [write_zip, write_legacy, write_protocol4]
WRITERS = [*TORCH, write_paddle]


def assert_read(path: Path, expected: dict[str, Tensor] = TENSORS, *, under: str = "") -> None:
    """`under`: the keys that lead to the tensors; whatever else is in the file does not count."""
    tensors = read_checkpoint(path).tensors
    found = {n.removeprefix(under): t for n, t in tensors.items() if n.startswith(under)}
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert type(found[name]) is Tensor
        assert not found[name].requires_grad
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


# --- formats and wrappers -------------------------------------------------------------------------


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("under", "wrap"),
    [
        ("", lambda t: t),
        ("state_dict.", lambda t: {"state_dict": t, "meta": {"epoch": 30, "time": "now"}}),
        ("model.", lambda t: {"model": t, "epoch": torch.tensor(3), "lr": 0.1}),
        ("module.state_dict.", lambda t: {"module": {"state_dict": t}}),
        ("model_ema.", lambda t: {"model_ema": t, "epoch": 3}),
    ],
)
def test_every_format_and_wrapper(
    tmp_path: Path, write: Writer, under: str, wrap: Callable[[Any], object]
) -> None:
    write(tmp_path / "weights.bin", wrap(dict(TENSORS)))
    assert_read(tmp_path / "weights.bin", under=under)


def test_the_state_of_an_optimizer_is_passed_over(tmp_path: Path) -> None:
    state = {"state": {"0": {"exp_avg": torch.zeros(9)}}}
    write_zip(tmp_path / "w", {**TENSORS, "optimizer": state, "optim_state": state})
    assert_read(tmp_path / "w")


def test_state_dict_of_a_module(tmp_path: Path) -> None:
    module = torch.nn.Linear(3, 2)
    for write in TORCH:
        write(tmp_path / "w", {"state_dict": module.state_dict()})
        values = {n: p.detach() for n, p in module.named_parameters()}
        assert_read(tmp_path / "w", values, under="state_dict.")
        write(tmp_path / "w", dict(module.named_parameters()))
        assert_read(tmp_path / "w", values)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_paddle_as_paddle_writes_it(tmp_path: Path, protocol: int) -> None:
    names = {"StructuredToParameterName@@": dict.fromkeys(TENSORS, "linear_0.w_0")}
    write_paddle(tmp_path / "w.pdparams", TENSORS | names, protocol=protocol)
    assert_read(tmp_path / "w.pdparams")


class PaddleTensor:
    """Pickles as paddle.io pickles a tensor inside another structure: a tuple (name, array)."""

    def __init__(self, name: str, array: np.ndarray[Any, Any]) -> None:
        self.pair = (name, array)

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self.pair,)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_paddle_nested_form(tmp_path: Path, protocol: int) -> None:
    pairs = {name: PaddleTensor("linear_0.w_0", t.numpy()) for name, t in TENSORS.items()}
    path = tmp_path / "w.pdparams"
    path.write_bytes(pickle.dumps({"model": pairs}, protocol=protocol))
    assert_read(path, under="model.")


@pytest.mark.parametrize("protocol", [2, 4])
def test_paddle_of_either_numpy(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps(as_arrays(TENSORS), protocol=protocol)
    new, old = b"numpy._core.multiarray", b"numpy.core.multiarray"
    source, target = (new, old) if new in data else (old, new)
    if protocol == 4:  # strings with a length byte, in a frame with a length
        source, target = (bytes([len(name)]) + name for name in (source, target))
        length = len(data) - 11 + len(target) - len(source)
        data = data[:3] + struct.pack("<Q", length) + data[11:].replace(source, target)
    data = data.replace(source, target)
    assert target in data
    (tmp_path / "w").write_bytes(data)
    assert_read(tmp_path / "w")


def test_arrays_of_any_order(tmp_path: Path) -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    odd = {"column_major": np.asfortranarray(matrix), "big_endian": matrix.astype(">f4")}
    (tmp_path / "w").write_bytes(pickle.dumps(odd, protocol=4))
    found = read_checkpoint(tmp_path / "w").tensors
    for tensor in found.values():
        assert tensor.is_contiguous()
        torch.testing.assert_close(tensor, torch.from_numpy(matrix), rtol=0, atol=0)
    assert found.keys() == odd.keys()


def test_arrays_of_text_and_objects_are_no_tensors(tmp_path: Path) -> None:
    arrays = {"a": np.ones(2, np.float32), "text": np.array(["x"]), "any": np.array([{}], object)}
    (tmp_path / "w").write_bytes(pickle.dumps(arrays, protocol=4))
    assert_read(tmp_path / "w", {"a": torch.ones(2)})


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".pdparams", ".mp4"])
@pytest.mark.parametrize("write", [*WRITERS, lambda path, content: save_file(content, path)])
def test_the_suffix_means_nothing(tmp_path: Path, write: Writer, suffix: str) -> None:
    write(tmp_path / f"w{suffix}", dict(TENSORS))
    assert_read(tmp_path / f"w{suffix}")
    assert read_checkpoint(str(tmp_path / f"w{suffix}")).metadata == {}


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's list of mapped files")
@pytest.mark.parametrize(
    ("write", "mapped"),
    [(write_zip, True), (write_legacy, False), (lambda p, t: save_file(t, p), True)],
)
@pytest.mark.parametrize("foreign", [None, argparse.Namespace(lr=1)])
def test_memory_mapping(tmp_path: Path, write: Writer, mapped: bool, foreign: object) -> None:
    path = tmp_path / "w"
    tensors: dict[str, Any] = {"a": torch.ones(100_000)}
    if foreign is not None and write in TORCH:
        tensors["foreign"] = foreign
    write(path, tensors)
    checkpoint = read_checkpoint(path)
    assert (str(path) in Path("/proc/self/maps").read_text()) is mapped
    assert checkpoint.tensors["a"].sum() == 100_000


# --- safetensors ----------------------------------------------------------------------------------


def test_write_safetensors_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"an older file")
    write_safetensors(path, TENSORS, {"source": "https://example.org/w.pth", "sha256": "0" * 64})
    assert_read(path)
    metadata = {"source": "https://example.org/w.pth", "sha256": "0" * 64}
    assert read_checkpoint(path).metadata == metadata
    assert list(tmp_path.iterdir()) == [path]


def test_write_safetensors_takes_views_and_shared_tensors(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    views = {"turned": base.T, "row": base[1], "same": base, "again": base}
    parameter = torch.nn.Parameter(base)
    write_safetensors(tmp_path / "w", views | {"parameter": parameter}, {})
    assert_read(tmp_path / "w", views | {"parameter": base})


def test_write_safetensors_over_its_own_source(tmp_path: Path) -> None:
    path = tmp_path / "w"
    write_safetensors(path, TENSORS, {})
    write_safetensors(path, read_checkpoint(path).tensors, {"again": "yes"})
    assert_read(path)


def test_write_safetensors_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(part: Path, content: bytes) -> None:
        with part.open("wb") as file:
            file.write(content[:4])
        raise OSError("No space left on device")

    path = tmp_path / "w"
    path.write_bytes(b"old")
    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(VideoSwinError, match="No space left"):
        write_safetensors(path, TENSORS, {})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_safetensors_into_no_folder(tmp_path: Path) -> None:
    with pytest.raises(VideoSwinError, match="cannot write"):
        write_safetensors(tmp_path / "none" / "w", TENSORS, {})


# --- foreign objects ------------------------------------------------------------------------------


class HistoryBuffer:
    """Like mmengine's, whose methods are part of its state."""

    def __init__(self, values: list[float]) -> None:
        self.values = np.array(values)

    def minimum(self) -> None: ...

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"methods": {"min": HistoryBuffer.minimum}}


class ConfigDict(dict[str, object]):
    pass


class ConfigList(list[object]):
    pass


class ConfigSet(set[object]):
    pass


class Hidden:
    def __reduce__(self) -> tuple[Any, ...]:
        return Hidden, (1, "two"), ({"state": 1}, {"slot": 2}), iter([3]), iter([("four", 5)])

    def __init__(self, *_args: object) -> None:
        pass


FOREIGN = {
    "mmengine.logging.history_buffer": HistoryBuffer,
    "mmcv.utils.config": ConfigDict,
    "mmaction.models": ConfigList,
    "yacs.config": ConfigSet,
    "apex.amp._amp_state": Hidden,
}


@pytest.fixture
def foreign_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Makes the classes live in packages that are not installed; call it to take those away."""
    with pytest.MonkeyPatch.context() as patch:
        for module, kind in FOREIGN.items():
            for name in accumulate(module.split("."), "{}.{}".format):
                patch.setitem(sys.modules, name, types.ModuleType(name))
            patch.setattr(sys.modules[module], kind.__name__, kind, raising=False)
            patch.setattr(kind, "__module__", module)
        patch.setattr(HistoryBuffer.minimum, "__module__", HistoryBuffer.__module__)
        yield patch.undo


def trainer_state() -> dict[str, object]:
    return {
        "history": HistoryBuffer([1.0, 2.0]),
        "config": ConfigDict(lr=0.1, nested=ConfigDict()),
        "list": ConfigList([1, 2]),
        "set": ConfigSet([1, 2]),
        "hidden": Hidden(),
        "args": argparse.Namespace(path=pathlib.PurePosixPath("/data"), lr=1e-3),
        "path": pathlib.Path("work_dirs"),
        "when": datetime.datetime(2022, 3, 4, tzinfo=datetime.timezone.utc),
        "best": np.float64(0.78),
        "table": np.arange(3),
        "type": np.dtype("float32"),
        "names": {"a", "b"},
        "torch": [torch.float32, torch.Size([2]), torch.device("cpu")],
        "loop": OrderedDict(a=1),
    }


@pytest.mark.parametrize("write", TORCH)
@pytest.mark.parametrize("where", ["meta", "message_hub", "optimizer"])
def test_trainer_objects_are_passed_over(
    tmp_path: Path, foreign_modules: Callable[[], None], write: Writer, where: str
) -> None:
    state_dict = OrderedDict(TENSORS)
    state_dict._metadata = OrderedDict(version=1)  # type: ignore[attr-defined]
    write(tmp_path / "w", {where: trainer_state(), "state_dict": state_dict})
    foreign_modules()
    assert "mmengine.logging.history_buffer" not in sys.modules
    assert_read(tmp_path / "w", under="state_dict.")
    assert not any(name.startswith(("mmengine", "mmcv", "apex")) for name in sys.modules)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_trainer_objects_in_a_paddle_file(
    tmp_path: Path, foreign_modules: Callable[[], None], protocol: int
) -> None:
    content = {"meta": trainer_state(), "model": as_arrays(TENSORS)}
    (tmp_path / "w").write_bytes(pickle.dumps(content, protocol=protocol))
    foreign_modules()
    assert_read(tmp_path / "w", under="model.")


def test_parameters_beside_trainer_objects(tmp_path: Path) -> None:
    tagged = torch.nn.Parameter(torch.ones(2))
    tagged.note = "x"  # type: ignore[attr-defined]
    plain, scaled = torch.nn.Parameter(torch.ones(3)), torch.arange(12.0).reshape(3, 4).T[1:]
    for write in TORCH:
        write(
            tmp_path / "w",
            {"args": argparse.Namespace(), "model": {"a": plain, "b": tagged, "c": scaled}},
        )
        expected = {"a": torch.ones(3), "b": torch.ones(2), "c": scaled}
        assert_read(tmp_path / "w", expected, under="model.")


def test_backward_hooks_of_a_file_are_dropped(tmp_path: Path) -> None:
    tensor = torch.ones(2, requires_grad=True)
    content = {"args": argparse.Namespace(), "model": {"a": tensor}}
    write_zip(tmp_path / "w", content)
    assert read_checkpoint(tmp_path / "w").tensors["model.a"]._backward_hooks is None


# --- files that would run code --------------------------------------------------------------------


class Call:
    """Pickles as a call, and so runs it on an unguarded load."""

    def __init__(self, function: Any, *args: object, state: object = None) -> None:
        self.function, self.args, self.state = function, args, state

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.args, self.state

    def __call__(self) -> None:
        raise NotImplementedError  # pickle wants a function that it writes to be one


def global_(module: str, name: str) -> Any:
    """Pickles as the plain name `module.name`, whatever that is."""
    function = types.FunctionType((lambda: None).__code__, {}, name)
    function.__module__, function.__qualname__ = module, name
    return function


PurePickler: Any = pickle._Pickler  # the only one whose opcodes are open to us


class NamePickler(PurePickler):  # type: ignore[misc]
    """Writes the names of `global_` without looking whether they exist."""

    def save_global(self, obj: Any, name: str | None = None) -> None:
        if isinstance(obj, types.FunctionType):
            self.write(f"c{obj.__module__}\n{obj.__qualname__}\n".encode())
            self.memoize(obj)
        else:
            super().save_global(obj, name)

    dispatch = PurePickler.dispatch | {types.FunctionType: save_global}


class NamePickle:
    """A pickle module for torch.save."""

    Pickler = NamePickler

    @staticmethod
    def dump(content: object, file: Any, protocol: int) -> None:
        NamePickler(file, protocol).dump(content)


def malicious_zip(path: Path, content: object) -> None:
    torch.save(content, path, pickle_module=NamePickle)


def malicious_legacy(path: Path, content: object) -> None:
    torch.save(content, path, pickle_module=NamePickle, _use_new_zipfile_serialization=False)


def malicious_paddle(path: Path, content: object) -> None:
    with path.open("wb") as file:
        NamePickle.dump(as_arrays(content), file, 2)


MALICIOUS = [malicious_zip, malicious_legacy, malicious_paddle]


def attacks(trace: Path) -> dict[str, tuple[object, str]]:
    """What would create `trace`, and the global that the refusal names ("": it stays inert)."""
    code = f"open({str(trace)!r}, 'w').close()"
    touch = f"touch {trace}"
    system = global_("posix", "system")
    getattr_ = global_("builtins", "getattr")
    return {
        "system": (Call(system, touch), "posix.system"),
        "system with lr=1": (Call(global_("os", "system"), touch), "os.system"),
        "eval": (Call(global_("builtins", "eval"), code), "builtins.eval"),
        "exec in Python 2": (Call(global_("__builtin__", "exec"), code), "builtins.exec"),
        "subprocess": (Call(global_("subprocess", "call"), ["touch", str(trace)]), "subprocess"),
        "getattr": (
            Call(
                Call(getattr_, Call(global_("importlib", "import_module"), "os"), "system"), touch
            ),
            "importlib.import_module",
        ),
        "escape": (Call(global_("os", "\x1b[2Jsystem"), touch), r"'os.\x1b[2Jsystem'"),
        "dots": (Call(global_("pathlib", "os.system"), touch), ""),
        "numpy": (Call(global_("numpy.testing._private.utils", "runstring"), code, {}), ""),
        "numpy dots": (Call(global_("numpy", "testing._private.utils.runstring"), code, {}), ""),
        "torch": (Call(global_("torch.serialization", "os.system"), touch), ""),
        "main": (Call(global_("__main__", "__builtins__.eval"), code), ""),
        "map": (
            Call(
                global_("collections", "deque"), Call(global_("builtins", "map"), system, [touch])
            ),
            "builtins.map",
        ),
        "partial": (
            Call(Call(global_("functools", "partial"), system, touch)),
            "posix.system",
        ),
        "codec": (
            [global_("mmcv", "Config"), Call(global_("_codecs", "encode"), touch, "rot13")],
            "rot13",
        ),
        "state": (
            Call(global_("collections", "OrderedDict"), state={"x": Call(system, touch)}),
            "posix.system",
        ),
        "rebuild": (
            Call(global_("torch._tensor", "_rebuild_from_type_v2"), system, 0, (touch,), {}),
            "posix.system",
        ),
    }


@pytest.mark.parametrize("write", MALICIOUS)
@pytest.mark.parametrize("name", attacks(Path("x")))
def test_nothing_of_a_file_runs(tmp_path: Path, write: Writer, name: str) -> None:
    trace = tmp_path / "trace"
    attack, named = attacks(trace)[name]
    path = tmp_path / "w.pth"
    write(path, {"state_dict": dict(TENSORS), "meta": attack})
    if named:
        with pytest.raises(CheckpointError) as caught:
            read_checkpoint(path)
        assert named in caught.value.message
        assert "not opened" in caught.value.message
        assert "safetensors" in caught.value.hint
    else:
        assert_read(path, under="state_dict.")
    assert not trace.exists()


@pytest.mark.parametrize("name", ["system", "eval", "numpy"])
def test_the_attacks_are_real(tmp_path: Path, name: str) -> None:
    # Else the tests above would prove nothing.
    trace = tmp_path / "trace"
    malicious_paddle(tmp_path / "w", attacks(trace)[name][0])
    if name == "system" and sys.platform == "win32":
        pytest.skip("no posix here")
    pickle.loads((tmp_path / "w").read_bytes())  # noqa: S301 (our own, to see it run)
    assert trace.exists()


@pytest.mark.parametrize("write", MALICIOUS)
def test_a_file_cannot_alter_what_reads_it(tmp_path: Path, write: Writer) -> None:
    # BUILD sets attributes of whatever is on the stack: of the functions and classes that we lend.
    class Build:
        def __init__(self, target: Any) -> None:
            self.target = target

        def __reduce__(self) -> Any:
            raise NotImplementedError

    class Builder(NamePickler):
        def save_build(self, build: Build) -> None:
            self.save(build.target)
            changes = {"_function": 1, "__init__": 1, "__new__": 1, "tensor": 1, "__module__": "os"}
            self.save((None, changes))
            self.write(pickle.BUILD)

        dispatch = NamePickler.dispatch | {Build: save_build}

    class Module(NamePickle):
        Pickler = Builder

        @staticmethod
        def dump(content: object, file: Any, protocol: int) -> None:
            Builder(file, protocol).dump(content)

    lent = [
        ("torch._utils", "_rebuild_tensor_v2"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("_codecs", "encode"),
        ("collections", "OrderedDict"),
        ("mmcv", "Config"),
    ]
    content = {"state_dict": dict(TENSORS), "meta": [Build(global_(*name)) for name in lent]}
    path = tmp_path / "w"
    if write is malicious_paddle:
        with path.open("wb") as file:
            Module.dump(as_arrays(content), file, 2)
    else:
        torch.save(
            content,
            path,
            pickle_module=Module,
            _use_new_zipfile_serialization=write is malicious_zip,
        )
    assert_read(path, under="state_dict.")
    write_zip(path, {"state_dict": dict(TENSORS), "args": argparse.Namespace()})
    assert_read(path, under="state_dict.")  # and the next file is read as before


def test_old_module_containers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # torch compares their source with the installed one and may write a patch file.
    monkeypatch.chdir(tmp_path)
    container = ("module", OrderedDict, "container.py", "class OrderedDict: ...")

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            return container if obj == "the container" else None

    class Module:
        @staticmethod
        def dump(content: object, file: Any, protocol: int) -> None:
            Pickler(file, protocol).dump(content)

    file = io.BytesIO()
    content = ["the container", argparse.Namespace()]
    parts: list[object] = [0x1950A86A20F9469CFC6C, 1001, {}, content, []]
    for part in parts:
        Module.dump(part, file, 2)
    (tmp_path / "w").write_bytes(file.getvalue())
    with pytest.raises(CheckpointError, match="persistent object"):
        read_checkpoint(tmp_path / "w")
    assert [entry.name for entry in tmp_path.iterdir()] == ["w"]


def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is being retired
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    with pytest.raises(CheckpointError, match="TorchScript program") as caught:
        read_checkpoint(path)
    assert "state_dict()" in caught.value.hint


# --- files that are no checkpoints ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><title>404", "web page.*DOCTYPE"),
        (b"\n <html>", "web page"),
        (b"\0\0\0\x20ftypisom" + bytes(500), "MP4 video, 512 bytes"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (bytes(257) + b"ustar", "tar archive"),
        (b"hello world", "no weight file, 11 bytes.*b'hello world'"),
        (b"\x80\xff", "no weight file, 2 bytes"),
        (b"\x80\x04", "a pickle by its first bytes, but cannot be read, 2 bytes"),
        (b"\x80\x04garbage", "a pickle by its first bytes, but cannot be read"),
        (b"\x80\x02" + b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "old-style file"),
        (b"\x80\x04\x8e" + b"\xff" * 8, "cannot be read"),  # a string of 2**64 - 1 bytes
        (b"\xff\xff\0\0\0\0\0\0{", "safetensors file.*cannot be read, 9 bytes"),
    ],
)
def test_what_else_is_handed_over(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("write", [*WRITERS, lambda path, content: save_file(content, path)])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_file_cut_short(tmp_path: Path, write: Writer, kept: float) -> None:
    path = tmp_path / "w"
    write(path, {"a": torch.zeros(1000), "b": torch.ones(1000)})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(CheckpointError, match="cannot be read") as caught:
        read_checkpoint(path)
    assert str(path.stat().st_size) in caught.value.message
    assert "fetch" in caught.value.hint


def test_a_zip_file_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w", "w") as archive:
        archive.writestr("folder/readme.txt", "hello")
    with pytest.raises(CheckpointError, match=r"but not one of torch\.save") as e:
        read_checkpoint(tmp_path / "w")
    assert "etch" not in e.value.hint


def test_a_whole_file_that_asks_for_too_much_is_not_to_be_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"\x80\x04" + b"]" * 600 + b"a" * 599 + b".")
    with pytest.raises(CheckpointError, match="a pickle of 1202 bytes, refused: obj") as caught:
        read_checkpoint(tmp_path / "w")
    assert "etch" not in caught.value.hint


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="is a folder"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("content", [{"epoch": 3, "meta": {}}, {}, [1, 2], 5])
def test_no_tensors(tmp_path: Path, write: Writer, content: Any) -> None:
    write(tmp_path / "w", content)
    with pytest.raises(CheckpointError, match="without a single named tensor") as caught:
        read_checkpoint(tmp_path / "w")
    assert "state dict" in caught.value.hint
    if isinstance(content, dict):
        assert str(list(content)) in caught.value.message


def test_a_whole_pickled_module_holds_no_named_tensors(tmp_path: Path) -> None:
    write_zip(tmp_path / "w", torch.nn.Linear(2, 2))
    with pytest.raises(CheckpointError, match="without a single named tensor"):
        read_checkpoint(tmp_path / "w")


def test_safetensors_without_tensors(tmp_path: Path) -> None:
    save_file({}, tmp_path / "w", metadata={"a": "b"})
    with safe_open(tmp_path / "w", framework="pt") as file:
        assert not list(file.keys())
    with pytest.raises(CheckpointError, match="without a single named tensor"):
        read_checkpoint(tmp_path / "w")


def test_a_content_that_holds_itself(tmp_path: Path) -> None:
    content: dict[str, object] = {}
    content["model"] = content
    (tmp_path / "w").write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(CheckpointError, match="without a single named tensor"):
        read_checkpoint(tmp_path / "w")
