"""Pretrained video recognition with Video Swin Transformer.

    from videoswin_cli import load_model, predict

Names are resolved at first use, so that importing the package stays cheap.
"""

from typing import TYPE_CHECKING

from videoswin_cli.version import __version__

if TYPE_CHECKING:
    from videoswin_cli.api import Model, evaluate, extract, load_model, predict
    from videoswin_cli.data.decoding.open import open_video
    from videoswin_cli.errors import (
        CheckpointError,
        ExpectationError,
        FetchError,
        MachineError,
        UsageError,
        VideoError,
        VideoSwinError,
    )
    from videoswin_cli.io.process_state import reproducible_sums
    from videoswin_cli.model.inference_plan import InferencePlan
    from videoswin_cli.records import EvalSummary, Prediction, WindowPrediction
    from videoswin_cli.tasks.evaluate.summary import Evaluation
    from videoswin_cli.tasks.extract.tables import FeatureTable

__all__ = [
    "CheckpointError",
    "EvalSummary",
    "Evaluation",
    "ExpectationError",
    "FeatureTable",
    "FetchError",
    "InferencePlan",
    "MachineError",
    "Model",
    "Prediction",
    "UsageError",
    "VideoError",
    "VideoSwinError",
    "WindowPrediction",
    "__version__",
    "evaluate",
    "extract",
    "load_model",
    "open_video",
    "predict",
    "reproducible_sums",
]

_HOMES = {
    "CheckpointError": "errors",
    "EvalSummary": "records",
    "Evaluation": "tasks.evaluate.summary",
    "ExpectationError": "errors",
    "FeatureTable": "tasks.extract.tables",
    "FetchError": "errors",
    "InferencePlan": "model.inference_plan",
    "MachineError": "errors",
    "Model": "api",
    "Prediction": "records",
    "UsageError": "errors",
    "VideoError": "errors",
    "VideoSwinError": "errors",
    "WindowPrediction": "records",
    "evaluate": "api",
    "extract": "api",
    "load_model": "api",
    "open_video": "data.decoding.open",
    "predict": "api",
    "reproducible_sums": "io.process_state",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"videoswin_cli.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
