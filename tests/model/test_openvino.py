"""OpenVINO as an engine: the numbers of the official code, whatever comes first or beside."""

import errno
import gc
import inspect
import math
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from hashlib import sha256
from mmap import mmap
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from formula import formula_input
from golden_forward import CASES, formula_network, random_network, read_golden, worst
from torch import Tensor, nn

from videoswin_cli.errors import DeviceError
from videoswin_cli.model.cpu.chunks import gather_windows
from videoswin_cli.model.inference_plan import InferencePlan
from videoswin_cli.model.openvino import network as engine
from videoswin_cli.model.openvino import store
from videoswin_cli.model.openvino.network import OpenVinoNetwork, has_precision
from videoswin_cli.model.swin3d import Swin3D, Triple

pytest.importorskip("openvino", reason="the extra [openvino] is not installed")


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return read_golden()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "home"))


def graphs(home: Path) -> list[Path]:
    return sorted((home / "home" / "graphs").glob("*.graph"))


# Compiling and checking the graphs of the others takes up to half a minute of one core.
SMALL = [case for case in CASES if math.prod(map(int, case.split("x")[1:])) <= 300_000]
LARGE = [pytest.param(case, marks=pytest.mark.slow) for case in CASES if case not in SMALL]


@pytest.mark.parametrize("case", [*SMALL, *LARGE])
def test_it_equals_the_official_code(case: str, golden: dict[str, np.ndarray]) -> None:
    entry = CASES[case]
    network = OpenVinoNetwork(formula_network(entry["architecture"], torch.float32), "fp32")
    found = network(formula_input(entry["input_shape"]))
    assert worst(found, golden[f"{case}/logits_f32"]) < 5e-5


@pytest.mark.parametrize("case", ["nano_w877__1x3x5x64x64", *LARGE])
def test_features_equal_the_official_ones(case: str, golden: dict[str, np.ndarray]) -> None:
    entry = CASES[case]
    network = OpenVinoNetwork(formula_network(entry["architecture"], torch.float32), "fp32")
    clips = formula_input(entry["input_shape"])
    found = network.forward_features(clips)
    at = golden[f"{case}/features_idx"].astype(np.int64)
    assert worst(found.flatten()[at], golden[f"{case}/features_f64"]) < 1e-4
    torch.testing.assert_close(network.pool(clips), found.mean(dim=(2, 3, 4)), rtol=0, atol=1e-5)
    stage = network.forward_features(clips, stage=2)
    at = golden[f"{case}/stage1_idx"].astype(np.int64)
    assert worst(stage.flatten()[at], golden[f"{case}/stage1_f32"]) < 1e-4


@pytest.mark.parametrize("case", [*SMALL, *LARGE])
def test_bf16_stays_within_a_tenth_of_the_spread(case: str, golden: dict[str, np.ndarray]) -> None:
    if not has_precision("bf16"):
        pytest.skip("OpenVINO computes in bf16 where the processor has instructions for it")
    entry = CASES[case]
    network = OpenVinoNetwork(formula_network(entry["architecture"], torch.bfloat16), "bf16")
    expected = golden[f"{case}/logits_f64"]
    found = network(formula_input(entry["input_shape"]).bfloat16())
    assert worst(found, expected) < 0.1 * expected.std()


@pytest.mark.parametrize(
    "changes",
    [
        *({"patch_norm": False}, {"qkv_bias": False}, {"num_classes": 0}),
        {"window_size": (2, 3, 3)},
    ],
    ids=str,
)
def test_parts_that_an_architecture_may_lack(changes: dict[str, object]) -> None:
    network = random_network(**changes)
    ours, clips = OpenVinoNetwork(network, "fp32"), torch.randn(1, 3, 5, 35, 29)
    expected = InferencePlan(network)
    pairs = [(ours.pool(clips), expected.pool(clips))]
    pairs += [(ours.forward_features(clips), expected.forward_features(clips))]
    if network.head is not None:
        pairs += [(ours(clips), expected(clips))]
    else:
        with pytest.raises(RuntimeError, match="no head"):
            ours(clips)
    for found, wanted in pairs:
        assert found.shape == wanted.shape
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_it_sends_nothing_home(tmp_path: Path) -> None:
    code = "from videoswin_cli.model.openvino.package import import_openvino as load; load().Core()"
    told = "import sys; sys.addaudithook(lambda *e: e[0] == 'socket.getaddrinfo' and print(e))"
    home = {"HOME": str(tmp_path / "me"), "USERPROFILE": str(tmp_path / "me")}
    (tmp_path / "me").mkdir()
    line = [sys.executable, "-c", f"{told}; {code}"]
    done = subprocess.run(
        line, env=os.environ | home, check=True, stdout=subprocess.PIPE, text=True
    )
    assert done.stdout == ""
    assert not list((tmp_path / "me").iterdir())


@pytest.mark.parametrize("size", [(1, 5, 6), (2, 12, 12), (2, 13, 30)], ids=str)
def test_a_few_tokens_do_not_crash_it(size: Triple) -> None:
    network, clips = random_network(), torch.randn(1, 3, *size)
    torch.testing.assert_close(
        compute(network, clips), InferencePlan(network)(clips), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("window_size", [(4, 4, 4), (2, 3, 3), (8, 7, 7)], ids=str)
def test_windows_of_as_many_tokens_have_biases_of_their_own(window_size: Triple) -> None:
    network, clips = random_network(window_size=window_size), torch.randn(1, 3, 20, 90, 74)
    shapes, _ = gather_windows((10, 23, 19), window_size, network.layers[0].blocks[1].attn.shift)  # type: ignore[index]
    lengths = [rows.shape[1] for rows, _ in shapes]
    assert len(set(lengths)) < len(lengths)
    torch.testing.assert_close(
        compute(network, clips), InferencePlan(network)(clips), rtol=0, atol=1e-5
    )


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def compute(network: Swin3D, clips: Tensor) -> Tensor:
    return OpenVinoNetwork(network, "fp32")(clips)


@pytest.mark.usefixtures("_threads")
def test_bits_depend_on_the_clip_alone(tmp_path: Path) -> None:
    network, clips = random_network(), torch.randn(3, 3, 8, 56, 56)
    torch.set_num_threads(1)
    alone = torch.cat([compute(network, clip[None]) for clip in clips])
    assert len(graphs(tmp_path)) == 1
    assert torch.equal(compute(network, clips), alone)
    assert torch.equal(compute(network, clips.flip(0)), alone.flip(0))
    assert len(compute(network, clips[:0])) == 0


def test_a_graph_of_the_cache_is_read_and_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, clips = random_network(), torch.randn(1, 3, 8, 56, 56)
    built = compute(network, clips)
    (file,) = graphs(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(engine, "build_graph", None)  # calling it would fail
        assert torch.equal(compute(network, clips), built)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert torch.equal(compute(network, clips), built)
    assert file.read_bytes() != bytes(content)  # written anew


def test_a_graph_of_the_cache_is_mapped_and_lives_as_long_as_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, clips = random_network(), torch.randn(1, 3, 8, 56, 56)
    built = compute(network, clips)
    maps: list[weakref.ref[mmap]] = []

    def read(name: str) -> mmap | None:
        found = store.read_graph(name)
        assert found is not None
        maps.append(weakref.ref(found))
        return found

    monkeypatch.setattr(engine, "read_graph", read)
    ours = OpenVinoNetwork(network, "fp32")
    ours.open((8, 56, 56))
    gc.collect()
    assert [each() is None for each in maps] == [False]
    assert torch.equal(ours(clips), built)
    del ours
    gc.collect()
    assert [each() is None for each in maps] == [True]


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no list of mapped memory here")
def test_a_mapped_graph_takes_no_memory_beside_what_was_made_of_it(tmp_path: Path) -> None:
    network, clips = random_network(), torch.randn(1, 3, 8, 56, 56)
    built = compute(network, clips)
    (file,) = graphs(tmp_path)

    def in_memory() -> int:
        """KiB of the file that the process holds."""
        lines = iter(Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines())
        of_file = [next(line for line in lines if line.startswith("Rss:")) for line in lines
                   if line.endswith(file.name)]  # fmt: skip
        assert of_file
        return sum(int(line.split()[1]) for line in of_file)

    ours = OpenVinoNetwork(network, "fp32")
    ours.open((8, 56, 56))
    assert in_memory() == 0
    assert torch.equal(ours(clips), built)  # read again where it is needed
    assert in_memory() > 0


def train(network: Swin3D) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.randn(1, 3, 8, 56, 56)).sum().backward()
    optimizer.step()


def replace_head(network: Swin3D) -> None:
    network.head = nn.Linear(network.norm.normalized_shape[0], 3)


def assign(network: Swin3D) -> None:
    numbers = nn.utils.parameters_to_vector(network.parameters())
    nn.utils.vector_to_parameters(0.9 * numbers, network.parameters())


@pytest.mark.parametrize("change", [train, assign, replace_head])
def test_weights_that_change_count_from_the_next_call_on(
    change: Callable[[Swin3D], None],
) -> None:
    network, clips = random_network(), torch.randn(1, 3, 8, 56, 56)
    for _ in range(2):  # a graph that was compiled, and one of the cache
        ours = OpenVinoNetwork(network, "fp32")
        ours(clips)
        change(network)
        found, expected = ours(clips), InferencePlan(network)(clips)
        assert (found - expected).abs().max() / expected.abs().max() < 1e-4


def test_weights_that_lie_elsewhere_have_the_same_graph(tmp_path: Path) -> None:
    network, clips = random_network(), torch.randn(1, 3, 8, 56, 56)
    compute(network, clips)
    first, second = (OpenVinoNetwork(network, "fp32") for _ in range(2))
    first(clips)
    requests = list(first._requests.values())
    second(clips)  # moves them
    first(clips)
    assert list(first._requests.values()) == requests
    assert len(graphs(tmp_path)) == 1


def test_graphs_of_weights_that_change_are_not_kept(tmp_path: Path) -> None:
    network, clips = random_network(), torch.randn(1, 3, 8, 56, 56)
    ours = OpenVinoNetwork(network, "fp32")
    for _ in range(3):
        ours(clips)
        with torch.no_grad():
            network.norm.bias.add_(0.1)
    assert len(graphs(tmp_path)) == 1


def replace_block(network: Swin3D) -> None:
    stage: Any = network.layers[0]
    stage.blocks[0] = nn.Identity()


def wrap_head(network: Swin3D) -> None:
    head: Any = nn.Sequential(nn.Linear(network.norm.normalized_shape[0], 3))
    network.head = head


@pytest.mark.parametrize("change", [replace_block, wrap_head])
def test_a_module_of_another_kind_is_said_at_each_call(change: Callable[[Swin3D], None]) -> None:
    ours, clips = OpenVinoNetwork(random_network(), "fp32"), torch.randn(1, 3, 8, 56, 56)
    ours(clips)
    change(ours.network)
    for _ in range(2):
        with pytest.raises(DeviceError, match=r"modules of Swin3D alone: '(Sequential|Identity)'"):
            ours(clips)


def test_weights_leave_memory_once_there_is_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    offloaded: list[object] = []
    monkeypatch.setattr(engine, "offload", offloaded.append)
    network, clips = random_network(), torch.randn(1, 3, 8, 56, 56)
    built = OpenVinoNetwork(network, "fp32")
    built(clips)
    built(clips[..., :40])
    assert offloaded == []
    kept = OpenVinoNetwork(network, "fp32")
    kept(clips)
    kept(clips[..., :40])
    assert offloaded == [network]


def test_bits_do_not_depend_on_where_a_clip_lies() -> None:
    network, numbers = random_network(), torch.randn(3 * 8 * 56 * 56 + 16)
    ours, found = OpenVinoNetwork(network, "fp32"), []
    for offset in (0, 1, 4, 16):
        place = torch.empty_like(numbers)[offset:][: 3 * 8 * 56 * 56]
        place.copy_(numbers[: 3 * 8 * 56 * 56])
        found.append(ours(place.view(1, 3, 8, 56, 56)))
        strided = place.view(1, 8, 3, 56, 56).transpose(1, 2)
        torch.testing.assert_close(ours(strided), ours(strided.contiguous()), rtol=0, atol=0)
    assert all(torch.equal(each, found[0]) for each in found)


def test_an_openvino_that_takes_no_tensor_gets_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    network, clips = random_network(), torch.randn(1, 3, 8, 56, 56)
    built = compute(network, clips)
    package, core = engine._open_core()

    class OldCore:
        get_property = core.get_property

        def import_model(self, content: object, *rest: object) -> object:
            if not isinstance(content, bytes):
                raise TypeError("incompatible function argument")
            return core.import_model(content, *rest)

    monkeypatch.setattr(engine, "_open_core", lambda: (package, OldCore()))
    assert torch.equal(compute(network, clips), built)  # it cannot compile


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_place_of_a_graph_is_left_alone(tmp_path: Path) -> None:
    network, clips = random_network(), torch.randn(1, 3, 8, 56, 56)
    built = compute(network, clips)
    (file,) = graphs(tmp_path)
    file.unlink()
    os.mkfifo(file)
    assert torch.equal(compute(network, clips), built)
    assert file.is_fifo()
    assert store.keep_graph(file.stem, b"") == f"{file} is not a regular file"


@pytest.mark.parametrize("size", [0, 31, 32])
def test_a_file_without_a_graph_is_none(size: int, tmp_path: Path) -> None:
    file = tmp_path / "home" / "graphs" / "name.graph"
    file.parent.mkdir(parents=True)
    file.write_bytes(sha256(b"").digest()[:size])
    assert store.read_graph("name") is None


def test_other_weights_sizes_and_answers_have_graphs_of_their_own(tmp_path: Path) -> None:
    network, clips = random_network(), torch.randn(1, 3, 8, 56, 56)
    first = compute(network, clips)
    with torch.no_grad():
        network.norm.weight[0] += 1
    assert not torch.equal(compute(network, clips), first)
    torch.testing.assert_close(
        compute(network, clips), InferencePlan(network)(clips), rtol=0, atol=1e-5
    )
    compute(network, clips[..., :40])
    OpenVinoNetwork(network, "fp32").forward_features(clips, stage=1)
    assert len(graphs(tmp_path)) == 4


def test_another_source_text_has_graphs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def name(changed: str) -> str:
        store._hash_sources.cache_clear()
        source = inspect.getsource

        def change(module: ModuleType) -> str:
            read.append(module.__name__)
            return source(module) + "# other" * (module.__name__ == changed)

        with monkeypatch.context() as patched:
            patched.setattr(inspect, "getsource", change)
            about = {"precision": "fp32", "processor": "p", "version": "v"}
            found = store.name_graph(hashed, (8, 56, 56), "classes", **about)
        store._hash_sources.cache_clear()
        return found

    hashed = store.hash_network(random_network())
    unchanged = name("")
    assert unchanged == name("")
    names = {name(changed) for changed in set(read)}
    assert unchanged not in names
    assert len(names) == len(set(read))
    assert {"videoswin_cli.model.openvino.graph", gather_windows.__module__} <= set(read)


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "file"))
    network, clips = random_network(), torch.randn(1, 3, 8, 56, 56)
    ours = OpenVinoNetwork(network, "fp32")
    torch.testing.assert_close(ours(clips), InferencePlan(network)(clips), rtol=0, atol=1e-5)
    name = ours.name_graph((8, 56, 56))
    file = tmp_path / "file" / "graphs" / f"{name}.graph"
    assert ours.unkept == f"cannot write {file}: Not a directory"
    assert store.keep_speed(name, 2.0).endswith(".json: Not a directory")


def test_a_full_disk_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", fail)
    assert store.keep_graph("name", b"graph").endswith("name.graph: No space left on device")


def test_what_it_cannot_compute_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    network = OpenVinoNetwork(random_network(), "fp8")
    with pytest.raises(DeviceError, match=r"OpenVINO does not compute in fp8$"):
        network.open((8, 56, 56))

    def fail(*args: object) -> None:
        raise RuntimeError("no memory\nfor this")

    monkeypatch.setattr(engine, "build_graph", fail)
    with pytest.raises(DeviceError, match=r"for clips of \(8, 56, 56\): no memory for this"):
        OpenVinoNetwork(random_network(), "fp32").open((8, 56, 56))


def test_clips_of_other_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="expected clips"):
        OpenVinoNetwork(random_network(), "fp32")(torch.randn(1, 1, 8, 56, 56))
