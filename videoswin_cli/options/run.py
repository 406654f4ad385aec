"""Options of every run over videos: which model, how it sees them, and how it computes."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from videoswin_cli.errors import UsageError
from videoswin_cli.options.fields import check_options, option
from videoswin_cli.options.parsers import parse_fps, parse_rate, parse_size, parse_template

Precision = Literal["fp32", "bf16", "fp16"]
PrecisionChoice = Literal["auto", "fp32", "bf16", "fp16"]
Engine = Literal["torch", "openvino", "onnx"]  # onnx: of exported files
EngineChoice = Literal["auto", "torch", "openvino"]
EngineOrCluster = Literal["auto", "torch", "openvino", "ray", "slurm"]
DecoderChoice = Literal["auto", "decord", "pyav", "torchcodec"]

DEFAULT_MODEL = "swin-tiny-k400"
MAX_PIXELS = 8192 * 8192  # width x height
MAX_WORKERS = 256  # processes; each holds some 300 MB
MAX_BATCH_SIZE = 1024  # views or clips at once
MAX_STREAM = 10_000


def batch_size_option(help: str) -> Any:
    """Views per forward pass; `serve` has them too."""
    return option(
        None,
        help,
        metavar="N",
        flags=("--batch-size", "-b"),
        least=1,
        most=MAX_BATCH_SIZE,
        shown_default="1 on a CPU, 8 on a GPU",
    )


def device_option() -> Any:
    """The device of a run; `finetune` has it too."""
    return option("auto", "Where to compute.", metavar="auto|cpu|cuda|cuda:N")


def engine_option() -> Any:
    """The engine of a run that has no end; `serve` and `watch` have it."""
    return option("torch", "What computes; OpenVINO does on a CPU, with the extra [openvino].")


def stream_option() -> Any:
    """The video stream of a source; `watch` has it too."""
    return option(
        None,
        "Number of the video stream in each file, as ffprobe counts.",
        metavar="N",
        least=0,
        most=MAX_STREAM,
        shown_default="the default one, else the largest",
    )


def max_pixels_option() -> Any:
    """The largest pictures that are read; `watch` has it too."""
    return option(
        MAX_PIXELS,
        "Refuse files whose pictures have more pixels, width x height.",
        metavar="N",
        least=1,
    )


def workers_option() -> Any:
    """Decoding processes of a run; `finetune` has them too."""
    return option(
        None,
        "Decoding processes.",
        metavar="N",
        flags=("--workers", "-j"),
        least=0,
        most=MAX_WORKERS,
        shown_default="by the work",
    )


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Weights of a run."""

    model: str | None = option(
        None,
        "Name from `videoswin models`, a YAML file, a weight file written by videoswin, or "
        "hf://ORG/NAME.",
        metavar="NAME|FILE",
        flags=("--model", "-m"),
        shown_default=DEFAULT_MODEL,
        place="read",
    )
    checkpoint: Path | None = option(
        None, "Weights to load into the model.", metavar="FILE", place="read"
    )
    weights_set: str | None = option(
        None,
        "Which of several sets of weights in one file.",
        metavar="ema|model|NAME",
        shown_default="the plain ones",
    )

    @property
    def name(self) -> str:
        return self.model or DEFAULT_MODEL


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions:
    """Weights with classes, and the names of these."""

    weights: ModelOptions = field(default_factory=ModelOptions)
    labels: Path | None = option(
        None, "Class names in index order: one per line, CSV or JSON.", metavar="FILE", place="read"
    )


@dataclass(frozen=True, kw_only=True)
class OpenOptions:
    """Opening of every video of a run."""

    decoder: DecoderChoice = option("auto", "auto: decord, and PyAV where decord cannot.")
    stream: int | None = stream_option()
    allow_truncated: bool = option(False, "Read what is left of files that were cut off.")
    max_pixels: int = max_pixels_option()
    frame_template: str | None = option(
        None,
        "Names of the pictures in frame folders, such as img_{:05}.jpg.",
        metavar="NAME",
        parse=parse_template,
        shown_default="found",
    )
    frames_fps: float | None = option(
        None,
        "Frames per second of frame folders and arrays, which do not say.",
        metavar="N",
        parse=parse_rate,
        shown_default="that of --fps",
    )
    # Settled by the engine: `frames_fps` is that of --fps, which is not the model's own rate.
    fps_for_both: bool = False
    cache_size: int | None = option(
        None,
        "Fetched videos to keep; the one that was not read for the longest time goes first.",
        metavar="SIZE",
        parse=partial(parse_size, "--cache-size"),
        shown_default="VIDEOSWIN_CACHE_SIZE, else 20GB",
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Sampling and computing of videos. `auto` and `paper` depend on model and machine."""

    views: str = option(
        "1x1",
        "C clips times K crops (1 or 3); paper: the published test protocol.",
        metavar="1x1|paper|CxK",
    )
    fps: float | Literal["source"] | None = option(
        None,
        "Resample the frames of each video to N per second before sampling; source: never.",
        metavar="N|source",
        parse=parse_fps,
        shown_default="as the model was trained",
    )
    device: str = device_option()
    precision: PrecisionChoice = option(
        "fp32", "auto: that of a resumed output, else bf16 where it is fast and close."
    )
    engine: EngineOrCluster = option(
        "torch",
        "auto: that of a resumed output, else OpenVINO on a CPU where it is installed, faster, and "
        "worth its start. ray, slurm: a cluster (docs/scale.md).",
    )
    opening: OpenOptions = field(default_factory=OpenOptions)
    workers: int | None = workers_option()
    batch_size: int | None = batch_size_option("Views per forward pass.")

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def computes(self) -> EngineChoice:
        """The engine, which is no cluster.

        Raises:
            UsageError: it is one.
        """
        if self.engine == "ray" or self.engine == "slurm":
            raise UsageError(
                f"--engine {self.engine}: expected auto, torch or openvino",
                hint="extract, eval and timeline run on a cluster, from the command line",
            )
        return self.engine
