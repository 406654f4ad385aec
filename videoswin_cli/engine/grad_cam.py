"""Grad-CAM (Selvaraju et al., 2017, arXiv:1610.02391) on the features after a stage of a network.

Each channel counts as much as the logit of the class depends on it, on average over the clip.
Behind the last stage the head reads the mean of the features, so that a map is exact there: its
mean is the logit without its bias.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from videoswin_cli.model.network import ExplainableNetwork


@dataclass(frozen=True, kw_only=True)
class GradCam:
    """Maps of evidence in place of logits, as `forward_videos` computes them."""

    network: ExplainableNetwork  # itself, not its inference plan, which has no gradients
    index: int  # of the class
    stage: int | None = None  # from 1; None: the end, after the final norm

    def __call__(self, clips: Tensor) -> Tensor:
        """Normalized clips (B, 3, T, H, W) -> evidence for the class (B, T', H', W') float32.

        Below 0 is evidence for others.
        """
        with torch.inference_mode(mode=False), torch.no_grad():
            features = self.network.forward_features(clips.clone(), stage=self.stage).detach()
            features.requires_grad_()
            with torch.enable_grad():
                logits = self.network.classify(features, stage=self.stage)
                # Times the cells: a gradient of each alone may be too small for fp16.
                total = logits[:, self.index].sum() * features[0, 0].numel()
            (gradient,) = torch.autograd.grad(total, features)
            weights = gradient.float().mean(dim=(2, 3, 4), keepdim=True)
            return (weights * features.float()).sum(dim=1)


def spread_cells(
    cells: Tensor, cell_size: tuple[int, int, int], clip_size: tuple[int, int, int]
) -> Tensor:
    """Maps (T', H', W') of cells as maps (T, H, W) of the clip, linear between their centers.

    Cells may reach beyond a clip whose size is no multiple of theirs, as the network pads it.
    """
    size = [count * side for count, side in zip(cells.shape, cell_size, strict=True)]
    spread = F.interpolate(cells[None, None], size=size, mode="trilinear", align_corners=False)
    T, H, W = clip_size
    return spread[0, 0, :T, :H, :W]
