import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from videoswin_cli.training.loss import Loss, balance_weights, mix, positive_weights
from videoswin_cli.training.recipe import read_recipe


def loss(**changes: object) -> Loss:
    return Loss(**({"label_smoothing": 0.0, "class_weights": None} | changes))  # type: ignore[arg-type]


LOGITS = torch.tensor([[1.0, 2.0, 0.5], [0.1, -1.0, 3.0]])
LABELS = torch.tensor([1, 0])
TARGETS = F.one_hot(LABELS, 3).float()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_class_a_clip_is_cross_entropy(smoothing: float) -> None:
    expected = F.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing, reduction="none")
    assert torch.allclose(loss(label_smoothing=smoothing)(LOGITS, TARGETS), expected)


def test_weights_of_classes() -> None:
    weights = balance_weights([30, 10, 20])
    assert weights.tolist() == pytest.approx([2 / 3, 2, 1])
    assert (weights * torch.tensor([30, 10, 20])).sum() / 60 == pytest.approx(1)
    expected = F.cross_entropy(LOGITS, LABELS, weight=weights, reduction="none")
    assert torch.allclose(loss(class_weights=weights)(LOGITS, TARGETS), expected)


def test_of_nothing_known_it_is_the_logarithm_of_the_classes() -> None:
    assert loss()(torch.zeros(2, 3), TARGETS).tolist() == pytest.approx([math.log(3)] * 2)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixed_clips_and_targets_agree(kind: str) -> None:
    recipe = read_recipe(None, [f"{kind}=1.0"])
    clips = torch.stack([torch.full((3, 2, 16, 20), float(n)) for n in range(2)])
    targets = torch.eye(2)
    shares = []
    for seed in range(50):
        mixed, labels = mix(clips, targets, recipe, generator(seed))
        assert labels.sum(dim=1) == pytest.approx(torch.ones(2))
        # a clip of zeros and one of ones: the mean of the mixture is the share of the second class
        assert mixed.mean(dim=(1, 2, 3, 4)) == pytest.approx(labels[:, 1], abs=1e-5)
        if kind == "cutmix":
            assert set(mixed.unique().tolist()) <= {0.0, 1.0}
            assert (mixed == mixed[:, :1, :1]).all(), "the same place in all frames"
        shares.append(float(labels[0, 0]))
    assert len(set(shares)) > 25
    again, _ = mix(clips, targets, recipe, generator(3))
    assert torch.equal(again, mix(clips, targets, recipe, generator(3))[0])


def test_nothing_is_mixed_unless_asked_for() -> None:
    clips, targets = torch.randn(2, 3, 2, 4, 4), torch.eye(2)
    assert mix(clips, targets, read_recipe(), generator(0))[0] is clips
    alone = mix(clips[:1], targets[:1], read_recipe(None, ["mixup=1"]), generator(0))
    assert alone[0].shape[0] == 1


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_several_classes_a_clip_are_binary_cross_entropies(smoothing: float) -> None:
    targets = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    truth = targets * (1 - smoothing) + smoothing / 2
    p = LOGITS.sigmoid()
    expected = -(truth * p.log() + (1 - truth) * (1 - p).log()).mean(dim=1)
    found = loss(multi_label=True, label_smoothing=smoothing)(LOGITS, targets)
    assert torch.allclose(found, expected, atol=1e-6)


# --- weights --------------------------------------------------------------------------------------


def fit(features: Tensor, targets: Tensor, of: Loss, steps: int = 300) -> Tensor:
    """Logits of a linear model that is trained on all of (N, C) `features` at once."""
    weight = torch.zeros(features.shape[1], targets.shape[1], requires_grad=True)
    bias = torch.zeros(targets.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        mean = of(features @ weight + bias, targets).mean()
        mean.backward()
        return float(mean.detach())

    optimizer.step(closure)
    return (features @ weight + bias).detach()


@pytest.mark.parametrize("counts", [[100, 5], [100, 3], [100] * 9 + [1]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_smoothing_and_weights_of_classes_leave_every_clip_its_class(
    counts: list[int], smoothing: float
) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    targets = F.one_hot(labels, len(counts)).float()
    features = targets + 0.1 * torch.randn(targets.shape, generator=generator(0))
    weighed = loss(label_smoothing=smoothing, class_weights=balance_weights(counts))
    assert (fit(features, targets, weighed).argmax(dim=1) == labels).all()


def test_the_best_answer_under_weights_is_the_smoothed_probability_after_weighting() -> None:
    """Of clips that look alike, 30 are of the first class, 10 of the second, none of the third."""
    targets = F.one_hot(torch.tensor([0] * 30 + [1] * 10), 3).float()
    found = fit(
        torch.zeros(40, 1),
        targets,
        loss(label_smoothing=0.3, class_weights=torch.tensor([1.0, 6.0, 2.0])),
    )
    weighted = torch.tensor([30.0, 60.0, 0.0]) / 90
    assert torch.allclose(found.softmax(dim=1)[0], weighted * 0.7 + 0.1, atol=1e-3)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_equal_weights_are_those_of_torch(smoothing: float) -> None:
    weights = torch.full((3,), 1.7)
    expected = F.cross_entropy(
        LOGITS, LABELS, weight=weights, label_smoothing=smoothing, reduction="none"
    )
    found = loss(label_smoothing=smoothing, class_weights=weights)(LOGITS, TARGETS)
    assert torch.allclose(found, expected)


def test_a_mixed_clip_weighs_as_its_parts_do() -> None:
    targets = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 1.0]])
    plain = loss(label_smoothing=0.1)(LOGITS, targets)
    weighed = loss(label_smoothing=0.1, class_weights=torch.tensor([4.0, 2.0, 0.5]))
    assert torch.allclose(weighed(LOGITS, targets), plain * torch.tensor([2.5, 0.5]))


def test_weights_of_several_classes_are_for_their_positives_only() -> None:
    targets = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    weights = torch.tensor([2.0, 1.0, 0.5])
    expected = F.binary_cross_entropy_with_logits(
        LOGITS, targets, pos_weight=weights, reduction="none"
    ).mean(dim=1)
    found = loss(multi_label=True, class_weights=weights)(LOGITS, targets)
    assert torch.allclose(found, expected)


def test_weights_of_positives() -> None:
    found = positive_weights([20, 500, 800, 1, 1000], clips=1000)
    assert found.tolist() == pytest.approx([49, 1, 0.25, 100, 0.01])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_rare_class_of_several_is_found_with_weights_only(smoothing: float) -> None:
    """2 % of the clips have the second class, most of those that look like it do not."""
    draws = generator(0)
    common = (torch.rand(2000, generator=draws) < 0.5).float()
    rare = (torch.rand(2000, generator=draws) < 0.02).float()
    targets = torch.stack((common, rare), dim=1)
    features = targets + torch.tensor([0.3, 0.5]) * torch.randn(2000, 2, generator=draws)
    weights = positive_weights([int(common.sum()), int(rare.sum())], clips=2000)
    plain = loss(multi_label=True, label_smoothing=smoothing)
    weighed = loss(multi_label=True, label_smoothing=smoothing, class_weights=weights)
    has = rare.bool()
    without = fit(features, targets, plain)[has, 1] > 0
    answers = fit(features, targets, weighed)[:, 1] > 0
    assert without.float().mean() < 0.4
    assert answers[has].float().mean() > 0.75
    assert answers[~has].float().mean() < 0.25, "nor is everything the rare class"
    even = torch.zeros(2000, 2)
    assert 1 < weighed(even, targets).mean() / plain(even, targets).mean() < 2
