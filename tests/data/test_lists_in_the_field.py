"""Lists that people really have, each read as its author meant it or refused with a sentence."""

from pathlib import Path

import pytest

from videoswin_cli.data.lists import number_labels, question_labels, read_list
from videoswin_cli.errors import UsageError
from videoswin_cli.model.label_files import list_labels
from videoswin_cli.records import Segment

LISTS = Path(__file__).parents[1] / "field" / "lists"
CLASSES = (
    *("pan-left", "pan-right", "roll-clockwise", "roll-counterclockwise", "shake", "static"),
    *("tilt-down", "tilt-up", "zoom-in", "zoom-out"),
)
USUAL = ["pan-left/a.mp4", "zoom-in/b.mp4"]
NAMES = {  # where they are not the usual ones
    "absolute.txt": ["DIR/v/pan-left/a.mp4", "DIR/v/zoom-in/b.mp4"],
    "activitynet.json": ["a", "b"],
    "backslash.txt": ["pan-left\\a.mp4", "zoom-in\\b.mp4"],
    "bracket_first.txt": ["[x] c.mp4", "[y] c.mp4"],
    "divx.txt": ["pan-left/old.divx", "zoom-in/b.mp4"],
    "dotslash.txt": ["./pan-left/a.mp4", "./zoom-in/b.mp4"],
    "hash.txt": ["hash/0123abcd", "zoom-in/b.mp4"],
    "jester.csv": ["pan-left/a", "zoom-in/b"],
    "kinetics.csv": ["a", "b"],
    "special.txt": ["pan-left/50% #1 a&b?.mp4", "pan-left/-dash.mp4"],
    "u2028.txt": ["pan-left/two\u2028lines.mp4", "zoom-in/b.mp4"],
    "upper_ext.txt": ["pan-left/a.MP4", "zoom-in/b.MP4"],
}
REFUSED = {
    "gbk.txt": r"not UTF-8 text but probably GBK",
    "kinetics_test.csv": r"no column for the class among 'youtube_id', 'time_start', 'time_end'",
    "label_first.txt": r"the label comes before the path, as in '0 pan-left/a.mp4'",
    "only_path.csv": r"no column for the class among 'path'",
    "ucf_classind.txt": r"has label 1, which is 'pan-right', and lies in the folder of 'pan-left'",
}
OTHERS = ("id2label.json",)  # class names
SEGMENTS = {
    "activitynet.json": [Segment(start=0.1, end=1), Segment(start=0.1, end=1)],
    "kinetics.csv": [Segment(start=0, end=10)] * 2,
    "times.csv": [Segment(start=0, end=1), Segment(start=0.5, end=1.5)],
    "videomae2.csv": [Segment(start=0, end=30, unit="frames")] * 2,
}
FILES = sorted(path.name for path in LISTS.iterdir())


def read_labels(name: str) -> list[int]:
    videos = read_list(LISTS / name)
    labels = number_labels(videos, CLASSES)
    assert question_labels(videos, labels, CLASSES) == []
    return labels


@pytest.mark.parametrize("name", [n for n in FILES if n not in REFUSED and n not in OTHERS])
def test_a_labelled_list_is_read_as_meant(name: str) -> None:
    videos = read_list(LISTS / name)
    assert [row.name for row in videos.rows] == NAMES.get(name, USUAL)
    assert read_labels(name) == ([0, 0] if name == "special.txt" else [0, 8])
    assert [row.segment for row in videos.rows] == SEGMENTS.get(name, [None, None])


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_sure_label_is_refused_for_what_it_is(name: str) -> None:
    with pytest.raises(UsageError, match=REFUSED[name]):
        read_labels(name)


@pytest.mark.parametrize("name", ["kinetics_test.csv", "only_path.csv"])
def test_without_labels_there_are_videos_all_the_same(name: str) -> None:
    videos = read_list(LISTS / name, labelled=False)
    assert [row.name for row in videos.rows] == (USUAL if name == "only_path.csv" else ["a", "b"])
    assert {row.label for row in videos.rows} == {None}


def test_what_is_left_out_or_taken_for_granted_is_said() -> None:
    assert read_list(LISTS / "kinetics.csv").notices == ("columns not used: is_cc",)
    (comment,) = read_list(LISTS / "comment.txt").notices
    assert comment.endswith("left out as a comment, such as line 1: '# my videos'")
    (frames,) = read_list(LISTS / "videomae2.csv").notices
    assert "read as the first frame, counted from 0, and the number of frames" in frames
    (number,) = read_list(LISTS / "label_first.txt", labelled=False).notices
    assert "a label follows the path" in number


def test_the_way_to_convert_is_named() -> None:
    with pytest.raises(UsageError) as failure:
        read_list(LISTS / "gbk.txt")
    assert "iconv -f GBK -t UTF-8" in failure.value.hint
    assert "gbk.txt.utf8" in failure.value.hint


def test_labels_from_one_are_named_so() -> None:
    with pytest.raises(UsageError) as failure:
        read_labels("ucf_classind.txt")
    assert "counted from 1: subtract 1" in failure.value.hint


def test_class_names_of_a_hugging_face_config() -> None:
    assert list_labels(LISTS / "id2label.json") == ("pan-down", "pan-left")
    with pytest.raises(UsageError) as failure:
        read_list(LISTS / "id2label.json")
    assert "for --labels" in failure.value.hint


def test_kinetics_rows_name_the_trimmed_clip() -> None:
    rows = read_list(LISTS / "kinetics.csv").rows
    assert [row.trimmed_names for row in rows] == [("a_000000_000010",), ("b_000000_000010",)]
    assert [row.split for row in rows] == ["val", "val"]
