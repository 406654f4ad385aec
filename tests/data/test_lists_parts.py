"""Rows about a moment or an area of the picture: refused, never scored as whole videos."""

import json
from pathlib import Path
from typing import Any

import pytest

from videoswin_cli.data.lists import VideoList, read_list
from videoswin_cli.errors import UsageError
from videoswin_cli.records import Segment

AVA = (
    "video_id,timestamp,x1,y1,x2,y2,label,person_id\n"
    "-5KQ66BBWC4,0902,0.077,0.151,0.283,0.811,80,1\n"
)


def read(folder: Path, text: str, **options: Any) -> VideoList:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return read_list(path, **options)


def test_a_row_of_ava_is_refused_with_what_it_says_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as failure:
        read(tmp_path, AVA)
    assert failure.value.message == (
        f"{tmp_path / 'list.csv'}:2: timestamp ('0902') says when in the video, and x1 ('0.077'), "
        "y1 ('0.151'), x2 ('0.283'), y2 ('0.811') say where in the picture: the row is not about "
        "the whole video"
    )
    for advice in ("start and end in seconds", "cut out beforehand", "remove these columns"):
        assert advice in failure.value.hint


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("timestamp", "0902"),
        ("Time", "1:02.5"),
        ("time_sec", "3.5"),
        ("frame", "120"),
        ("frame", "frames/a/img_00120.jpg"),
        ("frame_id", "120"),
        ("frame_number", "7"),
        ("keyframe", "120"),
        ("key_frame_idx", "120"),
        ("keyFrameIndex", "120"),
        ("sec", "4"),
        ("middle_frame", "12"),
        ("middle_frame_timestamp", "902"),
        ("center_time", "3"),
        ("apex_frame", "12"),
        ("gt_frame", "12"),
        ("narration_timestamp", "00:00:01.089"),
        ("labelled_frame_number", "12"),
        ("pts", "9000"),
        ("label_start_timestamp_seconds", "1.5"),
        ("start_idx", "12"),
        ("first_frame", "12"),
        ("t", "1.5"),
        ("onset", "3"),
        ("offset", "3"),
        ("interval", "1-2"),
    ],
)
def test_a_column_that_says_when_is_no_whole_video(column: str, cell: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"list\.csv:3: {column} .* says when in the video"):
        read(tmp_path, f"path,label,{column}\nb.mp4,run,\na.mp4,run,{cell}\n")


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("timestamp", "2024-05-01 10:00:00"),
        ("upload_timestamp", "1714557600"),
        ("time", "morning"),
        ("frames", "120"),
        ("frame_rate", "25"),
        ("frame_width", "320"),
        ("duration", "9.5"),
        ("upload_time", "12:30"),
        ("gender", "f1"),
        ("clip_index", "3"),
        ("from", "youtube"),
        ("width", "320"),
    ],
)
def test_what_is_a_fact_of_the_whole_video_is_named_and_not_used(
    column: str, cell: str, tmp_path: Path
) -> None:
    videos = read(tmp_path, f"path,label,{column}\na.mp4,run,{cell}\n")
    assert videos.rows[0].segment is None
    assert videos.notices == (f"columns not used: {column}",)


def test_a_moment_beside_start_and_end_is_not_used(tmp_path: Path) -> None:
    videos = read(tmp_path, "path,label,start,end,timestamp\na.mp4,run,1,2,1.5\n")
    assert videos.rows[0].segment == Segment(start=1, end=2)
    assert videos.notices == ("columns not used: timestamp",)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("bbox", "1 2 3 4"),
        ("Bounding Box", "1 2 3 4"),
        ("x1,y1,x2,y2", "1,2,3,4"),
        ("entity_box_x1,entity_box_y1,entity_box_x2,entity_box_y2", "1,2,3,4"),
        ("xmin,ymin,xmax,ymax", "1,2,3,4"),
        ("x,y,w,h", "1,2,3,4"),
        ("left,top,width,height", "1,2,3,4"),
        ("start,end,bbox", "1,2,5 6 7 8"),
    ],
)
def test_a_box_is_no_whole_picture(header: str, cells: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="where in the picture"):
        read(tmp_path, f"path,label,{header}\na.mp4,run,{cells}\n")


def test_a_box_in_json_is_refused_and_an_empty_one_is_none(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"path": "a.mp4", "label": "run", "bbox": []}]
    assert len(read(tmp_path, json.dumps(rows)).rows) == 1
    rows.append({"path": "b.mp4", "label": "run", "bbox": [0, 0, 8, 8]})
    with pytest.raises(UsageError, match=r"list\.csv:2: bbox .* where in the picture"):
        read(tmp_path, json.dumps(rows))


def test_one_video_for_two_persons_is_refused(tmp_path: Path) -> None:
    text = "path,person_id,start,end,label\na.mp4,1,0,1,run\na.mp4,2,1,2,run\n"
    assert len(read(tmp_path, text).rows) == 2, "parts of their own"
    with pytest.raises(UsageError, match=r":4: 'a.mp4' again, for another person_id"):
        read(tmp_path, f"{text}a.mp4,3,1,2,run\n")


@pytest.mark.parametrize(
    "text",
    [AVA.partition("\n")[2], "a.mp4,1.5,2.9,run\nb.mp4,0.5,3.1,run\n", "a.mp4 1.5 2.9 0\n"],
)
def test_numbers_with_fractions_need_a_header(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="columns of numbers, without a header") as failure:
        read(tmp_path, text)
    assert "`path,start,end,label`" in failure.value.hint


def test_names_may_hold_fractions(tmp_path: Path) -> None:
    few = read(tmp_path, "v, 1.5, x.mp4 0\nb.mp4 0\nc.mp4 1\n")
    assert few.rows[0].name == "v, 1.5, x.mp4"
    paths = read(tmp_path, "v, 1.5, x.mp4\nv, 2.5, x.mp4\n1.5 v 2.mp4\n", labelled=False)
    assert [row.name for row in paths.rows] == ["v, 1.5, x.mp4", "v, 2.5, x.mp4", "1.5 v 2.mp4"]


@pytest.mark.parametrize(
    ("column", "notice"),
    [
        (
            "start_frame",
            "start_frame is read as the first frame, counted from 0; without a column for the "
            "end each part goes to the end of its video",
        ),
        (
            "end_frame",
            "end_frame is read as the frame after the last one, counted from 0; without a "
            "column for the start each part begins where its video begins",
        ),
    ],
)
def test_one_bound_alone_is_explained(column: str, notice: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"path,label,{column}\na.mp4,run,5\n").notices == (notice,)


def test_a_row_of_a_frame_folder_has_its_number_of_frames(tmp_path: Path) -> None:
    rows = {"data_list": [{"frame_dir": "a", "total_frames": 30, "label": 1}]}
    (row,) = read(tmp_path, json.dumps(rows)).rows
    assert (row.name, row.frames, row.label) == ("a", 30, 1)
