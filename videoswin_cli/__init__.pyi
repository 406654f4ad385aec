"""Public names with their types. Written by `nox -s golden` from the option records."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from videoswin_cli.records import ActionSegment as ActionSegment
from videoswin_cli.report.findings import CheckReport as CheckReport
from videoswin_cli.errors import CheckpointError as CheckpointError
from videoswin_cli.records import ClassProbability as ClassProbability
from videoswin_cli.errors import ConfigError as ConfigError
from videoswin_cli.errors import DatasetError as DatasetError
from videoswin_cli.errors import DeviceError as DeviceError
from videoswin_cli.records import EvalSummary as EvalSummary
from videoswin_cli.tasks.evaluate.summary import Evaluation as Evaluation
from videoswin_cli.errors import ExpectationError as ExpectationError
from videoswin_cli.tasks.explain.explanation import Explanation as Explanation
from videoswin_cli.tasks.extract.tables import FeatureTable as FeatureTable
from videoswin_cli.errors import FetchError as FetchError
from videoswin_cli.report.findings import Finding as Finding
from videoswin_cli.training.result import FinetuneResult as FinetuneResult
from videoswin_cli.model.inference_plan import InferencePlan as InferencePlan
from videoswin_cli.errors import LabelError as LabelError
from videoswin_cli.errors import MachineError as MachineError
from videoswin_cli.errors import MissingInputError as MissingInputError
from videoswin_cli.api import Model as Model
from videoswin_cli.errors import NoVideoError as NoVideoError
from videoswin_cli.errors import OfflineError as OfflineError
from videoswin_cli.errors import OutputExistsError as OutputExistsError
from videoswin_cli.records import Prediction as Prediction
from videoswin_cli.errors import ResumeError as ResumeError
from videoswin_cli.records import Timeline as Timeline
from videoswin_cli.errors import TruncatedVideoError as TruncatedVideoError
from videoswin_cli.errors import UnknownModelError as UnknownModelError
from videoswin_cli.records import UnreadSpan as UnreadSpan
from videoswin_cli.errors import UsageError as UsageError
from videoswin_cli.errors import VideoError as VideoError
from videoswin_cli.records import VideoInfo as VideoInfo
from videoswin_cli.errors import VideoSwinError as VideoSwinError
from videoswin_cli.records import WindowPrediction as WindowPrediction
from videoswin_cli.data.decoding.open import open_video as open_video
from videoswin_cli.io.process_state import reproducible_sums as reproducible_sums
from videoswin_cli.data.in_memory import Data, Source, Sources
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.records import Shard, Stride
from videoswin_cli.version import __version__ as __version__

__all__: list[str]

def check(
    paths: str | Path | Sequence[str | Path] = ...,
    *,
    list_file: Path | None | str = None,
    root: Path | str | None = None,
    list_format: Literal['paths', 'path-label', 'path-labels', 'id-label', 'id-frames-label', 'path-start-count-label', 'moments', 'csv', 'json', 'jsonl', 'ucf101', 'hmdb51', 'elan', 'webdataset'] | None = None,
    split: str | None = None,
    label_column: str | None = None,
    limit: int | None = None,
    start: float | None | str = None,
    end: float | None | str = None,
    all_files: bool = False,
    val_list: Path | None | str = None,
    test_list: Path | None | str = None,
    multi_label: bool = False,
    model: str | None = None,
    labels: Path | None | str = None,
    deep: bool = False,
    near_duplicates: bool = False,
    decoder: Literal['auto', 'decord', 'pyav', 'torchcodec'] = 'auto',
    stream: int | None = None,
    allow_truncated: bool = False,
    max_pixels: int = 67108864,
    frame_template: str | None | float = None,
    frames_fps: float | None | str = None,
    cache_size: int | None | str | float = None,
    workers: int | None = 0,
    write_list: Path | None | str = None,
) -> CheckReport: ...

def evaluate(
    data: Data | None = None,
    *,
    model: Model | str | Path | None = None,
    checkpoint: Path | None | str = None,
    weights_set: str | None = None,
    labels: Path | None | str = None,
    views: str = 'paper',
    fps: float | Literal['source'] | None | str = None,
    device: str = 'auto',
    precision: Literal['auto', 'fp32', 'bf16', 'fp16'] = 'fp32',
    engine: Literal['auto', 'torch', 'openvino', 'ray', 'slurm'] = 'torch',
    decoder: Literal['auto', 'decord', 'pyav', 'torchcodec'] = 'auto',
    stream: int | None = None,
    allow_truncated: bool = False,
    max_pixels: int = 67108864,
    frame_template: str | None | float = None,
    frames_fps: float | None | str = None,
    cache_size: int | None | str | float = None,
    workers: int | None = 0,
    batch_size: int | None = None,
    list_file: Path | None | str = None,
    root: Path | str | None = None,
    list_format: Literal['paths', 'path-label', 'path-labels', 'id-label', 'id-frames-label', 'path-start-count-label', 'moments', 'csv', 'json', 'jsonl', 'ucf101', 'hmdb51', 'elan', 'webdataset'] | None = None,
    split: str | None = None,
    label_column: str | None = None,
    limit: int | None = None,
    start: float | None | str = None,
    end: float | None | str = None,
    all_files: bool = False,
    average: Literal['prob', 'score'] = 'prob',
    topk: tuple[int, ...] | str | float = ...,
    dump: Path | None | str = None,
    out: Path | None | str = None,
    ci: bool = False,
    on_error: Literal['wrong', 'skip', 'fail'] = 'wrong',
    min_found: float = 0.95,
    resume: bool = False,
) -> Evaluation: ...

def explain(
    path: Source,
    *,
    model: Model | str | Path | None = None,
    checkpoint: Path | None | str = None,
    weights_set: str | None = None,
    labels: Path | None | str = None,
    views: str = '1x1',
    fps: float | Literal['source'] | None | str = None,
    device: str = 'auto',
    precision: Literal['auto', 'fp32', 'bf16', 'fp16'] = 'fp32',
    engine: Literal['auto', 'torch', 'openvino', 'ray', 'slurm'] = 'torch',
    decoder: Literal['auto', 'decord', 'pyav', 'torchcodec'] = 'auto',
    stream: int | None = None,
    allow_truncated: bool = False,
    max_pixels: int = 67108864,
    frame_template: str | None | float = None,
    frames_fps: float | None | str = None,
    cache_size: int | None | str | float = None,
    workers: int | None = 0,
    batch_size: int | None = None,
    list_file: Path | None | str = None,
    root: Path | str | None = None,
    list_format: Literal['paths', 'path-label', 'path-labels', 'id-label', 'id-frames-label', 'path-start-count-label', 'moments', 'csv', 'json', 'jsonl', 'ucf101', 'hmdb51', 'elan', 'webdataset'] | None = None,
    split: str | None = None,
    label_column: str | None = None,
    limit: int | None = None,
    start: float | None | str = None,
    end: float | None | str = None,
    all_files: bool = False,
    class_name: str | None | float = None,
    stage: int | None = None,
    average: Literal['prob', 'score'] = 'prob',
) -> Explanation: ...

def extract(
    paths: Sources = ...,
    *,
    model: Model | str | Path | None = None,
    checkpoint: Path | None | str = None,
    weights_set: str | None = None,
    labels: Path | None | str = None,
    views: str = '1x1',
    fps: float | Literal['source'] | None | str = None,
    device: str = 'auto',
    precision: Literal['auto', 'fp32', 'bf16', 'fp16'] = 'fp32',
    engine: Literal['auto', 'torch', 'openvino', 'ray', 'slurm'] = 'torch',
    decoder: Literal['auto', 'decord', 'pyav', 'torchcodec'] = 'auto',
    stream: int | None = None,
    allow_truncated: bool = False,
    max_pixels: int = 67108864,
    frame_template: str | None | float = None,
    frames_fps: float | None | str = None,
    cache_size: int | None | str | float = None,
    workers: int | None = 0,
    batch_size: int | None = None,
    list_file: Path | None | str = None,
    root: Path | str | None = None,
    list_format: Literal['paths', 'path-label', 'path-labels', 'id-label', 'id-frames-label', 'path-start-count-label', 'moments', 'csv', 'json', 'jsonl', 'ucf101', 'hmdb51', 'elan', 'webdataset'] | None = None,
    split: str | None = None,
    label_column: str | None = None,
    limit: int | None = None,
    start: float | None | str = None,
    end: float | None | str = None,
    all_files: bool = False,
    per: Literal['video', 'clip', 'window'] = 'video',
    stride: Stride | None | str | float = None,
    stage: int | None | str | float = None,
    pool: Literal['avg', 'time', 'none'] = 'avg',
    dtype: Literal['fp32', 'fp16'] = 'fp32',
) -> FeatureTable: ...

def finetune(
    data: Data | None = None,
    *,
    reporter: Reporter | None = None,
    train_list: Path | None | str = None,
    val_list: Path | None | str = None,
    root: Path | str | None = None,
    label_column: str | None = None,
    labels: Path | None | str = None,
    val_share: float = 0.2,
    group: str = 'auto',
    all_files: bool = False,
    model: str | None = None,
    checkpoint: Path | None | str = None,
    weights_set: str | None = None,
    scratch: bool = False,
    config: Path | None | str = None,
    changes: tuple[str, ...] = ...,
    lr: float | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    freeze: str | None = None,
    balance: Literal['none', 'sampler', 'loss'] | None = None,
    flip: Literal['yes', 'no', 'auto', 'swap'] | None = None,
    multi_label: bool = False,
    precision: Literal['auto', 'fp32', 'bf16', 'fp16'] | None = None,
    seed: int | None = None,
    deterministic: bool = False,
    out: Path | None | str = None,
    resume: bool = False,
    resume_from: Path | None | str = None,
    log: tuple[Literal['tensorboard', 'wandb', 'mlflow'], ...] | None | str | float = None,
    device: str = 'auto',
    decoder: Literal['auto', 'decord', 'pyav', 'torchcodec'] = 'auto',
    stream: int | None = None,
    allow_truncated: bool = False,
    max_pixels: int = 67108864,
    frame_template: str | None | float = None,
    frames_fps: float | None | str = None,
    cache_size: int | None | str | float = None,
    workers: int | None = None,
) -> FinetuneResult: ...

def load_model(
    name_or_path: str | Path | None = None,
    *,
    model: str | None = None,
    checkpoint: Path | None | str = None,
    weights_set: str | None = None,
    labels: Path | None | str = None,
    views: str = '1x1',
    fps: float | Literal['source'] | None | str = None,
    device: str = 'auto',
    precision: Literal['auto', 'fp32', 'bf16', 'fp16'] = 'fp32',
    engine: Literal['auto', 'torch', 'openvino', 'ray', 'slurm'] = 'torch',
    decoder: Literal['auto', 'decord', 'pyav', 'torchcodec'] = 'auto',
    stream: int | None = None,
    allow_truncated: bool = False,
    max_pixels: int = 67108864,
    frame_template: str | None | float = None,
    frames_fps: float | None | str = None,
    cache_size: int | None | str | float = None,
    workers: int | None = 0,
    batch_size: int | None = None,
) -> Model: ...

def predict(
    paths: Sources = ...,
    *,
    model: Model | str | Path | None = None,
    checkpoint: Path | None | str = None,
    weights_set: str | None = None,
    labels: Path | None | str = None,
    views: str = '1x1',
    fps: float | Literal['source'] | None | str = None,
    device: str = 'auto',
    precision: Literal['auto', 'fp32', 'bf16', 'fp16'] = 'fp32',
    engine: Literal['auto', 'torch', 'openvino', 'ray', 'slurm'] = 'torch',
    decoder: Literal['auto', 'decord', 'pyav', 'torchcodec'] = 'auto',
    stream: int | None = None,
    allow_truncated: bool = False,
    max_pixels: int = 67108864,
    frame_template: str | None | float = None,
    frames_fps: float | None | str = None,
    cache_size: int | None | str | float = None,
    workers: int | None = 0,
    batch_size: int | None = None,
    list_file: Path | None | str = None,
    root: Path | str | None = None,
    list_format: Literal['paths', 'path-label', 'path-labels', 'id-label', 'id-frames-label', 'path-start-count-label', 'moments', 'csv', 'json', 'jsonl', 'ucf101', 'hmdb51', 'elan', 'webdataset'] | None = None,
    split: str | None = None,
    label_column: str | None = None,
    limit: int | None = None,
    start: float | None | str = None,
    end: float | None | str = None,
    all_files: bool = False,
    topk: int = 5,
    average: Literal['prob', 'score'] = 'prob',
    logits: bool = False,
    annotate: Path | None | str = None,
) -> list[Prediction]: ...

def timeline(
    paths: Sources = ...,
    *,
    model: Model | str | Path | None = None,
    checkpoint: Path | None | str = None,
    weights_set: str | None = None,
    labels: Path | None | str = None,
    views: str = '1x1',
    fps: float | Literal['source'] | None | str = None,
    device: str = 'auto',
    precision: Literal['auto', 'fp32', 'bf16', 'fp16'] = 'fp32',
    engine: Literal['auto', 'torch', 'openvino', 'ray', 'slurm'] = 'torch',
    decoder: Literal['auto', 'decord', 'pyav', 'torchcodec'] = 'auto',
    stream: int | None = None,
    allow_truncated: bool = False,
    max_pixels: int = 67108864,
    frame_template: str | None | float = None,
    frames_fps: float | None | str = None,
    cache_size: int | None | str | float = None,
    workers: int | None = 0,
    batch_size: int | None = None,
    list_file: Path | None | str = None,
    root: Path | str | None = None,
    list_format: Literal['paths', 'path-label', 'path-labels', 'id-label', 'id-frames-label', 'path-start-count-label', 'moments', 'csv', 'json', 'jsonl', 'ucf101', 'hmdb51', 'elan', 'webdataset'] | None = None,
    split: str | None = None,
    label_column: str | None = None,
    limit: int | None = None,
    start: float | None | str = None,
    end: float | None | str = None,
    all_files: bool = False,
    stride: Stride | None | str | float = None,
    threshold: float = 0.5,
    smooth: float | None = None,
    min_duration: float = 1.0,
    topk: int | None = None,
    windows: bool = False,
    annotate: Path | None | str = None,
    html: Path | None | str = None,
) -> list[Timeline]: ...
