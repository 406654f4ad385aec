"""Lists that are written: every form is read back, or refused; nothing is renumbered in silence."""

import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from notices import Notices

from videoswin_cli.data.lists import read_list
from videoswin_cli.data.lists.writing import Labels, NewRow, new_list
from videoswin_cli.errors import LabelError, MissingInputError, OutputExistsError, UsageError
from videoswin_cli.model.label_files import list_labels
from videoswin_cli.options.prepare import ListForm, ListOptions, SplitOptions
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import Segment
from videoswin_cli.tasks.prepare.classes import write_classes
from videoswin_cli.tasks.prepare.lists import WrittenLists, split_list, write_one_list

NAMES = (
    *("a.mp4", "a b.mp4", "c,d.mp4", 'e"f".mp4', "g'h.mp4", "'i'.mp4", '"j".mp4', "k;l.mp4"),
    *(
        "#m.mp4",
        "# n.mp4",
        "über/日本 語.mp4",
        "x\ty.mp4",
        "1 2 3.mp4",
        "path.mp4",
        "[z].mp4",
        "{q}",
    ),
    *("no suffix 12", "folder 7/b", "label", "sub/ lead.mp4", "trail .mp4", "-1.mp4", "a\\b.mp4"),
)
NAMED = Labels(numbers=(0, 1, 2), names=("0 zero", "a,b", "#ünï c"))


def write(path: Path, rows: list[NewRow], labels: Labels, form: ListForm) -> Path:
    with new_list(path, rows, labels, form):
        assert not path.exists(), "it takes its place when all is well"
    return path


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def to_list(
    out: Path, folder: Path | None = None, *, said: Notices | None = None, **options: Any
) -> WrittenLists:
    mine = {key: options.pop(key) for key in ("form", "labels", "multi_label", "overwrite")
            if key in options}  # fmt: skip
    return write_one_list(
        folder, SourceOptions(**options), ListOptions(out=out, **mine), said or Notices()
    )


# --- forms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["path-label", "csv", "json", "frames"])
@pytest.mark.parametrize("named", [True, False])
def test_odd_names_survive_every_form(form: ListForm, named: bool, tmp_path: Path) -> None:
    labels = NAMED if named else Labels(numbers=(3, 7, 400), names=None)
    rows = [
        NewRow(name=name, labels=(n % 3,), frames=n + 10 if form == "frames" else None)
        for n, name in enumerate(NAMES)
    ]
    found = read_list(write(tmp_path / "list", rows, labels, form)).rows
    assert [row.name for row in found] == list(NAMES)
    by_name = named and form in ("csv", "json")
    wanted = [labels.title(n % 3) if by_name else labels.numbers[n % 3] for n in range(len(NAMES))]
    assert [row.label for row in found] == wanted
    assert found == read_list(tmp_path / "list", labelled=False).rows, "as `extract` reads it"


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("unit", ["seconds", "frames"])
def test_times_survive(form: ListForm, unit: Any, tmp_path: Path) -> None:
    parts = [
        Segment(start=0.5, end=2.25, unit="seconds"),
        Segment(start=7, end=17, unit="seconds"),
        Segment(start=1e-05, end=None, unit="seconds"),
    ]
    if unit == "frames":
        parts = [Segment(start=0, end=30, unit="frames"), Segment(start=9, end=None, unit="frames")]
    rows = [NewRow(name="a b.mp4", labels=(n % 2,), segment=part) for n, part in enumerate(parts)]
    rows.append(NewRow(name="whole.mp4", labels=(2,)))
    found = read_list(write(tmp_path / "list", rows, NAMED, form)).rows
    assert [row.segment for row in found] == [*parts, None]
    assert [row.label for row in found] == [
        *(NAMED.title(n % 2) for n in range(len(parts))),
        "#ünï c",
    ]


def test_json_is_that_of_activitynet(tmp_path: Path) -> None:
    part = Segment(start=7, end=17)
    rows = [NewRow(name="a", labels=(0,), segment=part), NewRow(name="b", labels=(1,))]
    path = write(tmp_path / "list.json", rows, NAMED, "json")
    assert json.loads(path.read_text("utf-8")) == {
        "database": {
            "a": {"annotations": [{"label": "0 zero", "segment": [7, 17]}]},
            "b": {"annotations": [{"label": "a,b"}]},
        }
    }


@pytest.mark.parametrize("form", ["path-label", "csv", "json"])
def test_several_classes_survive(form: ListForm, tmp_path: Path) -> None:
    labels = Labels(numbers=(0, 1, 2), names=("run", "jump", "sit down"))
    rows = [NewRow(name="a b.mp4", labels=(0, 2)), NewRow(name="c.mp4", labels=(1,))]
    found = read_list(write(tmp_path / "list", rows, labels, form), multi_label=True).rows
    titles: list[object] = [0, 2, 1] if form == "path-label" else ["run", "sit down", "jump"]
    assert [(row.name, row.label) for row in found] == list(
        zip(("a b.mp4", "a b.mp4", "c.mp4"), titles, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("line\nend.mp4", "path-label"),
        (" lead.mp4", "csv"),
        ("trail.mp4 ", "json"),
        ("half \ud800.mp4", "json"),
        ("..", "path-label"),
        ("carriage\rreturn\n.mp4", "frames"),
    ],
)
def test_a_name_that_would_be_read_as_another_is_refused(
    name: str, form: ListForm, tmp_path: Path
) -> None:
    rows = [NewRow(name=each, labels=(0,), frames=9) for each in ("good.mp4", name)]
    with pytest.raises(UsageError) as caught:
        write(tmp_path / "list.txt", rows, NAMED, form)
    assert repr(name).strip("'")[:4] in caught.value.message, "it says which"
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_what_a_form_has_no_room_for(tmp_path: Path) -> None:
    timed = NewRow(name="a", labels=(0,), segment=Segment(start=1, end=2))
    framed = NewRow(name="a", labels=(0,), segment=Segment(start=1, end=2, unit="frames"))
    with pytest.raises(UsageError, match=r"no room for times: a#t=1,2"):
        write(tmp_path / "x", [timed], NAMED, "path-label")
    with pytest.raises(UsageError, match="not both"):
        write(tmp_path / "x", [timed, framed], NAMED, "csv")
    with pytest.raises(UsageError, match="frame folders"):
        write(tmp_path / "x", [NewRow(name="a", labels=(0,))], NAMED, "frames")
    with pytest.raises(UsageError, match="HMDB51"):
        write(tmp_path / "run_test_split1.txt", [timed], NAMED, "csv")
    joined = Labels(numbers=(0, 1), names=("a;b", "c"))
    with pytest.raises(UsageError, match="read as another row"):
        write(tmp_path / "x", [NewRow(name="a", labels=(0, 1))], joined, "csv")
    assert list(tmp_path.iterdir()) == []


# --- prepare list ---------------------------------------------------------------------------------


def test_class_folders_become_a_list_and_its_classes(tmp_path: Path) -> None:
    data = make(tmp_path / "data", "b/x y.mp4", "b/1.avi", "a/z.mp4", "a/notes.txt")
    said = Notices()
    done = to_list(tmp_path / "train.txt", data, said=said)
    assert (tmp_path / "train.txt").read_text() == 'a/z.mp4 0\nb/1.avi 1\n"b/x y.mp4" 1\n'
    assert list_labels(tmp_path / "classes.txt") == ("a", "b")
    assert done.counts == {tmp_path / "train.txt": [1, 2]}
    assert f"--root {data}" in done.advice
    assert any("1 file that is no video" in text for text in said.texts)
    assert to_list(data / "own.csv", data).advice == "", "a list beside its videos needs no --root"


@pytest.mark.parametrize("name", ["all.csv", "all.json"])
def test_parts_of_a_folder_become_splits_of_one_list(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path / "data", "train/run/a.mp4", "train/walk/b.mp4", "Val/run/c.mp4")
    make(folder, "Val/walk/d.mp4", "raw/x.mp4")
    said = Notices()
    to_list(tmp_path / name, folder, said=said)
    rows = read_list(tmp_path / name).rows
    assert [(row.name, row.label, row.split) for row in rows] == [
        ("train/run/a.mp4", "run", "train"),
        ("train/walk/b.mp4", "walk", "train"),
        ("Val/run/c.mp4", "run", "val"),
        ("Val/walk/d.mp4", "walk", "val"),
    ]
    assert "not listed: raw" in said.texts
    with pytest.raises(UsageError, match="no room for the parts of a data set, such as train"):
        to_list(tmp_path / "all.txt", folder)
    assert not (tmp_path / "all.txt").exists()
    with pytest.raises(UsageError, match="holds parts of a data set"):
        split_list(folder, SourceOptions(), SplitOptions(out=tmp_path / "lists"), said)


def test_two_lists_never_share_other_classes(tmp_path: Path) -> None:
    train = make(tmp_path / "train", "a/1.mp4", "b/1.mp4", "c/1.mp4")
    val = make(tmp_path / "val", "a/1.mp4", "c/1.mp4")
    to_list(tmp_path / "train.txt", train)
    with pytest.raises(OutputExistsError, match="has other classes, 3 instead of 2") as caught:
        to_list(tmp_path / "val.txt", val)
    assert "--labels" in caught.value.hint
    assert not (tmp_path / "val.txt").exists(), "c would have been 1 in it"
    to_list(tmp_path / "val.txt", val, labels=tmp_path / "classes.txt")
    assert (tmp_path / "val.txt").read_text() == "a/1.mp4 0\nc/1.mp4 2\n"
    with pytest.raises(OutputExistsError, match="exists"):
        to_list(tmp_path / "train.txt", val)
    assert (tmp_path / "train.txt").read_text().count("\n") == 3
    to_list(tmp_path / "train.txt", val, overwrite=True)
    assert list_labels(tmp_path / "classes.txt") == ("a", "c")


@pytest.mark.parametrize(
    "classes",
    [
        ("0 cats", "1 dogs"),
        ("1 point", "3 point"),
        ("class 1", "class 0"),
        ('say "hi"', "[b]"),
        ("# sharp", "a,b"),
        ("10", "9"),
    ],
)
def test_class_names_are_read_back_in_their_order(classes: tuple[str, ...], tmp_path: Path) -> None:
    data = make(tmp_path / "data", *(f"{name}/1.mp4" for name in classes))
    to_list(tmp_path / "list.txt", data)
    assert set(list_labels(tmp_path / "classes.txt")) == set(classes)
    rows = read_list(tmp_path / "list.txt").rows
    found = {row.name.split("/")[0]: int(row.label or 0) for row in rows}
    assert [found[name] for name in list_labels(tmp_path / "classes.txt")] == [0, 1]


def test_a_class_name_that_no_file_can_hold(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="can hold 'a'"), ExitStack() as stack:
        write_classes(tmp_path / "classes.txt", ["a", "a"], stack, overwrite=False)
    odd = Labels(numbers=(0,), names=("\ud800",))
    with pytest.raises(UsageError, match="not UTF-8"):
        write(tmp_path / "x", [NewRow(name="a", labels=(0,))], odd, "csv")
    assert list(tmp_path.iterdir()) == []


def test_videos_that_are_not_there_are_left_out_and_named(tmp_path: Path) -> None:
    make(tmp_path / "clips", "a.mp4")
    (tmp_path / "old.csv").write_text("path,label\na.avi,run\ngone.mp4,jump\n")
    (tmp_path / "own").mkdir()
    said = Notices()
    done = to_list(
        tmp_path / "new.csv", list_file=tmp_path / "old.csv", root=tmp_path / "clips", said=said
    )
    assert (tmp_path / "new.csv").read_text() == "path,label\na.mp4,run\n"
    assert done.missing == 1
    assert any("gone.mp4" in text for text in said.texts)
    with pytest.raises(MissingInputError, match="none of 2 videos"):
        to_list(tmp_path / "new.txt", list_file=tmp_path / "old.csv", root=tmp_path / "own")


@pytest.mark.parametrize(
    ("name", "text", "options", "files", "expected"),
    [
        ("trainlist01.txt", "A/v_A_g01_c01.avi 1\nB/v_B_g01_c01.avi 2\n", {},
         ("A/v_A_g01_c01.avi", "B/v_B_g01_c01.avi"),
         "path,label\nA/v_A_g01_c01.avi,A\nB/v_B_g01_c01.avi,B\n"),
        ("wave_test_split1.txt", "t.avi 1\nx.avi 2\nn.avi 0\n", {"split": "train"},
         ("wave/t.avi", "wave/x.avi"), "path,label\nwave/t.avi,wave\n"),
        ("wave_test_split1.txt", "t.avi 1\nx.avi 2\nn.avi 0\n", {},
         ("wave/t.avi", "wave/x.avi"), "path,label\nwave/x.avi,wave\n"),
        ("val.csv", "label,youtube_id,time_start,time_end,split\nrun far,abc,7,17,val\n"
         "sit,def,1,3.5,val\n", {}, ("run far/abc_000007_000017.mp4", "def.mp4"),
         'path,label,start,end\n"run far/abc_000007_000017.mp4","run far",,\n'
         "def.mp4,sit,1,3.5\n"),
        ("val.json", '[{"id": "7", "template": "Putting [something] down"}]', {}, ("7.webm",),
         'path,label\n7.webm,"Putting something down"\n'),
        ("val.txt", "a b.mp4 5\nc.mp4 12\n", {}, ("a b.mp4", "c.mp4"),
         'path,label\n"a b.mp4",5\nc.mp4,12\n'),
    ],
)  # fmt: skip
def test_lists_of_the_field(
    name: str,
    text: str,
    options: dict[str, Any],
    files: tuple[str, ...],
    expected: str,
    tmp_path: Path,
) -> None:
    make(tmp_path / "videos", *files)
    (tmp_path / name).write_text(text)
    out = tmp_path / "out.csv"
    to_list(out, list_file=tmp_path / name, root=tmp_path / "videos", **options)
    assert out.read_text() == expected


def test_numbers_of_a_list_are_kept_and_get_no_names(tmp_path: Path) -> None:
    make(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "old.txt").write_text("a.mp4 7\nb.mp4 3\n")
    said = Notices()
    to_list(tmp_path / "new.txt", list_file=tmp_path / "old.txt", said=said)
    assert (tmp_path / "new.txt").read_text() == "a.mp4 7\nb.mp4 3\n"
    assert not (tmp_path / "classes.txt").exists()
    assert any("the numbers of the list are kept" in text for text in said.texts)


def test_lists_without_labels(tmp_path: Path) -> None:
    make(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "test.json").write_text('[{"id": "a", "label": "run"}, {"id": "b"}]')
    said = Notices()
    to_list(tmp_path / "new.csv", list_file=tmp_path / "test.json", said=said)
    assert (tmp_path / "new.csv").read_text() == "path,label\na.mp4,run\n"
    assert any("1 rows without a label: b" in text for text in said.texts)
    (tmp_path / "paths.txt").write_text("a.mp4\nb.mp4\n")
    with pytest.raises(LabelError, match="no row"):
        to_list(tmp_path / "x.txt", list_file=tmp_path / "paths.txt")


def test_wrong_usage(tmp_path: Path) -> None:
    data = make(tmp_path / "data", "a/1.mp4", "b/1.mp4")
    with pytest.raises(UsageError, match="unknown suffix"):
        ListOptions(out=tmp_path / "list.dat")
    with pytest.raises(UsageError, match="one source"):
        to_list(tmp_path / "x.txt")
    with pytest.raises(UsageError, match="--multi-label is for lists"):
        to_list(tmp_path / "x.txt", data, multi_label=True)
    with pytest.raises(UsageError, match=r"a/1\.mp4 is a file") as caught:
        to_list(tmp_path / "x.txt", data, form="frames")
    assert "prepare frames" in caught.value.hint
    with pytest.raises(UsageError, match="shares"):
        SplitOptions(out=tmp_path, val=0.6, test=0.5)


# --- prepare split --------------------------------------------------------------------------------


def to_split(
    out: Path, folder: Path | None, said: Notices | None = None, **options: Any
) -> dict[str, list[str]]:
    """Names in each list."""
    source = SourceOptions(**{k: options.pop(k) for k in ("list_file", "root") if k in options})
    done = split_list(folder, source, SplitOptions(out=out, **options), said or Notices())
    return {path.stem: [row.name for row in read_list(path).rows] for path in done.counts}


def count(names: list[str]) -> Counter[str]:
    return Counter(name.split("/")[0] for name in names)


def test_each_class_gives_its_share(tmp_path: Path) -> None:
    sizes = {"a": 40, "b": 20, "c": 10}
    files = [
        f"{name}/{chr(97 + n % 26)}{n}q.mp4" for name, size in sizes.items() for n in range(size)
    ]
    data = make(tmp_path / "data", *files)
    parts = to_split(tmp_path / "lists", data, val=0.1, test=0.2, group="none")
    assert count(parts["val"]) == {"a": 4, "b": 2, "c": 1}
    assert count(parts["test"]) == {"a": 8, "b": 4, "c": 2}
    assert sorted(name for names in parts.values() for name in names) == sorted(files), (
        "each once, in one list"
    )
    again = to_split(tmp_path / "again", data, val=0.1, test=0.2, group="none")
    other = to_split(tmp_path / "other", data, val=0.1, test=0.2, group="none", seed=1)
    assert again == parts
    assert other["val"] != parts["val"]
    assert list_labels(tmp_path / "lists" / "classes.txt") == ("a", "b", "c")


def test_recordings_and_copies_stay_on_one_side(tmp_path: Path) -> None:
    files = [f"{c}/v_{c}_g{g:02}_c{n:02}.avi" for c in "ab" for g in range(8) for n in range(3)]
    data = make(tmp_path / "data", *files)
    said = Notices()
    parts = to_split(tmp_path / "lists", data, said, val=0.25)
    recordings = {part: {name[:-8] for name in names} for part, names in parts.items()}
    assert recordings["train"].isdisjoint(recordings["val"])
    assert count(parts["val"]) == {"a": 6, "b": 6}
    assert any("UCF101" in text for text in said.texts)
    for n in range(8):  # all of class c are one file
        make(data, f"c/{n}.mp4").joinpath(f"c/{n}.mp4").write_text("same")
    said = Notices()
    parts = to_split(tmp_path / "copies", data, said, val=0.25)
    assert count(parts["val"])["c"] == 0
    assert any("nothing in val" in text and "c" in text for text in said.texts)
    pattern = to_split(tmp_path / "regex", data, val=0.25, group=r"_(g\d+)_")
    sides = {part: {name[-11:-8] for name in names if "_g" in name}
             for part, names in pattern.items()}  # fmt: skip
    assert sides["train"].isdisjoint(sides["val"]), "a group may have videos of several classes"


def test_what_cannot_be_divided_is_said(tmp_path: Path) -> None:
    data = make(tmp_path / "data", *(f"a/{n}x{n}.mp4" for n in range(10)), "single/one.mp4")
    said = Notices()
    parts = to_split(tmp_path / "lists", data, said, val=0.2, group="none")
    assert parts["val"]
    assert "single/one.mp4" in parts["train"]
    assert any("1 classes have nothing in val" in text and "single" in text for text in said.texts)
    alone = make(tmp_path / "alone", "a/1.mp4", "b/1.mp4")
    with pytest.raises(UsageError, match="nothing can be set aside"):
        to_split(tmp_path / "no", alone, group="none")


def test_parts_of_one_video_stay_together_and_keep_their_times(tmp_path: Path) -> None:
    make(tmp_path, *(f"{n}.mp4" for n in range(6)))
    lines = [f"{n}.mp4,{'run' if n % 2 else 'sit'},{s},{s + 1.5}" for n in range(6) for s in (0, 2)]
    (tmp_path / "all.csv").write_text("path,label,start,end\n" + "\n".join(lines) + "\n")
    parts = to_split(tmp_path / "lists", None, list_file=tmp_path / "all.csv", val=0.3)
    assert set(parts["train"]).isdisjoint(parts["val"])
    rows = [row for part in parts for row in read_list(tmp_path / "lists" / f"{part}.csv").rows]
    assert {row.segment for row in rows} == {Segment(start=0, end=1.5), Segment(start=2, end=3.5)}
    assert len(rows) == 12


def test_lists_are_there_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make(tmp_path / "data", *(f"{c}/{n}x.mp4" for c in "ab" for n in range(6)))
    from videoswin_cli.tasks.prepare import lists

    def fail(*_: object, **__: object) -> None:
        raise UsageError("no")

    with monkeypatch.context() as patched:
        patched.setattr(lists, "write_classes", fail)
        with pytest.raises(UsageError, match="no"):
            to_split(tmp_path / "lists", data)
    assert list((tmp_path / "lists").iterdir()) == []
    to_split(tmp_path / "lists", data)
    with pytest.raises(OutputExistsError):
        to_split(tmp_path / "lists", data)
    to_split(tmp_path / "lists", data, overwrite=True, val=0.4)
