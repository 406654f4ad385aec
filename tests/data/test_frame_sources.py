"""Frame folders among inputs, in class folders and in lists."""

import json
from pathlib import Path

import pytest
from frame_folders import draw_folder
from make_video import write_video

from videoswin_cli.data.check import find_broken_videos
from videoswin_cli.data.class_folders import find_parts, read_class_folder
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.inputs import FoundVideos, find_inputs
from videoswin_cli.data.lists import read_list
from videoswin_cli.data.locating import locate
from videoswin_cli.data.segments import find_span, make_segment
from videoswin_cli.data.sources import expand_inputs
from videoswin_cli.errors import DatasetError, UsageError, VideoError
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import VideoPart


def name_pictures(folder: Path, *names: str) -> Path:
    """Empty files: nothing is opened to find them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def fake_frames(folder: Path, count: int = 3) -> Path:
    return name_pictures(folder, *(f"img_{n:05}.jpg" for n in range(1, count + 1)))


def read_rows(root: Path, text: str, *, suffix: str = "txt") -> FoundVideos:
    listing = root.parent / f"list.{suffix}"
    listing.write_text(text)
    return find_inputs([], SourceOptions(list_file=listing, root=root))


# --- inputs ---------------------------------------------------------------------------------------


def test_a_frame_folder_is_one_video_and_a_tree_has_several(tmp_path: Path) -> None:
    for name in ("a", "b/c", "b/d"):
        fake_frames(tmp_path / name)
    name_pictures(tmp_path / "b", "list.txt", "cover.jpg")
    assert expand_inputs([str(tmp_path / "a")]).videos == (str(tmp_path / "a"),)
    assert expand_inputs([str(tmp_path / "a") + "/"]).videos == (str(tmp_path / "a"),)
    found = expand_inputs([str(tmp_path)])
    assert found.videos == tuple(str(tmp_path / name) for name in ("a", "b/c", "b/d"))
    assert found.notices == (
        "left out: 2 files that are no videos (.jpg 1, .txt 1); --all-files looks into them",
    )


def test_a_tree_of_files_and_frame_folders_is_mentioned(tmp_path: Path) -> None:
    fake_frames(tmp_path / "thumbs")
    (tmp_path / "clip.mp4").touch()
    found = expand_inputs([str(tmp_path)])
    assert found.videos == (str(tmp_path / "clip.mp4"), str(tmp_path / "thumbs"))
    assert "1 folders of numbered pictures are read as a video each, beside 1" in found.notices[0]


def test_pictures_beside_videos_and_above_them_are_no_frames(tmp_path: Path) -> None:
    name_pictures(tmp_path, "fig1.png", "fig2.png")
    name_pictures(fake_frames(tmp_path / "a"), "a.mp4")
    fake_frames(tmp_path / "b")
    found = expand_inputs([str(tmp_path)])
    assert found.videos == (str(tmp_path / "a/a.mp4"), str(tmp_path / "b"))
    assert any(
        "pictures are left out where videos are in folders below" in t for t in found.notices
    )


def test_optical_flow_below_frames_is_left_out(tmp_path: Path) -> None:
    fake_frames(tmp_path / "v")
    for name in ("flow_x", "u"):
        fake_frames(tmp_path / "v" / name)
    name_pictures(tmp_path / "w", "flow_x_1.jpg", "flow_x_2.jpg", "flow_y_1.jpg", "flow_y_2.jpg")
    assert expand_inputs([str(tmp_path)]).videos == (str(tmp_path / "v"),)


@pytest.mark.parametrize("inputs", [["*.png"], ["img_00001.png", "img_00002.png"], ["**/*.png"]])
def test_pictures_in_place_of_their_folder(inputs: list[str], tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "v", 2)
    with pytest.raises(UsageError, match=r"2 pictures of the folder .*v are named") as failure:
        expand_inputs([str(folder / text) for text in inputs])
    assert failure.value.hint == f"name the folder: {folder}"


# --- class folders --------------------------------------------------------------------------------


def test_class_folders_of_frame_folders(tmp_path: Path) -> None:
    for name in ("jump/a", "jump/b", "run/a"):
        fake_frames(tmp_path / name)
    videos = read_class_folder(tmp_path)
    assert [(row.name, row.label) for row in videos.rows] == [
        ("jump/a", "jump"),
        ("jump/b", "jump"),
        ("run/a", "run"),
    ]


def test_pictures_in_class_folders_are_no_videos(tmp_path: Path) -> None:
    fake_frames(tmp_path / "jump")
    fake_frames(tmp_path / "run")
    with pytest.raises(DatasetError, match="jump is in no class folder"):
        read_class_folder(tmp_path)
    with pytest.raises(DatasetError, match="jump is in no class folder"):
        read_class_folder(tmp_path / "jump" / "..")


def test_a_class_called_train_has_frame_folders(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "plane/a"):
        fake_frames(tmp_path / name)
    assert find_parts(tmp_path).folders == {}


# --- lists ----------------------------------------------------------------------------------------


def test_a_list_of_frame_folders_holds_them_to_its_counts(tmp_path: Path) -> None:
    root = tmp_path / "frames"
    for name, count in (("a", 5), ("sub/b", 4), ("c", 3)):
        fake_frames(root / name, count)
    found = read_rows(root, "a 5 0\nsub/b 4 1\nc 4 2\nd 7 1\n")
    assert [(v.path, v.frames, v.file and Path(v.file)) for v in found.listed] == [
        ("a", 5, root / "a"),
        ("sub/b", 4, root / "sub/b"),
        ("c", 4, root / "c"),
        ("d", 7, None),
    ]
    assert found.listed[0].part.frames == 5


def test_an_id_is_looked_for_in_subfolders(tmp_path: Path) -> None:
    root = tmp_path / "frames"
    fake_frames(root / "jump" / "v_1")
    found = read_rows(root, "v_1 3 0\n")
    assert found.listed[0].path == "jump/v_1"


def test_of_a_file_and_a_folder_the_count_tells(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name in ("a", "sub/b"):
        fake_frames(root / name)
        (root / f"{name}.mp4").touch()
    (root / "a.txt").touch()
    assert [v.path for v in read_rows(root, "a 3 0\nb 3 1\n").listed] == ["a", "sub/b"]
    assert [v.path for v in read_rows(root, "a 0\nb 1\n").listed] == ["a.mp4", "sub/b.mp4"]


def test_a_folder_without_frames_is_not_found(tmp_path: Path) -> None:
    root = tmp_path / "data"
    fake_frames(root / "a")
    name_pictures(root / "b", "x.txt")
    assert (
        read_rows(root, "a 3 0\nb 3 0\n").listed[1].missing == "a folder without numbered pictures"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "path,label,num_frames\na,run,5\nb,run,-1\n"),
        ("list.csv", "frame_dir,total_frames,label\na,5.0,run\nb,,run\n"),
        ("list.json", json.dumps([{"path": "a", "frame_count": 5}, {"path": "b"}])),
        ("list.txt", "a 5 0\nb 0 0\n"),
    ],
)
def test_forms_of_the_count(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert [row.frames for row in read_list(tmp_path / name, labelled=False).rows] == [5, None]


def test_the_count_of_a_part_is_not_that_of_the_video(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("path,label,start_frame,end_frame,num_frames\na,x,5,9,4\n")
    assert read_list(tmp_path / "l.csv").rows[0].frames is None


def test_one_folder_with_two_counts(tmp_path: Path) -> None:
    fake_frames(tmp_path / "a")
    (tmp_path / "l.txt").write_text("a 3 0\na 2 0\n")
    rows = read_list(tmp_path / "l.txt")
    with pytest.raises(DatasetError, match="a has 2 frames here and 3 in line 1"):
        locate(rows, [0, 0], root=tmp_path)


def test_counts_of_frames_are_checked_where_the_folder_is_opened(tmp_path: Path) -> None:

    folder = draw_folder(tmp_path / "v", 6)
    file = write_video(tmp_path / "v.mp4", frames=6)
    parts = [VideoPart(path=str(folder), frames=n) for n in (6, 7)]
    parts.append(VideoPart(path=str(file), frames=7))
    assert find_broken_videos(parts, workers=0) == [
        None,
        "the list states 7 frames, the folder holds 6",
        None,
    ]
    with open_video(folder, frames_fps=10) as video:
        span = find_span(video, None, 4)
        assert (span.first, span.count) == (0, 4)
        assert span.notes == ("the list states 4 frames, the folder holds 6: the first 4 are read",)
        assert find_span(video, make_segment(0.2, None), 4).count == 2
        with pytest.raises(VideoError, match=r"no frame between 0\.4 s and the end"):
            find_span(video, make_segment(0.4, None), 4)
