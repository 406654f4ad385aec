"""Options of `videoswin export`."""

from dataclasses import dataclass
from typing import Literal

from videoswin_cli.errors import UsageError
from videoswin_cli.options.fields import check_options, option

_OPSET = 18  # with IR 10: ONNX Runtime 1.20.1 of November 2024 reads it
_LAST_OPSET = 21  # that it reads


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
    opset: int | None = option(
        None,
        "Opset of ONNX.",
        least=_OPSET,
        most=_LAST_OPSET,
        metavar="N",
        shown_default=f"{_OPSET}",
    )
    tolerance: float | None = option(
        None,
        "Largest difference from PyTorch: of a logit (fp32), in standard deviations of the "
        "logits (fp16).",
        least=0,
        metavar="X",
        shown_default="0.0001; fp16: 0.02",
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.opset is not None and self.format != "onnx":
            raise UsageError(
                f"--opset {self.opset}: it is of ONNX, and --format is {self.format}",
                hint="leave it out, or use --format onnx",
            )

    @property
    def chosen_opset(self) -> int:
        return _OPSET if self.opset is None else self.opset
