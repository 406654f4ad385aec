"""Frame folders through the commands: the bits of their video."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from frame_folders import unpack_video
from make_video import write_video
from tiny import LABELS, PROTOCOL
from typer.testing import Result

from videoswin_cli.data.augment import Augmentation
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.training_dataset import TrainingClip, TrainingClips
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import VideoPart

Run = Callable[..., Result]
QUIET = ("-q", "-j", 0)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of mp4s, and of the frames of these."""
    folder = tmp_path_factory.mktemp("pairs")
    for number, name in enumerate(LABELS[:2]):
        for kind in ("videos", "frames"):
            (folder / kind / name).mkdir(parents=True)
        file = write_video(folder / "videos" / name / "v.mp4", frames=24 + number, seed=number)
        unpack_video(file, folder / "frames" / name / "v.mp4")
    return folder


def rows(result: Result) -> list[dict[str, object]]:
    assert result.exit_code in (0, 3), result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def compare(run: Run, pairs: Path, *args: object) -> None:
    """The rows of a command are equal but for what they say of the file."""
    found = []
    for kind in ("videos", "frames"):
        own = rows(run(args[0], pairs / kind, *args[1:], "--frames-fps", 25, *QUIET))
        for row in own:
            for key in ("path", "video", "decoder"):
                row.pop(key, None)
        found.append(own)
    assert found[0] == found[1]
    assert found[0]


def test_predictions_and_timelines_are_those_of_the_video(run: Run, pairs: Path, tiny: str) -> None:
    compare(run, pairs, "predict", "-m", tiny, "-f", "jsonl", "--logits", "--views", "2x3")
    compare(run, pairs, "predict", "-m", tiny, "-f", "jsonl", "--logits", "--fps", 10)
    compare(run, pairs, "timeline", "-m", tiny, "-f", "jsonl", "--threshold", 0, "--start", 0.2)


def test_scores_and_features_are_those_of_the_video(
    run: Run, pairs: Path, tiny: str, tmp_path: Path
) -> None:
    dumps, features = [], []
    for kind in ("videos", "frames"):
        dump = tmp_path / f"{kind}.npz"
        done = run("eval", pairs / kind, "-m", tiny, "--dump", dump, *QUIET)
        assert done.exit_code == 0, done.output
        with np.load(dump) as kept:
            dumps.append({name: kept[name] for name in kept})
        out = tmp_path / f"{kind}.npy"
        assert run("extract", pairs / kind, "-m", tiny, "--out", out, *QUIET).exit_code == 0
        features.append(np.load(out))
    assert np.array_equal(*features)
    names = [name for name, values in dumps[0].items() if values.dtype.kind == "f"]
    assert names
    assert all(np.array_equal(dumps[0][name], dumps[1][name]) for name in names)


def test_training_clips_are_those_of_the_video(pairs: Path) -> None:
    clips = []
    for kind in ("videos", "frames"):
        parts = [VideoPart(path=str(pairs / kind / name / "v.mp4")) for name in LABELS[:2]]
        source = TrainingClips(
            parts,
            protocol=PROTOCOL,
            augmentation=Augmentation(crop_area=(0.3, 1.0), flip=True, color_jitter=0.4),
            opening=OpenOptions(),
            seed=0,
        )
        clips.append([source[n, draw] for n in range(2) for draw in range(2)])
    for video, frames in zip(*clips, strict=True):
        assert isinstance(video, TrainingClip)
        assert isinstance(frames, TrainingClip)
        assert torch.equal(video.frames, frames.frames)


def test_a_list_of_folders_with_counts(run: Run, pairs: Path, tiny: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("run/v.mp4 24 0\njump/v.mp4 99 1\n")
    args = ("--list", tmp_path / "list.txt", "--root", pairs / "frames", "-m", tiny, *QUIET)
    done = run("eval", *args, "--out", tmp_path / "out")
    assert done.exit_code == 3
    (failed,) = map(json.loads, (tmp_path / "out/failed.jsonl").read_text().splitlines())
    assert failed["path"] == "jump/v.mp4"
    assert failed["error"] == "the list states 99 frames, the folder holds 25"


def test_without_a_rate_times_are_refused_and_frame_numbers_are_not(
    run: Run, pairs: Path, tiny: str
) -> None:
    folder = pairs / "frames" / "run" / "v.mp4"
    plain = rows(run("predict", folder, "-m", tiny, "-f", "jsonl", "-j", 0))[0]
    assert plain["error"] is None
    assert plain["fps"] is None
    assert "no frame rate is stated" in str(plain["notes"])
    table = run("predict", folder, "-m", tiny, "-j", 0).stdout
    assert "(24 frames, pillow, tiny, 1x1 views)" in table
    for command, *more in (
        ("timeline",),
        ("predict", "--start", 0.2),
        ("predict", "-m", "camera-motion"),
    ):
        row = rows(run(command, folder, "-m", tiny, "-f", "jsonl", *more, *QUIET))[0]
        assert "no frame rate is stated" in str(row["error"])
        assert "give it with --frames-fps N" in str(row["error"])
    given = rows(run("predict", folder, "-m", "camera-motion", "-f", "jsonl", "--fps", 10, *QUIET))
    assert "--fps 10 is taken for the rate of its frames, too" in str(given[0]["notes"])


def test_pictures_of_a_frame_folder(run: Run, pairs: Path, tiny: str, tmp_path: Path) -> None:
    folder = pairs / "frames" / "run" / "v.mp4"
    args = ("-m", tiny, "--frames-fps", 10, "--threshold", 0, *QUIET)
    done = run("timeline", folder, *args, "--annotate", "drawn", "--html", "pages")
    assert done.exit_code == 0, done.output
    (drawn,) = Path("drawn").rglob("*.mp4")
    with open_video(drawn) as video:
        assert (video.info.frames, video.info.fps) == (24, 10)
    (page,) = Path("pages").rglob("*.html")
    assert "<video" in page.read_text(encoding="utf-8")  # the annotated copy
    assert run("timeline", folder, *args, "--html", "plain").exit_code == 0
    (page,) = Path("plain").rglob("*.html")
    assert "<video" not in page.read_text(encoding="utf-8")
    assert run("explain", folder, "-m", tiny).exit_code == 0
    assert Path("v.mp4.explained.mp4").is_file()


@pytest.mark.parametrize(
    "args",
    [
        ("predict", "--out", "frames/run/v.mp4/out.json"),
        ("predict", "--annotate", "frames/run/v.mp4/drawn"),
        ("explain", "--contact-sheet", "frames/run/v.mp4/9.png"),
    ],
)
def test_nothing_is_written_among_the_frames(
    args: tuple[str, str, str],
    run: Run,
    pairs: Path,
    tiny: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(pairs)
    command, *more = args
    done = run(command, "frames/run/v.mp4", "-m", tiny, *more)
    assert done.exit_code == 2
    assert "input" in done.stderr
    assert len(list((pairs / "frames/run/v.mp4").iterdir())) == 24
