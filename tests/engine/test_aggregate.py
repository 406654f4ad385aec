import math

import pytest
import torch

from videoswin_cli.engine.aggregate import average_views, top_classes
from videoswin_cli.options.tasks import Average
from videoswin_cli.records import ClassProbability

LOG2, LOG3 = math.log(2), math.log(3)
# Softmax: 1/2 1/4 1/4, then 1/10 3/10 6/10.
VIEWS = torch.tensor([[LOG2, 0.0, 0.0], [0.0, LOG3, LOG2 + LOG3]])


def test_prob_is_the_mean_of_each_views_softmax() -> None:
    found = average_views(VIEWS)
    assert found.tolist() == pytest.approx([0.3, 0.275, 0.425], abs=1e-7)
    assert found.equal(average_views(VIEWS, how="prob"))


def test_score_is_the_softmax_of_the_mean_logits() -> None:
    scores = [math.sqrt(2), math.sqrt(3), math.sqrt(6)]  # exp of half the sum
    expected = [score / sum(scores) for score in scores]
    assert average_views(VIEWS, how="score").tolist() == pytest.approx(expected, abs=1e-7)


def test_the_two_can_disagree_on_the_winner() -> None:
    views = torch.tensor([[9.0, 0.0, 8.0], [-9.0, 0.0, -1.0], [9.0, 0.0, 8.0]])
    assert int(average_views(views, how="prob").argmax()) == 0
    assert int(average_views(views, how="score").argmax()) == 2


@pytest.mark.parametrize("how", ["prob", "score"])
def test_a_single_view_is_its_softmax(how: Average) -> None:
    expected = VIEWS[:1].double().softmax(dim=1)[0]
    torch.testing.assert_close(average_views(VIEWS[:1], how=how), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("how", ["prob", "score"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_probabilities_are_float64_and_sum_to_one_whatever_the_logits(
    dtype: torch.dtype, how: Average
) -> None:
    logits = torch.randn(12, 400, generator=torch.Generator().manual_seed(0)).mul(30).to(dtype)
    found = average_views(logits, how=how)
    assert found.dtype == torch.float64
    assert found.shape == (400,)
    assert float(found.sum()) == pytest.approx(1, abs=1e-12)


def test_huge_logits_do_not_overflow() -> None:
    found = average_views(torch.tensor([[60000.0, 0.0], [60000.0, 59999.0]]))
    expected = (1 + 1 / (1 + math.exp(-1))) / 2
    assert found.tolist() == pytest.approx([expected, 1 - expected], abs=1e-12)


def test_top_classes_are_the_likeliest_first_with_their_labels() -> None:
    probabilities = torch.tensor([0.1, 0.5, 0.15, 0.25], dtype=torch.float64)
    assert top_classes(probabilities, ["a", "b", "c", "d"], k=3) == (
        ClassProbability(label="b", index=1, prob=0.5),
        ClassProbability(label="d", index=3, prob=0.25),
        ClassProbability(label="c", index=2, prob=0.15),
    )


@pytest.mark.parametrize("classes", [4, 400])
def test_ties_go_by_index(classes: int) -> None:
    probabilities = torch.full((classes,), 1 / (classes + 1), dtype=torch.float64)
    probabilities[classes - 1] = 2 / (classes + 1)
    found = top_classes(probabilities, [str(i) for i in range(classes)], k=classes)
    assert [score.index for score in found] == [classes - 1, *range(classes - 1)]


def test_fewer_classes_than_asked_for_are_all_given() -> None:
    probabilities = torch.tensor([0.25, 0.75], dtype=torch.float64)
    found = top_classes(probabilities, ["no", "yes"], k=5)
    assert [score.label for score in found] == ["yes", "no"]


@pytest.mark.parametrize("how", ["prob", "score"])
def test_with_several_labels_each_class_has_a_probability_of_its_own(how: Average) -> None:
    views = torch.tensor([[0.0, LOG3, -LOG3], [LOG3, LOG3, LOG3]])
    expected = {"prob": [0.625, 0.75, 0.5], "score": [math.sqrt(3) / (1 + math.sqrt(3)), 0.75, 0.5]}
    found = average_views(views, how=how, multi_label=True)
    assert found.tolist() == pytest.approx(expected[how], abs=1e-7)
