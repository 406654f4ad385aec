"""torchvision's Video Swin networks, which ours is measured against."""

import sys
from typing import Any

import torch

from videoswin_cli.errors import UsageError
from videoswin_cli.records import Architecture

_NAMES: dict[tuple[int, tuple[int, ...]], str] = {  # by embed_dim and depths
    (96, (2, 2, 6, 2)): "swin3d_t",
    (96, (2, 2, 18, 2)): "swin3d_s",
    (128, (2, 2, 18, 2)): "swin3d_b",
}


def make_baseline(architecture: Architecture) -> torch.nn.Module:
    """Torchvision's network of these sizes with random weights, in eval mode.

    Raises:
        UsageError: torchvision has none, or is not installed.
    """
    name = _NAMES.get((architecture.embed_dim, tuple(architecture.depths)))
    if name is None or architecture.window_size != (8, 7, 7):
        raise UsageError(
            f"torchvision has no network of embed_dim {architecture.embed_dim}, depths "
            f"{list(architecture.depths)} and window {list(architecture.window_size)}",
            hint="it has Swin-T, -S and -B with windows of 8x7x7: --model swin-tiny-k400, say",
        )
    try:
        video = _import_video_models()
    except ImportError as error:
        raise UsageError(
            f"torchvision cannot be imported: {error}",
            hint="pip install --no-deps the version that goes with this torch "
            f"({torch.__version__}): 0.28 goes with 2.13",
        ) from error
    network: torch.nn.Module = getattr(video, name)(num_classes=architecture.num_classes)
    return network.eval()


def _import_video_models() -> Any:
    """Also where torchvision's operators do not load, as with CPU-only torch."""
    try:
        from torchvision.models import video  # type: ignore[import-not-found,unused-ignore]
    except RuntimeError as error:  # "operator torchvision::nms does not exist"
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):  # named at import, not used by the network
            library.define(f"{operator}(Tensor dets, Tensor scores, float threshold) -> Tensor")  # type: ignore[no-untyped-call]
        from torchvision.models import video  # type: ignore[import-not-found,unused-ignore]

        video.library = library  # its operators live as long as it
    return video
