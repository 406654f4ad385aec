"""Curves of a run for other tools: what is asked for, and what they keep without a network."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from few_clips import CHANGES, STEPS, write_few

from videoswin_cli.errors import UsageError
from videoswin_cli.training import loggers
from videoswin_cli.training.finetune import finetune
from videoswin_cli.training.loggers import ScalarWriter, choose_loggers, open_loggers

installed = pytest.mark.skipif(
    not (find_spec("wandb") and find_spec("mlflow")),
    reason="wandb and mlflow are heavy: nox -s loggers installs them",
)


def only(*names: str) -> Any:
    """A `find_spec` that knows these packages."""
    return lambda name: name if name in names else None


def test_tensorboard_is_the_default_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "find_spec", only("tensorboard", "wandb"))
    assert choose_loggers(None) == ("tensorboard",)
    assert choose_loggers(()) == ()
    assert choose_loggers(("wandb", "tensorboard")) == ("tensorboard", "wandb")
    monkeypatch.setattr(loggers, "find_spec", only("wandb"))
    assert choose_loggers(None) == ()


def test_a_logger_that_is_not_installed_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "find_spec", only())
    with pytest.raises(UsageError, match="--log wandb: wandb is not installed") as refused:
        finetune(tmp_path / "nowhere", out=tmp_path / "o", log=("wandb",))
    assert refused.value.hint.startswith('pip install "videoswin[wandb]"')


@pytest.mark.parametrize("text", ["", "wand", "wandb,", "none,wandb", "wandb wandb"])
def test_an_unknown_logger_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected tensorboard, wandb, mlflow or none"):
        finetune(tmp_path, log=text)


def test_all_that_are_asked_for_get_every_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []

    class Noted(ScalarWriter):
        def __init__(self, folder: Path, step: int, config: Any) -> None:
            calls.append((folder, step, config))

        def write(self, group: str, values: Any, step: int) -> None:
            calls.append((group, values, step))

        def flush(self) -> None:
            calls.append(("flush",))

        def close(self) -> None:
            calls.append(("close",))

    monkeypatch.setattr(loggers, "_WRITERS", {"wandb": Noted, "mlflow": Noted})
    writer = open_loggers(tmp_path, ("wandb", "mlflow"), step=3, config={"lr": 0.1})
    writer.write("step", {"loss": 1.0}, 4)
    writer.flush()
    writer.close()
    once = [(tmp_path, 3, {"lr": 0.1}), ("step", {"loss": 1.0}, 4), ("flush",), ("close",)]
    assert calls == [call for call in once for _ in range(2)]


def test_a_logger_that_cannot_be_opened_is_named_and_the_others_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    class Open(ScalarWriter):
        def __init__(self, *_: object) -> None: ...

        def close(self) -> None:
            closed.append("closed")

    def fail(*_: object) -> ScalarWriter:
        raise RuntimeError("no server")

    monkeypatch.setattr(loggers, "_WRITERS", {"wandb": Open, "mlflow": fail})
    with pytest.raises(UsageError, match="--log mlflow: no server"):
        open_loggers(tmp_path, ("wandb", "mlflow"), step=0, config={})
    assert closed == ["closed"]


@installed
@pytest.mark.filterwarnings("ignore")  # of these libraries
def test_curves_without_a_network_are_those_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed run is one run there."""
    from mlflow import MlflowClient

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    few, out = write_few(tmp_path), tmp_path / "o"
    here: dict[str, Any] = {"model": few / "tiny.safetensors", "val_share": 0.3, "device": "cpu"}
    for epochs in (2, 3):
        done = finetune(
            few / "data",
            out=out,
            resume=True,
            changes=[*CHANGES, f"epochs={epochs}"],
            workers=0,
            log=("wandb", "mlflow"),
            **here,
        )
    client = MlflowClient()
    experiment = client.get_experiment_by_name("videoswin")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["lr"] == "0.02"
    steps = {
        (each.step, each.value) for each in client.get_metric_history(run.info.run_id, "step/loss")
    }
    assert steps == {(number + 1, loss) for number, loss in enumerate(done.losses)}
    assert len(done.losses) == STEPS + 2
    top1 = client.get_metric_history(run.info.run_id, "epoch/top1")
    assert {(each.step, each.value) for each in top1} == {
        (row["step"], row["top1"]) for row in done.epochs
    }
    # Its own format holds the values; two calls are two parts of one run.
    parts = sorted((out / "wandb").glob("offline-run-*/*.wandb"))
    assert len(parts) == 2
    assert len({part.name for part in parts}) == 1
    assert all(b"step/loss" in part.read_bytes() for part in parts)
