"""Made clips: directions are what their names say, and equal seeds make equal clips."""

import errno
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from videoswin_cli.cli.app import app
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.encoding.mp4 import SAME_BITS
from videoswin_cli.data.lists import read_list
from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.synthetic import pictures
from videoswin_cli.synthetic.camera import MOTIONS, move_camera
from videoswin_cli.synthetic.clips import look, make_clip, write_clip
from videoswin_cli.synthetic.dataset import make_camera_motion, make_camera_motion_shards

TIMES = np.arange(30) / 30


def dots() -> torch.Tensor:
    """A picture with a red dot up left of its middle and a green one down right of it."""
    picture = torch.zeros(401, 401, 3)
    picture[176:185, 166:175, 0] = 255
    picture[216:225, 226:235, 1] = 255
    return picture


def track(motion: str, seed: int) -> np.ndarray:
    """(frames, 2 dots, x and y) of the dots in the frame, relative to its middle, y down."""
    rng = np.random.default_rng(seed)
    frames = look(dots(), move_camera(motion, TIMES, rng), (160, 200), rng).numpy()
    places = []
    for frame in frames:
        own = []
        for channel in (0, 1):
            weight = frame[..., channel]
            y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
            if weight.sum() < 100:  # out of the frame
                own.append((np.nan, np.nan))
            else:
                own.append((np.average(x, weights=weight), np.average(y, weights=weight)))
        places.append(own)
    return np.array(places) - (99.5, 79.5)


def turn(path: np.ndarray) -> np.ndarray:
    """Angle of the line from the red dot to the green one in each frame, clockwise."""
    across = path[:, 1] - path[:, 0]
    return np.unwrap(np.arctan2(across[:, 1], across[:, 0]))


def distance(path: np.ndarray) -> np.ndarray:
    return np.hypot(*(path[:, 1] - path[:, 0]).T)


def seen(path: np.ndarray) -> np.ndarray:
    """Those frames in which both dots are well inside."""
    inside = (np.abs(path[..., 0]) < 88).all(axis=1) & (np.abs(path[..., 1]) < 68).all(axis=1)
    return path[inside]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("motion", "axis", "sign"),
    [("pan-left", 0, 1), ("pan-right", 0, -1), ("tilt-up", 1, 1), ("tilt-down", 1, -1)],
)
def test_the_scene_moves_against_the_camera(motion: str, axis: int, sign: int, seed: int) -> None:
    path = seen(track(motion, seed))
    moved = path[-1].mean(axis=0) - path[0].mean(axis=0)
    assert sign * moved[axis] > 0
    assert abs(moved[axis]) > 2 * abs(moved[1 - axis])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("motion", "sign"), [("zoom-in", 1), ("zoom-out", -1)])
def test_the_scene_grows_when_zooming_in(motion: str, sign: int, seed: int) -> None:
    path = seen(track(motion, seed))
    assert sign * (distance(path)[-1] / distance(path)[0] - 1) > 0.02


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("motion", "sign"), [("roll-clockwise", -1), ("roll-counterclockwise", 1)])
def test_the_scene_turns_against_the_camera(motion: str, sign: int, seed: int) -> None:
    path = seen(track(motion, seed))
    assert sign * (turn(path)[-1] - turn(path)[0]) > 0.03


@pytest.mark.parametrize("seed", range(6))
def test_static_stays_and_shake_comes_back(seed: int) -> None:
    still = track("static", seed).mean(axis=1)
    assert np.abs(still - still.mean(axis=0)).max() < 1.5
    shaken = track("shake", seed).mean(axis=1)
    wandered = np.abs(np.diff(shaken, axis=0)).sum()
    assert wandered > 20
    assert wandered > 4 * np.abs(shaken[-1] - shaken[0]).sum()


@pytest.mark.parametrize(
    "draw",
    [
        pictures.clouds,
        pictures.shapes,
        pictures.street,
        pictures.landscape,
        pictures.tiles,
        pictures.scribbles,
        pictures.draw_picture,
    ],
)
def test_pictures_have_something_on_them(draw: Callable[..., np.ndarray]) -> None:
    for seed in range(2):
        picture = draw((120, 160), np.random.default_rng(seed))
        assert picture.shape == (120, 160, 3)
        assert picture.dtype == np.float32
        assert np.isfinite(picture).all()
        assert picture.std() > 3
        assert np.array_equal(picture, draw((120, 160), np.random.default_rng(seed)))


def test_a_clip_follows_from_its_seed() -> None:
    one, two, other = (make_clip("shake", np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one.frames, two.frames)
    assert (one.fps, one.quality) == (two.fps, two.quality)
    assert one.frames.shape != other.frames.shape or not np.array_equal(one.frames, other.frames)
    assert one.frames.dtype == np.uint8


def test_equal_clips_are_equal_files(tmp_path: Path) -> None:
    """Seen with x264's AVX-512 code: the first file, or one among ten, was another."""
    for seed in (0, 1, 5, 7):
        clip = make_clip(MOTIONS[seed], np.random.default_rng(seed), seconds=(0.8, 1.0))
        found = set()
        for number in range(8):
            path = tmp_path / f"{seed}-{number}.mp4"
            write_clip(path, clip)
            found.add(path.read_bytes())
        assert len(found) == 1


def test_the_cpu_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip("shake", np.random.default_rng(1), seconds=(0.8, 1.0))
    write_clip(tmp_path / "fast.mp4", clip)
    plain = {"x264-params": f"{SAME_BITS['x264-params']}:asm=0"}
    monkeypatch.setattr("videoswin_cli.synthetic.clips.SAME_BITS", plain)
    write_clip(tmp_path / "plain.mp4", clip)
    coded: list[np.ndarray] = []
    for name in ("fast", "plain"):
        with open_video(tmp_path / f"{name}.mp4") as video:
            coded.append(video.read_frames(range(video.info.frames)))
    assert np.array_equal(coded[0], coded[1])


def test_a_data_set_is_gone_on_with(tmp_path: Path) -> None:
    made = list(make_camera_motion(tmp_path, clips_per_class=1, seed=5, workers=0, notice=print))
    assert sorted(p.parent.name for p in made) == sorted(MOTIONS)
    for path in made[:2]:
        with open_video(path) as video:
            assert video.info.frames >= 24
    before = {path: path.read_bytes() for path in made}
    made[3].unlink()
    again = list(make_camera_motion(tmp_path, clips_per_class=1, seed=5, workers=0, notice=print))
    assert again == [made[3]]
    assert made[3].read_bytes() == before[made[3]]


def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "clips"
    command = ["make-dataset", "camera-motion", str(out), "--clips-per-class", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert len(list(out.glob("*/*.mp4"))) == 10
    (tmp_path / "none").mkdir()
    empty = CliRunner().invoke(app, [*command, "--pictures", str(tmp_path / "none")])
    assert empty.exit_code == 2
    assert "no picture in" in empty.stderr


@pytest.mark.parametrize(
    "size",
    [(300, 200), *(pytest.param(size, marks=pytest.mark.slow) for size in ((40, 60), (900, 1300)))],
)
def test_pictures_of_ones_own_fill_the_frame(size: tuple[int, int], tmp_path: Path) -> None:
    """Large ones are made smaller: a camera sees a scene, not a corner of a few pixels."""
    from matplotlib.image import imsave

    height, width = size
    # Stripes: sixteen bright and dark ones along the shorter side, of green alone.
    y, x = np.mgrid[:height, :width]
    stripes = ((y if height < width else x) * 16 // min(size)) % 2
    picture = np.zeros((*size, 3), dtype=np.uint8)
    picture[..., 1] = 40 + 180 * stripes
    (tmp_path / "pictures").mkdir()
    imsave(tmp_path / "pictures/a.png", picture)
    made = make_camera_motion(
        tmp_path / "out",
        clips_per_class=1,
        seed=0,
        workers=0,
        pictures=tmp_path / "pictures",
        notice=print,
    )
    for path in made:
        with open_video(path) as video:
            frames = video.read_frames(range(0, video.info.frames, 12)).astype(float)
        assert frames[..., 1].mean() > frames[..., [0, 2]].mean() + 30
        assert frames[..., 1].std() > 20, "both kinds of stripes are seen"


def test_a_picture_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    from matplotlib.image import imsave

    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "broken.png").write_text("no picture")
    told: list[str] = []

    def make() -> list[Path]:
        made = make_camera_motion(
            tmp_path / "o",
            clips_per_class=1,
            seed=0,
            workers=0,
            pictures=folder,
            notice=told.append,
        )
        return list(islice(made, 2))

    with pytest.raises(UsageError, match="no readable picture in"):
        make()
    assert not (tmp_path / "o").exists()
    imsave(folder / "whole.png", np.random.default_rng(0).random((200, 300, 3)))
    for name in ("._whole.png", ".thumbnails/whole.png", "notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    told.clear()
    assert len(make()) == 2
    assert len(told) == 2
    assert told[0] == (
        "left out: 2 hidden or system names (._* 1, other hidden 1); 1 file that is no picture "
        "(.txt 1)"
    )
    assert told[1].startswith(f"left out: {folder / 'broken.png'}: not a readable picture")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        list(make_camera_motion(tmp_path / "file", clips_per_class=1, seed=0, notice=print))
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="no such folder"):
        make()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_full_disk_is_told_without_a_traceback(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, clip: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("videoswin_cli.synthetic.dataset.write_clip", fail)
    with pytest.raises(VideoSwinError) as caught:
        list(
            make_camera_motion(
                tmp_path / "made", clips_per_class=1, seed=0, workers=workers, notice=print
            )
        )
    first = tmp_path / "made" / MOTIONS[0] / "0-00000.mp4"
    assert caught.value.message == f"cannot write {first}: No space left on device"
    assert caught.value.exit_code == 1


def test_a_folder_that_cannot_be_written_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / MOTIONS[0]).touch()
    with pytest.raises(UsageError, match="cannot write"):
        list(
            make_camera_motion(
                tmp_path / "made", clips_per_class=1, seed=0, workers=0, notice=print
            )
        )


# Ten seconds; tests/tasks/test_kills.py has the kills.
@pytest.mark.slow
def test_drafts_of_killed_runs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "videoswin_cli.synthetic.dataset.write_clip", lambda path, clip: path.write_text("clip")
    )
    draft = tmp_path / MOTIONS[0] / "0-00000.mp4.77.part"
    draft.parent.mkdir()
    draft.touch()
    list(make_camera_motion(tmp_path, clips_per_class=1, seed=0, workers=0, notice=print))
    assert not draft.exists()


def test_shards_hold_the_clips_of_the_folder_with_their_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, clip: object) -> None:
        path.write_text(f"clip {path.parent.name} {path.name[:7]}")

    monkeypatch.setattr("videoswin_cli.synthetic.dataset.write_clip", write)
    monkeypatch.setattr("videoswin_cli.synthetic.dataset.make_clip", lambda *_, **__: None)
    monkeypatch.setattr("videoswin_cli.synthetic.dataset.MOTIONS", ("pan-right", "pan-left"))
    told: list[str] = []

    def make(*, clips_per_class: int = 3, clips_per_shard: int = 4, seed: int = 7) -> list[Path]:
        made = make_camera_motion_shards(
            tmp_path / "s",
            clips_per_class=clips_per_class,
            clips_per_shard=clips_per_shard,
            seed=seed,
            workers=0,
            notice=told.append,
        )
        return list(made)

    assert len(make()) == 6
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["000000.tar", "000001.tar"]
    rows = read_list(tmp_path / "s" / "{000000..000001}.tar", label_column="cls").rows
    assert [(row.name, row.label) for row in rows] == [
        (f"00000{n // 4}.tar/{motion}/7-0000{n // 2}.mp4", int(motion == "pan-right"))
        for n, motion in enumerate(["pan-right", "pan-left"] * 3)
    ]
    assert {row.label for row in read_list(tmp_path / "s").rows} == {"pan-right", "pan-left"}
    (tmp_path / "s" / "000000.tar").unlink()
    assert len(make()) == 4
    assert told == ["1 of 2 tar files exist and are kept"]
    for changes in ({"seed": 8}, {"clips_per_shard": 3}, {"clips_per_class": 1}):
        with pytest.raises(UsageError, match="exists and holds other clips"):
            make(**changes)
