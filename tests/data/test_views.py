from dataclasses import replace

import pytest

from videoswin_cli.data.views import resolve_views
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.records import InputProtocol, Views

OFFICIAL = load_spec("swin-tiny-k400").protocol  # 4x3 at 224 px, one center crop at 256
UNIFORM = load_spec("swin-base-ssv2").protocol  # 1x3 at 224 px
TORCHVISION = load_spec("swin-tiny-k400-torchvision").protocol  # 12x1 at 256 px
LARGER = replace(OFFICIAL, short_side=232, quick_short_side=248, crop_size=200)
LARGER_CENTRE = replace(LARGER, crops=1)


@pytest.mark.parametrize(
    ("text", "protocol", "clips", "crops", "short_side"),
    [
        ("paper", OFFICIAL, 4, 3, 224),
        ("4x3", OFFICIAL, 4, 3, 224),
        ("1x3", OFFICIAL, 1, 3, 224),
        ("1x1", OFFICIAL, 1, 1, 256),
        ("10x1", OFFICIAL, 10, 1, 256),
        ("999x3", OFFICIAL, 999, 3, 224),
        ("paper", UNIFORM, 1, 3, 224),
        ("1x3", UNIFORM, 1, 3, 224),
        ("1x1", UNIFORM, 1, 1, 256),
        ("paper", TORCHVISION, 12, 1, 256),
        ("12x1", TORCHVISION, 12, 1, 256),
        ("1x1", TORCHVISION, 1, 1, 256),
        ("1x3", TORCHVISION, 1, 3, 224),  # as high as a crop: it has no three crops of its own
        ("paper", LARGER, 4, 3, 232),
        ("2x3", LARGER, 2, 3, 232),
        ("2x1", LARGER, 2, 1, 248),
        ("paper", LARGER_CENTRE, 4, 1, 232),
        ("2x1", LARGER_CENTRE, 2, 1, 232),
        ("2x3", LARGER_CENTRE, 2, 3, 200),
    ],
)
def test_views(text: str, protocol: InputProtocol, clips: int, crops: int, short_side: int) -> None:
    expected = Views(clips=clips, crops=crops, short_side=short_side)
    assert resolve_views(text, protocol) == expected
    assert str(expected) == f"{clips}x{crops}"


@pytest.mark.parametrize(
    "text",
    ["", "4", "x", "4x", "x3", "0x3", "01x1", "4x2", "4x0", "4x33", "-1x1", "1000x1", "1.5x1",
     "Paper", "papers", "4X3", "4 x 3", "4x3 ", "4x3\n", "4*3"],
)  # fmt: skip
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="unknown views") as caught:
        resolve_views(text, OFFICIAL)
    assert "4x3" in caught.value.hint


@pytest.mark.parametrize("text", ["2x1", "4x3"])
def test_the_uniform_rule_has_one_clip_to_give(text: str) -> None:
    with pytest.raises(UsageError, match=f"views {text}") as caught:
        resolve_views(text, UNIFORM)
    assert "1x3" in caught.value.hint
