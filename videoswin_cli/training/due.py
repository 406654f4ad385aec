"""Next part of a run: it follows from progress and plan, whenever the run was stopped."""

from enum import Enum, auto

from videoswin_cli.training.checkpoint import Progress
from videoswin_cli.training.plan import Plan


class Due(Enum):
    TRAINING = auto()  # up to the end of the epoch
    VALIDATION = auto()


def find_due(progress: Progress, plan: Plan) -> Due | None:
    """Next part; None for a run that is finished, or stopped for want of a better epoch."""
    if is_validated(progress):
        done = progress.step == plan.steps or find_wait(progress, plan)
        return None if done else Due.TRAINING
    if progress.step and plan.last_of_epoch(progress.step - 1):
        return Due.VALIDATION
    return Due.TRAINING


def is_validated(progress: Progress) -> bool:
    """Whether the weights are those of the last row of metrics.csv."""
    return bool(progress.epochs) and progress.epochs[-1]["step"] == progress.step


def find_wait(progress: Progress, plan: Plan) -> int:
    """Epochs without a better validation, where they exhaust the patience; else 0."""
    if not is_validated(progress) or not plan.recipe.patience:
        return 0
    last = int(progress.epochs[-1]["epoch"])
    waited = last - max(progress.best_epoch, progress.waits_from)
    return waited if waited >= plan.recipe.patience else 0
