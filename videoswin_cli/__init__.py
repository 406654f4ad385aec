"""Pretrained video recognition with Video Swin Transformer.

    from videoswin_cli import extract, load_model, predict

They are resolved at first use, so that importing the package stays cheap.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videoswin_cli.engine.extraction import extract
    from videoswin_cli.engine.prediction import load_model, predict

__version__ = "0.1.0"
__all__ = ["__version__", "extract", "load_model", "predict"]


def __getattr__(name: str) -> object:
    if name == "extract":
        from videoswin_cli.engine.extraction import extract

        return extract
    if name in ("load_model", "predict"):
        from videoswin_cli.engine import prediction

        return getattr(prediction, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
