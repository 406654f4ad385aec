"""Pretrained video recognition with Video Swin Transformer.

    from videoswin_cli import extract, load_model, predict

They are resolved at first use, so that importing the package stays cheap.
"""

from typing import TYPE_CHECKING

from videoswin_cli.version import __version__

if TYPE_CHECKING:
    from videoswin_cli.data.decoding.open import open_video
    from videoswin_cli.io.process_state import reproducible_sums
    from videoswin_cli.model.inference_plan import InferencePlan
    from videoswin_cli.tasks.extract.extract import extract
    from videoswin_cli.tasks.predict import load_model, predict

__all__ = [
    "InferencePlan",
    "__version__",
    "extract",
    "load_model",
    "open_video",
    "predict",
    "reproducible_sums",
]

_HOMES = {
    "InferencePlan": "videoswin_cli.model.inference_plan",
    "extract": "videoswin_cli.tasks.extract.extract",
    "load_model": "videoswin_cli.tasks.predict",
    "open_video": "videoswin_cli.data.decoding.open",
    "predict": "videoswin_cli.tasks.predict",
    "reproducible_sums": "videoswin_cli.io.process_state",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
