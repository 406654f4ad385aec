"""Whether a training still learns: finite losses and weights, and steps that change something."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from videoswin_cli.errors import VideoSwinError
from videoswin_cli.training.session import Session

_LEAST_SCALE = 1e-4  # of an fp16 loss: fairseq's min_loss_scale; 30 overflows in a row lead there


def check_loss(loss: float, what: str, session: Session) -> None:
    """Raises VideoSwinError where the weights are spoilt; what was saved before stays."""
    if not math.isfinite(loss):
        raise _diverged(f"{what} is {loss}", session)


def check_sound(session: Session) -> None:
    """The numbers that a state would hold, before they are written.

    Weights may be finite and yet so large that no clip has a finite answer: the loss of their step
    was computed before the update. A blank clip shows it.

    Raises:
        VideoSwinError: some are NaN or infinite, or lead to such answers.
    """
    inputs = session.inputs
    sound = all(bool(tensor.isfinite().all()) for tensor in _tensors(session))
    if sound:
        with torch.no_grad():
            sound = bool(inputs.trained(inputs.batch([])).isfinite().all())
    if not sound:
        raise _diverged(
            f"after step {session.progress.step} there are NaN or infinite numbers", session
        )


def check_scale(session: Session) -> None:
    """Raises VideoSwinError where no scale of an fp16 loss keeps the gradients finite."""
    scale = session.stepper.scaler.get_scale()
    if scale < _LEAST_SCALE:
        raise VideoSwinError(
            f"step {session.progress.step + 1}: the gradients overflow in fp16 even with the loss "
            f"scaled by {scale:g}, so no step changes the weights; {_kept(session)}",
            hint="start anew with --precision bf16 or fp32 and another --out",
        )


def _tensors(session: Session) -> Iterator[Tensor]:
    yield from session.start.model.network.state_dict().values()
    for moments in session.stepper.optimizer.state.values():
        yield from (value for value in moments.values() if isinstance(value, Tensor))
    if session.averaged is not None:
        yield from session.averaged.tensors.values()


def _diverged(found: str, session: Session) -> VideoSwinError:
    last = session.options.out / "last.safetensors"
    start = "start anew"
    if session.progress.epochs and last.exists():
        start += f" from --model {last} --set keep_classes=true"
    if session.saved_step is not None:
        start += " with another --out"
    return VideoSwinError(
        f"{found}: the training has diverged; {_kept(session)}",
        hint=f"{start} and a lower --set lr, a longer warm-up, or --precision fp32",
    )


def _kept(session: Session) -> str:
    if session.saved_step is None:
        return "nothing was saved"
    return f"{session.options.out / 'state.pt'} is that of step {session.saved_step}"
