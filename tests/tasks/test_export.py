"""`export`: what is compared, and what is left behind."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from make_video import write_video
from tiny import PROTOCOL
from typer.testing import CliRunner

from videoswin_cli.cli.app import app
from videoswin_cli.errors import ExpectationError, OutputExistsError, UsageError
from videoswin_cli.io.fetch import hash_file
from videoswin_cli.model.exported.facts import SUFFIXES, ExportFormat
from videoswin_cli.model.exported.reading import read_exported
from videoswin_cli.model.exported.seal import BLANK
from videoswin_cli.model.loading import find_model
from videoswin_cli.options.export import ExportOptions
from videoswin_cli.tasks.export.export import _check_others, _put, export_model

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # the exporters have many
    pytest.mark.skipif(torch.__version__ < "2.9", reason="export needs torch 2.9"),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "a.mp4", frames=12)


def test_an_export_says_what_it_is_and_how_it_compares(
    tiny: str, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.pt2"
    result = CliRunner().invoke(
        app, ["export", tiny, "--format", "torch", "--out", str(out), "--clip", str(clip)]
    )
    assert result.exit_code == 0, result.output
    noise, video, file = result.stdout.splitlines()
    assert noise.startswith("noise: largest difference of a logit")
    assert video.startswith(f"{clip}: ")
    assert file.startswith(f"{out}  ")
    written = read_exported(str(out))
    assert written.facts.weights_sha256 == hash_file(Path(tiny))
    assert (written.facts.frames, written.facts.batch) == (PROTOCOL.clip_frames, None)
    assert written.labels == find_model(tiny).labels
    assert list(tmp_path.iterdir()) == [out]


def test_half_precision_halves_the_weights_and_keeps_the_answers(
    tiny: str, clip: Path, tmp_path: Path
) -> None:
    sizes = []
    for precision in ("fp32", "fp16"):
        options = ExportOptions(format="torch", precision=precision, batch=1)
        done = export_model(find_model(tiny), tmp_path / f"{precision}.pt2", options, clip=clip)
        sizes.append(done.files[0].stat().st_size)
    weights = sum(each.numel() for each in _weights(tiny))
    assert 1.8 * weights < sizes[0] - sizes[1] < 2.2 * weights
    assert all(0 < each.difference < 0.02 * each.spread for each in done.parity)


def test_a_file_that_answers_otherwise_is_not_kept(
    tiny: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "m.pt2"
    out.write_text("what was there")
    normal = torch.nn.functional.gelu
    monkeypatch.setattr("videoswin_cli.model.swin3d.F.gelu", lambda x: normal(x) * 1.001)

    def undo(*args: object, **kwargs: object) -> object:
        monkeypatch.undo()
        return read_exported(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("videoswin_cli.tasks.export.export.read_exported", undo)
    with pytest.raises(ExpectationError, match="differs from PyTorch") as caught:
        export_model(find_model(tiny), out, ExportOptions(format="torch", batch=1), clip=clip)
    assert caught.value.exit_code == 5
    assert out.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [out]


def test_what_cannot_be_exported_is_said(tiny: str, tmp_path: Path) -> None:
    wrong = CliRunner().invoke(app, ["export", tiny, "--out", str(tmp_path / "m.pt")])
    assert wrong.exit_code == 2
    assert "ends in .onnx" in wrong.stderr
    exported = tmp_path / "a.pt2"
    options = ExportOptions(format="torch", batch=1)
    export_model(find_model(tiny), exported, options)
    with pytest.raises(UsageError, match="exported graph"):
        export_model(find_model(str(exported)), tmp_path / "b.pt2", options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--opset", "99"), "18<=x<=21"),
        (("--format", "torch", "--opset", "20"), "--opset 20: it is of ONNX"),
        (("--format", "openvino", "--opset", "18"), "--opset 18: it is of ONNX"),
        (("--clip", "none.mp4"), "no such file: none.mp4"),
        (("--clip", "text.mp4"), "text.mp4: "),
    ],
)
def test_what_nothing_is_written_for_is_wrong_usage(
    tiny: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("no video")
    form: ExportFormat = next((each for each in get_args(ExportFormat) if each in options), "onnx")
    result = CliRunner().invoke(app, ["export", tiny, "--out", f"m{SUFFIXES[form]}", *options])
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["text.mp4"]


def test_opset_21_is_written_and_read(tiny: str, tmp_path: Path) -> None:
    import onnx

    out = tmp_path / "m.onnx"
    export_model(find_model(tiny), out, ExportOptions(format="onnx", batch=1, opset=21))
    (found,) = onnx.load(out).opset_import
    assert found.version == 21


def test_a_bin_of_something_else_is_not_written_over(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, other = tmp_path / "keep.xml", tmp_path / "keep.bin"
    other.write_text("mine")
    for kept in (None, "<net></net>"):
        if kept is not None:
            out.write_text(kept)
        with pytest.raises(OutputExistsError, match=r"keep\.bin exists"):
            export_model(find_model(tiny), out, ExportOptions(format="openvino"))
        assert other.read_text() == "mine"
    out.write_text(f'<videoswin-sha256 value="{BLANK}" />')  # of an export, whatever it has inside
    _check_others(out)


def test_a_pair_takes_its_place_without_being_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after any step: the old pair, the new one, or an .xml whose weights are missing."""
    (tmp_path / "new").mkdir()
    for folder in (tmp_path, tmp_path / "new"):
        for name in ("m.xml", "m.bin"):
            (folder / name).write_text(folder.name)
    seen = []

    def look(change: Callable[..., object]) -> Callable[..., object]:
        def act(path: Path, *args: object, **options: object) -> object:
            done = change(path, *args, **options)
            files = [tmp_path / name for name in ("m.xml", "m.bin")]
            seen.append([file.read_text() if file.exists() else None for file in files])
            return done

        return act

    for name in ("unlink", "replace"):
        monkeypatch.setattr(Path, name, look(getattr(Path, name)))
    _put([tmp_path / "new" / name for name in ("m.xml", "m.bin")], tmp_path)
    assert seen == [[tmp_path.name, None], ["new", None], ["new", "new"]]


def _weights(path: str) -> list[torch.Tensor]:
    from videoswin_cli.model.checkpoint import read_checkpoint

    return list(read_checkpoint(path).tensors.values())
