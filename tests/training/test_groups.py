"""What stays on one side of a split, and what is said of it."""

import os
from collections import Counter
from pathlib import Path

import pytest

from videoswin_cli.data.found_clips import Found
from videoswin_cli.data.groups import group_clips, join_copies
from videoswin_cli.data.splitting import split_clips
from videoswin_cli.errors import UsageError
from videoswin_cli.records import ListedVideo, Segment
from videoswin_cli.training.clip_source import Source
from videoswin_cli.training.examples import Examples, describe_examples, find_clips, split_examples


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def deal(said: list[str], *, val_share: float = 0.2, seed: int = 0, **source: object) -> Examples:
    found = find_clips(Source(**source), notice=said.append)  # type: ignore[arg-type]
    return split_examples(join_copies(found, said.append), val_share=val_share, seed=seed)


def clip(path: str, label: int = 0, segment: Segment | None = None) -> ListedVideo:
    shown = path if segment is None else f"{path}#{segment}"
    return ListedVideo(path=shown, file=f"/{path}", label=label, line=1, segment=segment)


def paths(clips: tuple[ListedVideo, ...]) -> list[str]:
    return [clip.path for clip in clips]


# --- splitting ------------------------------------------------------------------------------------


def test_without_groups_clips_are_split_as_they_always_were() -> None:
    """Such a run can be resumed with any version."""
    counts = {"a": 20, "b": 5, "c": 2, "d": 1}
    clips = tuple(
        clip(f"{name}/{n}.mp4", label)
        for label, (name, count) in enumerate(counts.items())
        for n in range(count)
    )
    found = Found(classes=tuple(counts), train=clips, val=None)
    assert paths(split_clips(found, 0.2, 0)[1]) == [
        *("a/8.mp4", "a/11.mp4", "a/15.mp4", "a/18.mp4", "b/3.mp4", "c/1.mp4")
    ]
    assert paths(split_clips(found, 0.3, 7)[1]) == [
        *("a/1.mp4", "a/2.mp4", "a/8.mp4", "a/9.mp4", "a/14.mp4", "a/17.mp4"),
        *("b/2.mp4", "b/3.mp4", "c/0.mp4"),
    ]
    grouped = group_clips(found, "auto", lambda text: None)
    assert grouped == found
    segments = tuple(
        clip(f"{video}.mp4", (video + n) % 2, Segment(start=n, end=n + 1))
        for video in range(8)
        for n in range(video % 4 + 1)
    )
    found = Found(classes=("x", "y"), train=segments, val=None)
    _, val = split_clips(found, 0.3, 0)
    assert Counter(each.file for each in val) == {"/2.mp4": 3, "/3.mp4": 4}


@pytest.mark.parametrize(
    ("sizes", "wanted", "aside"),
    [
        ([5, 5], 0.2, 5),
        ([7, 2, 1], 0.2, {1, 2}),
        ([4, 4, 4, 4, 4], 0.2, 4),
        ([6, 6, 6, 2], 0.3, {6, 8}),
        ([10], 0.2, 0),
        ([9, 1], 0.5, 1),
        ([3, 3, 3], 0.4, 3),
    ],
)
def test_the_share_is_as_near_as_the_groups_allow(
    sizes: list[int], wanted: float, aside: int | set[int]
) -> None:
    clips = tuple(clip(f"a/s{g}-{n}.mp4") for g, size in enumerate(sizes) for n in range(size))
    groups = {each.path: each.path[:4] for each in clips}
    found = Found(classes=("a",), train=clips, val=None, groups=groups)
    for seed in range(20):
        train, val = split_clips(found, wanted, seed)
        assert len(val) in (aside if isinstance(aside, set) else {aside})
        assert {groups[each.path] for each in train}.isdisjoint(groups[each.path] for each in val)
        assert split_clips(found, wanted, seed) == (train, val)


def test_each_class_keeps_a_clip_to_train_on() -> None:
    """The only clip of `b` is cut from a recording of `a`."""
    clips = (clip("a/s0-1"), clip("a/s0-2"), clip("b/s0-3", 1), clip("a/s1-1"))
    groups = {each.path: each.path[2:4] for each in clips}
    found = Found(classes=("a", "b"), train=clips, val=None, groups=groups)
    for seed in range(10):
        assert paths(split_clips(found, 0.5, seed)[1]) == ["a/s1-1"]


# --- recordings -----------------------------------------------------------------------------------

UCF = [
    f"{c}/v_{c}_g{g:02}_c{n:02}.avi" for c in ("A", "B") for g in range(1, 6) for n in range(1, 4)
]


def test_clips_of_a_recording_stay_on_one_side(tmp_path: Path) -> None:
    write(tmp_path, *UCF)
    said: list[str] = []
    found = deal(said, folder=tmp_path)
    assert found.counts(found.val) == [3, 3]
    assert {found.groups[path] for path in paths(found.train)}.isdisjoint(
        found.groups[path] for path in paths(found.val)
    )
    assert found.groups["A/v_A_g01_c02.avi"] == "v_A_g01"
    assert found.grouped_by == "v_NAME_g01_c01 (UCF101)"
    assert said == [
        "30 videos are of 10 recordings, going by their names, v_NAME_g01_c01 (UCF101): "
        "v_A_g01 (A/v_A_g01_c01.avi, A/v_A_g01_c02.avi), "
        "v_A_g02 (A/v_A_g02_c01.avi, A/v_A_g02_c02.avi), "
        "v_A_g03 (A/v_A_g03_c01.avi, A/v_A_g03_c02.avi); "
        "a recording stays on one side of the split (--group)"
    ]
    said.clear()
    apart = deal(said, folder=tmp_path, group="none")
    assert said == []
    assert (apart.groups, apart.grouped_by) == ({}, None)
    assert {path[:9] for path in paths(apart.train)} & {path[:9] for path in paths(apart.val)}


def test_a_validation_share_that_groups_make_large_is_said(tmp_path: Path) -> None:
    write(tmp_path, *[name for name in UCF if "_g01_" in name or "_g02_" in name])
    found = deal([], folder=tmp_path)
    text = "50% of the clips validate, not 20%, as groups stay together"
    assert any(line.startswith(text) for line in describe_examples(found, val_share=0.2))
    assert not any(text in line for line in describe_examples(found))
    assert not any(text in line for line in describe_examples(found, val_share=0.4))


def test_a_class_of_one_recording_is_not_validated_and_said(tmp_path: Path) -> None:
    write(tmp_path, *UCF, "C/v_C_g01_c01.avi", "C/v_C_g01_c02.avi")
    found = deal([], folder=tmp_path)
    assert found.counts(found.val) == [3, 3, 0]
    assert describe_examples(found)[-2:] == [
        "1 class without a validation clip: C",
        "1 of these have clips of one group only: C",
    ]
    for name in UCF:
        (tmp_path / name).unlink()
    write(tmp_path, "D/v_D_g01_c01.avi", "D/v_D_g01_c02.avi")
    with pytest.raises(UsageError, match="no class has clips of more than one recording") as caught:
        deal([], folder=tmp_path)
    assert "--group none splits recordings" in caught.value.hint


def test_a_pattern_names_the_recording(tmp_path: Path) -> None:
    names = [
        f"{c}/{person}_{c}_{n}.mp4"
        for c in "ab"
        for person in ("ann", "bob", "cyd")
        for n in (1, 2)
    ]
    write(tmp_path, *names, "a/other.mp4")
    said: list[str] = []
    found = deal(said, folder=tmp_path, group="(ann|bob|cyd)_", val_share=0.3)
    assert found.grouped_by == "(ann|bob|cyd)_"
    assert found.groups["a/other.mp4"] == "a/other.mp4"
    assert found.groups["b/bob_b_2.mp4"] == "bob"
    trained = {found.groups[path] for path in paths(found.train)}
    assert trained.isdisjoint(found.groups[path] for path in paths(found.val))
    assert said[0] == (
        "--group matches 12 of 13 videos, not a/other.mp4: each of these stands alone"
    )
    whole = find_clips(Source(folder=tmp_path, group="ann|bob|cyd"), notice=said.append)
    assert whole.groups == found.groups
    with pytest.raises(UsageError, match=r"--group 'dan' matches no clip, such as a/ann_a_1\.mp4"):
        deal([], folder=tmp_path, group="dan")
    with pytest.raises(UsageError, match=r"--group '\(dan': no regular expression: missing \)"):
        deal([], folder=tmp_path, group="(dan")


def test_recordings_in_both_given_parts_are_told(tmp_path: Path) -> None:
    write(tmp_path, *(f"train/{name}" for name in UCF if "c03" not in name))
    write(tmp_path, *(f"val/{name}" for name in UCF if "c03" in name))
    said: list[str] = []
    found = deal(said, folder=tmp_path)
    assert found.groups == {}
    assert said == [
        "10 validation clips are of recordings that are trained on too, by their names, such as "
        "val/A/v_A_g01_c03.avi and train/A/v_A_g01_c02.avi (v_A_g01): accuracy on new recordings "
        "may be lower"
    ]
    said.clear()
    assert deal(said, folder=tmp_path, group="none") == found
    assert said == []


def test_segments_of_a_list_are_of_the_recording_of_their_file(tmp_path: Path) -> None:
    rows = [
        f"scene{s}-{c}{n}.mp4,{c},{t},{t + 1}"
        for s in range(5)
        for c in "xy"
        for n in (1, 2)
        for t in (0, 5)
    ]
    write(tmp_path, *(row.split(",")[0] for row in rows))
    (tmp_path / "t.csv").write_text("path,label,time_start,time_end\n" + "\n".join(rows))
    found = deal([], train_list=tmp_path / "t.csv")
    assert len(found.val) == 8
    assert len({found.groups[path] for path in paths(found.val)}) == 1
    assert found.groups["scene3-x1.mp4#t=0,1"] == "scene3"


# --- one file, and copies -------------------------------------------------------------------------


def test_names_of_one_file_stay_on_one_side(tmp_path: Path) -> None:
    write(tmp_path, *(f"{c}/{n}.mp4" for c in "ab" for n in range(4)))
    for n in range(3):
        os.link(tmp_path / f"a/{n}.mp4", tmp_path / f"a/link{n}.mp4")
    (tmp_path / "a/soft.mp4").symlink_to("3.mp4")
    said: list[str] = []
    for seed in range(5):
        found = deal(said, folder=tmp_path, seed=seed)
        trained = {Path(str(each.file)).stat().st_ino for each in found.train}
        assert trained.isdisjoint(Path(str(each.file)).stat().st_ino for each in found.val)
        assert found.counts(found.val) == [2, 1]
    assert said[0] == (
        "4 videos are the same files under other names, such as a/link0.mp4 of a/0.mp4: they stay "
        "on one side of the split"
    )
    assert found.groups["a/link0.mp4"] == found.groups["a/0.mp4"] == "a/0.mp4"


def test_copies_stay_on_one_side_and_join_recordings(tmp_path: Path) -> None:
    write(tmp_path, *UCF)
    (tmp_path / "A/v_A_g05_c01.avi").write_bytes((tmp_path / "A/v_A_g01_c01.avi").read_bytes())
    (tmp_path / "B/v_B_g02_c02.avi").write_bytes((tmp_path / "A/v_A_g01_c01.avi").read_bytes())
    said: list[str] = []
    found = deal(said, folder=tmp_path)
    assert said[1:] == [
        "2 videos are copies, byte by byte, such as A/v_A_g05_c01.avi of A/v_A_g01_c01.avi: they "
        "stay on one side of the split",
        "1 of them have other labels, such as A/v_A_g01_c01.avi (A) and B/v_B_g02_c02.avi (B): at "
        "most one of the two can be learned",
    ]
    names = ("A/v_A_g01_c03.avi", "A/v_A_g05_c02.avi", "B/v_B_g02_c01.avi", "B/v_B_g02_c02.avi")
    assert {found.groups[name] for name in names} == {"v_A_g01"}
    assert found.groups["B/v_B_g01_c01.avi"] == "v_B_g01"


def test_one_file_in_both_given_parts_is_refused_and_a_copy_is_told(tmp_path: Path) -> None:
    write(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "val/a/2.mp4", "val/b/2.mp4")
    os.link(tmp_path / "train/a/1.mp4", tmp_path / "val/a/3.mp4")
    with pytest.raises(UsageError, match=r"such as val/a/3\.mp4 \(train/a/1\.mp4 is the same file"):
        deal([], folder=tmp_path)
    (tmp_path / "val/a/3.mp4").unlink()
    (tmp_path / "val/a/3.mp4").write_bytes((tmp_path / "train/a/1.mp4").read_bytes())
    (tmp_path / "val/b/4.mp4").write_bytes((tmp_path / "train/a/1.mp4").read_bytes())
    said: list[str] = []
    assert len(deal(said, folder=tmp_path).val) == 4
    assert said == [
        "2 validation clips copy training clips, byte by byte, such as val/a/3.mp4 of "
        "train/a/1.mp4 (1 under other classes, which cannot both be right): accuracy on new videos "
        "may be lower"
    ]


def test_two_spellings_in_one_list_are_one_clip(tmp_path: Path) -> None:
    write(tmp_path, *(f"d/{n}.mp4" for n in range(8)))
    rows = [
        f"{start}d/{n}.mp4 {'xy'[n % 2]}" for n in range(8) for start in ("", "./", f"{tmp_path}/")
    ]
    (tmp_path / "t.txt").write_text("\n".join(rows))
    found = deal([], train_list=tmp_path / "t.txt")
    assert found.counts(found.train) == [3, 3]
    assert found.counts(found.val) == [1, 1]
