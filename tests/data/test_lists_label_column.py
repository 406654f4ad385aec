"""Which column is the class, where several could be."""

import json
from pathlib import Path
from typing import Any

import pytest

from videoswin_cli.data.lists import VideoList, number_labels, read_list
from videoswin_cli.errors import UsageError

EPIC = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,"
    "start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
    "P01_01_0,P01,P01_01,00:00:01.089,00:00:00.14,00:00:03.37,8,202,open door,open,3,door,3,"
    "\"['door', 'tap']\",\"[3, 0]\"\n"
    "P01_01_1,P01,P01_01,00:00:02.629,00:01:04.05,01:00:06.50,262,370,turn on light,turn-on,6,"
    "light,114,['light'],[114]\n"
)


def read(folder: Path, text: str, **options: Any) -> VideoList:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return read_list(path, **options)


def labels(videos: VideoList) -> list[object]:
    return [row.label for row in videos.rows]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("verb_class", [3, 6]),
        ("Verb-Class", [3, 6]),
        ("noun", ["door", "light"]),
        ("narration_id", ["P01_01_0", "P01_01_1"]),
    ],
)
def test_epic_kitchens_is_read_by_the_column_that_is_chosen(
    column: str, expected: list[object], tmp_path: Path
) -> None:
    videos = read(tmp_path, EPIC, label_column=column)
    assert labels(videos) == expected
    parts = [(row.name, str(row.segment)) for row in videos.rows]
    assert parts == [("P01_01", "t=0.14,3.37"), ("P01_01", "t=64.05,3606.5")]


def test_without_a_choice_the_columns_that_could_be_the_class_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no column for the class among 'narration_id'") as failure:
        number_labels(read(tmp_path, EPIC), ["open"])
    assert failure.value.hint.startswith("choose it with --label-column verb or verb_class or noun")


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no column 'verbs'") as failure:
        read(tmp_path, "path,verb\na.mp4,run\n", label_column="verbs")
    assert failure.value.hint == "its columns: path, verb"


def test_a_list_without_names_of_columns_has_none_to_choose(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--label-column verb: .* has no columns with names"):
        read(tmp_path, "a.mp4 0\nb.mp4 1\n", label_column="verb")


def test_columns_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    text = "path,category,action\na.mp4,sport,run\nb.mp4,sport,walk\nc.mp4,home,cook\n"
    with pytest.raises(UsageError, match="which of category and action is the class") as failure:
        read(tmp_path, text)
    assert "list.csv:3: category 'sport' has action 'walk' here" in failure.value.message
    assert failure.value.hint == "choose with --label-column category or --label-column action"
    assert labels(read(tmp_path, text, label_column="action")) == ["run", "walk", "cook"]
    assert len(read(tmp_path, text, labelled=False).rows) == 3, "extract needs no class"


@pytest.mark.parametrize(
    "text",
    [
        "path,label,class\na.mp4,0,run\nb.mp4,1,walk\nc.mp4,0,Run\n",
        "path,category,label\na.mp4,sport,run\nb.mp4,sport,walk\n",
        "path,label,class\na.mp4,0,\nb.mp4,,walk\nc.mp4,0,run\n",
        "path,label_id,label\na.mp4,0.0,run\nb.mp4,0,run\nc.mp4,1,walk\n",
    ],
)
def test_columns_that_agree_are_read(text: str, tmp_path: Path) -> None:
    assert all(label is not None for label in labels(read(tmp_path, text)))


def test_the_sentence_of_a_template_contradicts_nothing(tmp_path: Path) -> None:
    rows = [
        {"id": str(n), "template": "Spinning [something]", "label": f"spinning {what}"}
        for n, what in enumerate(("a cup", "a pen"))
    ]
    videos = read(tmp_path, json.dumps([*rows, {"id": "3", "template": "x", "label": "spinning"}]))
    assert labels(videos)[:2] == ["Spinning something"] * 2


def test_a_negative_label_is_no_reason_where_another_column_is_chosen(tmp_path: Path) -> None:
    text = "path,classname,label\na.mp4,run,-1\nb.mp4,walk,1\n"
    assert labels(read(tmp_path, text, label_column="classname")) == ["run", "walk"]
