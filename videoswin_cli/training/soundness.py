"""Checks of a training: finite losses and weights, and steps that change something."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from videoswin_cli.errors import VideoSwinError
from videoswin_cli.training.inputs import Inputs

_LEAST_SCALE = 1e-4  # of an fp16 loss: fairseq's min_loss_scale; 30 overflows in a row lead there


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Files of a run on disk, which its errors name."""

    folder: Path
    step: int | None  # of state.pt; None: nothing was saved
    epochs: int  # validated so far

    def __str__(self) -> str:
        if self.step is None:
            return "nothing was saved"
        return f"{self.folder / 'state.pt'} is that of step {self.step}"


def check_loss(loss: float, what: str, saved: Saved) -> None:
    """Raises VideoSwinError where the weights are spoilt; what was saved before stays."""
    if not math.isfinite(loss):
        raise _diverged(f"{what} is {loss}", saved)


def check_sound(tensors: Iterable[Tensor], inputs: Inputs, step: int, saved: Saved) -> None:
    """Check the numbers of a checkpoint before they are written.

    Weights may be finite and yet so large that no clip has finite logits: the loss of their step
    was computed before the update. A blank clip shows it.

    Raises:
        VideoSwinError: some are NaN or infinite, or lead to such logits.
    """
    sound = all(bool(tensor.isfinite().all()) for tensor in tensors)
    if sound:
        with torch.no_grad():
            sound = bool(inputs.trained(inputs.batch([])).isfinite().all())
    if not sound:
        raise _diverged(f"after step {step} there are NaN or infinite numbers", saved)


def check_scale(scale: float, step: int, saved: Saved) -> None:
    """Raises VideoSwinError where no scale of an fp16 loss keeps the gradients finite."""
    if scale < _LEAST_SCALE:
        raise VideoSwinError(
            f"step {step}: the gradients overflow in fp16 even with the loss scaled by {scale:g}, "
            f"so no step changes the weights; {saved}",
            hint="start anew with --precision bf16 or fp32 and another --out",
        )


def _diverged(found: str, saved: Saved) -> VideoSwinError:
    last = saved.folder / "last.safetensors"
    start = "start anew"
    if saved.epochs and last.exists():
        start += f" from --model {last} --set keep_classes=true"
    if saved.step is not None:
        start += " with another --out"
    return VideoSwinError(
        f"{found}: the training has diverged; {saved}",
        hint=f"{start} and a lower --lr, a longer warm-up, or --precision fp32",
    )
