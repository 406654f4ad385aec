"""Pretrained video recognition with Video Swin Transformer.

    from videoswin_cli import load_model, predict

Names are resolved at first use, so that importing the package stays cheap.
"""

from typing import TYPE_CHECKING

from videoswin_cli.version import __version__

if TYPE_CHECKING:
    from videoswin_cli.api import (
        Model,
        check,
        evaluate,
        explain,
        extract,
        load_model,
        predict,
        timeline,
    )
    from videoswin_cli.data.decoding.open import open_video
    from videoswin_cli.errors import (
        CheckpointError,
        ConfigError,
        DatasetError,
        DeviceError,
        ExpectationError,
        FetchError,
        LabelError,
        MachineError,
        MissingInputError,
        NoVideoError,
        OfflineError,
        OutputExistsError,
        ResumeError,
        TruncatedVideoError,
        UnknownModelError,
        UsageError,
        VideoError,
        VideoSwinError,
    )
    from videoswin_cli.io.process_state import reproducible_sums
    from videoswin_cli.model.inference_plan import InferencePlan
    from videoswin_cli.records import (
        ActionSegment,
        ClassProbability,
        EvalSummary,
        Prediction,
        Timeline,
        UnreadSpan,
        VideoInfo,
        WindowPrediction,
    )
    from videoswin_cli.report.findings import CheckReport, Finding
    from videoswin_cli.tasks.evaluate.summary import Evaluation
    from videoswin_cli.tasks.explain.explanation import Explanation
    from videoswin_cli.tasks.extract.tables import FeatureTable
    from videoswin_cli.training.finetune import finetune
    from videoswin_cli.training.result import FinetuneResult

__all__ = [
    "ActionSegment",
    "CheckReport",
    "CheckpointError",
    "ClassProbability",
    "ConfigError",
    "DatasetError",
    "DeviceError",
    "EvalSummary",
    "Evaluation",
    "ExpectationError",
    "Explanation",
    "FeatureTable",
    "FetchError",
    "Finding",
    "FinetuneResult",
    "InferencePlan",
    "LabelError",
    "MachineError",
    "MissingInputError",
    "Model",
    "NoVideoError",
    "OfflineError",
    "OutputExistsError",
    "Prediction",
    "ResumeError",
    "Timeline",
    "TruncatedVideoError",
    "UnknownModelError",
    "UnreadSpan",
    "UsageError",
    "VideoError",
    "VideoInfo",
    "VideoSwinError",
    "WindowPrediction",
    "__version__",
    "check",
    "evaluate",
    "explain",
    "extract",
    "finetune",
    "load_model",
    "open_video",
    "predict",
    "reproducible_sums",
    "timeline",
]

_HOMES = {
    "ActionSegment": "records",
    "CheckReport": "report.findings",
    "CheckpointError": "errors",
    "ClassProbability": "records",
    "ConfigError": "errors",
    "DatasetError": "errors",
    "DeviceError": "errors",
    "EvalSummary": "records",
    "Evaluation": "tasks.evaluate.summary",
    "ExpectationError": "errors",
    "Explanation": "tasks.explain.explanation",
    "FeatureTable": "tasks.extract.tables",
    "FetchError": "errors",
    "Finding": "report.findings",
    "FinetuneResult": "training.result",
    "InferencePlan": "model.inference_plan",
    "LabelError": "errors",
    "MachineError": "errors",
    "MissingInputError": "errors",
    "Model": "api",
    "NoVideoError": "errors",
    "OfflineError": "errors",
    "OutputExistsError": "errors",
    "Prediction": "records",
    "ResumeError": "errors",
    "Timeline": "records",
    "TruncatedVideoError": "errors",
    "UnknownModelError": "errors",
    "UnreadSpan": "records",
    "UsageError": "errors",
    "VideoError": "errors",
    "VideoInfo": "records",
    "VideoSwinError": "errors",
    "WindowPrediction": "records",
    "check": "api",
    "evaluate": "api",
    "explain": "api",
    "extract": "api",
    "finetune": "training.finetune",
    "load_model": "api",
    "open_video": "data.decoding.open",
    "predict": "api",
    "reproducible_sums": "io.process_state",
    "timeline": "api",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"videoswin_cli.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
