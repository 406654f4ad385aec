"""Contents of a report page: records that its templates show. Accuracies are in percent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from videoswin_cli.records import ActionSegment, PairedTop1, Timeline, UnreadSpan
from videoswin_cli.report.pages.charts import LineChart

Facts = Sequence[tuple[str, str]]  # name and value


@dataclass(frozen=True, kw_only=True)
class Card:
    """Figure at the head of a section."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """One class of an evaluation."""

    index: int
    label: str
    videos: int
    correct: int | None  # None where a video may have several classes
    accuracy: float  # top-1; average precision where a video may have several classes
    precision: float | None = None  # share of the videos predicted as it that are of it
    taken_for: str = ""  # what its other videos are predicted as most often


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Confusions of the classes that occur, and the errors behind them."""

    labels: Sequence[str]  # of the classes that occur
    indices: Sequence[int]  # their numbers in the model
    failed: Sequence[int]  # videos of each without an answer, which count as wrong
    cells: Sequence[tuple[int, int, int]]  # places in `labels` of true and predicted class, videos
    errors: Sequence[tuple[str, int, int, float]] = ()  # path, places, probability; some of them


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Videos whose top class has a probability between two bounds."""

    low: float
    high: float
    videos: int
    confidence: float  # mean probability, 0..1
    accuracy: float  # share that is correct, 0..1


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Reliability of the top class's probability."""

    bins: Sequence[ReliabilityBin]  # all, empty ones included
    error: float  # expected calibration error, percent
    videos: int


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Frames of a video in one row, as a picture to play by moving it."""

    uri: str  # data:image/jpeg
    frames: int
    width: int  # px of one frame
    height: int  # px


@dataclass(frozen=True, kw_only=True)
class WrongVideo:
    """One wrong answer."""

    path: str
    correct: str
    predicted: str
    prob: float  # of the predicted class
    correct_prob: float | None  # None: not in the dump
    strip: Strip | None = None
    problem: str = ""  # why there is no strip


@dataclass(frozen=True, kw_only=True)
class ErrorGallery:
    """Some wrong answers, the first the worst."""

    title: str
    note: str
    videos: Sequence[WrongVideo]


@dataclass(frozen=True, kw_only=True)
class EvaluationSection:
    """One dump of an evaluation."""

    kind: ClassVar[str] = "evaluation"

    title: str
    cards: Sequence[Card]
    facts: Facts
    warnings: Sequence[str]
    measure: str  # of the classes: top-1 accuracy, or average precision
    classes: Sequence[ClassRow]
    matrix: Matrix | None
    calibration: Calibration | None
    galleries: Sequence[ErrorGallery]
    failed: Sequence[tuple[str, str]]  # path and reason
    environment: Facts


@dataclass(frozen=True, kw_only=True)
class TrainingSection:
    """One run of fine-tuning."""

    kind: ClassVar[str] = "training"

    title: str
    cards: Sequence[Card]
    facts: Facts
    charts: Sequence[LineChart]
    epochs: tuple[Sequence[str], Sequence[Sequence[str]]]  # header and rows
    classes: Sequence[ClassRow]
    measured: str  # what the confusions and classes are of: the validation or the test
    matrix: Matrix | None
    picture: str | None  # data:image/png of the confusions, where these are not known as numbers
    failed: Sequence[tuple[str, str]]
    environment: Facts


@dataclass(frozen=True, kw_only=True)
class TimelineSection:
    """Timeline of one video, beside its player."""

    kind: ClassVar[str] = "timeline"

    timeline: Timeline
    video: str | None  # percent-encoded path from the page
    problem: str = ""  # why there is no video

    @property
    def title(self) -> str:
        return self.timeline.path

    @property
    def start(self) -> float:
        """Seconds of the video at which the axis begins: where windows do."""
        return min([self.timeline.start, *(each.start for each in self._spans)])

    @property
    def length(self) -> float:
        """Seconds of the axis, which is never empty."""
        end = self.timeline.start + self.timeline.duration
        return max([end, *(each.end for each in self._spans), self.start + 0.001]) - self.start

    @property
    def _spans(self) -> tuple[ActionSegment | UnreadSpan, ...]:
        return (*self.timeline.segments, *self.timeline.gaps)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Several dumps side by side."""

    names: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]  # name of a figure, and its value for each dump
    pairs: Sequence[tuple[str, PairedTop1]]  # against the first, by name
    method: str
    apart: Sequence[str]  # dumps without a video of the first
    classes: Sequence[tuple[str, Sequence[float | None]]]  # label, accuracy for each dump


Section = EvaluationSection | TrainingSection | TimelineSection


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page."""

    title: str
    sections: Sequence[Section]
    comparison: Comparison | None = None
    environment: Facts = ()  # of the page itself
