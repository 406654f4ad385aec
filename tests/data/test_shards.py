"""Tar shards as sources: what users name, what shards hold, sound and odd, and their labels."""

import io
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from notices import Notices
from tars import make_link, write_tar

from videoswin_cli.data.inputs import find_inputs
from videoswin_cli.data.lists import VideoList, check_list, number_labels, read_list
from videoswin_cli.data.locating import locate
from videoswin_cli.data.sources import expand_inputs
from videoswin_cli.errors import (
    DatasetError,
    LabelError,
    MissingInputError,
    UsageError,
)
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import Shard
from videoswin_cli.training.clip_source import Source
from videoswin_cli.training.examples import find_clips

Files = list[tuple[str, bytes]]
CLASSES = ("jump", "run", "walk")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: names are given relative to it, as people do."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sample(key: str, **labels: object) -> Files:
    """A sample of a video (which nobody opens here) and labels by extension."""
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in labels.items()}
    return [(f"{key}.mp4", b"video"), *((f"{key}.{k}", text.encode()) for k, text in texts.items())]


def write_three(*, names: bool = True) -> None:
    """shards/0.tar to 2.tar with two labelled samples each."""
    for n in range(3):
        keys = [2 * n, 2 * n + 1]
        files = [
            sample(f"v{key}", cls=key % 3, **({"txt": CLASSES[key % 3]} if names else {}))
            for key in keys
        ]
        write_tar(Path(f"shards/{n}.tar"), [file for each in files for file in each])


ALL = [f"shards/{n // 2}.tar/v{n}.mp4" for n in range(6)]


def expand(*inputs: str, stdin: str = "") -> list[str]:
    return list(expand_inputs(inputs, stdin=io.StringIO(stdin)).videos)


def noticed(*inputs: str) -> str:
    return "\n".join(expand_inputs(inputs).notices)


def refused(*inputs: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        expand(*inputs)
    return caught.value


def read(path: str, *, label_column: str | None = None, multi_label: bool = False) -> VideoList:
    return read_list(Path(path), label_column=label_column, multi_label=multi_label)


def labels(path: str, classes: Iterable[str] = CLASSES, **options: str) -> list[int]:
    return number_labels(read(path, **options), tuple(classes))  # type: ignore[arg-type]


# --- what users name ------------------------------------------------------------------------------


def test_shards_are_named_as_files_ranges_globs_and_folders(folder: Path) -> None:
    write_three()
    assert expand("shards/1.tar") == ALL[2:4]
    assert expand("shards/2.tar", "shards/0.tar") == ALL[4:] + ALL[:2]
    assert expand("shards/{0..2}.tar") == ALL
    assert expand("shards/{2..1}.tar") == ALL[4:] + ALL[2:4]
    assert expand("shards/*.tar") == expand("shards/*") == expand("shards") == expand(".") == ALL
    assert expand(str(folder / "shards/{0..0}.tar")) == [f"{folder}/{name}" for name in ALL[:2]]
    assert expand("shards/1.tar/v3.mp4", "shards/1.tar") == [ALL[3], ALL[2]]
    assert noticed("shards") == "tar files: 3, videos in them: 6"


def test_lists_of_paths_may_name_shards_and_what_is_in_them() -> None:
    write_three()
    Path("list.txt").write_text("shards/{0..1}.tar\nshards/2.tar/v5.mp4\nshards/gone.tar\n")
    expected = [*ALL[:4], ALL[5], "shards/gone.tar"]
    assert expand("@list.txt") == expected
    assert expand("-", stdin=Path("list.txt").read_text()) == expected


def test_zeros_of_a_range_are_kept_and_two_ranges_are_all_pairs() -> None:
    for name in ("00098", "00099", "00100"):
        write_tar(Path(f"a-{name}.tar"), sample("v"))
    assert expand("a-{00098..00100}.tar") == [
        f"a-{n}.tar/v.mp4" for n in ("00098", "00099", "00100")
    ]
    for part in ("0", "1"):
        for name in ("8", "9", "10"):
            write_tar(Path(f"{part}/{name}.tar"), sample("v"))
    assert expand("{0..1}/{8..10}.tar") == [
        f"{part}/{n}.tar/v.mp4" for part in ("0", "1") for n in (8, 9, 10)
    ]


def test_a_shard_of_a_range_that_is_missing_is_named() -> None:
    write_three()
    assert refused("shards/{1..4}.tar").message == (
        "2 of 4 tar files of shards/{1..4}.tar are not there: shards/3.tar, shards/4.tar"
    )
    with pytest.raises(MissingInputError, match="2 of 4 tar files"):
        check_list(Path("shards/{1..4}.tar"))
    assert "more than 100,000" in refused("shards/{0..999999999}.tar").message
    assert "no such file: shards/1.tar/v9.mp4" in refused("shards/1.tar/v9.mp4").message


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "A.TAR.XZ"])
def test_compressed_shards_are_refused_with_the_way_out(name: str) -> None:
    Path(name).write_bytes(b"\x1f\x8b")
    error = refused(name)
    assert error.message == f"{name} is compressed: its videos cannot be read by name"
    assert "decompress" in error.hint
    assert "compressed" in refused("a-{0..3}.tar.gz").message


def test_tar_files_beside_videos_are_left_out_as_ever() -> None:
    write_three()
    Path("shards/loose.mp4").write_bytes(b"video")
    assert expand("shards") == ["shards/loose.mp4"]
    assert "3 files that are no videos (.tar 3)" in noticed("shards")


def test_shards_of_a_job_cover_all_videos_exactly_once() -> None:
    """Videos are dealt, not tar files: three of these for two shards leave none idle."""
    write_three()
    listed = find_inputs(["shards/{0..2}.tar"], SourceOptions()).listed
    parts = [[video.path for video in Shard(index=n, count=2).select(listed)] for n in (0, 1)]
    assert [len(part) for part in parts] == [3, 3]
    assert sorted(parts[0] + parts[1]) == ALL


# --- odd shards -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cut", "reason"),
    [
        (1024 + 512 + 2, "v1.mp4 is cut off at byte 1,538 of 1,541"),  # in a file
        (1024 + 100, "no tar header at byte 1,024 of 1,124"),  # in a header
        (2048, "cut off behind a member, at byte 2,048: it has no end mark"),
        (300, "no tar header at byte 0 of 300"),
    ],
)
def test_of_a_truncated_shard_the_rest_is_a_row(cut: int, reason: str) -> None:
    tar = write_tar(Path("s/a.tar"), [("v0.mp4", b"video"), ("v1.mp4", b"video")])
    tar.write_bytes(tar.read_bytes()[:cut])
    whole = [f"s/a.tar/v{n}.mp4" for n in range(2) if cut >= 1024 * (n + 1)]
    assert expand("s/a.tar") == [*whole, "s/a.tar"]
    assert reason in noticed("s/a.tar")
    listed = find_inputs([], SourceOptions(list_file=Path("s/a.tar"))).listed
    assert [video.path for video in listed] == [
        name.removeprefix("s/") for name in (*whole, "s/a.tar")
    ]
    assert None not in [video.file for video in listed]


def test_damage_in_the_middle_and_data_behind_the_end_are_told() -> None:
    one, two = (write_tar(Path(f"{n}.tar"), sample(f"v{n}")).read_bytes() for n in range(2))
    Path("cat.tar").write_bytes(one + two)
    assert "it goes on behind its end mark" in noticed("cat.tar")
    tar = write_tar(Path("x.tar"), [(f"v{n}.mp4", b"video") for n in range(3)])
    content = bytearray(tar.read_bytes())
    content[1024 : 1024 + 8] = b"\xff" * 8
    tar.write_bytes(content)
    assert expand("x.tar") == ["x.tar/v0.mp4", "x.tar"]
    assert "no tar header at byte 1,024" in noticed("x.tar")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>not found</html>" * 40, "no tar header at byte 0"),
        (b"\x1f\x8b" + bytes(2000), "compressed by gzip"),
    ],
)
def test_what_is_no_tar_file_is_a_row(content: bytes, reason: str) -> None:
    write_three()
    Path("shards/1.tar").write_bytes(content)
    assert expand("shards/{0..2}.tar") == [*ALL[:2], "shards/1.tar", *ALL[4:]]
    assert f"shards/1.tar: {reason}" in noticed("shards/{0..2}.tar")
    rows = read("shards/{0..2}.tar")
    assert [row.name for row in rows.rows] == [n.removeprefix("shards/") for n in ALL[:2] + ALL[4:]]
    assert any(reason in text for text in rows.notices)


def test_a_shard_without_videos_is_told_and_one_alone_refused() -> None:
    write_three()
    write_tar(Path("empty.tar"), [])
    assert "tar files without a video: 1: empty.tar" in noticed("empty.tar", "shards/0.tar")
    assert refused("empty.tar").message == "no video in empty.tar"
    with pytest.raises(MissingInputError, match=r"no video in empty\.tar"):
        read("empty.tar")


def test_frames_in_shards_are_refused_with_the_way_out() -> None:
    write_tar(Path("f.tar"), [(f"a/img_{n:05}.jpg", b"jpeg") for n in range(1, 4)])
    error = refused("f.tar")
    assert error.message == "no video in f.tar, but 3 pictures"
    assert "frames in tar files are not read" in error.hint


def test_what_is_left_out_of_shards_is_told() -> None:
    files = [
        *sample("a", cls=1),
        ("._a.mp4", b"mac"), ("__MACOSX/a.mp4", b"mac"), ("README.md", b"text"),
        ("lonely.cls", b"1"), ("two.mp4", b"video"), ("two.webm", b"video"),
        ("still.webp", b"RIFF"), ("../out.mp4", b"video"), ("a.mp4", b"again"),
        ("code.ts", b"let x = 1;\n"),
    ]  # fmt: skip
    write_tar(Path("o.tar"), files, links=[make_link("link.mp4", "/etc/passwd")])
    assert expand("o.tar") == [f"o.tar/{n}" for n in ("two.mp4", "two.webm", "still.webp", "a.mp4")]
    text = noticed("o.tar")
    for part in (
        "2 hidden or system names (._* 1, __MACOSX 1)",
        "2 files that are no videos (.md 1, .ts 1)",
        "links, which are not followed: 1, such as o.tar/link.mp4",
        "names that lead out of the archive: 1, such as o.tar/../out.mp4",
        "names that come again, of which the last counts: 1, such as o.tar/a.mp4",
        "samples without a video: 1, such as o.tar/lonely",
        "samples of several videos, each of which is read: 1, such as o.tar/two",
    ):
        assert part in text


# --- labels ---------------------------------------------------------------------------------------


def test_rows_are_named_below_the_folder_of_the_shards() -> None:
    write_three()
    rows = read("shards/{0..2}.tar")
    assert (rows.format, rows.root) == ("webdataset", Path("shards"))
    assert [row.name for row in rows.rows] == [name.removeprefix("shards/") for name in ALL]
    listed, notices = locate(rows, labels("shards/{0..2}.tar"), root=None)
    assert [(v.path, v.file, v.label) for v in listed] == [
        (name.removeprefix("shards/"), name, n % 3) for n, name in enumerate(ALL)
    ]
    assert notices == []
    assert [row.name for row in read("shards/*.tar").rows] == [row.name for row in rows.rows]


def test_classes_are_read_from_each_kind_of_label() -> None:
    write_tar(Path("cls.tar"), sample("a", cls="2\n") + sample("b", cls="0"))
    write_tar(Path("txt.tar"), sample("a", txt="walk\n") + sample("b", txt="Jump"))
    write_tar(Path("json.tar"), sample("a", json={"label": 2}) + sample("b", json={"label": 0}))
    write_tar(Path("name.tar"), sample("a", json={"class": "walk"}) + sample("b", json='"jump"'))
    write_tar(Path("text.tar"), sample("a", json={"text": "walk"}) + sample("b", txt="jump"))
    for name in ("cls", "txt", "json", "name", "text"):
        assert labels(f"{name}.tar") == [2, 0], name


def test_names_win_over_numbers_of_another_order() -> None:
    write_three()
    backwards = tuple(reversed(CLASSES))
    assert labels("shards/{0..2}.tar", backwards) == [2, 1, 0, 2, 1, 0]
    assert labels("shards/{0..2}.tar", backwards, label_column="cls") == [0, 1, 2, 0, 1, 2]
    assert "goes with the number in KEY.cls one to one" in "\n".join(read("shards/0.tar").notices)


def test_captions_are_no_classes_where_there_are_numbers() -> None:
    files = [file for n in range(4) for file in sample(f"v{n}", cls=n % 2, txt=f"caption {n}")]
    write_tar(Path("c.tar"), files)
    assert labels("c.tar") == [0, 1, 0, 1]


def test_a_column_is_chosen_by_its_name() -> None:
    meta = {"verb": "run", "label": 1, "duration": 3.5, "start": 2}
    write_tar(Path("m.tar"), sample("a", cls=2, json=meta))
    assert labels("m.tar") == [2]
    assert labels("m.tar", label_column="verb") == [1]
    with pytest.raises(DatasetError, match="has nothing called 'noun'") as caught:
        read("m.tar", label_column="noun")
    assert "'verb'" in caught.value.hint
    assert read("m.tar").rows[0].segment is None  # its times are those of the whole film


def test_a_video_with_dots_has_the_labels_of_its_own_name() -> None:
    write_tar(
        Path("d.tar"),
        [("k.a.mp4", b"v"), ("k.a.cls", b"1"), ("k.b.mp4", b"v"), ("k.cls", b"2")],
    )
    assert labels("d.tar") == [1, 2]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (sample("a", cls=3), r"label 3 of o.tar/a.mp4 is out of range"),
        (sample("a", txt="swim"), r"unknown class 'swim'"),
        (sample("a"), r"o.tar/a.mp4 has no label \(webdataset list\)"),
        (sample("a", json={"url": "x", "my_label": 1}), r"no column for the class among 'url'"),
        (sample("a", json="[1, 2]"), r"2 classes for one video"),
        (sample("a", json="true"), r"expected a class"),
        (sample("a", cls="\udcff".encode("utf-8", "surrogateescape").decode("latin-1")), "unknown"),
        ([("a.mp4", b"v"), ("a.cls", b"\xff\xfe1")], r"o.tar/a.cls: expected a label, in UTF-8"),
        ([("a.mp4", b"v"), ("a.json", b"{nope")], r"o.tar/a.json: not valid JSON"),
        ([("a.mp4", b"v"), ("a.txt", b"x" * (1 << 21))], r"larger than 1 MiB"),
    ],
)
def test_labels_that_are_none_are_refused(files: Files, message: str) -> None:
    write_tar(Path("o.tar"), files)
    with pytest.raises((LabelError, DatasetError), match=message):
        labels("o.tar")


def test_options_that_do_not_fit_shards_are_refused() -> None:
    write_three()
    with pytest.raises(DatasetError, match="has no column that names splits"):
        read_list("shards/0.tar", split="train")
    Path("list.txt").write_text("shards/0.tar/v0.mp4 1\n")
    with pytest.raises(DatasetError, match=r"list\.txt is no tar file"):
        read_list("list.txt", format="webdataset")


def test_several_classes_of_a_video_are_rows() -> None:
    write_tar(
        Path("m.tar"), sample("a", json={"labels": ["run", "walk"]}) + sample("b", txt="jump")
    )
    rows = read("m.tar", multi_label=True)
    assert [(row.name, row.label) for row in rows.rows] == [
        ("m.tar/a.mp4", "run"), ("m.tar/a.mp4", "walk"), ("m.tar/b.mp4", "jump"),
    ]  # fmt: skip


def test_other_lists_may_name_videos_in_shards() -> None:
    write_three()
    Path("list.csv").write_text("path,label\n0.tar/v0.mp4,run\n2.tar/v9.mp4,run\n")
    rows = read("list.csv")
    listed, _ = locate(rows, number_labels(rows, CLASSES), root=Path("shards"))
    assert [(video.path, video.file) for video in listed] == [
        ("0.tar/v0.mp4", "shards/0.tar/v0.mp4"),
        ("2.tar/v9.mp4", None),
    ]


@pytest.mark.parametrize("data", ["shards/{0..2}.tar", "shards"])
def test_finetune_takes_shards_for_data(data: str) -> None:
    write_three()
    found = find_clips(Source(folder=Path(data)), notice=Notices().notice)
    assert found.classes == CLASSES
    assert [clip.label for clip in found.train] == [n % 3 for n in range(6)]
    assert found.groups == {}  # a tar file is no recording


def test_finetune_takes_shards_for_both_lists_and_refuses_a_clip_in_both() -> None:
    write_three()
    one, two = Path("shards/{0..1}.tar"), Path("shards/2.tar")
    found = find_clips(Source(train_list=one, val_list=two), notice=Notices().notice)
    assert found.val is not None
    assert [clip.file for clip in (*found.train, *found.val)] == ALL
    with pytest.raises(UsageError, match="2 clips both trained and validated on"):
        find_clips(Source(train_list=one, val_list=Path("shards/1.tar")), notice=Notices().notice)


def test_a_folder_of_train_and_val_shards_is_not_mixed() -> None:
    for part in ("train", "val"):
        write_tar(Path(f"d/{part}-000.tar"), sample("a", cls=0) + sample("b", cls=1))
    with pytest.raises(UsageError, match="holds tar files of parts of a data set, train and val"):
        find_clips(Source(folder=Path("d")), notice=Notices().notice)
