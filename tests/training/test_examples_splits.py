"""Lists that name the split of each row, given for training."""

from pathlib import Path

import pytest

from videoswin_cli.data.found_clips import Found
from videoswin_cli.errors import UsageError
from videoswin_cli.training.clip_source import Source
from videoswin_cli.training.examples import find_clips

ROWS = ("a,run,train", "b,walk,Training", "c,run,val", "d,walk,validation", "e,run,test")


def write(folder: Path, *rows: str, name: str = "all.csv") -> Path:
    for row in rows:
        (folder / f"{row.partition(',')[0]}.mp4").touch()
    path = folder / name
    path.write_text("path,label,split,fps\n" + "".join(f"{row},25\n" for row in rows))
    return path


def find(said: list[str], **source: object) -> Found:
    return find_clips(Source(**source), notice=said.append)  # type: ignore[arg-type]


def paths(clips: object) -> list[str]:
    return [clip.path for clip in clips]  # type: ignore[attr-defined]


@pytest.mark.parametrize("twice", [False, True])
def test_one_list_may_hold_both_parts(twice: bool, tmp_path: Path) -> None:
    said: list[str] = []
    path = write(tmp_path, *ROWS)
    found = find(said, train_list=path, val_list=path if twice else None)
    assert found.val is not None
    assert paths(found.train) == ["a.mp4", "b.mp4"]
    assert paths(found.val) == ["c.mp4", "d.mp4"]
    splits = "train (2), val (2), test (1)"
    assert f"{path} holds several splits, {splits}: the 2 rows of val are taken for val" in said
    assert "columns not used: fps" in said


def test_without_validation_rows_a_share_is_set_aside(tmp_path: Path) -> None:
    found = find([], train_list=write(tmp_path, "a,run,train", "b,walk,train", "e,run,test"))
    assert found.val is None
    assert paths(found.train) == ["a.mp4", "b.mp4"]


def test_a_list_of_one_split_is_taken_whole(tmp_path: Path) -> None:
    train = write(tmp_path, "a,run,train", "b,walk,train")
    val = write(tmp_path, "c,run,test", "d,walk,test", name="test.csv")
    found = find([], train_list=train, val_list=val)
    assert found.val is not None
    assert paths(found.val) == ["c.mp4", "d.mp4"]


def test_a_list_without_the_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no split 'train'") as failure:
        find([], train_list=write(tmp_path, "a,run,val", "b,walk,test"))
    assert failure.value.hint == "its splits: val (1), test (1)"


def test_a_list_without_labels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("path,fps\na.mp4,3\n")
    with pytest.raises(UsageError, match="no column for the class among 'path', 'fps'"):
        find([], train_list=path)
