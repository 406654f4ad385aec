"""Annotation lists of every kind, as they are found in the wild."""

import json
from pathlib import Path

import pytest

from videoswin_cli.data.lists import LIST_FORMATS, number_labels, read_list
from videoswin_cli.errors import UsageError
from videoswin_cli.options.source import ListFormat
from videoswin_cli.records import Segment

CLASSES = ("abseiling", "air drumming", "archery", "sit, stand", 'say "hi"')


def write(folder: Path, text: str, name: str = "list.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def rows(path: Path, **options: object) -> list[tuple[str, object]]:
    return [(row.name, row.label) for row in read_list(path, **options).rows]


@pytest.mark.parametrize(
    ("text", "format", "expected"),
    [
        ("a.mp4 0\nb.mp4 12\n", "path-label", [("a.mp4", 0), ("b.mp4", 12)]),
        ("a b/c d.mp4 0\ne.mp4 1\n", "path-label", [("a b/c d.mp4", 0), ("e.mp4", 1)]),
        ("a 1.mp4 0\nb 2.mp4 1\n", "path-label", [("a 1.mp4", 0), ("b 2.mp4", 1)]),
        ("a.mp4,0\nb.mp4, 1\n", "path-label", [("a.mp4", 0), ("b.mp4", 1)]),
        ("a, b.mp4,0\n", "path-label", [("a, b.mp4", 0)]),
        ("a.mp4\t0\r\n\r\n  \r\nb.mp4\t1", "path-label", [("a.mp4", 0), ("b.mp4", 1)]),
        ("\ufeffa.mp4 0\n", "path-label", [("a.mp4", 0)]),
        ('"a b.mp4" 0\n', "path-label", [("a b.mp4", 0)]),
        ("a.mp4 -1\n", "path-label", [("a.mp4", None)]),
        ("jf7RDuUTrsQ 300 325\nx_-y 250 5\n", "id-frames-label",
         [("jf7RDuUTrsQ", 325), ("x_-y", 5)]),
        ("jf7RDuUTrsQ,300,325\n", "id-frames-label", [("jf7RDuUTrsQ", 325)]),
        ("jf7RDuUTrsQ, 300, 325\n", "id-frames-label", [("jf7RDuUTrsQ", 325)]),
        ("jf7RDuUTrsQ\t300\t325\n", "id-frames-label", [("jf7RDuUTrsQ", 325)]),
        ("my dir/a b.mp4 300 0\n", "id-frames-label", [("my dir/a b.mp4", 0)]),
        ("a.mp4 archery\nb c.avi air drumming\n", "path-label",
         [("a.mp4", "archery"), ("b c.avi", "air drumming")]),
        ("a\tair drumming\nb\tarchery\n", "path-label", [("a", "air drumming"), ("b", "archery")]),
        ("a,sit, stand\nb,archery\n", "path-label", [("a", "sit, stand"), ("b", "archery")]),
        ("id1 archery\nid2 abseiling\n", "path-label", [("id1", "archery"), ("id2", "abseiling")]),
        ("a.mp4\nsub/b.mp4\n", "paths", [("a.mp4", None), ("sub/b.mp4", None)]),
        ("label,youtube_id,time_start,time_end,split\nair drumming,-abc,7,17,val\n", "csv",
         [("-abc", "air drumming")]),
        ('label,youtube_id,time_start,time_end,split,is_cc\n"sit, stand",b,107,117,val,0\n', "csv",
         [("b", "sit, stand")]),
        ("Path,Class\na.mp4,2\n\nb.mp4,0\n", "csv", [("a.mp4", 2), ("b.mp4", 0)]),
        ("split\tlabel_id\tlabel\tvideo\nval\t2\tarchery\ta.mp4\n", "csv", [("a.mp4", 2)]),
        ("v;label\n", "id-label", [("v", "label")]),
        ("video;label\na.mp4;archery\n", "csv", [("a.mp4", "archery")]),
        ("Archery/v_Archery_g01_c01.avi\nArchery/v_Archery_g01_c02.avi\n", "ucf101",
         [(f"Archery/v_Archery_g01_c0{n}.avi", "Archery") for n in (1, 2)]),
        ("Archery/v_Archery_g08_c01.avi 3\n", "ucf101",
         [("Archery/v_Archery_g08_c01.avi", "Archery")]),
        ('[{"id": "74225", "template": "Spinning [something] that stops"}, {"id": "9"}]', "json",
         [("74225", "Spinning something that stops"), ("9", None)]),
        ('[{"path": "a.mp4", "label": 3}]', "json", [("a.mp4", 3)]),
    ],
)  # fmt: skip
def test_formats_are_told_by_their_content(
    text: str, format: str, expected: list[tuple[str, object]], tmp_path: Path
) -> None:
    videos = read_list(write(tmp_path, text))
    assert videos.format == format
    assert [(row.name, row.label) for row in videos.rows] == expected


def test_hmdb51_takes_the_test_part_and_the_class_of_the_file(tmp_path: Path) -> None:
    text = "train.avi 1 \nA_test_(x).avi 2 \nneither.avi 0 \nb.avi 2\n"
    videos = read_list(write(tmp_path, text, "brush_hair_test_split1.txt"))
    assert videos.format == "hmdb51"
    assert [(row.line, row.name, row.label) for row in videos.rows] == [
        (2, "A_test_(x).avi", "brush_hair"),
        (4, "b.avi", "brush_hair"),
    ]


def test_kinetics_rows_are_segments_unless_the_trimmed_clip_is_there(tmp_path: Path) -> None:
    text = "label,youtube_id,time_start,time_end,split\narchery,abc,7,17,val\n"
    (row,) = read_list(write(tmp_path, text)).rows
    assert (row.name, row.trimmed_names) == ("abc", ("abc_000007_000017",))
    assert row.segment == Segment(start=7, end=17)


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    videos = read_list(write(tmp_path, "\n\na.mp4 0\n\nb.mp4 1\n"))
    assert [row.line for row in videos.rows] == [3, 5]
    videos = read_list(write(tmp_path, "\npath,label\na.mp4,0\nb.mp4,1\n"))
    assert [row.line for row in videos.rows] == [3, 4]


def test_a_named_format_decides(tmp_path: Path) -> None:
    path = write(tmp_path, "clip 300 5\nclip 301 6\n")
    assert rows(path) == [("clip", 5), ("clip", 6)]
    assert rows(path, format="path-label") == [("clip 300", 5), ("clip 301", 6)]
    assert rows(path, format="paths") == [("clip 300 5", None), ("clip 301 6", None)]


def test_without_labels_a_line_with_spaces_is_a_path(tmp_path: Path) -> None:
    path = write(tmp_path, "my clip.mp4\nother.mp4\n")
    assert rows(path, labelled=False) == [("my clip.mp4", None), ("other.mp4", None)]


@pytest.mark.parametrize(
    ("text", "format", "message"),
    [
        ("a.mp4 0\nb.mp4 1\nc.mp4\n", None, r":3: expected `path label`, found 'c.mp4'"),
        ("a 3 0\nb 4 1\nc.mp4 2\n", None, r":3: expected `id frames label`, found 'c.mp4 2'"),
        ("a.mp4 0\n", "ucf101", r":1: expected `Class/v_Class_gNN_cNN.avi`"),
        ("a.mp4 0\n", "csv", "no column for the video in the header 'a.mp4 0'"),
        ("a.mp4 0\n", "json", "not valid JSON"),
        ("a.avi 2\n", "hmdb51", "is called CLASS_test_splitN.txt"),
        ('{"a": 1}', None, "expected a list of objects"),
        ('[{"template": "x"}]', None, ":1: no video named in"),
        ("[1]", None, "expected a list of objects"),
        ("", None, "is empty"),
        ("\n \r\n", None, "is empty"),
        ("path,label\n", None, "names no video"),
    ],
)
def test_what_is_no_list_is_told_with_its_line(
    text: str, format: ListFormat | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        read_list(write(tmp_path, text), format=format)


def test_unreadable_lists(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the list .*No such file"):
        read_list(tmp_path / "gone.txt")
    with pytest.raises(UsageError, match="Is a directory"):
        read_list(tmp_path)
    (tmp_path / "binary.txt").write_bytes(b"\xff\x00\x00a\x01")
    with pytest.raises(UsageError, match="it is no text, it holds zero bytes"):
        read_list(tmp_path / "binary.txt")


def test_formats_have_names() -> None:
    assert set(LIST_FORMATS) >= {"path-label", "id-frames-label", "csv", "json", "ucf101", "hmdb51"}


# --- labels ---------------------------------------------------------------------------------------


def numbered(folder: Path, text: str) -> list[int]:
    return number_labels(read_list(write(folder, text)), CLASSES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.mp4 0\nb.mp4 4\n", [0, 4]),
        ("a.mp4 Air_Drumming\nb.mp4 archery\n", [1, 2]),
        ('path,label\na,"sit, stand"\nb,"say ""hi"""\n', [3, 4]),
        ("path,label\na,2\nb,0\n", [2, 0]),
    ],
)
def test_labels_are_numbers_or_names(text: str, expected: list[int], tmp_path: Path) -> None:
    assert numbered(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a.mp4 0\nb.mp4 5\n", r"list.txt:2: label 5 of b.mp4 is out of range: the model has "
         "5 classes, 0 to 4", "go from 0 to 5"),
        ("a.mp4 1\nb.mp4 5\n", "list.txt:2: label 5", "counted from 1: subtract 1"),
        ("a.mp4 0\nb.mp4 -1\n", "list.txt:2: b.mp4 has no label", "use predict or extract"),
        ("a.mp4\nb.mp4\n", r"list.txt:1: a.mp4 has no label \(paths list\)", "predict or extract"),
        ("a.mp4 archery\nb.mp4 archry\n", "list.txt:2: the model has no class 'archry' "
         r"\(1 of 2 class names", "nearest: archery"),
    ],
)  # fmt: skip
def test_wrong_labels_name_line_and_fix(text: str, message: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message) as failure:
        numbered(tmp_path, text)
    assert hint in failure.value.hint


def test_a_long_list_is_read_quickly_enough_to_be_read_at_every_start(tmp_path: Path) -> None:
    entries = [{"id": str(n), "template": "Moving [something] up"} for n in range(20_000)]
    assert len(read_list(write(tmp_path, json.dumps(entries))).rows) == 20_000
    lines = "".join(f"class {n % 400}/video {n}.mp4 300 {n % 400}\n" for n in range(20_000))
    assert len(read_list(write(tmp_path, lines)).rows) == 20_000


def test_a_glob_names_several_files_of_one_format(tmp_path: Path) -> None:
    for name in ("brush hair", "cartwheel"):
        rows = f"{name}_1.avi 2\n{name}_2.avi 1\n{name}_3.avi 0\n"
        (tmp_path / f"{name.replace(' ', '_')}_test_split1.txt").write_text(rows)
    videos = read_list(tmp_path / "*_test_split1.txt")
    assert videos.format == "hmdb51"
    assert [(row.name, row.label) for row in videos.rows] == [
        ("brush hair_1.avi", "brush_hair"),
        ("cartwheel_1.avi", "cartwheel"),
    ]
    (tmp_path / "x_test_split1.txt").write_text("a.mp4 70\n")
    with pytest.raises(UsageError, match="expected files of one format, found"):
        read_list(tmp_path / "*_test_split1.txt")
    with pytest.raises(UsageError, match="found none"):
        read_list(tmp_path / "*.none")


@pytest.mark.parametrize(
    ("text", "format", "expected"),
    [
        ("a.mp4 1 3 5\nb.mp4 2\n", "path-labels", [("a.mp4", n) for n in (1, 3, 5)]),
        ("a b.mp4,1,3\nb.mp4,2\n", "path-labels", [("a b.mp4", 1), ("a b.mp4", 3)]),
        ("a.mp4 run;sit, up\nb.mp4 run\n", "path-label", [("a.mp4", "run"), ("a.mp4", "sit, up")]),
        ("path,label\na.mp4,1;3\nb.mp4,2\n", "csv", [("a.mp4", 1), ("a.mp4", 3)]),
        ("a.mp4 run\na.mp4 walk\nb.mp4 run\n", "path-label", [("a.mp4", "run"), ("a.mp4", "walk")]),
    ],
)  # fmt: skip
def test_several_labels_a_video(
    text: str, format: str, expected: list[tuple[str, object]], tmp_path: Path
) -> None:
    path = write(tmp_path, text)
    assert read_list(path, multi_label=True).format == format
    found = rows(path, multi_label=True)
    assert found[: len(expected)] == expected
    assert [name for name, _ in found[len(expected) :]] == ["b.mp4"]


def test_one_label_a_video_is_read_as_ever(tmp_path: Path) -> None:
    path = write(tmp_path, "a.mp4 300 5\nb.mp4 12 2\n")
    assert rows(path) == [("a.mp4", 5), ("b.mp4", 2)], "id, frames, label"
    assert rows(write(tmp_path, "a.mp4 x;y\n")) == [("a.mp4", "x;y")]
