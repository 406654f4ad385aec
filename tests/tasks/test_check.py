"""Faults of a data set that a check finds, and sound data in which it finds none."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frame_folders import draw_folder
from make_video import find_packets, overwrite_video, turn_video, write_video
from notices import Notices
from planted import CLASSES, COUNT, FRAMES, Fault, Row, plant, write_clip
from tiny import LABELS, write_model

from videoswin_cli import CheckReport, UsageError, check
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.fingerprints import find_near, take_fingerprint
from videoswin_cli.data.segments import find_span
from videoswin_cli.io.csv_text import from_csv
from videoswin_cli.options.check import CheckOptions
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import VideoPart
from videoswin_cli.report.findings import NOTES, PROBLEMS
from videoswin_cli.tasks.check.check import check_data
from videoswin_cli.tasks.check.facts import _Look


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row], set[Fault]]:
    folder = tmp_path_factory.mktemp("planted")
    return folder, *plant(folder / "videos")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders in two parts, six clips."""
    folder = tmp_path_factory.mktemp("sound")
    for number in range(6):
        name = f"{('train', 'train', 'val')[number % 3]}/{('jump', 'run')[number % 2]}"
        (folder / name).mkdir(parents=True, exist_ok=True)
        write_clip(folder / name / f"{'abcdef'[number]}.mp4", 200 + number)
    return folder


def kinds(report: CheckReport) -> list[tuple[str, str | None]]:
    return [(finding.kind, finding.path) for finding in report.findings]


def faults_of(report: CheckReport) -> set[Fault]:
    return {(each.kind, each.path, each.partner) for each in report.findings}


def test_every_planted_fault_is_found_and_nothing_else(
    planted: tuple[Path, list[Row], set[Fault]],
) -> None:
    folder, rows, faults = planted
    assert len(list((folder / "videos").iterdir())) == COUNT
    report = check(
        list_file=folder / "list.csv",
        root=folder / "videos",
        labels=folder / "classes.txt",
        deep=True,
        near_duplicates=True,
    )
    assert faults_of(report) == faults
    every = {kind for kind, _, _ in faults}
    assert every == {*PROBLEMS, *NOTES} - {"outside", "remark"}
    assert report.videos == len(rows) - 2  # a row says one again, and one says another class
    assert report.classes.keys() == set(CLASSES)
    order = [*PROBLEMS, *NOTES]
    ranks = [order.index(finding.kind) for finding in report.findings]
    assert ranks == sorted(ranks)


def test_the_clean_list_is_the_list_without_the_bad_rows(
    planted: tuple[Path, list[Row], set[Fault]], tmp_path: Path
) -> None:
    folder, rows, faults = planted
    before = sorted(path.name for path in (folder / "videos").iterdir())
    clean = tmp_path / "good.csv"
    options: dict[str, Any] = {
        "root": folder / "videos",
        "labels": folder / "classes.txt",
        "deep": True,
    }
    check(
        list_file=folder / "list.csv", write_list=clean, near_duplicates=True, workers=2, **options
    )
    assert sorted(path.name for path in (folder / "videos").iterdir()) == before
    bad = {path for kind, path, _ in faults if kind in PROBLEMS}
    expected = [row for row in rows if row[0] not in bad or (row[0], row[2]) == ("both.mp4", "val")]
    header, *found = from_csv(clean.read_text())
    assert header == ["path", "label", "split", "num_frames"]
    assert found == [list(map(str, row)) for row in expected]
    again = check(list_file=clean, **options)
    assert [each for each in kinds(again) if each[0] in PROBLEMS and each[1]] == []


def test_sound_class_folders_have_no_findings(sound: Path, tmp_path: Path) -> None:
    report = check(sound, deep=True, near_duplicates=True, write_list=tmp_path / "good.csv")
    assert report.findings == ()
    assert (report.videos, report.splits) == (6, {"train": 4, "val": 2})
    assert report.classes == {"jump": 3, "run": 3}
    header, *rows = from_csv((tmp_path / "good.csv").read_text())
    assert header == ["path", "label", "split"]
    assert rows[0] == ["train/jump/a.mp4", "jump", "train"]
    listed = check(list_file=tmp_path / "good.csv", root=sound)
    assert (listed.findings, listed.splits) == ((), report.splits)


def test_class_folders_that_differ_in_spelling_are_two_classes_of_a_part(tmp_path: Path) -> None:
    """As finetune has them; a name of the other part is that of the first."""
    for number, name in enumerate(("train/Walk/a", "train/walk/b", "train/sit/c", "val/SIT/d")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_clip(tmp_path / f"{name}.mp4", 300 + number // 2 * number)
    report = check(tmp_path, write_list=tmp_path / "good.csv")
    assert report.classes == {"Walk": 1, "sit": 2, "walk": 1}
    assert [path for kind, path in kinds(report) if kind == "two-labels"] == [
        *("train/Walk/a.mp4", "train/walk/b.mp4")
    ]
    assert kinds(report).count(("class-spelling", None)) == 2
    _, *rows = from_csv((tmp_path / "good.csv").read_text())
    assert rows == [["train/sit/c.mp4", "sit", "train"], ["val/SIT/d.mp4", "sit", "val"]]


def test_a_class_that_the_clean_list_lost_and_its_root_are_named(tmp_path: Path) -> None:
    for number, name in enumerate(("run/a", "run/b", "sit/c")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_clip(tmp_path / f"{name}.mp4", 400 + number)
    (tmp_path / "sit" / "c.mp4").write_text("no video")
    notices = Notices()
    options = CheckOptions(workers=0, write_list=tmp_path / "good.csv")
    check_data([str(tmp_path)], SourceOptions(), options, notices)
    assert notices.texts[-2:] == [
        f"its names are relative to {tmp_path}: read it with --root {tmp_path}",
        "no video is left of sit",
    ]


def test_a_plain_folder_has_videos_and_no_classes(sound: Path, tmp_path: Path) -> None:
    shutil.copy(sound / "train/jump/a.mp4", tmp_path / "a.mp4")
    shutil.copytree(sound / "train/run", tmp_path / "run")
    notices = Notices()
    options = CheckOptions(workers=0, write_list=tmp_path / "good.txt")
    report = check_data([str(tmp_path)], SourceOptions(), options, notices)
    assert (report.findings, report.classes, report.videos) == ((), {}, 3)
    assert (tmp_path / "good.txt").read_text().splitlines()[0] == str(tmp_path / "a.mp4")


def test_videos_are_held_against_the_clips_and_classes_of_a_model(
    sound: Path, tmp_path: Path
) -> None:
    write_model(tmp_path / "tiny.safetensors")  # clips of 4 frames, 2 apart
    (tmp_path / "list.txt").write_text("jump/a.mp4 1\nrun/b.mp4 7\n")
    model = str(tmp_path / "tiny.safetensors")
    report = check(list_file=tmp_path / "list.txt", root=sound / "train", model=model)
    assert kinds(report) == [
        ("label", "run/b.mp4"),
        ("few-frames", "jump/a.mp4"),
        ("few-frames", "run/b.mp4"),
        ("unused-class", None),
    ]
    text = report.findings[0].text
    assert text == f"label 7 of line 2: there are {len(LABELS)} classes, from 0"


def test_own_classes_are_no_fault_of_a_model_to_start_from(sound: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "tiny.safetensors", labels=("sit", "stand"))
    notices = Notices()
    options = CheckOptions(workers=0, model=str(tmp_path / "tiny.safetensors"))
    report = check_data([str(sound)], SourceOptions(), options, notices)
    assert {kind for kind, _ in kinds(report)} == {"few-frames"}
    assert any("right for finetune, not for eval" in text for text in notices.texts)


def test_parts_of_one_video_leak_where_they_share_frames(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", 1, frames=30)
    write_clip(tmp_path / "b.mp4", 2, frames=30)
    head = "path,start_frame,end_frame,label\n"
    (tmp_path / "train.csv").write_text(f"{head}a.mp4,0,10,x\nb.mp4,0,10,y\na.mp4,40,50,y\n")
    (tmp_path / "val.csv").write_text(f"{head}a.mp4,10,20,x\nb.mp4,9,20,y\n")
    clean = tmp_path / "good.csv"
    report = check(
        list_file=tmp_path / "train.csv", val_list=tmp_path / "val.csv", write_list=clean
    )
    assert faults_of(report) == {
        ("leak", "b.mp4#frames=0,10", "b.mp4#frames=9,20"),
        ("outside", "a.mp4#frames=40,50", None),
    }
    assert clean.read_text() == f"{head}a.mp4,0,10,x\n"


def test_a_json_list_is_cleaned_into_a_table(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", 1)
    (tmp_path / "text.mp4").write_text("no video")
    rows = [{"path": f"{name}.mp4", "label": "x", "start": 0, "end": 0.2} for name in ("a", "text")]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    report = check(list_file=tmp_path / "list.json", write_list=tmp_path / "good.csv")
    assert kinds(report) == [("unreadable", "text.mp4#t=0,0.2")]
    assert (tmp_path / "good.csv").read_text() == "path,label,start,end\na.mp4,x,0.0,0.2\n"


def test_several_classes_per_video_are_no_fault_with_multi_label(tmp_path: Path) -> None:
    for name in "ab":
        write_clip(tmp_path / f"{name}.mp4", ord(name))
    text = "a.mp4 0 2\nb.mp4 1\ngone.mp4 0 1\n"
    (tmp_path / "list.txt").write_text(text)
    report = check(
        list_file=tmp_path / "list.txt", multi_label=True, write_list=tmp_path / "good.txt"
    )
    assert kinds(report) == [("missing", "gone.mp4")]
    assert (tmp_path / "good.txt").read_text() == text.replace("gone.mp4 0 1\n", "")


def test_rows_without_a_label_are_found_where_others_have_one(tmp_path: Path) -> None:
    for name in "ab":
        write_clip(tmp_path / f"{name}.mp4", ord(name))
    (tmp_path / "list.csv").write_text("path,label\na.mp4,x\nb.mp4,\n")
    (finding,) = check(list_file=tmp_path / "list.csv").findings
    assert (finding.kind, finding.path, finding.text) == ("label", "b.mp4", "line 3 has no label")
    (tmp_path / "list.csv").write_text("path,label\na.mp4,-1\nb.mp4,-1\n")
    assert check(list_file=tmp_path / "list.csv").findings == ()


def test_labels_counted_from_one_are_told_by_the_folders(tmp_path: Path) -> None:
    lines = []
    for number, name in enumerate(("jump", "run", "swim"), start=1):
        (tmp_path / name).mkdir()
        write_clip(tmp_path / name / "a.mp4", number)
        lines.append(f"{name}/a.mp4 {number}\n")
    (tmp_path / "list.txt").write_text("".join(lines[:2]))
    (tmp_path / "names.txt").write_text("jump\nrun\nswim\n")
    report = check(list_file=tmp_path / "list.txt", labels=tmp_path / "names.txt")
    assert [finding.kind for finding in report.findings] == ["label"]
    assert "counted from 1" in report.findings[0].text


def test_a_mirrored_picture_and_a_truncated_file_that_is_allowed(tmp_path: Path) -> None:
    plain = write_video(tmp_path / "plain.mp4", frames=FRAMES)
    turn_video(plain, tmp_path / "mirrored.mp4", matrix=(-1, 0, 0, 1))
    whole = write_clip(tmp_path / "whole.mkv", 3)
    whole.write_bytes(whole.read_bytes()[:-200])
    report = check(tmp_path, allow_truncated=True)
    assert [(f.kind, Path(f.path or "").name) for f in report.findings] == [
        ("rotation", "mirrored.mp4"),
        ("remark", "whole.mkv"),
    ]


@pytest.mark.parametrize("number", [1, 3, 6])
def test_pictures_of_a_frame_folder_are_tried_at_both_ends_and_in_the_middle(
    tmp_path: Path, number: int
) -> None:
    draw_folder(tmp_path / "sound")
    broken = draw_folder(tmp_path / "cut") / f"img_{number:05}.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    said = Notices()
    options = CheckOptions(workers=0, opening=OpenOptions(frames_fps=25.0))
    report = check_data([str(tmp_path)], SourceOptions(), options, said)
    ((kind, path),) = kinds(report)
    assert (kind, Path(path or "").name) == ("unreadable" if number == 1 else "damaged", "cut")
    assert broken.name in report.findings[0].text
    assert "of 2 frame folders the first, the middle and the last picture are decoded; " in str(
        said.texts
    )


def test_any_picture_of_a_frame_folder_is_tried_by_a_deep_check(tmp_path: Path) -> None:
    broken = draw_folder(tmp_path / "cut") / "img_00002.png"
    broken.write_bytes(b"")
    assert kinds(check(tmp_path, frames_fps=25)) == []
    assert [k for k, _ in kinds(check(tmp_path, frames_fps=25, deep=True))] == ["damaged"]


def test_a_split_is_of_one_list(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--split is for one list"):
        check(list_file=tmp_path / "a.csv", val_list=tmp_path / "b.csv", split="train")


def test_damage_that_a_fingerprint_meets_is_damage(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.avi", 3, frames=30, codec="mpeg4")
    (place, *_) = find_packets(whole)[11:]
    overwrite_video(whole, tmp_path / "noise.avi", start=place, size=400)
    whole.unlink()
    assert kinds(check(tmp_path, near_duplicates=True)) == kinds(check(tmp_path, deep=True))
    assert [kind for kind, _ in kinds(check(tmp_path, deep=True))] == ["damaged"]


def test_nothing_is_written_over_what_is_read(sound: Path, tmp_path: Path) -> None:
    shutil.copy(sound / "train/jump/a.mp4", tmp_path / "a.mp4")
    (tmp_path / "list.txt").write_text("a.mp4 0\n")
    for name in ("list.txt", "a.mp4"):
        with pytest.raises(UsageError, match="it is an input"):
            check(list_file=tmp_path / "list.txt", write_list=tmp_path / name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_list": "val.txt"}, "--val-list goes with --list"),
        ({"multi_label": True}, "--multi-label goes with --list"),
    ],
)
def test_options_of_lists_need_one(sound: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check(sound, **options)


def test_a_video_whose_process_dies_is_unreadable() -> None:
    look = _Look(
        parts=[VideoPart(path="a.mp4")],
        opening=OpenOptions(),
        deep=False,
        fingerprints=False,
        protocol=None,
    )
    failure = look.failed(0, "the process died").failure
    assert failure is not None
    assert (failure.kind, failure.text) == ("unreadable", "the process died")


def test_fingerprints_are_near_by_content_and_not_by_coding(tmp_path: Path) -> None:
    one = write_clip(tmp_path / "one.mp4", 1)
    other = write_clip(tmp_path / "other.mp4", 2)
    coded = write_clip(tmp_path / "coded.mkv", 1, codec="libx264", pix_fmt="yuv444p")
    dark = [
        write_video(
            tmp_path / f"{n}.mp4", frames=4 + n, draw=lambda _: np.zeros((48, 64, 3), np.uint8)
        )
        for n in range(2)
    ]
    prints = []
    for path in (one, other, coded, *dark):
        with open_video(path) as video:
            prints.append(take_fingerprint(video, find_span(video, None)))
    assert find_near(prints) == [[0, 2]]
    assert find_near(prints * 220)[1] == list(range(1, 1100, 5))  # blocks of rows
