"""The nouns: frozen records that travel between the stages. A newcomer's first file.

One word per idea, everywhere: *clip* = consecutive sampled frames, *crop* = spatial window,
*view* = clip x crop, *video* = the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

Item = TypeVar("Item")

SamplingRule = Literal["official", "mmaction2", "uniform", "torchvision"]
ResizeRule = Literal["cv2", "torchvision"]
DecoderName = Literal["decord", "pyav", "torchcodec", "pillow", "numpy"]
METRIC_NAMES = {  # key: title
    "top1": "top-1",
    "top5": "top-5",
    "mean_class_accuracy": "mean class accuracy",
    "map": "mean average precision",
}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of one Video Swin network. Triples are (time, height, width)."""

    embed_dim: int
    depths: tuple[int, ...]  # blocks a stage
    num_heads: tuple[int, ...]  # attention heads a stage
    window_size: tuple[int, int, int]  # tokens
    patch_size: tuple[int, int, int]  # frames, pixels, pixels
    mlp_ratio: float
    qkv_bias: bool
    patch_norm: bool
    num_classes: int  # 0: no head, features only


@dataclass(frozen=True, kw_only=True)
class InputProtocol:
    """Sampling and preprocessing that a checkpoint expects.

    A wrong value here does not fail, it only loses accuracy.
    """

    sampling: SamplingRule
    clip_frames: int
    interval_frames: int  # source frames from one sampled frame to the next (strided rules)
    frame_rate: float | None  # frames per second that videos are resampled to; None: as it is
    clips: int  # the published test protocol
    crops: int
    short_side: int  # px, for `crops` crops
    quick_short_side: int  # px, for one centre crop
    crop_size: int  # px
    resize: ResizeRule
    mean: tuple[float, float, float]  # RGB, on the scale 0..255
    std: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Views:
    """Clips times crops of one run, resolved from `--views` and the model's protocol."""

    clips: int
    crops: int  # 1: centre; 3: along the longer side
    short_side: int  # px

    def __str__(self) -> str:
        return f"{self.clips}x{self.crops}"


@dataclass(frozen=True, kw_only=True)
class Stride:
    """From the start of one window to the start of the next. Exactly one of the two is set."""

    frames: int | None = None  # of the video
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One part of a list whose items are dealt round-robin, without padding or duplicates."""

    index: int = 0  # from 0
    count: int = 1

    def select(self, items: Sequence[Item], unit: int = 1) -> Sequence[Item]:
        """Every `count`-th item, or every `count`-th run of `unit` items."""
        if unit == 1:
            return items[self.index :: self.count]
        step = self.count * unit
        firsts = range(self.index * unit, len(items), step)
        return [item for first in firsts for item in items[first : first + unit]]

    def __str__(self) -> str:
        return f"{self.index + 1}-of-{self.count}"


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """Facts of an opened video, after rotation. Only measured facts."""

    path: str
    decoder: DecoderName
    frames: int  # frames that the container really holds, not what its header claims
    fps: float  # average frames per second
    height: int  # px
    width: int  # px
    constant_rate: bool = True  # no frame is further from its place than half a frame
    fps_stated: bool = True  # False: pictures without a rate; `fps` is a guess, as all times are


@dataclass(frozen=True, kw_only=True)
class ClassProbability:
    """One class of an answer."""

    label: str
    index: int
    prob: float  # 0..1; all classes of a video sum to 1


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One video's answer, or the reason why there is none."""

    path: str
    model: str
    views: str  # CLIPSxCROPS
    decoder: DecoderName | None = None
    frames: int | None = None
    fps: float | None = None
    frame_rate: float | None = None  # frames per second that it was resampled to; None: it was not
    top: tuple[ClassProbability, ...] = ()
    error: str | None = None
    logits: Sequence[Sequence[float]] | None = None  # views x classes, view = crop * clips + clip
    notes: tuple[str, ...] = ()  # what a user should know about this video (it looped, say)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Part of a video, from `start` up to but without `end`."""

    start: float
    end: float | None  # None: to the end of the video
    unit: Literal["seconds", "frames"] = "seconds"  # as players show them; frames count from 0

    def __str__(self) -> str:
        """Behind the path and a `#`, as media fragment URIs have it: `t=0.5,1.5`, `frames=0,30`."""
        end = "" if self.end is None else f",{self.end:.10g}"
        return f"{'t' if self.unit == 'seconds' else 'frames'}={self.start:.10g}{end}"


@dataclass(frozen=True, kw_only=True)
class VideoPart:
    """Part of a video to decode: a video file, frame folder or URL, or a segment of it."""

    path: str
    segment: Segment | None = None  # None: the whole video
    frames: int | None = None  # of the video, as a list states


NO_SUCH_FILE = "no such file"


@dataclass(frozen=True, kw_only=True, slots=True)  # there may be a million
class ListedVideo:
    """One row of an annotation list whose file was looked for."""

    path: str  # under the root, with /, and the segment: the key of the row in every result
    file: str | None  # None: not found
    label: int | None  # class index
    line: int  # of the list, from 1; the number of the entry in a JSON list or a folder
    more_labels: tuple[int, ...] = ()  # further classes, where a video may have several
    segment: Segment | None = None  # None: the whole video
    missing: str = NO_SUCH_FILE  # why there is none, where `file` is None
    frames: int | None = None  # of the video, as a list states

    @property
    def part(self) -> VideoPart:
        """The part of its file, which must have been found."""
        assert self.file is not None
        return VideoPart(path=self.file, segment=self.segment, frames=self.frames)

    @property
    def labels(self) -> tuple[int, ...]:
        """All its classes, in rising order."""
        return () if self.label is None else tuple(sorted({self.label, *self.more_labels}))


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Timing of a run. Only `seconds` is time on the clock."""

    videos: int  # computed in this run, failed ones included
    processes: int
    seconds: float
    decode_seconds: float  # added up over all decoding processes
    wait_seconds: float  # in which the network had nothing to do, added up over the processes
    model_seconds: float  # added up over the processes


@dataclass(frozen=True, kw_only=True)
class WindowPrediction:
    """Classes of one window of a video, or the reason why there are none."""

    path: str
    start: float = 0.0  # s, of its first frame
    end: float = 0.0  # s, of its last frame's end
    top: tuple[ClassProbability, ...] = ()
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class ActionSegment:
    """Stretch of a video in which one class was seen. Times are in seconds of the player."""

    start: float
    end: float
    label: str
    index: int  # of the class
    mean: float  # probability over its windows
    peak: float


@dataclass(frozen=True, kw_only=True)
class UnreadSpan:
    """Stretch of a video that could not be decoded."""

    start: float  # s
    end: float  # s
    reason: str


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Segments of a video by time, or the reason why there are none."""

    path: str
    model: str
    video: str = ""  # file or URL: the path without the part of it that was read
    fps: float = 0.0  # average frames per second
    start: float = 0.0  # s, of the first frame: that of the part where not all was read
    duration: float = 0.0  # s, from there to the last frame's end
    window: float = 0.0  # s that one window spans
    stride: float = 0.0  # s from one window to the next
    segments: tuple[ActionSegment, ...] = ()  # by start, then class index
    gaps: tuple[UnreadSpan, ...] = ()
    error: str | None = None
    notes: tuple[str, ...] = ()
    windows: tuple[WindowPrediction, ...] = ()  # all of them, where asked for


@dataclass(frozen=True, kw_only=True)
class LiveEvent:
    """Classes of one clip of a live stream."""

    source: str  # without credentials
    model: str
    time: str  # UTC, ISO 8601: arrival of the clip's last frame
    start: float  # s since the first frame of the connection
    end: float  # s, of its last frame's end
    top: tuple[ClassProbability, ...]
    delay: float  # s from the arrival of its last frame to this answer
    fps: float  # of the stream, over this clip
    frames: int  # of the stream so far
    dropped: int  # of them, or packets that were not decoded: this machine was too slow
    damaged: int  # packets and frames so far
    reconnects: int  # so far


@dataclass(frozen=True, kw_only=True)
class WatchSummary:
    """Summary of a run of `videoswin watch`."""

    source: str
    clips: int  # computed
    skipped: int  # clips that were due while the network was busy
    frames: int
    dropped: int
    damaged: int
    reconnects: int
    longest_delay: float  # s
    commands: int  # run by --exec
    failed_commands: int
    recordings: tuple[str, ...]
    recording_failed: bool


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """Summary of a run with a result per video: `videoswin predict`, `videoswin timeline`."""

    videos: int
    failed: int
    noted: int  # with something to note
    timing: Timing
    complete: bool = True  # all shards are done, and the output is in its place


@dataclass(frozen=True, kw_only=True)
class ConfidenceInterval:
    """Interval of an accuracy or a difference of two, by percentiles of a bootstrap."""

    low: float  # percent
    high: float  # percent
    level: float  # percent of confidence
    resamples: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class PairedTop1:
    """Top-1 of two models on the same videos. A failed video counts as wrong."""

    both: int  # videos that both have right
    only_first: int
    only_second: int
    neither: int
    interval: ConfidenceInterval  # of `difference`
    p_value: float  # of McNemar's exact test: that the two are equally good

    @property
    def videos(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Top-1 of the second less that of the first, in points."""
        return 100 * (self.only_second - self.only_first) / self.videos


@dataclass(frozen=True, kw_only=True)
class EvalSummary:
    """Summary of a run of `videoswin eval`. Accuracies are in percent."""

    model: str | None  # None: not said, as it may be where the scores come from dumps
    dataset: str | None
    views: str | None  # CLIPSxCROPS; this and the next three are None for dumps
    average: str | None
    precision: str | None
    device: str | None
    decoders: Mapping[str, int]  # videos by the decoder that read them
    listed: int
    found: int
    failed: int  # of the listed: not found, or not readable
    on_error: str  # wrong: failed videos count as wrong; skip: they do not count
    accuracy: Mapping[str, float]  # by name: top1, top5
    mean_class_accuracy: float
    classes_with_videos: int
    published: Mapping[str, float]  # by name
    published_views: str | None
    timing: Timing | None
    frame_rate: float | Literal["source"] | None = None  # None: the model's own, or not known
    engine: str | None = None  # torch, or what else computed; None: not said
    noted: int = 0  # of the listed: with something to note
    interval: ConfidenceInterval | None = None  # of top-1, where it was requested
    warnings: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()  # damaged files, and why: videos of them are in no figure


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Measurements of `videoswin bench`. Seconds are means per video, after a first one."""

    model: str
    views: str  # CLIPSxCROPS
    precision: str
    engine: str  # torch, openvino
    device: str
    threads: int  # of an operation on a CPU
    batch_size: int  # views per forward pass
    workers: int  # decoding processes; 0: decoding and network take turns
    torch: str  # version
    video: str
    videos: int  # times that it was computed
    decode_seconds: float  # added up over the decoding processes, as is the next one
    preprocess_seconds: float  # resize, crop, normalize
    model_seconds: float
    wait_seconds: float  # in which the network had nothing to do
    seconds: float  # on the clock
    views_per_second: float  # of the network alone
    videos_per_second: float  # of everything
    gmacs_per_view: float  # multiply-adds, counted, 1e9; papers print them as FLOPs
    matmul_gflops: float  # floating point operations a second of a large product, measured, 1e9
    fraction_of_peak_matmul: float  # of the network's operations a second in that
    added_bytes: int  # peak of memory above what was held before the first view
    against: str | None = None  # another network of the same weights
    baseline_seconds: float | None = None  # a view, median
    seconds_per_view: float | None = None  # a view, median, in turns with the other
    ratio: float | None = None  # median of pairs; above 1: we are faster
    max_abs_logit_diff: float | None = None


@dataclass(frozen=True, kw_only=True)
class HealthRow:
    """A fact of this installation, as `doctor` found it."""

    part: str  # versions, decoders and so on
    name: str
    value: str
    state: Literal["ok", "note", "problem"] = "ok"  # a problem makes runs fail
    advice: str = ""  # what to do
