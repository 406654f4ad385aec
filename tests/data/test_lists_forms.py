"""The shapes of lists: JSON of every data set, columns with and without a header, comments."""

import json
from pathlib import Path
from typing import Any

import pytest

from videoswin_cli.data.lists import (
    LIST_FORMATS,
    VideoList,
    number_labels,
    question_labels,
    read_list,
)
from videoswin_cli.errors import UsageError
from videoswin_cli.options.source import ListFormat


def read(folder: Path, content: object, **options: Any) -> VideoList:
    text = content if isinstance(content, str) else json.dumps(content)
    path = folder / "list.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return read_list(path, **options)


def pairs(videos: VideoList) -> list[tuple[str, object]]:
    return [(row.name, row.label) for row in videos.rows]


AB = [("a.mp4", "run"), ("b.mp4", "walk")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"i": {"annotations": {"label": "run", "segment": [1, 11]}, "subset": "train"},
          "j": {"annotations": {"segment": [2, 12]}, "subset": "test"}},
         [("i", "run"), ("j", None)]),
        ({"database": {"x": {"annotations": [{"label": "run", "segment": [0, 1]},
                                             {"label": "walk", "segment": [2, 3]}]},
                       "y": {"annotations": []}}}, [("x", "run"), ("x", "walk"), ("y", None)]),
        ([{"vid_name": "v_01", "label": 26, "start_frame": 0, "end_frame": 80}], [("v_01", 26)]),
        ({"samples": [{"filepath": "a.mp4", "ground_truth": {"label": "run"}}]}, AB[:1]),
        ({"samples": [{"filepath": "a.mp4", "action_of": {"label": "run"}}]}, AB[:1]),
        ({"classes": ["walk", "run"], "labels": {"u": 1, "v": 0}}, [("u", "run"), ("v", "walk")]),
        ({"classes": None, "labels": {"u": "run", "v": {"label": "walk"}}},
         [("u", "run"), ("v", "walk")]),
        ([{"video": {"path": "a.mp4", "bytes": None}, "label": 1}], [("a.mp4", 1)]),
        ({"a.mp4": "run", "b.mp4": "walk"}, AB),
        ({"a.mp4": {"label": "run"}, "b.mp4": {"label": "walk"}}, AB),
        ({"v": [{"label": "run", "segment": [0, 1]}, {"label": "walk", "segment": [1, 2]}],
          "w": [{"label": "run"}]}, [("v", "run"), ("v", "walk"), ("w", "run")]),
        ({"v": {"name": "x", "label": "run"}, "w": {"file": "a.mp4", "label": "walk"}},
         [("v", "run"), ("a.mp4", "walk")]),
        ({"a.mp4": 0, "b.mp4": 1}, [("a.mp4", 0), ("b.mp4", 1)]),
        ({"run": ["a.mp4"], "walk": ["b.mp4"]}, AB),
        ({"train": [{"path": "a.mp4", "label": "run"}],
          "val": [{"path": "b.mp4", "label": "walk"}]}, AB),
        ({"train": ["a.mp4"], "val": ["b.mp4"]}, [("a.mp4", None), ("b.mp4", None)]),
        ([["a.mp4", "run"], ["b.mp4", "walk"]], AB),
        ({"data": [{"path": "a.mp4", "label": "run"}], "version": 1}, AB[:1]),
        (["a.mp4", "b.mp4"], [("a.mp4", None), ("b.mp4", None)]),
        ('{"file_name": "a.mp4", "label": "run"}\n{"file_name": "b.mp4", "label": "walk"}\n', AB),
        ('{"file_name": "a.mp4", "label": "run"}\n', AB[:1]),
        ('[\n {"id": 3, "label": 1.0},\n {"id": 4, "label": "2"}\n]', [("3", 1), ("4", 2)]),
    ],
)  # fmt: skip
def test_json(content: object, expected: list[tuple[str, object]], tmp_path: Path) -> None:
    assert pairs(read(tmp_path, content)) == expected


@pytest.mark.parametrize(
    ("content", "format", "expected"),
    [
        ("1;Sliding Two Fingers Down\n2;No, sir\n", "id-label",
         [("1", "Sliding Two Fingers Down"), ("2", "No, sir")]),
        ("1;3\n2;4\n", "id-label", [("1", 3), ("2", 4)]),
        ("d/a,run\nd/b,walk\n", "path-label", [("d/a", "run"), ("d/b", "walk")]),
        ("classname,youtube_id,label\nrun,a,1\nrun,b,1\n", "csv", [("a", "run"), ("b", "run")]),
        ("id;label\n1;run\n", "csv", [("1", "run")]),
        ("a;b.mp4 0\nc;d.mp4 1\n", "path-label", [("a;b.mp4", 0), ("c;d.mp4", 1)]),
        ('"a.mp4","run"\n"b, c.mp4","sit, up"\n', "path-label",
         [("a.mp4", "run"), ("b, c.mp4", "sit, up")]),
        ('"a.mp4","3"\n"b.mp4","4"\n', "path-label", [("a.mp4", 3), ("b.mp4", 4)]),
        ("'a b.mp4' run\n'c.mp4' walk\n", "path-label", [("a b.mp4", "run"), ("c.mp4", "walk")]),
        ('"a b.mp4"\n"c.mp4"\n', "paths", [("a b.mp4", None), ("c.mp4", None)]),
        ("a.mp4,sit+up,3,0\nb.mp4,walk,2,1\n", "moments", [("a.mp4", "sit+up"), ("b.mp4", "walk")]),
        ("d/a 0 30 8\nd/b 0 20 1\n", "path-start-count-label", [("d/a", 8), ("d/b", 1)]),
        ("clip 1 300 5\nclip 2 310 6\n", "id-frames-label", [("clip 1", 5), ("clip 2", 6)]),
        ("a.mp4 0.0\nb.mp4 12.0\n", "path-label", [("a.mp4", 0), ("b.mp4", 12)]),
        ("path,label\na.mp4,0.0\nb.mp4,\n", "csv", [("a.mp4", 0), ("b.mp4", None)]),
        ("[x] a.mp4 0\n[y] b.mp4 1\n", "path-label", [("[x] a.mp4", 0), ("[y] b.mp4", 1)]),
        ("{x} a.mp4 0\n{y} b.mp4 1\n", "path-label", [("{x} a.mp4", 0), ("{y} b.mp4", 1)]),
        ("path\na.mp4\nb, c.mp4\n", "csv", [("a.mp4", None), ("b, c.mp4", None)]),
        ("video,activity\na.mp4,x\nb.mp4,y\n", "csv", [("a.mp4", None), ("b.mp4", None)]),
        ("path label\na.mp4 0\n", "csv", [("a.mp4", 0)]),
        ("file_name|label\na.mp4|run\n", "csv", [("a.mp4", "run")]),
        ("File Name,Class-Index\na.mp4,3\n", "csv", [("a.mp4", 3)]),
        ('path,label\n"a\nb.mp4",run\n"c ""d"".mp4",walk,,\n', "csv",
         [("a\nb.mp4", "run"), ('c "d".mp4', "walk")]),
        ("path,label\r\na\rb.mp4,run\r\n", "csv", [("a\rb.mp4", "run")]),
        ("a\rb.mp4 0\r\nc\x0bd\x0ce\x85f.mp4 1\r\n", "path-label",
         [("a\rb.mp4", 0), ("c\x0bd\x0ce\x85f.mp4", 1)]),
        ("\ufeffa.mp4 0\n\ufeffb.mp4 1\n", "path-label", [("a.mp4", 0), ("b.mp4", 1)]),
    ],
)  # fmt: skip
def test_text(
    content: str, format: str, expected: list[tuple[str, object]], tmp_path: Path
) -> None:
    videos = read(tmp_path, content)
    assert (videos.format, pairs(videos)) == (format, expected)


def test_fiftyone_may_name_the_files_beside_the_labels(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text('{"u": "clips/a.mp4"}')
    videos = read(tmp_path, {"classes": ["run"], "labels": {"u": 0, "v": 0}})
    assert pairs(videos) == [("clips/a.mp4", "run"), ("v", "run")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"run": 0, "walk": 1}, "names that each have a number of their own"),
        ({"0": "run", "1": "walk"}, "names that each have a number of their own"),
        ({"videos": [{"id": 1}], "annotations": [{"video_id": 1}]}, "expected one list of videos"),
        ({"classes": ["x"], "labels": {"u": 1}}, ":1: label 1 is none of the 1 classes of this"),
        ([{"path": "a.mp4"}, 3], ":2: expected a list of objects"),
        ([{"path": ["a"]}], r":1: expected the name of a video, found \['a'\]"),
        ([{"path": "a", "label": ["x", "y"]}], ":1: 2 classes for one video"),
        ([{"path": "a", "label": True}], ":1: expected a class, by name or number, found True"),
        ('[{"path": "a", "path": "b"}]', "duplicate key 'path' in a JSON object"),
        ('[{"path": "a", "label": 1}', "not valid JSON"),
        ('{"path": "a"}\n{"path": }\n{"path": "b"}\n', ":2: not valid JSON"),
        ("path,label\na, b.mp4,run\n", ":2: 3 cells, the header has 2 columns"),
        ('path,label\n"a.mp4,run\nb.mp4,run\n', ":2: a quote that is never closed"),
        ("path,path,label\na,b,c\n", "the header has the column 'path' twice"),
        ("0,a.mp4\n1,b.mp4\n", "the label comes before the path, as in '0,a.mp4'"),
        ("run,a.mp4\nwalk,b.mp4\n", "the label comes before the path, as in 'run,a.mp4'"),
        ("a.mp4 0\rb.mp4 1\r", "its lines end with carriage returns"),
        ("# a\n# b\n", "all its lines are comments"),
        ("a.mp4 0\nb.mp4 1\nc.mp4 run\n", ":3: expected `path label`, found 'c.mp4 run'"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused_with_its_place(
    content: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        read(tmp_path, content)


def test_a_comment_has_a_blank_behind_its_mark(tmp_path: Path) -> None:
    videos = read(tmp_path, "# old\n#1.mp4 0\n#--------\nb.mp4 1\n#\n")
    assert pairs(videos) == [("#1.mp4", 0), ("b.mp4", 1)]
    left_out, more, kept = videos.notices
    assert left_out == (
        "2 lines that begin with # are left out as a comment, such as line 1: '# old'"
    )
    assert more == (
        "1 line that begins with # is left out as a comment, such as line 3: '#--------'"
    )
    assert kept.startswith("line 2 begins with # and is read as a row: '#1.mp4 0'")


@pytest.mark.parametrize("mark", ["#", "# "])
def test_a_header_may_be_written_as_a_comment(mark: str, tmp_path: Path) -> None:
    videos = read(tmp_path, f"{mark}label,path\nrun,a.mp4\n# no more\nwalk,b.mp4\n")
    assert pairs(videos) == AB
    assert len(videos.notices) == 1


def test_without_labels_numbers_belong_to_the_paths(tmp_path: Path) -> None:
    videos = read(tmp_path, "01 first.mp4\n02 second.mp4\n", labelled=False)
    assert [row.name for row in videos.rows] == ["01 first.mp4", "02 second.mp4"]


DOCS = Path(__file__).parents[2] / "docs" / "lists.md"


def examples_of_the_docs() -> list[tuple[ListFormat, str]]:
    rows = [line.split(" | ") for line in DOCS.read_text(encoding="utf-8").splitlines()]
    names = [(row[0].strip("|` "), row[1].split("<br>")) for row in rows if len(row) > 2]
    return [
        (name, "".join(f"{line.strip('`')}\n" for line in lines))
        for name in LIST_FORMATS
        for own, lines in names
        if own == name
    ]


@pytest.mark.parametrize(("format", "text"), examples_of_the_docs())
def test_the_examples_of_the_docs_are_what_they_say(
    format: ListFormat, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "cartwheel_test_split1.txt"
    path.write_text(text)
    videos = read_list(path, multi_label=format == "path-labels")
    assert videos.format == format
    assert len({row.name for row in videos.rows}) == (1 if format == "hmdb51" else 2)


def test_the_docs_have_an_example_of_every_format() -> None:
    tables = {"csv", "json", "jsonl", "elan", "webdataset"}
    assert {format for format, _ in examples_of_the_docs()} == set(LIST_FORMATS) - tables


# --- labels ---------------------------------------------------------------------------------------

CLASSES = ("run", "Walk", "walk", "sit_down", "10")


def numbers(folder: Path, content: str, classes: tuple[str, ...] = CLASSES) -> list[int]:
    return number_labels(read(folder, content), classes)


def test_names_are_compared_as_they_are_before_they_are_folded(tmp_path: Path) -> None:
    text = "path,label\na,Walk\nb,walk\nc,RUN\nd,Sit Down\ne,10\n"
    assert numbers(tmp_path, text) == [1, 2, 0, 3, 4]
    with pytest.raises(UsageError, match="unknown class 'WALK'") as failure:
        numbers(tmp_path, "a.mp4 WALK\n")
    assert "it could be 'Walk' or 'walk'" in failure.value.hint


def test_numbers_that_are_also_names_of_other_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=":1: 1 is the name of class 0, and class 1 has another"):
        numbers(tmp_path, "a.mp4 1\nb.mp4 2\n", ("1", "2", "3"))
    assert numbers(tmp_path, "a.mp4 0\nb.mp4 2\n", ("0", "1", "2")) == [0, 2]


def test_numbers_and_names_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=":3: unknown class '2'") as failure:
        numbers(tmp_path, "path,label\na,run\nb,2\n")
    assert failure.value.hint == "the list has numbers and names: write one or the other"


def question(folder: Path, content: str) -> list[str]:
    videos = read(folder, content)
    classes = ("run", "walk", "sit down", "class 3")
    return question_labels(videos, number_labels(videos, classes), classes)


def test_labels_in_another_order_than_the_model_are_questioned(tmp_path: Path) -> None:
    text = "run/a.mp4 2\nrun/b.mp4 2\nsit_down/c.mp4 0\nwalk/d.mp4 1\n"
    with pytest.raises(UsageError, match="the same holds for 3 of 4 rows") as failure:
        question(tmp_path, text)
    assert "in another order" in failure.value.hint


def test_a_few_labels_that_contradict_their_folders_are_a_notice(tmp_path: Path) -> None:
    text = "x/run/a.mp4 0\nx/run/b.mp4 0\nx/run/c.mp4 1\nwalk/d.mp4 1\n"
    (notice,) = question(tmp_path, text)
    assert notice.startswith("1 of 4 labels are not those of their folders: ")
    assert ":3: x/run/c.mp4 has label 1" in notice


def test_one_folder_alone_proves_nothing(tmp_path: Path) -> None:
    (notice,) = question(tmp_path, "run/a.mp4 1\nrun/b.mp4 1\nc.mp4 0\n")
    assert notice.startswith("2 of 2 labels are not those of their folders: ")


def test_a_folder_of_many_classes_is_called_like_one_by_chance(tmp_path: Path) -> None:
    assert question(tmp_path, "run/a.mp4 1\nrun/b.mp4 2\nrun/c.mp4 3\n") == []
    assert question(tmp_path, "class 3/a.mp4 0\n") == [], "a made-up name"
    assert question(tmp_path, "clips/a.mp4 1\nb.mp4 2\n") == []
    assert question(tmp_path, "run/a.mp4 walk\n") == [], "names need no numbers"
