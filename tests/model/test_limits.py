from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints

import pytest
from tiny import PROTOCOL, TINY

from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import (
    PUBLICATION_RANGES,
    RECIPE_RANGES,
    Publication,
    Recipe,
    list_specs,
)
from videoswin_cli.model.limits import (
    ARCHITECTURE_RANGES,
    PROTOCOL_RANGES,
    count_parameters,
    find_problems,
)
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.records import Architecture, InputProtocol

SPECS = list_specs()


def numeric_fields(kind: type[Any]) -> set[str]:
    """Names of the fields that hold numbers, one or several."""
    hints = get_type_hints(kind)

    def numbers(hint: Any) -> bool:
        return hint in (int, float) or any(map(numbers, get_args(hint)))

    return {field.name for field in fields(kind) if numbers(hints[field.name])}


@pytest.mark.parametrize(
    ("kind", "ranges", "elsewhere"),
    [
        (Architecture, ARCHITECTURE_RANGES, set()),
        (InputProtocol, PROTOCOL_RANGES, {"crops"}),  # 1 or 3
        (Publication, PUBLICATION_RANGES, set()),
        (Recipe, RECIPE_RANGES, set()),
    ],
)
def test_every_number_of_a_model_has_a_range(
    kind: type[Any], ranges: dict[str, object], elsewhere: set[str]
) -> None:
    assert ranges.keys() == numeric_fields(kind) - elsewhere


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_published_models_are_within_the_limits_with_room(spec: Any) -> None:
    assert list(find_problems(spec.architecture, spec.protocol)) == []
    longer = replace(spec.protocol, clip_frames=2 * spec.protocol.clip_frames)
    assert list(find_problems(spec.architecture, longer)) == []


@pytest.mark.parametrize(
    "architecture",
    [TINY, replace(TINY, qkv_bias=False, patch_norm=False, mlp_ratio=2.7, num_classes=1)],
)
def test_parameters_are_counted_before_they_are_there(architecture: Architecture) -> None:
    network = Swin3D(architecture)
    counted = sum(parameter.numel() for parameter in network.parameters())
    assert count_parameters(architecture) == counted


@pytest.mark.parametrize(
    ("sizes", "feeding", "message"),
    [
        ({"num_classes": 10**9}, {}, "num_classes: expected a number from 0 to 100000"),
        ({"embed_dim": 1024, "depths": (9, 99)}, {}, "a network of 3[0-9]+ parameters"),
        (
            {"window_size": (64, 64, 64), "embed_dim": 64, "num_heads": (64, 128)},
            {},
            "a network of [0-9]+ parameters",
        ),
        ({}, {"clip_frames": 1024, "crop_size": 1024, "short_side": 1024}, "are 1073741824 pixels"),
        (
            {"patch_size": (1, 1, 1)},
            {"clip_frames": 512, "crop_size": 200, "short_side": 200},
            "a view needs a tensor of [0-9]+ numbers",
        ),
        (
            {"window_size": (16, 28, 28)},
            {"clip_frames": 32, "crop_size": 224, "short_side": 224},
            "a view needs a tensor of [0-9]+ numbers",
        ),
        ({"depths": (1,) * 9, "num_heads": (1,) * 9}, {}, "expected from 1 to 8 of them, found 9"),
    ],
)
def test_sizes_that_would_take_all_memory_are_refused(
    sizes: dict[str, Any], feeding: dict[str, Any], message: str
) -> None:
    feeding = feeding and feeding | {"quick_short_side": feeding["short_side"]}
    problems = find_problems(replace(TINY, **sizes), replace(PROTOCOL, **feeding))
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(next(problems))


def test_the_number_of_parameters_is_set_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOSWIN_MAX_PARAMETERS", "1000")
    assert "expected at most 1000 (VIDEOSWIN" in next(find_problems(TINY, PROTOCOL))
    monkeypatch.setenv("VIDEOSWIN_MAX_PARAMETERS", "many")
    with pytest.raises(UsageError, match="VIDEOSWIN_MAX_PARAMETERS is 'many'"):
        next(find_problems(TINY, PROTOCOL))
