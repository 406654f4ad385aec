"""torchvision's Swin-T, which the benchmarks and a test compare ours with."""

import sys
from collections.abc import Callable

import torch


def import_swin3d_t() -> Callable[[], torch.nn.Module]:
    """The constructor, also where torchvision's operators do not load (CPU-only torch)."""
    try:
        from torchvision.models.video import swin3d_t
    except RuntimeError as error:  # "operator torchvision::nms does not exist"
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):  # named at import, not used by the network
            library.define(f"{operator}(Tensor dets, Tensor scores, float threshold) -> Tensor")
        from torchvision.models.video import swin3d_t

        swin3d_t.library = library  # its operators live as long as it
    return swin3d_t
