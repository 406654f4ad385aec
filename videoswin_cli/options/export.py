"""Options of `videoswin export`."""

from dataclasses import dataclass
from typing import Literal

from videoswin_cli.options.fields import option


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Contents of an exported file, and its tolerance."""

    format: Literal["torch", "onnx", "openvino"] = option("onnx", "Of the file.")
    precision: Literal["fp32", "fp16"] = option(
        "fp32", "Of the weights in the file; fp16 halves it. It computes in fp32."
    )
    batch: int | None = option(
        None, "Views per call of the graph.", least=1, metavar="N", shown_default="any number"
    )
    with_preprocess: bool = option(
        False, "Take uint8 frames (B, T, H, W, 3) and normalize them inside."
    )
    opset: int = option(18, "Opset of ONNX.", least=18, metavar="N")
    tolerance: float | None = option(
        None,
        "Largest difference from PyTorch: of a logit (fp32), in standard deviations of the "
        "logits (fp16).",
        least=0,
        metavar="X",
        shown_default="0.0001; fp16: 0.02",
    )
