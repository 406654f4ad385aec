"""Text files of a run folder: its log, classes and result."""

import json
import re
from pathlib import Path

import pytest
from few_clips import train, write_few
from notices import Notices

from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.training.result import FinetuneResult
from videoswin_cli.training.train_log import TrainLog
from videoswin_cli.training.trainer import Trainer


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_few(tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def notices() -> Notices:
    return Notices()


@pytest.fixture(scope="module")
def done(few: Path, notices: Notices, tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    return train(few, tmp_path_factory.mktemp("done") / "o", notices=notices)


def messages(folder: Path) -> list[str]:
    lines = (folder / "train.log").read_text(encoding="utf-8").splitlines()
    for line in lines:
        assert re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} ", line), line
    return [line.partition(" ")[2] for line in lines]


def test_the_log_has_every_message_and_goes_on(
    done: FinetuneResult, few: Path, notices: Notices
) -> None:
    """Those before the folder was made as well."""
    assert messages(done.folder) == notices.texts
    assert notices.texts[-1] == done.summary()
    more = Notices()
    train(few, done.folder, notices=more)
    assert messages(done.folder) == [*notices.texts, *more.texts]


def test_the_log_has_the_error_that_ended_the_run(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise VideoSwinError("the disk is full")

    monkeypatch.setattr(Trainer, "run", fail)
    with pytest.raises(VideoSwinError, match="full"):
        train(few, tmp_path / "o")
    assert messages(tmp_path / "o")[-1] == "error: the disk is full"


def test_a_call_that_is_refused_leaves_the_log_alone(few: Path, tmp_path: Path) -> None:
    train(few, tmp_path / "o")
    before = messages(tmp_path / "o")
    with pytest.raises(UsageError, match=r"recipe was \{'lr': 0.02\}, now \{'lr': 0.5\}"):
        train(few, tmp_path / "o", "lr=0.5")
    assert messages(tmp_path / "o") == before


def test_messages_stay_in_their_line(tmp_path: Path) -> None:
    with TrainLog(Notices()) as log:
        log.notice("one\ntwo")
        log.open(tmp_path / "train.log")
    assert messages(tmp_path) == ["one\\ntwo"]


def test_classes_are_listed_by_index(done: FinetuneResult) -> None:
    assert (done.folder / "classes.txt").read_text().splitlines() == list(done.classes)


def test_the_result_has_start_best_epoch_metrics_and_times(done: FinetuneResult, few: Path) -> None:
    found = json.loads((done.folder / "result.json").read_text())
    assert found["start"] == str(few / "tiny.safetensors")
    assert found["model"] == "best.safetensors"
    assert (found["epochs"], found["train_clips"], found["val_clips"]) == (2, 6, 3)
    row = done.epochs[found["best_epoch"] - 1]
    assert found["metrics"] == row
    assert found["metrics"]["top1"] == done.best
    assert found["times"]["seconds"] > 0
    assert found["times"]["started"] == done.started


def test_a_result_is_of_the_last_training(done: FinetuneResult, few: Path) -> None:
    """Resuming a finished run changes nothing, its times included; more epochs do."""
    before = (done.folder / "result.json").read_bytes()
    train(few, done.folder)
    assert (done.folder / "result.json").read_bytes() == before
    (done.folder / "result.json").write_text("{")
    train(few, done.folder)
    assert json.loads((done.folder / "result.json").read_text())["epochs"] == 2
    train(few, done.folder, "epochs=3")
    assert json.loads((done.folder / "result.json").read_text())["epochs"] == 3
