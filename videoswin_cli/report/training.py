"""Closing paragraph of a training. The rules of its advice: docs/training.md."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoswin_cli.io.visible import counted

_CERTAIN = 1.96  # standard deviations on both sides that hold 95 % of a normal distribution
_PAIRS = 3  # confused pairs that are named
_NAMES = 5  # classes that are named
_WIDE = 30.0  # points of an interval above which the clips are too few
_FALLING = 0.05  # share of the validation loss that the last quarter of the epochs takes off
_GAP = 0.5  # a training loss below this share of the validation loss: memorized
_IDLE = 0.7  # share of the loss of a network that knows nothing; above it little is learned


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """Outcome of a finished run. The validation is that of the best epoch."""

    model: Path  # the weights of the best epoch
    classes: tuple[str, ...]
    multi_label: bool
    frozen: bool  # whether a part of the network was
    best: float  # top-1 accuracy or mean average precision, percent
    best_epoch: int  # from 1
    planned_epochs: int
    rows: Sequence[Mapping[str, int | float]]  # of metrics.csv, one per epoch
    val_clips: int
    val_counts: tuple[int, ...]  # validation clips of each class
    confusions: Sequence[tuple[int, int, int]]  # true class, predicted class, clips
    test_views: str | None = None  # CLIPSxCROPS of the test of the best epoch; None: there was none
    test: float = math.nan  # its top-1 accuracy or mean average precision, percent


def describe_outcome(outcome: TrainingOutcome) -> str:
    """Paragraph of quality, confusions, advice and use."""
    sentences = [*_quality(outcome), *_confused(outcome), *_advice(outcome)]
    use = shlex.join(["videoswin", "predict", "CLIP", "--model", str(outcome.model)])
    return " ".join([*sentences, f"To use it: {use}"])


def wilson_interval(hits: int, clips: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share, in percent (Wilson, 1927).

    Unlike hits +- 2 standard deviations it holds for few clips and for shares of 0 and 1.
    """
    z, share = _CERTAIN, hits / clips
    middle = share + z * z / (2 * clips)
    half = z * math.sqrt(share * (1 - share) / clips + z * z / (4 * clips * clips))
    low, high = ((middle + sign * half) / (1 + z * z / clips) for sign in (-1, 1))
    return 100 * max(0.0, low), 100 * min(1.0, high)


def _quality(outcome: TrainingOutcome) -> Iterator[str]:
    clips = outcome.val_clips
    if outcome.multi_label:
        # Of a random order the average precision of a class is about the share of its clips.
        shares = [100 * count / clips for count in outcome.val_counts if count]
        guess = sum(shares) / len(shares)
        yield (
            f"best after epoch {outcome.best_epoch}: mean average precision {outcome.best:.1f} % "
            f"on {counted(clips, 'validation clip')}; a random order would have about "
            f"{guess:.1f} %."
        )
    else:
        hits = _hits(outcome)
        low, high = wilson_interval(hits, clips)
        guess, how = _best_guess(outcome)
        yield (
            f"best after epoch {outcome.best_epoch}: {hits} of {counted(clips, 'validation clip')} "
            f"correct, top-1 {outcome.best:.1f} % ({low:.0f} to {high:.0f} % with 95 % "
            f"confidence); {how} would get {guess:.1f} %."
        )
        if low <= guess:
            yield "That may be luck: it is not surely better than guessing."
        if failed := clips - sum(count for *_, count in outcome.confusions):
            yield f"{counted(failed, 'clip')} could not be read and count as wrong."
    if outcome.test_views is not None:
        metric = "mean average precision" if outcome.multi_label else "top-1"
        yield (
            f"The test with {outcome.test_views} views of each clip: {metric} {outcome.test:.1f} %."
        )
    if len(outcome.rows) > 1:
        yield "The epoch was chosen by these clips, so new clips may do a little worse."


def _hits(outcome: TrainingOutcome) -> int:
    return sum(count for true, predicted, count in outcome.confusions if true == predicted)


def _best_guess(outcome: TrainingOutcome) -> tuple[float, str]:
    """Best accuracy without looking at the clips, in percent, and how it is had."""
    largest = max(range(len(outcome.classes)), key=lambda label: outcome.val_counts[label])
    share = 100 * outcome.val_counts[largest] / outcome.val_clips
    chance = 100 / len(outcome.classes)
    if share > chance + 0.05:
        return share, f"always predicting {outcome.classes[largest]!r}"
    return chance, f"guessing among {len(outcome.classes)} classes"


def _beats_guess(outcome: TrainingOutcome) -> bool:
    """Whether accuracy is above guessing, the interval of its clips included."""
    if outcome.multi_label:
        return False
    low, _ = wilson_interval(_hits(outcome), outcome.val_clips)
    return low > _best_guess(outcome)[0]


def _confused(outcome: TrainingOutcome) -> Iterator[str]:
    names = outcome.classes
    wrong = sorted(
        ((count, true, got) for true, got, count in outcome.confusions if true != got),
        key=lambda entry: (-entry[0], entry[1:]),
    )
    if wrong and not outcome.multi_label:
        pairs = [
            f"{names[true]!r} taken for {names[got]!r} ({count} of {outcome.val_counts[true]})"
            for count, true, got in wrong[:_PAIRS]
        ]
        more = f", and {len(wrong) - _PAIRS} more pairs" if len(wrong) > _PAIRS else ""
        yield f"Confused: {', '.join(pairs)}{more}."
    unknown = [name for name, count in zip(names, outcome.val_counts, strict=True) if not count]
    if unknown:
        named = ", ".join(map(repr, unknown[:_NAMES])) + (", ..." if unknown[_NAMES:] else "")
        yield f"Nothing is known of classes without a validation clip: {named}."


def _advice(outcome: TrainingOutcome) -> Iterator[str]:
    """One sentence on what would help, and one where the clips are too few to tell much."""
    if not outcome.multi_label:
        low, high = wilson_interval(_hits(outcome), outcome.val_clips)
        if high - low > _WIDE:
            yield "More validation clips would narrow this interval."
    last = outcome.rows[-1]
    train, val, epoch = last["train_loss"], last["val_loss"], int(last["epoch"])
    nothing = math.log(2) if outcome.multi_label else math.log(len(outcome.classes))
    if outcome.best >= 100:
        yield "All are correct: only more or harder validation clips can show what is missing."
    elif min(train, val) > _IDLE * nothing and _beats_guess(outcome):
        yield (
            f"Its losses (training {train:.2f}, validation {val:.2f}) are still high: more "
            "--epochs would help."
        )
    elif min(train, val) > _IDLE * nothing:
        unfreeze = ", or --freeze none" if outcome.frozen else ""
        yield (
            "It has hardly learned anything, the training clips included: try more --epochs, or "
            f"a higher --lr{unfreeze}."
        )
    elif train < _GAP * val:
        yield (
            f"Its loss on the training clips ({train:.2f}) is far below that on the validation "
            f"clips ({val:.2f}): it has memorized them, so more clips would help, more epochs "
            "would not."
        )
    elif epoch < outcome.planned_epochs:
        yield (
            f"It stopped after epoch {epoch} of {outcome.planned_epochs}, as it got no "
            "better: more clips would help, more epochs would not."
        )
    elif len(outcome.rows) == 1:
        yield "One epoch cannot show whether more would help: try --epochs 3."
    elif outcome.best_epoch == epoch and _falls(outcome):
        yield ("It was still getting better in the last epoch: more --epochs would probably help.")
    elif outcome.frozen:
        yield (
            "More epochs would hardly help; more clips would, or training more of the network "
            "(--freeze none)."
        )
    else:
        confused = not outcome.multi_label and _hits(outcome) < sum(
            n for *_, n in outcome.confusions
        )
        which = " of the confused classes" if confused else ""
        yield f"More epochs would hardly help; more clips{which} would."


def _falls(outcome: TrainingOutcome) -> bool:
    """Whether the validation loss still fell clearly in the last quarter of the epochs."""
    losses = [row["val_loss"] for row in outcome.rows]
    before = losses[-1 - max(1, len(losses) // 4)]
    return losses[-1] < (1 - _FALLING) * before
