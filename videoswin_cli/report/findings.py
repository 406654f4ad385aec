"""Findings of a check of videos, lists and classes: what there can be, and what was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["problem", "note"]
FindingKind = Literal[
    "missing",
    "unreadable",
    "no-video",
    "truncated",
    "damaged",
    "outside",
    "frame-count",
    "label",
    "two-labels",
    "leak",
    "untrained-class",
    "few-frames",
    "variable-rate",
    "rotation",
    "pixel-aspect",
    "interlaced",
    "high-bit-depth",
    "hdr",
    "remark",
    "repeated",
    "duplicate",
    "near-duplicate",
    "recording",
    "unused-class",
    "balance",
    "class-spelling",
    "left-right",
]
# A problem makes a run fail, loses a video or falsifies a figure; a note is read right all the
# same. In the order of reports.
PROBLEMS: Mapping[FindingKind, str] = {
    "missing": "there is no such file",
    "unreadable": "it cannot be opened, or not one frame can be decoded",
    "no-video": "the file holds no video stream",
    "truncated": "the end of the file is missing",
    "damaged": "some frames cannot be decoded",
    "outside": "the listed part is not in the video",
    "frame-count": "the list states another number of frames",
    "label": "the label is no class",
    "two-labels": "one video under several classes",
    "leak": "one video in two splits",
    "untrained-class": "the class has no video to train on",
}
NOTES: Mapping[FindingKind, str] = {
    "few-frames": "fewer frames than one clip: they are repeated",
    "variable-rate": "the frame rate varies; --fps takes frames by time",
    "rotation": "turned or mirrored by its metadata, and read so",
    "pixel-aspect": "pixels are not square; they are read as if they were",
    "interlaced": "each frame has lines of two moments",
    "high-bit-depth": "more than 8 bits per sample; read as 8",
    "hdr": "high dynamic range; read without tone mapping",
    "remark": "other oddities",
    "repeated": "the list has the video again, with the same class",
    "duplicate": "the same file or the same bytes",
    "near-duplicate": "looks the same",
    "recording": "one recording in two splits, by the names",
    "unused-class": "no video of the class",
    "balance": "the largest class has 10 times the videos of the smallest, or more",
    "class-spelling": "classes that differ by case, blanks, _ or - only",
    "left-right": "a mirror exchanges classes",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Problem of a data set, or a note on it."""

    kind: FindingKind
    split: str | None = None  # of the video
    path: str | None = None  # as listed, the key of its results; None: about the whole data set
    partner: str | None = None  # the other video that it is about, as listed
    text: str

    @property
    def severity(self) -> Severity:
        return "problem" if self.kind in PROBLEMS else "note"


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """Everything that a check found, problems first."""

    findings: tuple[Finding, ...]
    videos: int  # rows of lists that name the same part of a file are one
    bad_videos: int  # with a problem
    splits: Mapping[str, int] = field(default_factory=dict)  # videos of each; empty: no splits
    classes: Mapping[str, int] = field(default_factory=dict)  # videos of each; empty: no labels

    @property
    def problems(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity == "problem")

    @property
    def notes(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity == "note")
