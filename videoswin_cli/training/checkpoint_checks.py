"""Weights and optimizer of a saved run, compared with those of the run that resumes it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from videoswin_cli.errors import ResumeError, UsageError
from videoswin_cli.io.visible import counted
from videoswin_cli.training.checkpoint import START_ANEW


def check_weights(found: object, wanted: Mapping[str, Tensor], *, what: str) -> None:
    """Names, shapes, types and finite numbers.

    Raises:
        UsageError: one differs from `wanted`, or is not finite.
    """
    if not isinstance(found, Mapping):
        raise _differs(f"{what} is no mapping")
    if found.keys() != wanted.keys():
        names = sorted(map(str, found.keys() ^ wanted.keys()))
        raise _differs(f"{what} lacks, or has besides, {counted(len(names), 'tensor')}: {names[0]}")
    for name, like in wanted.items():
        _check_tensor(found[name], like, what=f"{what}, {name}")


def check_optimizer(found: object, optimizer: torch.optim.Optimizer) -> None:
    """Groups, their settings but for the learning rate, and the moments of each parameter.

    Raises:
        UsageError: they are not those of `optimizer`.
    """
    if not isinstance(found, Mapping) or found.keys() != {"state", "param_groups"}:
        raise _differs("optimizer: expected state and param_groups")
    own = optimizer.state_dict()["param_groups"]
    groups, state = found["param_groups"], found["state"]
    if not isinstance(groups, list) or not all(isinstance(g, Mapping) for g in groups):
        raise _differs("optimizer: its groups are no list of mappings")
    if [_settings(group) for group in groups] != [_settings(group) for group in own]:
        raise _differs("optimizer: its groups have other parameters or settings")
    rates = [group.get("lr") for group in groups]
    if not all(isinstance(rate, float) and 0 <= rate < float("inf") for rate in rates):
        raise _differs("optimizer: a learning rate is no number from 0 up")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if not isinstance(state, Mapping) or not set(state) <= set(range(len(parameters))):
        raise _differs("optimizer: moments of unknown parameters")
    for number, moments in state.items():
        if not isinstance(moments, Mapping) or moments.keys() != {"step", "exp_avg", "exp_avg_sq"}:
            raise _differs(f"optimizer: parameter {number} has other moments")
        _check_tensor(moments["step"], torch.zeros(()), what="optimizer, step")
        for name in ("exp_avg", "exp_avg_sq"):
            _check_tensor(moments[name], parameters[number], what=f"optimizer, {name} of {number}")


def check_scaler(found: object, wanted: Mapping[str, Any]) -> None:
    """Keys and numbers of a gradient scaler; nothing where it is not used.

    Raises:
        UsageError: they are others.
    """
    if not isinstance(found, Mapping) or found.keys() != wanted.keys():
        raise _differs("scaler: its keys are others")
    for name, value in found.items():
        if not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise _differs(f"scaler: {name} is no number from 0 up")


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != "lr"}


def _check_tensor(found: object, like: Tensor, *, what: str) -> None:
    if not isinstance(found, Tensor):
        raise _differs(f"{what}: no tensor")
    if found.shape != like.shape or found.dtype != like.dtype:
        raise _differs(
            f"{what}: {tuple(found.shape)} {found.dtype}, expected {tuple(like.shape)} {like.dtype}"
        )
    if not found.isfinite().all():
        raise _differs(f"{what}: NaN or infinite numbers")


def _differs(problem: str) -> UsageError:
    return ResumeError(problem, hint=START_ANEW)
