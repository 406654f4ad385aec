"""Exported files as `--model`: the answers of PyTorch, and what is refused."""

import os
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exports import write_export
from make_video import write_video
from tiny import PROTOCOL
from torch.torch_version import TorchVersion

from videoswin_cli import evaluate, extract, load_model, predict, timeline
from videoswin_cli.data.transforms import normalize
from videoswin_cli.errors import CheckpointError, MissingInputError, UsageError
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.model.exported import reading
from videoswin_cli.model.exported.engines import open_exported
from videoswin_cli.model.exported.facts import SUFFIXES, ExportFormat, ExportPrecision, list_files
from videoswin_cli.model.exported.program_scan import check_program
from videoswin_cli.model.exported.reading import read_exported
from videoswin_cli.model.loading import find_model, load
from videoswin_cli.tasks.bench.bench import _find_rival

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # the exporters have many
    pytest.mark.skipif(torch.__version__ < "2.9", reason="export needs torch 2.9"),
]

SHAPE = (3, PROTOCOL.clip_frames, PROTOCOL.crop_size, PROTOCOL.crop_size)


def write(
    folder: Path,
    tiny: str,
    form: ExportFormat,
    *,
    batch: int | None = None,
    pixels: bool = False,
    precision: ExportPrecision = "fp32",
) -> str:
    """A file of one format, of the tiny network."""
    model, name = load(tiny), f"{form}-{precision}-{batch}-{pixels}{SUFFIXES[form]}"
    return write_export(
        folder / name,
        model.module,
        model.spec,
        model.labels,
        batch=batch,
        pixels=pixels,
        precision=precision,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(
    scope="module",
    # tests/tasks/test_export.py writes and reads ONNX in the default run.
    params=["torch", pytest.param("onnx", marks=pytest.mark.slow), "openvino"],
)
def exported(request: Any, folder: Path, tiny: str) -> str:
    return write(folder, tiny, request.param)


@pytest.fixture(scope="module")
def program(folder: Path, tiny: str) -> str:
    return write(folder, tiny, "torch", batch=2)


@pytest.fixture(scope="module")
def video(folder: Path) -> str:
    for name in ("run", "jump"):
        (folder / "data" / name).mkdir(parents=True)
        write_video(folder / "data" / name / "a.mp4", frames=12)
    return str(folder / "data" / "run" / "a.mp4")


def test_every_task_answers_as_pytorch_does(exported: str, tiny: str, video: str) -> None:
    model, own = load_model(exported, views="2x3"), load_model(tiny, views="2x3")
    clips = torch.randn(3, *SHAPE)
    assert (model(clips) - own(clips)).abs().max() < 1e-4
    (found,), (wanted,) = (each.predict(video, topk=7) for each in (model, own))
    assert [top.label for top in found.top] == [top.label for top in wanted.top]
    for one, other in zip(found.top, wanted.top, strict=True):
        assert one.prob == pytest.approx(other.prob, abs=1e-4)
    features = [extract(video, model=each).features for each in (exported, tiny)]
    assert np.allclose(features[0], features[1], atol=1e-4)
    data = str(Path(video).parents[1])
    scored = [evaluate(data, model=each).summary.accuracy for each in (exported, tiny)]
    assert scored[0] == scored[1]
    lines = [timeline(video, model=each) for each in (exported, tiny)]
    assert len(lines[0][0].segments) == len(lines[1][0].segments)


def test_the_programs_of_the_docs_run(
    exported: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    suffix = Path(exported).suffix
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (program,) = (each for each in programs if f'"model{suffix}"' in each)
    assert program.count("\n") <= 15
    exec(program.replace(f"model{suffix}", exported), {})
    clips = torch.zeros(1, *SHAPE)
    model = load_model(exported)
    assert capsys.readouterr().out.strip() == model.labels[int(model(clips)[0].argmax())]


# Two exports more.
@pytest.mark.slow
def test_half_weights_do_not_round_the_normalization(folder: Path, tiny: str) -> None:
    """OpenVINO's own compression did: 123.675 became 123.7."""
    answers = []
    frames = torch.randint(256, (2, *SHAPE[1:], 3), generator=torch.Generator().manual_seed(0))
    clips = normalize(frames, mean=PROTOCOL.mean, std=PROTOCOL.std, dtype=torch.float32)
    for form in ("torch", "openvino"):
        name = write(folder, tiny, form, batch=2, pixels=True, precision="fp16")
        answers.append(load_model(name)(clips))
    assert (answers[0] - answers[1]).abs().max() < 1e-5 * answers[0].std()


def test_a_clip_does_not_depend_on_its_batch(exported: str) -> None:
    model = load_model(exported)
    clips = torch.randn(3, *SHAPE)
    assert torch.equal(model(clips)[2:], model(clips[2:]))
    assert model(clips[:0]).shape == (0, 7)


def test_a_fixed_batch_is_filled_and_cut(program: str, tiny: str) -> None:
    model = load_model(program)
    clips = torch.randn(3, *SHAPE)
    assert model(clips).shape == (3, 7)
    assert (model(clips) - load_model(tiny)(clips)).abs().max() < 1e-4
    assert model._runner.settings.batch_size == 2


# An export more.
@pytest.mark.slow
def test_frames_of_a_graph_that_normalizes_are_whole(folder: Path, tiny: str, video: str) -> None:
    model = load_model(write(folder, tiny, "torch", pixels=True))
    (found,), (wanted,) = model.predict(video), predict(video, model=tiny)
    assert found.top[0].prob == pytest.approx(wanted.top[0].prob, abs=1e-5)
    with pytest.raises(UsageError, match="whole pixels"):
        model(torch.randn(1, *SHAPE))


def test_features_that_the_graph_has_not_are_refused(program: str, video: str) -> None:
    model = load_model(program)
    refused: list[dict[str, Any]] = [{"stage": 1}, {"pool": "none"}, {"pool": "time"}]
    for options in refused:
        with pytest.raises(UsageError, match="pooled features of the last stage alone"):
            model.extract(video, **options)


def test_what_does_not_fit_the_file_is_refused(program: str, tiny: str, video: str) -> None:
    with pytest.raises(UsageError, match=r"bf16.* fp32 weights"):
        load_model(program, precision="bf16")
    with pytest.raises(UsageError, match="takes clips"):
        load_model(program)(torch.randn(1, 3, 8, 32, 32))
    with pytest.raises(UsageError, match="weights inside"):
        load_model(program, checkpoint=tiny)
    with pytest.raises(UsageError, match="can be run, and nothing else"):
        load_model(program).explain(video)
    with pytest.raises(UsageError, match="an exported graph"):
        load(program)
    with pytest.raises(UsageError, match="an exported graph"):
        read_checkpoint(program)
    assert _find_rival(program, find_model(tiny).spec).labels == find_model(tiny).labels
    with pytest.raises(UsageError, match="another network"):
        _find_rival(program, find_model("camera-motion").spec)


@pytest.mark.parametrize("suffix", SUFFIXES.values())
def test_files_that_are_missing_or_empty_are_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    with pytest.raises(MissingInputError):
        find_model(str(path))
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="it is empty"):
        find_model(str(path))


def test_a_damaged_file_is_told(exported: str, tmp_path: Path) -> None:
    """Zeros in the middle of the weights: ONNX Runtime and OpenVINO compute with them."""
    files = [Path(shutil.copy(file, tmp_path)) for file in list_files(Path(exported))]
    weights = files[-1]
    content = bytearray(weights.read_bytes())
    middle = slice(len(content) // 2, len(content) // 2 + 1000)
    assert any(content[middle])
    content[middle] = bytes(1000)
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged|checksum") as caught:
        load_model(str(files[0]))
    assert all(str(file) in str(caught.value) for file in files)


@torch.inference_mode()
def test_a_file_that_is_written_over_does_not_reach_what_computes(
    exported: str, tmp_path: Path
) -> None:
    files = [Path(shutil.copy(file, tmp_path)) for file in list_files(Path(exported))]
    file, clips = read_exported(str(files[0])), torch.randn(1, *SHAPE)
    network = open_exported(file, torch.device("cpu"))
    before = network(clips)
    with files[-1].open("r+b") as weights:
        size = weights.seek(0, 2)
        weights.seek(size // 2)
        weights.write(bytes(size - size // 2))
    assert torch.equal(network(clips), before)
    os.utime(files[-1], ns=(1, 1))
    with pytest.raises(CheckpointError):  # by its engine, or by its stamp
        open_exported(file, torch.device("cpu"))


@pytest.mark.parametrize("suffix", SUFFIXES.values())
def test_a_file_of_somebody_else_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"other{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other/models/model.json", "{}")
    with pytest.raises(CheckpointError, match="not written by `videoswin export`"):
        find_model(str(path))


def test_a_program_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"PK no graph")
    with pytest.raises(CheckpointError, match="cannot be read as an exported graph"):
        find_model(str(path))


@pytest.mark.parametrize(("form", "module"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_missing_engine_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, form: ExportFormat, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError) as caught:
        reading.import_engine(form)
    assert f"videoswin[{form}]" in caught.value.hint


def test_an_old_torch_is_told(
    program: str, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.8.0+cpu"))
    for act in (lambda: find_model(program), lambda: write(tmp_path, tiny, "onnx")):
        with pytest.raises(UsageError, match=r"needs torch 2\.9 or newer, found 2\.8\.0"):
            act()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("torch.ops.aten.gelu.default", "torch.os.system"),
        ("torch.ops.aten.gelu.default", "torch.ops.aten.from_file.default"),
        ('"guards_code": []', '"guards_code": ["print(1)"]'),
        ('"use_pickle": false', '"use_pickle": true'),
        ("Symbol(", "__import__('os').system("),
    ],
)
def test_a_program_that_would_run_code_is_not_loaded(
    exported: str, tmp_path: Path, old: str, new: str
) -> None:
    if not exported.endswith(".pt2"):
        return
    copy = tmp_path / "copy.pt2"
    changed = 0
    with zipfile.ZipFile(exported) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith(".json"):
                changed += old.encode() in content
                content = content.replace(old.encode(), new.encode())
            target.writestr(name, content)
    assert changed
    with pytest.raises(CheckpointError, match="not loaded"):
        check_program(copy)
