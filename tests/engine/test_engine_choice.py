"""Engine of a run: what is asked for, what `auto` comes to, and what an output remembers."""

import inspect
import json
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from broken_package import break_package
from make_video import write_video
from notices import Notices
from tiny import write_model
from typer.testing import CliRunner

from videoswin_cli import extract, load_model, predict
from videoswin_cli.cli.app import app
from videoswin_cli.cli.splice import splice
from videoswin_cli.engine import engine_choice, runner
from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.numerics import Record, decide_numerics
from videoswin_cli.engine.runner import open_runner
from videoswin_cli.engine.runtime import Numerics, Runtime
from videoswin_cli.errors import DeviceError, UsageError
from videoswin_cli.model.loading import LoadedModel, load
from videoswin_cli.model.openvino import network as openvino
from videoswin_cli.model.openvino.network import OpenVinoNetwork
from videoswin_cli.options.run import EngineChoice, RunOptions

pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
LONG = 100  # videos


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_model(path)
    return str(path)


@pytest.fixture
def model(file: str) -> LoadedModel:
    return load(file)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for n in range(4):
        write_video(folder / f"{n}.mp4", frames=12, seed=n)
    return folder


def resolve(model: LoadedModel, engine: EngineChoice, **more: Any) -> tuple[str, list[str]]:
    """Engine and what was told."""
    notices = Notices()
    options = RunOptions(device="cpu", engine=engine)
    return open_runner(model, options, reporter=notices, **more).settings.runtime.engine, list(
        notices.texts
    )


def uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    openvino._open_core.cache_clear()


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.parametrize("command", ["predict", "eval", "extract", "timeline", "bench"])
def test_torch_is_the_default_of_every_command(command: str) -> None:
    function = getattr(import_module(f"videoswin_cli.cli.{command}"), command)
    assert inspect.signature(splice(function)).parameters["engine"].default == "torch"


def test_a_long_run_hears_of_it(model: LoadedModel) -> None:
    invitation = "; OpenVINO is installed: --engine auto tries it"
    assert resolve(model, "torch") == ("torch", ["computing on cpu in fp32"])
    told = [f"computing on cpu in fp32{invitation}"]
    assert resolve(model, "torch", videos=LONG) == ("torch", told)


def test_what_is_asked_for_is_done(file: str, clips: Path) -> None:
    videos = sorted(clips.glob("*.mp4"))
    by_torch = predict(videos, model=file, logits=True)
    by_openvino = predict(videos, model=file, logits=True, engine="openvino")
    for one, other in zip(by_torch, by_openvino, strict=True):
        assert one.top[0].label == other.top[0].label
        apart = np.subtract(one.logits or (), other.logits or ())
        assert 0 < np.abs(apart).max() < 1e-5
    for stage in (1, 2):
        options: dict[str, Any] = {"model": file, "stage": stage}
        found = extract(videos, **options, engine="openvino")
        expected = extract(videos, **options)
        np.testing.assert_allclose(found.features, expected.features, rtol=0, atol=1e-4)


def test_an_output_remembers_its_engine(file: str, clips: Path, tmp_path: Path) -> None:
    command = ("extract", clips, "--model", file, "--per", "window", "--out")
    whole = run(*command, tmp_path / "whole.npy", "--engine", "openvino")
    assert "computing on cpu in fp32 by OpenVINO" in whole.stderr
    parts = (*command, tmp_path / "parts.npy")
    assert run(*parts, "--engine", "openvino", "--shard", "1/2").exit_code == 0
    by_torch = run(*parts, "--shard", "2/2")
    assert by_torch.exit_code == 2
    assert "--engine was openvino, now torch" in by_torch.stderr
    assert "--engine openvino or auto resumes it" in by_torch.stderr
    last = run(*parts, "--engine", "auto", "--shard", "2/2")
    assert "computing on cpu in fp32 by OpenVINO: as the output was begun" in last.stderr
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert json.loads((tmp_path / "parts.meta.json").read_text())["engine"] == "openvino"


@pytest.fixture
def begun(file: str, clips: Path, tmp_path: Path) -> tuple[object, ...]:
    """Command that continues an output of which OpenVINO computed a part, for two videos."""
    command = ("extract", clips, "--model", file, "--out", tmp_path / "f.npy")
    assert run(*command, "--engine", "openvino", "--shard", "1/2").exit_code == 0
    return (*command, "--shard", "2/2", "--engine")


def test_a_few_videos_go_on_by_the_engine_of_their_output(begun: tuple[object, ...]) -> None:
    done = run(*begun, "auto")
    assert done.exit_code == 0, done.stderr
    assert "in fp32 by OpenVINO: as the output was begun" in done.stderr


def test_an_output_of_openvino_needs_the_package(
    begun: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    uninstall(monkeypatch)
    done = run(*begun, "auto")
    assert done.exit_code == 2
    said = "the output was computed by OpenVINO, and the package openvino is not installed"
    assert said in done.stderr
    assert 'pip install "videoswin[openvino]"' in done.stderr


@pytest.mark.parametrize("engine", ["auto", "openvino"])
def test_an_output_of_openvino_does_not_go_on_by_torch(
    engine: str, begun: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DeviceError("OpenVINO cannot compute this")

    monkeypatch.setattr(OpenVinoNetwork, "open", fail)
    done = run(*begun, engine)
    assert done.exit_code == 2
    assert "the output was computed by OpenVINO: OpenVINO cannot compute this" in done.stderr
    assert f"--engine {engine}" not in done.stderr


def test_an_output_of_openvino_is_no_work_for_a_gpu(model: LoadedModel) -> None:
    record = Record(read=lambda: Numerics(precision="fp32", engine="openvino"))
    settings: Any = SimpleNamespace(
        runtime=Runtime(device=torch.device("meta")), clip_size=(4, 32, 32)
    )
    with pytest.raises(UsageError, match="computes on the CPU, not on meta"):
        decide_numerics(
            RunOptions(engine="auto", precision="fp32"),
            model,
            settings,
            videos=1,
            world=World(),
            record=record,
        )


def test_an_output_of_before_there_were_engines_goes_on(
    file: str, clips: Path, tmp_path: Path
) -> None:
    command = ("extract", clips, "--model", file, "--out", tmp_path / "f.npy")
    assert run(*command).exit_code == 0
    description = tmp_path / "f.meta.json"
    said = json.loads(description.read_text())
    assert said.pop("engine") == "torch"
    description.write_text(json.dumps(said))
    assert run(*command).exit_code == 0
    other = run(*command, "--engine", "openvino")
    assert "--engine was torch, now openvino" in other.stderr


@pytest.mark.parametrize(("speed", "chosen"), [(1.5, "openvino"), (0.9, "torch")])
def test_auto_measures_once(
    speed: float, chosen: str, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    monkeypatch.setattr(engine_choice, "measure_speed", lambda *_: measured.append(1) or speed)
    assert resolve(model, "auto")[0] == "torch"
    assert resolve(model, "auto", videos=20)[0] == "torch"  # too few to measure it for
    assert measured == []
    assert resolve(model, "auto", videos=LONG)[0] == chosen
    assert resolve(model, "auto", videos=20)[0] == chosen
    assert measured == [1]
    assert resolve(model, "auto")[0] == "torch"


def test_a_graph_that_is_gone_is_compiled_for_long_runs_alone(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "measure_speed", lambda *_: 1.5)
    assert resolve(model, "auto", videos=LONG)[0] == "openvino"
    (graph,) = (tmp_path / "home" / "graphs").glob("*.graph")
    graph.unlink()
    assert resolve(model, "auto", videos=20)[0] == "torch"
    assert not graph.exists()
    assert resolve(model, "auto", videos=LONG)[0] == "openvino"
    assert graph.exists()


def test_a_graph_that_cannot_be_compiled_again_is_no_choice(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "measure_speed", lambda *_: 1.5)
    kept = []
    record = Record(keep=lambda _, run: kept.append(run.runtime.numerics) or kept[-1])
    assert resolve(model, "auto", videos=LONG)[0] == "openvino"
    (graph,) = (tmp_path / "home" / "graphs").glob("*.graph")
    graph.unlink()
    infer = openvino._infer
    monkeypatch.setattr(openvino, "_infer", lambda *given: [2 * x for x in infer(*given)])
    engine, (told,) = resolve(model, "auto", videos=LONG, record=record)
    assert (engine, kept[-1].engine) == ("torch", "torch")  # the output says what computes
    assert "OpenVINO gives other numbers" in told


@pytest.mark.parametrize(
    ("by_torch", "by_openvino", "speed", "turns"),
    [
        ([14.4, 14.4, 14.4, 1.0, 14.4], [0.8, 9.0, 9.0, 9.0, 9.0], 1.25, 5),
        ([1.0, 9.0, 9.0, 9.0, 9.0], [9.0, 9.0, 9.0, 9.0, 2.0], 0.5, 5),
        ([2.0] * 6 + [1.0] * 3, [1.9] * 9, 1 / 1.9, 6 + 1),
        ([1.0] * 9, [1.0] * 8 + [0.8], 1.25, 9),
    ],
    ids=["busy for torch", "busy for OpenVINO", "clear after seven", "close to the end"],
)
def test_one_quiet_view_of_each_engine_is_enough(
    by_torch: list[float],
    by_openvino: list[float],
    speed: float,
    turns: int,
    model: LoadedModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fast: Any = SimpleNamespace(open=lambda size: None, pool=lambda clip: None)
    times = {True: iter(by_openvino), False: iter(by_torch)}
    asked: list[bool] = []

    def clock(compute: object, clip: object) -> float:
        asked.append(compute is fast.pool)
        return next(times[asked[-1]])

    monkeypatch.setattr(engine_choice, "_clock", clock)
    assert engine_choice.measure_speed(model.module, fast, (4, 32, 32)) == speed
    assert asked == [number % 4 in (1, 2) for number in range(2 * turns)]


def test_auto_measures_what_it_says(model: LoadedModel) -> None:
    engine, (told,) = resolve(model, "auto", videos=LONG)
    assert engine in ("torch", "openvino")
    assert ("times as fast as torch here" in told) == (engine == "openvino")
    assert "tries it" not in told  # it did


def test_a_cache_that_cannot_be_written_is_said_once(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "file"))
    engine, (told, _) = resolve(model, "openvino")
    assert engine == "openvino"
    assert told.startswith(f"each run compiles the graph anew: cannot write {tmp_path / 'file'}")
    assert told.endswith(".graph: Not a directory")
    monkeypatch.setattr(engine_choice, "measure_speed", lambda *_: 0.9)
    engine, (told,) = resolve(model, "auto", videos=LONG)
    assert engine == "torch"
    assert "(each run measures OpenVINO anew: cannot write" in told


def test_who_writes_an_output_first_decides(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "measure_speed", lambda *_: 2.0)
    record = Record(keep=lambda *_: Numerics(precision="fp32", engine="torch"))
    engine, (told,) = resolve(model, "auto", videos=LONG, record=record)
    assert (engine, told) == ("torch", "computing on cpu in fp32: as the output was begun")


def test_where_it_cannot_torch_does_and_says_so(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = openvino._infer
    monkeypatch.setattr(openvino, "_infer", lambda *given: [2 * x for x in infer(*given)])
    engine, (told, computing) = resolve(model, "openvino")
    assert (engine, computing) == ("torch", "computing on cpu in fp32")
    assert told.startswith("OpenVINO gives other numbers than torch for clips of (4, 32, 32): ")
    assert told.endswith(": torch computes")


def test_numbers_that_are_none_are_other_numbers(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = openvino._infer
    monkeypatch.setattr(openvino, "_infer", lambda *given: [x * np.nan for x in infer(*given)])
    with pytest.raises(DeviceError, match="gives other numbers"):
        OpenVinoNetwork(model.module, "fp32").open((4, 32, 32))


def test_a_gpu_and_an_exported_file_have_engines_of_their_own(model: LoadedModel) -> None:
    with pytest.raises(DeviceError, match="--engine openvino computes on the CPU, not on cuda"):
        open_runner(model, RunOptions(device="cuda", engine="openvino"))
    exported: Any = SimpleNamespace(
        path="m.onnx", facts=SimpleNamespace(precision="fp32", format="onnx")
    )
    with pytest.raises(UsageError, match=r"--engine openvino: m\.onnx is a graph for onnx"):
        runner._fit_exported(RunOptions(engine="openvino"), exported)
    fitted = runner._fit_exported(RunOptions(device="cpu"), exported)
    assert fitted.engine == "auto"  # its own


def test_without_the_package_the_error_says_how_to_get_it(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninstall(monkeypatch)
    with pytest.raises(UsageError, match="the package openvino is not installed") as raised:
        resolve(model, "openvino")
    assert raised.value.hint == 'pip install "videoswin[openvino]"'
    assert resolve(model, "auto", videos=LONG) == ("torch", ["computing on cpu in fp32"])


def test_a_broken_package_is_an_error_and_auto_says_so(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_package("openvino", tmp_path / "site", monkeypatch)
    openvino._open_core.cache_clear()
    broken = "the package openvino is broken: OSError: libgone.so: cannot open"
    with pytest.raises(UsageError, match=f"--engine openvino: {broken}") as raised:
        resolve(model, "openvino")
    assert raised.value.hint.startswith("pip install --force-reinstall")
    told = [f"computing on cpu in fp32 ({broken})"]
    assert resolve(model, "auto", videos=LONG) == ("torch", told)


def test_fp16_is_for_torch_and_said(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "_list_precisions", lambda: ["FP32", "FP16"])
    notices = Notices()
    options = RunOptions(device="cpu", engine="openvino", precision="fp16")
    assert open_runner(model, options, reporter=notices).settings.runtime.engine == "torch"
    told = "OpenVINO does not compute in fp16: torch computes"
    assert notices.texts == [told, "computing on cpu in fp16"]


def test_a_loaded_model_stays_with_its_engine(file: str, clips: Path) -> None:
    loaded = load_model(file, engine="openvino")
    with pytest.raises(UsageError, match="engine torch: the model is loaded in openvino"):
        loaded.predict(clips, engine="torch")
