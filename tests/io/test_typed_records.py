from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from videoswin_cli.errors import UsageError
from videoswin_cli.io.typed_records import check_keys, required_keys, to_record
from videoswin_cli.ranges import Range


@dataclass(frozen=True, kw_only=True)
class Camera:
    height: int
    ratio: float
    size: tuple[int, int, int]
    note: str | None = None
    crop: int | None = None
    mode: Literal["a", "b", "c"] = "a"
    flip: Literal["auto"] | bool = "auto"
    tags: tuple[str, ...] = field(default_factory=tuple)


DATA: dict[str, Any] = {"height": 3, "ratio": 1.5, "size": [1, 2, 3]}


# --- keys -----------------------------------------------------------------------------------------


def test_required_keys_are_the_fields_without_a_default() -> None:
    assert required_keys(Camera) == {"height", "ratio", "size"}


def test_an_unknown_key_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        check_keys({"hieght": 1}, known={"height", "ratio"}, required=set(), source="mine.yaml")
    assert caught.value.message == "mine.yaml: unknown key 'hieght'"
    assert caught.value.hint == "did you mean height?"


@pytest.mark.parametrize("key", ["zzz", 7, None])
def test_a_key_like_no_other_gets_the_known_ones(key: Any) -> None:
    with pytest.raises(UsageError) as caught:
        check_keys({key: 1}, known={"ratio", "height"}, required=set(), source="mine.yaml")
    assert caught.value.message == f"mine.yaml: unknown key {key!r}"
    assert caught.value.hint == "known keys: height, ratio"


def test_all_missing_keys_are_told() -> None:
    with pytest.raises(UsageError, match=r"^mine\.yaml: missing key 'height', 'size'$"):
        check_keys(
            {"ratio": 1}, known=required_keys(Camera), required=required_keys(Camera),
            source="mine.yaml",
        )  # fmt: skip
    check_keys(DATA, known=required_keys(Camera), required=required_keys(Camera), source="x")


# --- records --------------------------------------------------------------------------------------


def test_to_record() -> None:
    record = to_record(Camera, DATA | {"tags": ["a"]}, source="mine.yaml")
    assert record == Camera(height=3, ratio=1.5, size=(1, 2, 3), tags=("a",))
    # A whole number is a fine float, and stays no other type.
    assert type(to_record(Camera, DATA | {"ratio": 4}, source="mine.yaml").ratio) is float


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("height", "3", "expected a whole number from 1 to 9, found '3'"),
        ("height", 3.5, "expected a whole number from 1 to 9, found 3.5"),
        ("height", 1e300, "expected a whole number from 1 to 9, found 1e+300"),
        ("height", float("nan"), "expected a whole number from 1 to 9, found nan"),
        ("height", None, "expected a whole number from 1 to 9, found nothing"),
        ("height", True, "expected a whole number from 1 to 9, found True"),
        ("ratio", "1.5", "expected a number, found '1.5'"),
        ("ratio", {"a": [1]}, "expected a number, found {'a': [1]}"),
        ("size", [1, 2], "expected a list of 3 whole numbers, found [1, 2]"),
        ("size", [1, 2, "3"], "expected a list of 3 whole numbers, found [1, 2, '3']"),
        ("size", [1, 2, 3.5], "expected a list of 3 whole numbers, found [1, 2, 3.5]"),
        ("size", 7, "expected a list of 3 whole numbers, found 7"),
        ("note", 1, "expected text or null, found 1"),
        ("note", "$.height", None),
        ("tags", "a", "expected a list of texts, found 'a'"),
        ("tags", ["$.height", 1], "expected a list of texts, found ['$.height', 1]"),
        ("crop", "7", "expected a whole number from 1 to 5 or null, found '7'"),
        ("mode", "$.height", "expected one of a, b, c, found '$.height'"),
        ("mode", 1.5, "expected one of a, b, c, found 1.5"),
        ("flip", "maybe", "expected auto or true or false, found 'maybe'"),
    ],
)
def test_a_wrong_type_is_told_with_what_is_expected(key: str, value: Any, told: str | None) -> None:
    ranges = {"height": Range(1, 9), "crop": Range(1, 5)}
    if told is None:
        assert to_record(Camera, DATA | {key: value}, source="mine.yaml", ranges=ranges)
        return
    with pytest.raises(UsageError) as caught:
        to_record(Camera, DATA | {key: value}, source="mine.yaml", ranges=ranges, prefix="cam_")
    assert caught.value.message == f"mine.yaml: cam_{key}: {told}"


def test_whole_numbers_may_be_written_as_floats() -> None:
    data = DATA | {"height": 1e3, "size": [1.0, 2, 3], "crop": 7.0, "ratio": 2.0}
    record = to_record(Camera, data, source="mine.yaml")
    assert record == Camera(height=1000, ratio=2.0, size=(1, 2, 3), crop=7)
    assert [type(n) for n in (record.height, *record.size, record.crop)] == [int] * 5
    assert type(record.ratio) is float


def test_a_field_that_is_missing_is_told() -> None:
    with pytest.raises(UsageError, match=r"^mine\.yaml: missing key 'ratio', 'size'$"):
        to_record(Camera, {"height": 1}, source="mine.yaml")
