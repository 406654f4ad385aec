import math

import pytest
import torch
import torch.nn.functional as F

from videoswin_cli.training.loss import Loss, balance_weights, mix
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
    weights = torch.tensor([2.0, 1.0, 0.5])
    weighed = -(weights * (truth * p.log() + (1 - truth) * (1 - p).log())).mean(dim=1)
    found = loss(multi_label=True, label_smoothing=smoothing, class_weights=weights)
    assert torch.allclose(found(LOGITS, targets), weighed, atol=1e-6)
