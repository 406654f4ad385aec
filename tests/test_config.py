from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from videoswin_cli import config
from videoswin_cli.config import check_keys, configs_folder, required_keys, to_record
from videoswin_cli.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Camera:
    height: int
    ratio: float
    size: tuple[int, int, int]
    note: str | None = None
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
    ("key", "value"),
    [
        ("height", "3"),
        ("height", 3.5),
        ("height", None),
        ("height", True),
        ("ratio", "1.5"),
        ("size", [1, 2]),
        ("size", [1, 2, "3"]),
        ("size", 7),
        ("note", 1),
        ("tags", "a"),
    ],
)
def test_a_wrong_type_is_told(key: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"^mine\.yaml: Expected .*\$\.{key}"):
        to_record(Camera, DATA | {key: value}, source="mine.yaml")


# --- where things lie -----------------------------------------------------------------------------


def test_configs_lie_beside_the_package_in_a_clone_and_in_it_when_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (configs_folder() / "models" / "swin-tiny-k400.yaml").is_file()
    package = tmp_path / "site" / "videoswin_cli"
    package.mkdir(parents=True)
    monkeypatch.setattr(config, "__file__", str(package / "config.py"))
    assert configs_folder() == tmp_path / "site" / "configs"
    (package / "configs").mkdir()
    assert configs_folder() == package / "configs"
