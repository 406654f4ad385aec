"""Columns that change what a row means: parts of videos, and splits."""

import json
from pathlib import Path

import pytest

from videoswin_cli.data.lists import VideoList, read_list
from videoswin_cli.errors import UsageError
from videoswin_cli.options.parsers import parse_seconds
from videoswin_cli.records import Segment


def read(folder: Path, text: str, **options: object) -> VideoList:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return read_list(path, **options)


def segments(folder: Path, text: str) -> list[str]:
    return [str(row.segment or "whole") for row in read(folder, text).rows]


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("time_start,time_end", "7,17", "t=7,17"),
        ("start,end", "0.5,1.5", "t=0.5,1.5"),
        ("start_time,end_time", "1:02.5,1:04", "t=62.5,64"),
        ("startTime,stopTime", "1e-05,2", "t=1e-05,2"),
        ("Start Sec,Stop Sec", " 1 , 2 ", "t=1,2"),
        ("start_seconds,end_seconds", "1,2", "t=1,2"),
        ("start_timestamp,stop_timestamp", "00:00:01.089,01:00:00", "t=1.089,3600"),
        ("t-start,t-end", "1,2", "t=1,2"),
        ("start,end", ",2", "t=0,2"),
        ("start,end", "1,", "t=1"),
        ("start,end", ",", "whole"),
        ("start,x", "1,", "t=1"),
        ("end,x", "2,", "t=0,2"),
        ("start_frame,end_frame", "0,30", "frames=0,30"),
        ("start_frame,stop_frame", "5.0,10", "frames=5,10"),
        ("segment,x", '"[1.0, 2.5]",', "t=1,2.5"),
        ("segment,x", ",", "whole"),
    ],
)
def test_times_and_frames_make_a_segment(
    header: str, cells: str, expected: str, tmp_path: Path
) -> None:
    assert segments(tmp_path, f"path,label,{header}\na.mp4,run,{cells}\n") == [expected]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("abc,10", "start, end: expected seconds, or MM:SS or HH:MM:SS.mmm, such as 1:02.5, found"),
        ("nan,10", "expected seconds"),
        ("0,inf", "expected seconds"),
        ("-1,10", "expected seconds"),
        ("1e400,10", "expected seconds from 0 up"),
        ("0x10,20", "expected seconds"),
        ("\u0663,10", "expected seconds"),
        ("1_0,20", "expected seconds"),
        ("1:75,100", "more than 59 after a colon"),
        ("1:2:3:4,100", "expected seconds"),
        (f"{'9' * 5000},10", "a time of that many digits is none"),
        ("10,10", "the end, 10, is not after the start, 10"),
        ("10,9.5", "the end, 9.5, is not after the start, 10"),
        (",0", "the end, 0, is not after the start, 0"),
    ],
)
def test_what_is_no_time_is_refused_with_line_and_columns(
    cells: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message) as failure:
        read(tmp_path, f"path,label,start,end\na.mp4,run,0,1\nb.mp4,run,{cells}\n")
    assert "list.csv:3: start, end: " in failure.value.message


@pytest.mark.parametrize("cells", ["abc,10", "-1,10", "1.5,10", "5,5", f"{'9' * 5000},10", "nan,1"])
def test_what_is_no_frame_is_refused(cells: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"list\.csv:2: start_frame, end_frame: "):
        read(tmp_path, f"path,label,start_frame,end_frame\na.mp4,run,{cells}\n")


@pytest.mark.parametrize(
    "values",
    [
        {"segment": [1]},
        {"segment": [2, 1]},
        {"segment": "x"},
        {"segment": {"a": 1}},
        {"segment": [[0], 1]},
        {"start": [0], "end": 1},
        {"start": True, "end": 2},
        {"start": float("nan"), "end": 2},
        {"start": 0, "end": float("inf")},
        {"start": 0, "end": 10**400},
        {"start_frame": 0.5, "end_frame": 2},
        {"start_frame": {}, "end_frame": [3]},
    ],
)
def test_values_of_json_are_looked_at_as_well(values: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"list\.csv:1: "):
        read(tmp_path, json.dumps([{"path": "a.mp4", "label": "run", **values}]))


def test_frames_are_said_to_count_from_zero(tmp_path: Path) -> None:
    videos = read(tmp_path, "path,label,start_frame,end_frame\na.mp4,run,0,30\n")
    assert videos.notices == (
        "start_frame and end_frame are taken for frames counted from 0, the last one not included",
    )


def test_times_go_before_frames_and_what_is_not_used_is_named(tmp_path: Path) -> None:
    header = ",path,label,start,end,start_frame,end_frame,fps,empty"
    videos = read(tmp_path, f"{header}\n0,a.mp4,run,0,1,0,25,25,\n")
    assert videos.rows[0].segment == Segment(start=0, end=1)
    assert videos.notices == ("columns not used: start_frame, end_frame, fps",)
    assert videos.columns == tuple(header.split(","))


def test_start_and_count_are_frames_unless_they_mean_all(tmp_path: Path) -> None:
    text = "a.mp4 0 30 1\na.mp4 5 10 1\na.mp4 0 -1 1\na.mp4 0 0 1\na.mp4 7 -1 1\n"
    expected = ["frames=0,30", "frames=5,15", "whole", "whole", "frames=7"]
    assert segments(tmp_path, text) == expected


def test_only_whole_seconds_name_a_trimmed_clip(tmp_path: Path) -> None:
    text = "path,label,start,end\nx/a.mp4,run,7,17\nb,run,0.5,1\nc.d,run,100,\ne.f,run,1,2\n"
    found = [row.trimmed_names for row in read(tmp_path, text).rows]
    assert found == [("x/a_000007_000017",), (), (), ("e.f_000001_000002",)]


# --- splits ---------------------------------------------------------------------------------------

SPLITS = "path,label,split\na,x,Training\nb,x,train\nc,x,valid\nd,y,validation\ne,y,holdout\nf,y,\n"


def test_splits_have_one_name_each(tmp_path: Path) -> None:
    videos = read(tmp_path, SPLITS)
    assert dict(videos.splits) == {"train": 2, "val": 2, "test": 1, "(none)": 1}
    assert [row.split for row in videos.rows] == ["train", "train", "val", "val", "test", None]


@pytest.mark.parametrize(
    ("split", "names"),
    [("train", "ab"), ("TRAINING", "ab"), ("val", "cd"), ("testing", "e"), ("(none)", "f")],
)
def test_one_split_can_be_chosen(split: str, names: str, tmp_path: Path) -> None:
    videos = read(tmp_path, SPLITS, split=split)
    assert "".join(row.name for row in videos.rows) == names
    assert len(videos.splits) == 4, "they are known all the same"


def test_a_split_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no split 'dev'") as failure:
        read(tmp_path, SPLITS, split="dev")
    assert failure.value.hint == "its splits: train (2), val (2), test (1), (none) (1)"
    with pytest.raises(UsageError, match="no column that names splits, so there is no 'val'"):
        read(tmp_path, "a.mp4 0\n", split="val")


def test_a_glob_of_lists_adds_up(tmp_path: Path) -> None:
    for name in ("1.csv", "2.csv"):
        (tmp_path / name).write_text("path,label,split,fps\na,x,train,3\nb,x,val,3\n")
    videos = read_list(tmp_path / "*.csv")
    assert dict(videos.splits) == {"train": 2, "val": 2}
    assert videos.notices == ("columns not used: fps",)
    assert len(read_list(tmp_path / "*.csv", split="val").rows) == 2


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("0.25", 0.25), (".5", 0.5), ("1:02.5", 62.5), ("1:0:0", 3600)]
)
def test_times_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("header", "cells", "told"),
    [
        ("path,label,start,duration", "a.mp4,x,1.5,1.4", "start without an end, and duration"),
        ("path,label,start_frame,num_frames", "a.mp4,x,22,22", "start_frame without an end"),
        ("path,label,start_ms,end_ms", "a.mp4,x,1500,2900", "a column of milliseconds"),
        ("path,label,start,end", 'a.mp4,x,"1,5","2,9"', "with a point and no comma"),
        ("classname,path,start,end,label", "x,a.mp4,1,2,-1", "label is -1 beside classname"),
    ],
)
def test_parts_that_could_mean_two_things_are_refused(
    header: str, cells: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text(f"{header}\n{cells}\n")
    with pytest.raises(UsageError, match=told):
        read_list(tmp_path / "list.csv")


def test_the_separator_line_of_excel_is_no_row(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"\xef\xbb\xbfsep=;\r\npath;label\r\na.mp4;x\r\n")
    (row,) = read_list(tmp_path / "list.csv").rows
    assert (row.name, row.label, row.line) == ("a.mp4", "x", 3)


def test_the_length_of_the_video_beside_whole_parts_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label,start,end,duration\na.mp4,x,1,2,9\n")
    videos = read_list(tmp_path / "list.csv")
    assert videos.rows[0].segment == Segment(start=1, end=2)
    assert videos.notices == ("columns not used: duration",)
