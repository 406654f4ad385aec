"""What is found in folders and lists, and what is said of it."""

from pathlib import Path
from typing import Any

import pytest
from make_video import write_video

from videoswin_cli.errors import UsageError
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.training.clip_source import Source
from videoswin_cli.training.examples import (
    Examples,
    describe_examples,
    find_clips,
    leave_out_broken,
    split_examples,
)


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def find(*, seed: int = 0, val_share: float = 0.2, **source: object) -> Examples:
    found = find_clips(Source(**source), notice=lambda text: None)  # type: ignore[arg-type]
    return split_examples(found, val_share=val_share, seed=seed)


def test_train_and_val_folders(tmp_path: Path) -> None:
    touch(tmp_path, "train/b/1.mp4", "train/a/1.mp4", "train/a/2.mp4", "val/a/1.mp4", "val/b/9.avi")
    found = find(folder=tmp_path)
    assert found.classes == ("a", "b")
    assert [(clip.path, clip.label) for clip in found.train] == [
        ("train/a/1.mp4", 0),
        ("train/a/2.mp4", 0),
        ("train/b/1.mp4", 1),
    ]
    assert [clip.path for clip in found.val] == ["val/a/1.mp4", "val/b/9.avi"]


def test_class_folders_are_split_evenly_and_repeatably(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{c}/{n}.mp4" for c, count in (("a", 20), ("b", 5), ("c", 2), ("d", 1))
                      for n in range(count)))  # fmt: skip
    found = find(folder=tmp_path)
    assert found.counts(found.val) == [4, 1, 1, 0]
    assert found.counts(found.train) == [16, 4, 1, 1]
    assert find(folder=tmp_path) == found
    other = find(folder=tmp_path, seed=1)
    assert other.counts(other.val) == found.counts(found.val)
    assert other.val != found.val
    touch(tmp_path, "e/1.mp4", "e/2.mp4")
    kept = {clip.path for clip in found.val}
    assert kept < {clip.path for clip in find(folder=tmp_path).val}, "other classes stay as split"
    lines = describe_examples(found)
    assert (
        lines[0] == "4 classes, 22 training and 6 validation clips; 1 ('c') to 16 ('a') per class"
    )
    assert lines[1:] == [
        "the classes are far from balanced: see --balance sampler|loss",
        "2 classes with a single training clip: c, d",
        "1 class without a validation clip: d",
    ]


@pytest.mark.parametrize(
    ("train", "val"),
    [("Train", "Val"), ("training", "validation"), ("train", "valid"), ("TRAIN_SET", "val set")],
)
def test_parts_in_other_spellings(train: str, val: str, tmp_path: Path) -> None:
    touch(tmp_path, f"{train}/a/1.mp4", f"{train}/b/1.mp4", f"{val}/a/2.mp4", f"{val}/b/2.mp4")
    touch(tmp_path, "test/a/3.mp4", "raw/x.mp4")
    told: list[str] = []
    found = find_clips(Source(folder=tmp_path), notice=told.append)
    assert found.classes == ("a", "b")
    assert [clip.path for clip in found.train] == [f"{train}/a/1.mp4", f"{train}/b/1.mp4"]
    assert [(clip.path, clip.label) for clip in found.val or ()] == [
        (f"{val}/a/2.mp4", 0),
        (f"{val}/b/2.mp4", 1),
    ]
    assert told == [f"not used, since {train} and {val} are: raw, test"]


def test_classes_are_one_in_two_spellings_between_the_parts(tmp_path: Path) -> None:
    decomposed = "cafe\u0301"
    touch(tmp_path, "train/Pan Left/1.mp4", "train/zoom/1.mp4", "train/caf\u00e9/1.mp4")
    touch(tmp_path, "val/pan_left/2.mp4", "val/ZOOM/2.mp4", f"val/{decomposed}/2.mp4")
    told: list[str] = []
    found = find_clips(Source(folder=tmp_path), notice=told.append)
    assert found.classes == ("Pan Left", "caf\u00e9", "zoom")
    assert [(clip.path, clip.label) for clip in found.val or ()] == [
        ("val/ZOOM/2.mp4", 2),
        (f"val/{decomposed}/2.mp4", 1),
        ("val/pan_left/2.mp4", 0),
    ]
    assert all(Path(str(clip.file)).is_file() for clip in found.val or ())
    (text,) = told
    assert text.startswith("3 class names are spelled differently in the validation part")
    assert "'pan_left' is 'Pan Left'" in text


def test_names_within_a_part_stay_apart(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{part}/{name}/{part}.mp4" for part in ("train", "val")
                      for name in ("pan_left", "Pan Left")))  # fmt: skip
    found = find(folder=tmp_path)
    assert found.classes == ("Pan Left", "pan_left")
    assert found.counts(found.train) == found.counts(found.val) == [1, 1]


def test_numbered_class_folders_are_names(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/{n}.mp4" for name in ("10", "3", "7") for n in range(2)))
    found = find(folder=tmp_path)
    assert found.classes == ("3", "7", "10")
    assert found.counts(found.train) == [1, 1, 1]


@pytest.mark.parametrize(
    ("names", "message", "hint"),
    [
        (("train/a/1.mp4", "test/a/1.mp4"), "has train and test but no val", "unless you call it"),
        (("Training/a/1.mp4", "x/a/1.mp4"), "has Training but no val", "add val/CLASS/CLIP"),
        (("val/a/1.mp4", "test/a/1.mp4"), "parts of a data set, 'test', 'val'", "train and a val"),
        (("A/x/1.mp4", "A/y/1.mp4", "B/x/1.mp4", "B/y/1.mp4"), "same folders, 'x', 'y'", "A, or"),
        (
            ("train/pan_left/1.mp4", "train/Pan Left/1.mp4", "val/pan-left/1.mp4"),
            "which of them are one class",
            "one name",
        ),
    ],
)
def test_parts_that_are_not_clear_are_refused(
    names: tuple[str, ...], message: str, hint: str, tmp_path: Path
) -> None:
    touch(tmp_path, *names)
    with pytest.raises(UsageError, match=message) as caught:
        find_clips(Source(folder=tmp_path), notice=lambda text: None)
    assert hint in caught.value.hint


@pytest.mark.parametrize(("link", "target"), [("val", "train"), ("val/a", "../train/a")])
def test_a_link_from_one_part_to_the_other_is_refused(
    link: str, target: str, tmp_path: Path
) -> None:
    touch(tmp_path, "train/a/1.mp4", "train/b/1.mp4")
    if "/" in link:
        touch(tmp_path, "val/b/2.mp4")
    (tmp_path / link).symlink_to(target)
    with pytest.raises(UsageError, match="both trained and validated on"):
        find_clips(Source(folder=tmp_path), notice=lambda text: None)


def test_leavings_are_no_classes(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "b/1.mp4", "a/2", ".ipynb_checkpoints/1.mp4", "__MACOSX/a/._1.mp4")
    told: list[str] = []
    found = find_clips(Source(folder=tmp_path), notice=told.append)
    assert found.classes == ("a", "b")
    assert told == [
        "left out: 2 hidden or system names (.ipynb_checkpoints 1, __MACOSX 1); 1 file that is no "
        "video (no extension 1); --all-files looks into them"
    ]
    write_video(tmp_path / "whole.mp4", frames=8)
    (tmp_path / "whole.mp4").rename(tmp_path / "a/2")
    found = find_clips(Source(folder=tmp_path, all_files=True), notice=lambda text: None)
    assert [clip.path for clip in found.train] == ["a/1.mp4", "a/2", "b/1.mp4"]


def test_lists_of_names_and_of_numbers(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{n}.mp4" for n in range(6)))
    (tmp_path / "t").write_text("0.mp4 walk\n1.mp4 run\n2.mp4 walk\n")
    (tmp_path / "v").write_text("3.mp4 run\n")
    found = find(train_list=tmp_path / "t", val_list=tmp_path / "v")
    assert found.classes == ("run", "walk")
    assert [clip.label for clip in (*found.train, *found.val)] == [1, 0, 1, 0]
    (tmp_path / "n").write_text("".join(f"{n}.mp4 {n % 3}\n" for n in range(6)))
    numbered = find(train_list=tmp_path / "n", val_share=0.5)
    assert numbered.classes == ("class 0", "class 1", "class 2")
    assert numbered.counts(numbered.val) == [1, 1, 1]
    (tmp_path / "labels").write_text("a\nb\n")
    with pytest.raises(UsageError, match=r"n:3: label 2 of 2\.mp4 is out of range"):
        find(train_list=tmp_path / "n", labels=tmp_path / "labels")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a/1.mp4", "a/2.mp4"), "there is one class, 'a'"),
        (("a/1.mp4", "b/1.mp4"), "no clip to validate on"),
        (("train/a/1.mp4", "train/b/1.mp4"), "has train but no val"),
        (
            ("train/a/1.mp4", "train/b/1.mp4", "val/a/2.mp4", "val/c/1.mp4"),
            r"class 'c' is only in the validation clips \(1\)",
        ),
        (("1.mp4", "2.mp4"), "is in no class folder"),
    ],
)
def test_what_cannot_be_learned_is_told(
    names: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    touch(tmp_path, *names)
    with pytest.raises(UsageError, match=message):
        find(folder=tmp_path)


def test_clips_that_are_missing_or_in_both_parts(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "2.mp4", "3.mp4")
    (tmp_path / "t").write_text("1.mp4 a\n2.mp4 b\n")
    (tmp_path / "v").write_text("1.mp4 a\n")
    with pytest.raises(UsageError, match="1 clip both trained and validated on"):
        find(train_list=tmp_path / "t", val_list=tmp_path / "v")
    (tmp_path / "v").write_text("9.mp4 a\n")
    with pytest.raises(UsageError, match=r"1 of 1 clips of .*v are not there: 9\.mp4"):
        find(train_list=tmp_path / "t", val_list=tmp_path / "v")
    with pytest.raises(UsageError, match="none is not there"):
        find(folder=tmp_path / "none")


def test_broken_clips_are_left_out_before_the_split(tmp_path: Path) -> None:
    for name in ("a/1", "a/2", "a/3", "b/1", "b/2", "b/3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_video(tmp_path / f"{name}.mp4", frames=5)
    # In the class's only place for validation, were the split made first.
    val = next(clip for clip in find(folder=tmp_path).val if clip.label == 0)
    Path(str(val.file)).write_text("no video")
    told: list[str] = []
    found = find_clips(Source(folder=tmp_path), notice=told.append)
    kept = leave_out_broken(found, opening=OpenOptions(), workers=0, notice=told.append)
    assert [path for path, _ in kept.broken] == [val.path]
    assert told[0].startswith(f"left out: {val.path}: not a readable video file")
    dealt = split_examples(kept, val_share=0.2, seed=0)
    assert dealt.counts(dealt.train) == [1, 2]
    assert dealt.counts(dealt.val) == [1, 1]
    for number in (1, 2, 3):
        (tmp_path / f"b/{number}.mp4").write_text("no video")
    with pytest.raises(UsageError, match="no training clip of class 'b' can be read"):
        leave_out_broken(found, opening=OpenOptions(), workers=2, notice=told.append)


def test_linked_class_folders_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "real", "1.mp4", "2.mp4")
    touch(tmp_path / "data", "b/1.mp4", "b/2.mp4")
    (tmp_path / "data/a").symlink_to(tmp_path / "real")
    (tmp_path / "data/b/up").symlink_to(tmp_path / "data")  # a ring
    found = find(folder=tmp_path / "data")
    assert found.counts((*found.train, *found.val)) == [2, 2]


def test_what_is_no_class_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4", "notes/readme.txt")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a/gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    told: list[str] = []
    found = find_clips(Source(folder=tmp_path), notice=told.append)
    assert told == [
        f"{tmp_path / 'gone'} is a broken link, so no class",
        f"{tmp_path / 'notes'} is a folder without a video: no class",
        "left out: 2 files that are no videos (.txt 1, broken links 1); --all-files looks "
        "into them",
    ]
    assert "a/gone.mp4" in {clip.path for clip in found.train}  # opened later, and told then


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("1.mp4 5\n2.mp4 5\n", "there is one class, 'class 5'", ""),
        ("1.mp4 0 1\n2.mp4 1 2\n3.mp4 0 2\n", "no clip has label 0", "--multi-label"),
    ],
)
def test_labels_that_were_meant_otherwise(
    text: str, message: str, hint: str, tmp_path: Path
) -> None:
    touch(tmp_path, "1.mp4", "2.mp4", "3.mp4")
    (tmp_path / "t").write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        find(train_list=tmp_path / "t")
    assert hint in (caught.value.hint or "")


def test_classes_of_two_lists_are_one_in_two_spellings(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "2.mp4", "3.mp4", "4.mp4")
    (tmp_path / "t").write_text("1.mp4 pan_left\n2.mp4 zoom\n")
    (tmp_path / "v").write_text("3.mp4\tPan Left\n4.mp4\tzoom\n")
    told: list[str] = []
    source = Source(train_list=tmp_path / "t", val_list=tmp_path / "v")
    found = find_clips(source, notice=told.append)
    assert found.classes == ("pan_left", "zoom")
    assert [clip.label for clip in found.val or ()] == [0, 1]
    assert "'Pan Left' and 'pan_left' are taken for one class" in told


def test_names_joined_by_semicolons_are_noticed(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "2.mp4", "3.mp4")
    (tmp_path / "t").write_text("1.mp4 run;jump\n2.mp4 run\n3.mp4 run\n")
    told: list[str] = []
    find_clips(Source(train_list=tmp_path / "t"), notice=told.append)
    assert any("'run;jump' is taken for one class; --multi-label" in line for line in told)


@pytest.mark.parametrize(
    ("validated", "refused"),
    [("a.mp4,x,2,4", True), ("a.mp4,x,0,9", True), ("a.mp4,x,3,4", False), ("a.mp4,x,,", True)],
)
def test_segments_in_both_parts_must_not_share_frames(
    validated: str, refused: bool, tmp_path: Path
) -> None:
    head = "path,label,time_start,time_end\n"
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "train.csv").write_text(f"{head}a.mp4,x,1,3\nb.mp4,y,1,3\n")
    (tmp_path / "val.csv").write_text(f"{head}{validated}\n")
    source = Source(train_list=tmp_path / "train.csv", val_list=tmp_path / "val.csv")
    notices: list[str] = []
    if refused:
        with pytest.raises(UsageError, match=r"both trained and validated on, such as a\.mp4"):
            find_clips(source, notice=notices.append)
    else:
        assert find_clips(source, notice=notices.append).val
        assert any("segments of videos that are trained on too" in text for text in notices)


def test_segments_of_one_video_are_set_aside_together(tmp_path: Path) -> None:
    names = [f"{number}.mp4" for number in range(10)]
    touch(tmp_path, *names)
    rows = [f"{name},{label},{n},{n + 1}" for name in names for n, label in enumerate("xyx")]
    text = "\n".join(["path,label,time_start,time_end", *rows, ""])
    (tmp_path / "train.csv").write_text(text)
    found = find(train_list=tmp_path / "train.csv")
    trained = {clip.file for clip in found.train}
    validated = {clip.file for clip in found.val}
    assert trained.isdisjoint(validated)
    assert len(found.train) + len(found.val) == 30
    assert len(validated) == 2


def test_the_column_of_the_class_can_be_chosen_for_both_lists(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    (tmp_path / "train.csv").write_text("path,verb,label\na.mp4,run,0\nb.mp4,walk,0\n")
    (tmp_path / "val.csv").write_text("path,verb\nc.mp4,run\nd.mp4,walk\n")
    lists: dict[str, Any] = {"train_list": tmp_path / "train.csv", "val_list": tmp_path / "val.csv"}
    found = find(**lists, label_column="verb")
    assert found.classes == ("run", "walk")
    assert [clip.label for clip in (*found.train, *found.val)] == [0, 1, 0, 1]
    with pytest.raises(UsageError, match="has no column 'noun'"):
        find(**lists, label_column="noun")
