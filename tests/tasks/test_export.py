"""`export`: what is compared, and what is left behind."""

from pathlib import Path

import pytest
import torch
from make_video import write_video
from tiny import PROTOCOL
from typer.testing import CliRunner

from videoswin_cli.cli.app import app
from videoswin_cli.errors import ExpectationError, UsageError
from videoswin_cli.io.fetch import hash_file
from videoswin_cli.model.exported.reading import read_exported
from videoswin_cli.model.loading import find_model
from videoswin_cli.options.export import ExportOptions
from videoswin_cli.tasks.export.export import export_model

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


def _weights(path: str) -> list[torch.Tensor]:
    from videoswin_cli.model.checkpoint import read_checkpoint

    return list(read_checkpoint(path).tensors.values())
