"""JSON that libraries write: OpenMMLab, pandas, Hugging Face's server, FiftyOne's parts."""

import json
from pathlib import Path
from typing import Any

import pytest

from videoswin_cli.data.lists import VideoList, read_list
from videoswin_cli.errors import UsageError

AB = [("a.mp4", "run"), ("b.mp4", "walk")]


def read(folder: Path, content: object, **options: Any) -> VideoList:
    path = folder / "list.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return read_list(path, **options)


def page(rows: list[dict[str, object]], **more: object) -> dict[str, object]:
    """As datasets-server.huggingface.co answers."""
    names = {"names": ["walk", "run"], "_type": "ClassLabel"}
    return {
        "features": [
            {"feature_idx": 0, "name": "file_name", "type": {"dtype": "string", "_type": "Value"}},
            {"feature_idx": 1, "name": "label", "type": names},
        ],
        "rows": [{"row_idx": n, "row": row, "truncated_cells": []} for n, row in enumerate(rows)],
        "partial": False,
        **more,
    }


SCHEMA = {"fields": [{"name": "index"}, {"name": "path"}, {"name": "label"}], "primaryKey": ["i"]}


@pytest.mark.parametrize(
    "content",
    [
        {"metainfo": {"dataset_type": "x", "classes": ["walk", "run"]},
         "data_list": [{"filename": "a.mp4", "label": 1}, {"filename": "b.mp4", "label": 0}]},
        {"metainfo": {"CLASSES": ["walk", "run"]},
         "data_list": [{"img_path": "a.mp4", "gt_label": [1]},
                       {"img_path": "b.mp4", "gt_label": 0}]},
        {"metainfo": {}, "data_list": [{"filename": "a.mp4", "label": "run"},
                                       {"filename": "b.mp4", "label": "walk"}]},
        {"columns": ["path", "label"], "index": [5, 9], "data": [["a.mp4", "run"],
                                                                ["b.mp4", "walk"]]},
        {"columns": ["label"], "index": ["a.mp4", "b.mp4"], "data": [["run"], ["walk"]]},
        {"path": {"5": "a.mp4", "9": "b.mp4"}, "label": {"5": "run", "9": "walk"}},
        {"label": {"a.mp4": "run", "b.mp4": "walk"}},
        {"label": {"a.mp4": "run", "b.mp4": "walk"}, "fps": {"a.mp4": 25, "b.mp4": 30}},
        {"5": {"video": "a.mp4", "label": "run"}, "9": {"video": "b.mp4", "label": "walk"}},
        {"schema": SCHEMA, "data": [{"index": 0, "path": "a.mp4", "label": "run"},
                                    {"index": 1, "path": "b.mp4", "label": "walk"}]},
        {"path": ["a.mp4", "b.mp4"], "label": ["run", "walk"]},
        page([{"file_name": "a.mp4", "label": 1}, {"file_name": "b.mp4", "label": 0}]),
        {"classes": ["walk", "run"], "videos": [{"path": "a.mp4", "label": 1},
                                                {"path": "b.mp4", "label": 0}]},
    ],
)  # fmt: skip
def test_tables_of_libraries_are_read(content: object, tmp_path: Path) -> None:
    assert [(row.name, row.label) for row in read(tmp_path, content).rows] == AB


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"path": ["a.mp4", "b.mp4"]}, ["a.mp4", "b.mp4"]),
        ({"videos": ["a.mp4", "b.mp4"]}, ["a.mp4", "b.mp4"]),
        ({"path": {"0": "a.mp4", "1": "b.mp4"}}, ["a.mp4", "b.mp4"]),
    ],
)
def test_columns_of_names_alone_have_no_class(
    content: object, names: list[str], tmp_path: Path
) -> None:
    videos = read(tmp_path, content, labelled=False)
    assert [(row.name, row.label) for row in videos.rows] == [(name, None) for name in names]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"clip": ["a.mp4"], "run": ["b.mp4", "c.mp4"]}, [("a.mp4", "clip"), ("b.mp4", "run")]),
        ({"74225": {"label": "run"}, "3": {"label": "walk"}}, [("74225", "run"), ("3", "walk")]),
        ({"label": {"label": "run"}, "x": {"label": "walk"}}, [("label", "run"), ("x", "walk")]),
    ],
)
def test_objects_by_name_and_paths_by_class_are_no_tables(
    content: object, expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert [(row.name, row.label) for row in read(tmp_path, content).rows][:2] == expected


@pytest.mark.parametrize(
    "content",
    [
        {"rows": [{"row": {"path": "a", "label": 0}, "truncated_cells": 5}], "features": [7]},
        {"rows": [{"row": {"path": "a", "label": 0}}],
         "features": [{"name": ["x"], "type": {"_type": "ClassLabel", "names": ["y"]}}]},
        {"metainfo": [1], "data_list": [{"path": "a", "label": 0}]},
        {"metainfo": {"classes": [{"name": "x"}]}, "data_list": [{"path": "a", "label": 0}]},
    ],
)  # fmt: skip
def test_odd_values_beside_the_rows_are_passed_over(content: object, tmp_path: Path) -> None:
    assert [(row.name, row.label) for row in read(tmp_path, content).rows] == [("a", 0)]


def test_a_page_of_a_data_set_says_that_it_is_one(tmp_path: Path) -> None:
    videos = read(tmp_path, page([{"file_name": "a.mp4", "label": 1}], num_rows_total=300))
    (text,) = videos.notices
    assert "list.json is a page with 1 of 300 rows of a data set" in text


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ({"metainfo": {"classes": ["x"]}, "data_list": [{"filename": "a.mp4", "label": 1}]},
         ":1: label 1 is none of the 1 classes of this file", ""),
        ({"data_list": [{"img_path": "a.mp4", "instances": [{"bbox": [1], "bbox_label": 0}]}]},
         ":1: an OpenMMLab list whose labels are those of instances", "a class for each video"),
        ({"columns": ["path", "label"], "data": [["a.mp4", 0], ["b.mp4"]]},
         r":2: 1 values for the 2 columns of a table of pandas \(orient='split'\)", ""),
        ({"columns": ["path", "path"], "data": [["a", "b"]]}, "a column twice among 'path'", ""),
        ([["a.mp4", 0, 3], ["b.mp4", 1, 3]], "found .'a.mp4', 0, 3. in the list",
         "orient='records'"),
        ([[0, "a.mp4"], [1, "b.mp4"]], "found .0, 'a.mp4'. in the list", "[path, label]"),
        ([["run", "a.mp4"], ["walk", "b.mp4"]], "found .'run', 'a.mp4'.", "[path, label]"),
        (page([{"video": [{"src": "https://example.org/v.mp4"}], "label": 0}]),
         ":1: 'video' is a web address of the dataset server", "download the videos"),
        ({"rows": [{"row": {"video": "a", "label": 0}, "truncated_cells": ["video"]}]},
         ":1: the dataset server cut off the value of 'video'", "CSV or JSON lines"),
        ({"samples": [{"filepath": "a.mp4", "first": {"label": "x"}, "second": {"label": "y"}}]},
         ":1: several fields of the sample hold labels: first, second", "label_field"),
        ({"samples": [{"filepath": "a.mp4", "found": {
            "detections": [{"label": "run", "bounding_box": [0.1, 0.1, 0.2, 0.2]}]}}]},
         ":1: bounding_box .* says where in the picture", "cut out beforehand"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_recognized(
    content: object, message: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message) as failure:
        read(tmp_path, content)
    assert hint in failure.value.hint


PARTS = [{"label": "run", "support": [1, 30]}, {"label": "walk", "support": [31, 31]}]


@pytest.mark.parametrize(
    "content",
    [
        {"samples": [{"_id": {"$oid": "7"}, "filepath": "a.mp4",
                      "events": {"_cls": "TemporalDetections", "detections": PARTS}}]},
        {"samples": [{"filepath": "a.mp4", "ground_truth": {"detections": PARTS},
                      "predictions": {"detections": [{"label": "x", "support": [1, 2]}]}}]},
        {"classes": ["walk", "run"], "labels": {"a.mp4": [{"label": 1, "support": [1, 30]},
                                                          {"label": 0, "support": [31, 31]}]}},
    ],
)  # fmt: skip
def test_a_support_is_frames_from_one_the_last_included(content: object, tmp_path: Path) -> None:
    videos = read(tmp_path, content)
    rows = [(row.name, row.label, str(row.segment)) for row in videos.rows]
    assert rows == [("a.mp4", "run", "frames=0,30"), ("a.mp4", "walk", "frames=30,31")]
    said = "support is read as the first and the last frame, counted from 1"
    assert videos.notices[0] == said


@pytest.mark.parametrize(
    ("support", "message"),
    [
        ([0, 5], "support: expected frame numbers, counted from 1, found 0 and 5"),
        ([3, 2], "support: the end, 2, is not after the start, 3"),
        ([1], r"support: expected \[start, end\], found \[1\]"),
        (7, r"support: expected \[start, end\], found 7"),
        ([1.5, 3], "support: expected frame numbers"),
    ],
)
def test_a_support_that_is_none_is_refused(support: object, message: str, tmp_path: Path) -> None:
    labels = {"a.mp4": [{"label": "run", "support": support}]}
    with pytest.raises(UsageError, match=message):
        read(tmp_path, {"classes": None, "labels": labels})


def test_times_of_fiftyone_are_seconds(tmp_path: Path) -> None:
    labels = {"a.mp4": [{"label": 0, "timestamps": [0.5, 2]}]}
    (row,) = read(tmp_path, {"classes": ["run"], "labels": labels}).rows
    assert (row.label, str(row.segment)) == ("run", "t=0.5,2")


def test_several_classifications_are_several_classes(tmp_path: Path) -> None:
    found = {"classifications": [{"label": "run"}, {"label": "walk"}]}
    content = {"samples": [{"filepath": "a.mp4", "gt": found}]}
    with pytest.raises(UsageError, match=":1: 2 classes for one video"):
        read(tmp_path, content)
    videos = read(tmp_path, content, multi_label=True)
    assert [row.label for row in videos.rows] == ["run", "walk"]


def test_an_annotation_has_an_id_of_its_own(tmp_path: Path) -> None:
    (row,) = read(tmp_path, [{"id": "v1", "annotations": [{"id": 9, "label": "run"}]}]).rows
    assert (row.name, row.label) == ("v1", "run")
