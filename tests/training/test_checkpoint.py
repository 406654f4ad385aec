"""What an interrupted run left: everything in it is compared before anything is resumed."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TINY

from videoswin_cli.errors import UsageError
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.training.checkpoint import (
    Progress,
    load_checkpoint,
    read_recipe_of,
    save_checkpoint,
)
from videoswin_cli.training.checkpoint_checks import check_optimizer, check_scaler, check_weights
from videoswin_cli.training.optimizer import group_parameters, make_optimizer, set_lr
from videoswin_cli.training.recipe import read_recipe

Content = dict[str, Any]
DESCRIPTION = {"start": "tiny", "recipe": {"lr": 0.1}, "version": "0"}
STEPS = 6


def make_run() -> tuple[Swin3D, torch.optim.AdamW]:
    torch.manual_seed(0)
    network = Swin3D(TINY)
    recipe = read_recipe(None, [])
    optimizer = make_optimizer(network, group_parameters(network, recipe), recipe)
    set_lr(optimizer, 0.1)
    return network, optimizer


@pytest.fixture(scope="module")
def content() -> Content:
    """What a run leaves after two of six steps."""
    network, optimizer = make_run()
    for _ in range(2):
        network(torch.rand(1, 3, 4, 32, 32)).sum().backward()
        optimizer.step()
    row: dict[str, int | float] = {"epoch": 1, "step": 2, "top1": 50.0}
    progress = Progress(
        step=2, best=50.0, best_loss=1.0, best_epoch=1, epochs=[row], losses=[1.0, 0.5]
    )
    return {
        "description": DESCRIPTION,
        "progress": vars(progress),
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": {},
        "averaged": {"head.bias": torch.zeros(7)},
    }


def resume(path: Path) -> Progress:
    """As a run does it."""
    network, optimizer = make_run()
    progress, tensors = load_checkpoint(path, DESCRIPTION, steps=STEPS)
    check_weights(tensors["network"], network.state_dict(), what="network")
    check_optimizer(tensors["optimizer"], optimizer)
    check_scaler(tensors["scaler"], {})
    check_weights(tensors["averaged"], {"head.bias": torch.zeros(7)}, what="averaged")
    network.load_state_dict(tensors["network"])
    optimizer.load_state_dict(tensors["optimizer"])
    return progress


def test_what_was_saved_is_resumed(content: Content, tmp_path: Path) -> None:
    others = {k: v for k, v in content.items() if k not in ("description", "progress")}
    progress = Progress(**content["progress"])
    save_checkpoint(
        tmp_path / "state.pt", description=DESCRIPTION, progress=progress, tensors=others
    )
    assert resume(tmp_path / "state.pt") == progress
    assert type(resume(tmp_path / "state.pt").epochs[0]["epoch"]) is int
    assert read_recipe_of(tmp_path / "state.pt") == {"lr": 0.1}


def put(*keys: Any, value: Any) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


def drop(*keys: Any) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def endless() -> object:
    value: object = ()
    for _ in range(60):
        value = [value, value]
    return value


NAN, INF = float("nan"), float("inf")
DAMAGE: dict[str, tuple[Callable[[Content], None], str]] = {
    "no description": (drop("description"), "missing key 'description'"),
    "no progress": (drop("progress"), "no state of a run"),
    "no network": (drop("network"), "missing key 'network'"),
    "no optimizer": (drop("optimizer"), "missing key 'optimizer'"),
    "no scaler": (drop("scaler"), "missing key 'scaler'"),
    "no averaged": (drop("averaged"), "missing key 'averaged'"),
    "another key": (put("surprise", value=1), "unknown key 'surprise'"),
    "a description of text": (put("description", value="x"), "description is no mapping of texts"),
    "an endless description": (put("description", "train", value=endless()), "of texts"),
    "another run": (put("description", "start", value="y"), "start was 'y', now 'tiny'"),
    "progress of text": (put("progress", value="x"), "progress is no mapping"),
    "no step": (drop("progress", "step"), "progress: missing key 'step'"),
    "another figure": (put("progress", "speed", value=1), "unknown key 'speed'"),
    "step as text": (put("progress", "step", value="2"), "progress: .*step"),
    "a step of 1e9": (put("progress", "step", value=10**9), "step 1000000000 of 6"),
    "a step below 0": (put("progress", "step", value=-1), "step -1 of 6"),
    "too few losses": (put("progress", "losses", value=[1.0]), "1 losses for 2 steps"),
    "losses of infinity": (put("progress", "losses", value=[1.0, INF]), "infinite ones"),
    "losses of text": (put("progress", "losses", value="ab"), "losses"),
    "an epoch to come": (put("progress", "epochs", 0, "step", value=5), "the steps"),
    "epochs of text": (put("progress", "epochs", value=["x"]), "epochs"),
    "a best epoch to come": (put("progress", "best_epoch", value=9), "after epoch 9 of 1"),
    "best NaN": (put("progress", "best", value=NAN), "nan"),
    "confusions of pairs": (put("progress", "confusions", value=[(1, 2)]), "confusions"),
    "network of text": (put("network", value="x"), "network is no mapping"),
    "a weight less": (drop("network", "head.bias"), "network lacks, or .* 1 tensor: head.bias"),
    "a weight more": (put("network", "x", value=torch.zeros(1)), "1 tensor: x"),
    "a weight of text": (put("network", "head.bias", value="x"), "head.bias: no tensor"),
    "a weight of another shape": (
        put("network", "head.bias", value=torch.zeros(3)),
        r"head.bias: \(3,\) torch.float32, expected \(7,\)",
    ),
    "a weight of another type": (
        put("network", "head.bias", value=torch.zeros(7).long()),
        "head.bias: .* torch.int64",
    ),
    "NaN weights": (put("network", "head.bias", value=torch.full((7,), NAN)), "NaN or infinite"),
    "NaN averages": (put("averaged", "head.bias", value=torch.full((7,), NAN)), "averaged, head"),
    "no averages": (put("averaged", value={}), "averaged lacks"),
    "optimizer of text": (put("optimizer", value="x"), "optimizer: expected state"),
    "no groups": (drop("optimizer", "param_groups"), "optimizer: expected state"),
    "groups of text": (put("optimizer", "param_groups", value=["x"]), "no list of mappings"),
    "a group less": (drop("optimizer", "param_groups", 0), "other parameters or settings"),
    "other parameters": (
        put("optimizer", "param_groups", 0, "params", value=[0]),
        "other parameters or settings",
    ),
    "other betas": (
        put("optimizer", "param_groups", 0, "betas", value=(2.0, 3.0)),
        "other parameters or settings",
    ),
    "a rate of text": (
        put("optimizer", "param_groups", 0, "lr", value="x"),
        "a learning rate is no number",
    ),
    "state of text": (put("optimizer", "state", value="x"), "unknown parameters"),
    "moments of nobody": (put("optimizer", "state", 999, value={}), "unknown parameters"),
    "no moments": (put("optimizer", "state", 0, value={}), "parameter 0 has other moments"),
    "moments of another shape": (
        put("optimizer", "state", 0, "exp_avg", value=torch.zeros(1)),
        r"exp_avg of 0: \(1,\)",
    ),
    "NaN moments": (
        put("optimizer", "state", 0, "step", value=torch.tensor(NAN)),
        "step: NaN or infinite",
    ),
    "a scaler": (put("scaler", value={"scale": 1.0}), "scaler: its keys are others"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_state_is_told(name: str, content: Content, tmp_path: Path) -> None:
    change, told = DAMAGE[name]
    damaged = copy.deepcopy(content)
    change(damaged)
    torch.save(damaged, tmp_path / "state.pt")
    with pytest.raises(UsageError, match=told) as caught:
        resume(tmp_path / "state.pt")
    assert caught.value.hint or "key" in caught.value.message or "progress" in caught.value.message


@pytest.mark.parametrize("scale", ["x", -1.0, NAN])
def test_a_damaged_scaler_is_told(scale: object) -> None:
    with pytest.raises(UsageError, match="scaler: scale is no number"):
        check_scaler({"scale": scale}, {"scale": 65536.0})
    check_scaler({"scale": 2.0}, {"scale": 65536.0})


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x03\x04" + bytes(500), b"\x80\x02."])
def test_what_is_no_state_is_told(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(data)
    with pytest.raises(UsageError, match="is no state of a run, or damaged"):
        read_recipe_of(tmp_path / "state.pt")


def test_a_state_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Call:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("executed",)

    torch.save({"progress": Call()}, tmp_path / "state.pt")
    with pytest.raises(UsageError, match=r"builtins\.print"):
        read_recipe_of(tmp_path / "state.pt")


def test_a_run_without_recordings_may_be_of_an_older_version(
    tmp_path: Path, content: Content
) -> None:
    """Which said nothing of groups; and one with them says what to do."""
    torch.save(content, tmp_path / "state.pt")
    load_checkpoint(tmp_path / "state.pt", DESCRIPTION | {"groups": None}, steps=STEPS)
    with pytest.raises(UsageError, match="groups was None, now 'NAME-001'") as caught:
        load_checkpoint(tmp_path / "state.pt", DESCRIPTION | {"groups": "NAME-001"}, steps=STEPS)
    assert caught.value.hint.startswith("give --group as that run had it, or none")


def test_classes_in_another_order_are_shown(tmp_path: Path, content: Content) -> None:
    saved = DESCRIPTION | {"classes": ["1", "10", "2"]}
    torch.save(content | {"description": saved}, tmp_path / "state.pt")
    with pytest.raises(UsageError) as caught:
        load_checkpoint(tmp_path / "state.pt", saved | {"classes": ["1", "2", "10"]}, steps=STEPS)
    there, here = (f"[{name}] in place 1 (3 in another order)" for name in ("'10'", "'2'"))
    assert f"classes was {there}, now {here}" in caught.value.message
