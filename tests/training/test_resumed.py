"""Finished, extended and spoilt runs that are resumed, and runs that no longer learn."""

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from colors import check_equal, read_state
from few_clips import CHANGES, STEPS, check_same_files, train
from notices import Notices

from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.io.process_state import deterministic_algorithms
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.training.finetune import finetune
from videoswin_cli.training.result import FinetuneResult
from videoswin_cli.training.step import Stepper

STILL = ("lr=1e-12", "patience=1", "epochs=6", "ema=0")


@pytest.fixture(scope="module")
def finished(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "o"
    train(few, out)
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A finished run of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "o"))


def test_a_finished_run_stays_as_it_is(few: Path, finished: Path, out: Path) -> None:
    notices = Notices()
    done = train(few, out, notices=notices)
    assert not done.interrupted
    assert any("nothing is left to train" in text for text in notices.texts)
    check_same_files(out, finished)


def test_a_run_that_stopped_early_stays_stopped(few: Path, tmp_path: Path) -> None:
    out, notices = tmp_path / "o", Notices()
    assert len(train(few, out, *STILL).epochs) == 2
    shutil.copytree(out, tmp_path / "before")
    for _ in range(2):
        assert len(train(few, out, *STILL, notices=notices).epochs) == 2
    assert any("no better for 1 epoch: stopped" in text for text in notices.texts)
    check_same_files(out, tmp_path / "before")
    more = train(few, out, *STILL, "epochs=9")
    assert len(more.epochs) == 3, "patience counts anew"
    patient = train(few, out, *STILL, "epochs=9", "patience=3")
    assert len(patient.epochs) == 5, "two epochs had passed without a better one"


def test_more_epochs_follow_the_longer_cosine(few: Path, out: Path) -> None:
    notices = Notices()
    with pytest.raises(UsageError, match=r"\{'epochs': 2\}, now \{'epochs': 1\}"):
        train(few, out, "epochs=1")
    done = train(few, out, "epochs=3", notices=notices)
    assert [row["step"] for row in done.epochs] == [2, 4, 6]
    (told,) = (text for text in notices.texts if "the cosine" in text)
    # A warm-up of a third of the run: 1 of 4 steps and 2 of 6; then a cosine.
    last, following = (0.01 * (1 + math.cos(math.pi * share)) for share in (2 / 3, 2 / 4))
    assert f"it was {last:.3g} in step 4, it is {following:.3g} in the next one" in told


def test_what_was_deleted_is_written_again(few: Path, finished: Path, out: Path) -> None:
    """The pictures and the result too, as after a kill behind the last epoch."""
    for path in out.iterdir():
        if path.name not in ("state.pt", "best.safetensors", "train.log", "result.json"):
            path.unlink()
    train(few, out)
    check_same_files(out, finished)


def test_missing_clips_are_named_as_the_cause(few: Path, out: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(few, tmp_path / "few"))
    (folder / "data/red/0.mp4").unlink()
    with pytest.raises(
        UsageError, match=r"^1 of the 9 clips of the run .*: red/0\.mp4$"
    ) as refused:
        train(folder, out, model=few / "tiny.safetensors")
    assert "put them back" in refused.value.hint


def test_the_recipe_of_the_run_is_that_of_its_rest(few: Path, out: Path, finished: Path) -> None:
    """Its start model too, and where config.yaml is gone; more epochs may be given alone."""

    def resume(**more: Any) -> FinetuneResult:
        here: dict[str, Any] = {"out": out, "device": "cpu", "workers": 0}
        return finetune(few / "data", val_share=0.3, resume=True, **here, **more)

    assert resume().recipe.lr == 0.02
    assert resume().start == str(few / "tiny.safetensors")
    with pytest.raises(UsageError, match=r"start was .*tiny\.safetensors.*, now 'swin-tiny-k400'"):
        resume(model="swin-tiny-k400", scratch=True)
    check_same_files(out, finished)
    (out / "config.yaml").unlink()
    assert resume().recipe.lr == 0.02
    more = resume(epochs=3, changes=["patience=2", "save_minutes=1"])
    assert more.recipe.patience == 2
    assert resume().recipe.epochs == 3, "as config.yaml says now"
    with pytest.raises(UsageError, match=r"'epochs': 3\}, now \{'epochs': 2\}"):
        resume(epochs=2)


def test_a_run_from_scratch_is_resumed_as_such(few: Path, tmp_path: Path) -> None:
    here: dict[str, Any] = {"val_share": 0.3, "out": tmp_path / "o", "device": "cpu", "workers": 0}
    begun = finetune(
        few / "data", model=few / "tiny.safetensors", scratch=True, changes=CHANGES, **here
    )
    resumed = finetune(few / "data", resume=True, epochs=3, **here)
    assert (len(begun.epochs), len(resumed.epochs)) == (2, 3)
    assert resumed.losses[:STEPS] == begun.losses


def test_another_recipe_is_refused_before_features_are_computed(few: Path, tmp_path: Path) -> None:
    out, notices = tmp_path / "o", Notices()
    train(few, out, "freeze=backbone", notices=notices)
    assert any("computing the features" in text for text in notices.texts)
    notices = Notices()
    with pytest.raises(UsageError, match="recipe was"):
        train(few, out, "freeze=backbone", "lr=0.5", notices=notices)
    assert not any("computing the features" in text for text in notices.texts)


def test_a_run_is_resumed_into_another_folder(few: Path, out: Path, tmp_path: Path) -> None:
    """Paths may be text."""
    done = finetune(
        str(few / "data"),
        val_share=0.3,
        model=str(few / "tiny.safetensors"),
        out=str(tmp_path / "new" / "o"),
        resume_from=str(out / "state.pt"),
        epochs=3,
        device="cpu",
        workers=0,
    )
    assert [row["epoch"] for row in done.epochs] == [1, 2, 3]
    assert done.recipe.lr == 0.02


def test_a_best_epoch_whose_weights_are_gone_is_not_claimed(few: Path, tmp_path: Path) -> None:
    out, notices = tmp_path / "o", Notices()
    changes = (*STILL, "patience=0", "epochs=2")
    assert train(few, out, *changes).best_epoch == 1
    (out / "best.safetensors").unlink()
    with pytest.raises(UsageError, match=r"best\.safetensors of epoch 1 is gone"):
        train(few, out, *changes)
    more = train(few, out, *changes, "epochs=3", notices=notices)
    assert more.best_epoch == 3
    assert (out / "best.safetensors").exists()
    assert any("the best of the epochs to come" in text for text in notices.texts)


def test_another_run_is_not_written_over(few: Path, out: Path, tmp_path: Path) -> None:
    (out / "state.pt").unlink()
    with pytest.raises(UsageError, match=r"holds a run whose state\.pt is gone"):
        train(few, out)


@pytest.fixture
def losing(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Clips of which validation ones vanish in step 3; gives where they are kept."""

    def lose(count: int) -> Path:
        folder = Path(shutil.copytree(few, tmp_path / "few"))
        step = Stepper.step

        def losing_step(stepper: Stepper, number: int, items: Any) -> Any:
            if number == 2:
                rows = (tmp_path / "o/splits.csv").read_text().splitlines()
                paths = [row.split(",")[0] for row in rows if row.endswith(",val")]
                for path in paths[:count]:
                    (folder / "data" / path).rename(tmp_path / path.replace("/", "-"))
            return step(stepper, number, items)

        monkeypatch.setattr(Stepper, "step", losing_step)
        return folder

    return lose


def test_unreadable_validation_clips_are_named(
    losing: Callable[[int], Path], tmp_path: Path
) -> None:
    notices = Notices()
    done = train(losing(1), tmp_path / "o", notices=notices)
    ((path, reason),) = done.failed
    told = f"1 of 3 validation clips cannot be read and count as wrong: {path} ({reason})"
    assert told in notices.texts


def test_validation_without_a_readable_clip_is_due_again(
    losing: Callable[[int], Path], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = losing(3), tmp_path / "o"
    with pytest.raises(VideoSwinError, match="none of the 3 validation clips") as failure:
        train(folder, out)
    assert "diverged" not in failure.value.message
    assert ".mp4 (" in failure.value.message
    assert read_state(out)["progress"]["step"] == STEPS
    monkeypatch.undo()
    for clip in tmp_path.glob("*-*.mp4"):
        clip.rename(folder / "data" / clip.name.replace("-", "/"))
    train(folder, out)
    check_equal(out, finished)


def test_a_spoilt_first_step_is_not_saved(few: Path, tmp_path: Path) -> None:
    """Its loss is that before the update, and its weights of 1e14 are finite."""
    out = tmp_path / "o"
    with pytest.raises(VideoSwinError, match=r"after step 1 .* diverged; nothing was saved") as no:
        train(few, out, "lr=1e15", "clip_grad_norm=0", "ema=0")
    assert "start anew and a lower --lr" in no.value.hint
    assert not (out / "state.pt").exists()
    assert not train(few, out).interrupted


@pytest.mark.parametrize("where", ["weights", "moments", "averages"])
def test_spoilt_numbers_are_not_saved(
    where: str, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, step = tmp_path / "o", Stepper.step
    from videoswin_cli.training.ema import EMA

    update = EMA.update

    def spoil(stepper: Stepper, number: int, items: Any) -> Any:
        result = step(stepper, number, items)
        group = stepper.optimizer.param_groups[0]["params"]
        if number == 3 and where == "weights":
            group[0].data.fill_(math.inf)
        if number == 3 and where == "moments":
            stepper.optimizer.state[group[0]]["exp_avg_sq"].fill_(math.inf)
        return result

    def spoil_average(averaged: EMA, network: Any, number: int) -> None:
        update(averaged, network, number)
        if number == 3 and where == "averages":
            averaged.tensors["head.bias"].fill_(math.nan)

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "step", spoil)
        patch.setattr(EMA, "update", spoil_average)
        with pytest.raises(VideoSwinError, match=r"diverged; .*state\.pt is that of step 3") as no:
            train(few, out, "save_minutes=0")
    last = out / "last.safetensors"
    assert f"start anew from --model {last} --set keep_classes=true" in no.value.hint
    assert not train(few, out, "save_minutes=0").interrupted, "the state before is sound"
    train(few, tmp_path / "anew", "keep_classes=true", "lr=1e-12", "ema=0", model=last)
    old, new = (read_checkpoint(f / "last.safetensors").tensors for f in (out, tmp_path / "anew"))
    assert torch.allclose(old["head.weight"], new["head.weight"], atol=1e-6)


@pytest.fixture
def overflowing(monkeypatch: pytest.MonkeyPatch) -> Callable[[set[int]], None]:
    """An fp16 scaler, whose gradients overflow in some steps."""

    def overflow(steps: set[int]) -> None:
        make, step, now = Stepper.__init__, Stepper.step, [0]

        def scaled(stepper: Stepper, *args: Any, **more: Any) -> None:
            make(stepper, *args, **more)
            stepper.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**-10)
            parameter = stepper.optimizer.param_groups[0]["params"][0]
            parameter.register_hook(lambda g: g * (math.inf if now[0] in steps else 1))

        def counted(stepper: Stepper, number: int, items: Any) -> Any:
            now[0] = number
            return step(stepper, number, items)

        monkeypatch.setattr(Stepper, "__init__", scaled)
        monkeypatch.setattr(Stepper, "step", counted)

    return overflow


def test_steps_that_all_overflow_end_with_an_error(
    few: Path, tmp_path: Path, overflowing: Callable[[set[int]], None]
) -> None:
    overflowing({0, 1, 2, 3})
    with pytest.raises(VideoSwinError, match="step 4: the gradients overflow in fp16") as failure:
        train(few, tmp_path / "o")
    assert "--precision bf16" in failure.value.hint


def test_a_skipped_step_does_not_count_for_the_averages(
    few: Path,
    tmp_path: Path,
    overflowing: Callable[[set[int]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from videoswin_cli.training.ema import EMA

    overflowing({1})
    updated: list[int] = []
    monkeypatch.setattr(EMA, "update", lambda _, __, step: updated.append(step))
    train(few, tmp_path / "o")
    assert updated == [0, 2, 3]


def test_cublas_has_a_workspace_with_which_it_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:2:16:8")
    with (
        pytest.raises(UsageError, match="products on a GPU may differ"),
        deterministic_algorithms(),
    ):
        pass
    for given, then in ((":16:8", ":16:8"), (None, ":4096:8")):
        if given is None:
            monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
        else:
            monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", given)
        with deterministic_algorithms():
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == then
            assert torch.are_deterministic_algorithms_enabled()
        assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == given
        assert not torch.are_deterministic_algorithms_enabled()
