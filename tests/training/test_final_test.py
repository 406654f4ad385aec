"""The test of the best epoch at the end of a run, under the published protocol."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from few_clips import train, write_few
from notices import Notices

from videoswin_cli import evaluate
from videoswin_cli.errors import UsageError
from videoswin_cli.model.loading import load
from videoswin_cli.training import trainer


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_few(tmp_path_factory.mktemp("few"))


def test_it_is_the_evaluation_of_the_best_weights(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(
        "videoswin_cli.training.result.draw_confusion",
        lambda path, counts, classes: drawn.append(counts),
    )
    notices = Notices()
    done = train(few, tmp_path / "o", "test_views=paper", notices=notices)
    splits = (tmp_path / "o/splits.csv").read_text().splitlines()[1:]
    rows = [line.split(",") for line in splits if line.endswith(",val")]
    (tmp_path / "val.txt").write_text("".join(f"{path} {label}\n" for path, label, _ in rows))
    measured = evaluate(
        list_file=tmp_path / "val.txt", root=few / "data", model=done.model, device="cpu"
    )
    paper = load(str(done.model)).spec.protocol
    assert done.test is not None
    assert done.test.views == f"{paper.clips}x{paper.crops}" == measured.summary.views
    assert done.test.metrics["top1"] == measured.summary.accuracy["top1"]
    assert sum(count for *_, count in done.test.confusions) == len(rows)
    assert drawn == [{(true, got): count for true, got, count in done.test.confusions}]
    found = json.loads((tmp_path / "o/result.json").read_text())
    assert found["test"] == {"views": done.test.views, "metrics": done.test.metrics}
    assert f"with {done.test.views} views of each of 3 clips" in "\n".join(notices.texts)
    assert f"{done.test.views} views of each clip: top-1" in done.summary()


def test_the_views_can_be_chosen_and_changed(few: Path, tmp_path: Path) -> None:
    assert train(few, tmp_path / "o", "test_views=2x1").test is not None
    assert train(few, tmp_path / "o", "test_views=none").test is None
    same = train(few, tmp_path / "o", "test_views=1x1")
    assert same.test is None, "the validation is it"
    with pytest.raises(UsageError, match="unknown views '5x2'"):
        train(few, tmp_path / "o", "test_views=5x2")


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM ends a process at once")
def test_a_signal_in_the_test_is_an_interruption(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        load_weights = load

        def stop(path: str) -> Any:
            patch.setattr(trainer, "load", load_weights)
            found = load_weights(path)
            patch.setattr(
                trainer.Trainer,
                "_agree",
                lambda self, *flags: os.kill(os.getpid(), signal.SIGTERM) or [True],
            )
            return found

        patch.setattr(trainer, "load", stop)
        interrupted = train(few, tmp_path / "o", "test_views=2x1")
    assert interrupted.interrupted
    assert not (tmp_path / "o/result.json").exists()
    resumed = train(few, tmp_path / "o", "test_views=2x1")
    assert not resumed.interrupted
    assert resumed.test is not None
