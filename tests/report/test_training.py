"""The paragraph that ends a training, rule by rule."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from videoswin_cli.report.training import TrainingOutcome, describe_outcome, wilson_interval

Row = dict[str, int | float]


def rows(*losses: tuple[float, float]) -> list[Row]:
    """Rows of epochs 1, 2, ... with their (training, validation) losses."""
    return [
        {"epoch": epoch, "train_loss": train, "val_loss": val}
        for epoch, (train, val) in enumerate(losses, start=1)
    ]


#: 20 validation clips of two classes, of which 17 are right.
USUAL = TrainingOutcome(
    model=Path("runs/my data/best.safetensors"),
    classes=("jump", "run"),
    multi_label=False,
    frozen=False,
    best=85.0,
    best_epoch=2,
    planned_epochs=4,
    rows=rows((0.60, 0.60), (0.45, 0.41), (0.40, 0.41), (0.38, 0.41)),
    val_clips=20,
    val_counts=(10, 10),
    confusions=[(0, 0, 8), (0, 1, 2), (1, 0, 1), (1, 1, 9)],
)


@pytest.mark.parametrize(
    ("hits", "clips", "low", "high"),
    [  # by R's binom package, binom.wilson
        (17, 20, 63.96, 94.76),
        (0, 10, 0.0, 27.75),
        (10, 10, 72.25, 100.0),
        (1, 1, 20.65, 100.0),
        (950, 1000, 93.47, 96.19),
    ],
)
def test_the_interval_is_wilsons(hits: int, clips: int, low: float, high: float) -> None:
    assert wilson_interval(hits, clips) == pytest.approx((low, high), abs=0.01)


def test_how_good_on_how_many_clips_against_a_guess() -> None:
    text = describe_outcome(USUAL)
    assert "best after epoch 2: 17 of 20 validation clips correct, top-1 85.0 % (64 to 95 %" in text
    assert "guessing among 2 classes would get 50.0 %" in text
    assert "luck" not in text
    assert "chosen by these clips" in text


def test_the_command_can_be_pasted() -> None:
    text = describe_outcome(USUAL)
    assert text.endswith("videoswin predict CLIP --model 'runs/my data/best.safetensors'")
    assert "\n" not in text


def test_a_guess_may_be_the_largest_class() -> None:
    lopsided = replace(USUAL, val_counts=(18, 2), best=90.0, confusions=[(0, 0, 18), (1, 0, 2)])
    text = describe_outcome(lopsided)
    assert "always predicting 'jump' would get 90.0 %" in text
    assert "That may be luck" in text


def test_the_most_confused_pairs_come_first_with_their_shares() -> None:
    text = describe_outcome(USUAL)
    assert "Confused: 'jump' taken for 'run' (2 of 10), 'run' taken for 'jump' (1 of 10)." in text


def test_three_pairs_are_named_and_the_others_counted() -> None:
    wrong = [(0, 1, 1), (0, 2, 4), (1, 0, 2), (1, 2, 1), (2, 0, 3)]
    many = replace(
        USUAL,
        classes=("a", "b", "c"),
        val_counts=(7, 7, 6),
        confusions=[*wrong, (0, 0, 2), (1, 1, 4), (2, 2, 3)],
    )
    text = describe_outcome(many)
    expected = "'a' taken for 'c' (4 of 7), 'c' taken for 'a' (3 of 6), 'b' taken for 'a' (2 of 7)"
    assert f"Confused: {expected}, and 2 more pairs." in text


def test_nothing_confused_is_not_told_as_confusion() -> None:
    perfect = replace(USUAL, best=100.0, confusions=[(0, 0, 10), (1, 1, 10)])
    text = describe_outcome(perfect)
    assert "Confused" not in text
    assert ": 20 of 20 validation clips" in text
    assert "All are correct" in text


def test_unreadable_validation_clips_count_as_wrong_and_are_told() -> None:
    failed = replace(USUAL, best=80.0, confusions=[(0, 0, 8), (1, 0, 1), (1, 1, 8)])
    text = describe_outcome(failed)
    assert ": 16 of 20 validation clips" in text
    assert "3 clips could not be read and count as wrong." in text
    assert "1 clip could not be read" in describe_outcome(
        replace(USUAL, confusions=[(0, 0, 8), (0, 1, 2), (1, 1, 9)])
    )


def test_classes_without_validation_clips_are_named() -> None:
    blind = replace(
        USUAL,
        classes=("jump", "run", "sit"),
        val_counts=(10, 10, 0),
    )
    assert "Nothing is known of classes without a validation clip: 'sit'." in describe_outcome(
        blind
    )
    assert "'sit' taken" not in describe_outcome(blind)


def test_few_validation_clips_are_told() -> None:
    few = replace(
        USUAL, val_clips=4, val_counts=(2, 2), best=75.0,
        confusions=[(0, 0, 2), (1, 0, 1), (1, 1, 1)],
    )  # fmt: skip
    assert "30 to 95 % with 95 % confidence" in describe_outcome(few)
    assert "That may be luck" in describe_outcome(few)
    assert "More validation clips would narrow" in describe_outcome(few)
    many = replace(
        USUAL, val_clips=200, val_counts=(100, 100), confusions=[(0, 0, 80), (0, 1, 20),
        (1, 0, 10), (1, 1, 90)],
    )  # fmt: skip
    assert "More validation clips" not in describe_outcome(many)


GUESSED = {"best": 50.0, "confusions": [(0, 0, 10), (1, 0, 10)]}
ADVICE = {
    "high": "are still high: more --epochs would help",
    "hardly learned": "It has hardly learned anything",
    "memorized": "it has memorized them, so more clips would help",
    "stopped": "It stopped after epoch",
    "one": "One epoch cannot show",
    "falling": "more --epochs would probably help",
    "frozen": "training more of the network (--freeze none)",
    "clips": "More epochs would hardly help; more clips of the confused classes would",
}


@pytest.mark.parametrize(
    ("losses", "changes", "expected"),
    [
        # neither loss is below 0.7 x log(2) = 0.485
        ([(0.70, 0.69), (0.69, 0.69)], GUESSED, "hardly learned"),
        ([(0.50, 0.49)], GUESSED | {"best_epoch": 1, "planned_epochs": 1}, "hardly learned"),
        # 17 of 20 are no guess, whatever the losses
        ([(0.50, 0.49)], {"best_epoch": 1, "planned_epochs": 1}, "high"),
        # training loss below half of the validation loss
        ([(0.5, 0.5), (0.20, 0.41)], {}, "memorized"),
        ([(0.5, 0.5), (0.21, 0.41)], {}, "falling"),
        ([(0.4, 0.4), (0.3, 0.4)], {"best_epoch": 1, "planned_epochs": 5}, "stopped"),
        ([(0.4, 0.3)], {"best_epoch": 1, "planned_epochs": 1}, "one"),
        # the last epoch is the best, and took more than 5 % off the loss
        ([(0.5, 0.40), (0.4, 0.37)], {}, "falling"),
        ([(0.5, 0.40), (0.4, 0.39)], {}, "clips"),
        ([(0.5, 0.40), (0.4, 0.37)], {"best_epoch": 1}, "clips"),
        ([(0.5, 0.40), (0.4, 0.39)], {"frozen": True}, "frozen"),
    ],
)
def test_what_would_help(
    losses: list[tuple[float, float]], changes: dict[str, Any], expected: str
) -> None:
    usual: dict[str, Any] = {
        "rows": rows(*losses),
        "best_epoch": len(losses),
        "planned_epochs": len(losses),
    }
    text = describe_outcome(replace(USUAL, **(usual | changes)))
    assert [name for name, words in ADVICE.items() if words in text] == [expected]


def test_the_last_quarter_of_many_epochs_is_what_falls() -> None:
    slow = [(0.5, 0.48 - 0.01 * n) for n in range(12)]  # the last three take off 7 %
    outcome = replace(USUAL, rows=rows(*slow), best_epoch=12, planned_epochs=12)
    assert ADVICE["falling"] in describe_outcome(outcome)


def test_steps_longer_than_an_epoch_are_no_early_stop() -> None:
    longer = rows((0.5, 0.40), (0.4, 0.39))
    longer[0]["epoch"], longer[1]["epoch"] = 2, 4
    text = describe_outcome(replace(USUAL, rows=longer, best_epoch=4, planned_epochs=4))
    assert ADVICE["stopped"] not in text


def test_several_labels_have_average_precision_and_no_pairs() -> None:
    several = replace(
        USUAL,
        classes=("jump", "run", "sit"),
        multi_label=True,
        best=71.2,
        val_counts=(10, 14, 0),
        confusions=[(0, 1, 5)],
    )
    text = describe_outcome(several)
    assert text.startswith(
        "best after epoch 2: mean average precision 71.2 % on 20 validation clips; a random order "
        "would have about 60.0 %."
    )
    assert "Confused" not in text
    assert "confidence" not in text
    assert "without a validation clip: 'sit'" in text
    assert text.count("More epochs would hardly help; more clips would.") == 1
    # a network that knows nothing has log(2) for each class
    idle = replace(several, rows=rows((0.6, 0.6)))
    assert "hardly learned" in describe_outcome(idle)
