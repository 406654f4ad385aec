"""What is on disk after a kill, a full disk or a strange name."""

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sixty
from make_video import write_video
from notices import Notices

from videoswin_cli import extract
from videoswin_cli.engine import file_stamps, journal
from videoswin_cli.engine.journal import Journal
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.engine.runner import open_runner
from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.io.atomic import read_csv
from videoswin_cli.model.loading import find_model
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.source import JobOptions
from videoswin_cli.options.tasks import FeatureOptions, FloatType
from videoswin_cli.records import ListedVideo, Stride, Views
from videoswin_cli.tasks.extract import writer
from videoswin_cli.tasks.extract.extract import extract_to_files
from videoswin_cli.tasks.extract.features import Plan, plan_features
from videoswin_cli.tasks.extract.files import look_at_output, open_output
from videoswin_cli.tasks.extract.output import Output, parse_output
from videoswin_cli.tasks.extract.sink import Extraction, describe_features
from videoswin_cli.tasks.extract.tables import save_npy
from videoswin_cli.tasks.extract.writer import FeatureWriter


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> list[ListedVideo]:
    folder = tmp_path_factory.mktemp("videos")
    (folder / "bad.mp4").write_text("no video")
    for n in range(3):
        write_video(folder / f"{n}.mp4", frames=10 + 9 * n, seed=n)
    names = ("0.mp4", "bad.mp4", "1.mp4", "2.mp4")
    return [
        ListedVideo(path=f"sub/{name}", file=str(folder / name), label=None, line=n)
        for n, name in enumerate(names, 1)
    ]


def run(
    listed: list[ListedVideo], out: str, tiny: str, reporter: Reporter | None = None
) -> Extraction:
    return extract_to_files(
        listed,
        parse_output(out),
        find_model(tiny),
        RunOptions(workers=0),
        FeatureOptions(per="window"),
        JobOptions(resume=True),
        reporter or Notices(),
    )


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_run_asks_for_each_file_once_and_reads_its_journal_few_times(
    tiny: str, listed: list[ListedVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []
    parsed: list[bytes] = []
    read_state, lines = file_stamps.read_state, journal._lines

    def ask(file: str | None) -> Any:
        asked.append(file)
        return read_state(file)

    def parse(file: Path) -> Iterator[bytes]:
        for line in lines(file):
            parsed.append(line)
            yield line

    for module in (file_stamps, writer):
        monkeypatch.setattr(module, "read_state", ask)
    monkeypatch.setattr(journal, "_lines", parse)
    good = [video for video in listed if "bad" not in video.path]
    run(good, f"{tmp_path}/f.npy", tiny)
    assert len(asked) == len(good), "a million files of a network take their time"
    assert len(parsed) == len(good) + 1, "at the end, and the first to see whether there is any"
    run(good, f"{tmp_path}/f.npy", tiny)
    assert len(asked) == 3 * len(good), "whether anything is left, and what is to be skipped"
    assert len(parsed) == len(good) + 1, "there is no journal any more"


def test_rows_that_are_written_one_by_one_are_what_numpy_writes(tmp_path: Path) -> None:
    """No map of the output: its pages would count as memory."""
    plan = Plan(options=FeatureOptions(), views=Views(clips=1, crops=1, short_side=32), shape=(3,))
    parts = [np.full((rows, 3), rows, dtype=np.float32) for rows in (1, 0, 2)]
    for name, some in (("a", parts), ("b", []), ("c", parts[1:2])):
        save_npy(tmp_path / f"{name}.npy", some, plan)
        whole = np.concatenate([np.empty((0, 3), dtype=np.float32), *some])
        np.save(tmp_path / "numpy.npy", whole)
        assert (tmp_path / f"{name}.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()


@pytest.mark.parametrize("out", ["f.npy", "f.npz", "f/"])
def test_a_full_disk_is_told_and_gone_on_with(
    out: str,
    tiny: str,
    listed: list[ListedVideo],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "undisturbed").mkdir()
    run(listed, f"{tmp_path}/undisturbed/{out}", tiny)
    (tmp_path / "full").mkdir()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("videoswin_cli.tasks.extract.tables._write", fail)
        with pytest.raises(VideoSwinError, match="No space left on device") as caught:
            run(listed, f"{tmp_path}/full/{out}", tiny)
    assert "run the same command again" in caught.value.hint
    notices: list[str] = []
    run(listed, f"{tmp_path}/full/{out}", tiny, Notices(notices))
    assert contents(tmp_path / "full") == contents(tmp_path / "undisturbed")
    if out != "f/":
        assert "3 of 4 videos were done before: skipped" in notices


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("a.mp4", "a.mp4.npy"),
        ("/data/x/a.mp4", "data/x/a.mp4.npy"),
        ("../../a b/c.mp4", "a b/c.mp4.npy"),
        ("./a/../b.mp4", "a/b.mp4.npy"),
        ("https://host/v/a.mp4?x=1", "https/host/v/a.mp4?x=1.npy"),
        ("..", None),
        (".", None),
        ("/", None),
        ("//", None),
        ("./..", None),
        ("", None),
    ],
)
def test_files_stay_in_their_folder(path: str, file: str | None, tmp_path: Path) -> None:
    output = Output(path=tmp_path, kind="folder")
    assert output.feature_file(path) == (tmp_path / file if file else None)


NAMELESS = ("..", ".", "/", "./..")


def test_a_name_that_no_file_can_have_is_a_row(
    tiny: str, listed: list[ListedVideo], tmp_path: Path
) -> None:
    file = listed[0].file
    names = (
        "x.npy/below a file",  # is there once x has its own file
        "x",
        "n" * 252,
        f"{'d' * 300}/a",
        f"https://host/{'q' * 3000}",
        "nul\0",
        *NAMELESS,
        "last",
    )
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "x.npy").touch()
    videos = [ListedVideo(path=n, file=file, label=None, line=1) for n in names]
    (tmp_path / "f" / "x.npy").unlink()
    first, *others = videos
    found = {video.path: video for video in run([*others, first], f"{tmp_path}/f/", tiny).videos}
    assert found.keys() == set(names)
    assert {name for name, video in found.items() if video.error is None} == {"x", "last"}
    assert found["n" * 252].error == (
        "its own file cannot be written: File name too long: write one matrix (.npy)"
    )
    assert found[".."].error == "no name is left of it for its own file: write one matrix (.npy)"
    assert {path.name for path in (tmp_path / "f").iterdir()} == {
        *("x.npy", "last.npy", "index.csv", "meta.json"),
    }
    rows = read_csv(tmp_path / "f" / "index.csv")
    assert {row["path"] for row in rows} == set(names)
    again = run([*others, first], f"{tmp_path}/f/", tiny)
    assert {video.path for video in again.videos if video.error is None} == {"x", "last"}
    done = run(videos, f"{tmp_path}/f.npy", tiny)  # which needs no names
    assert all(video.error is None for video in done.videos)


def test_a_refusal_at_the_end_of_a_video_is_a_row(
    tiny: str, listed: list[ListedVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a folder that another user made: nothing shows before the file is to be written."""
    move = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if target.name == "0.mp4.npy":
            raise OSError(errno.EACCES, "Permission denied")
        return move(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    done = run(listed, f"{tmp_path}/f/", tiny)
    assert [video.error is None for video in done.videos] == [False, False, True, True]
    assert "Permission denied" in (done.videos[0].error or "")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_ends_the_run_and_makes_no_row(
    number: int,
    tiny: str,
    listed: list[ListedVideo],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "no room")

    with monkeypatch.context() as patch:
        patch.setattr("videoswin_cli.tasks.extract.tables._write", fail)
        with pytest.raises(VideoSwinError, match=r"cannot write .*npy: no room"):
            run(listed, f"{tmp_path}/f/", tiny)
    assert all(video.error is None for video in run(listed[2:], f"{tmp_path}/f/", tiny).videos)


# --- several at once ------------------------------------------------------------------------------


def open_it(
    tiny: str, out: str, *, part: str = "1-of-1", overwrite: bool = False, dtype: FloatType = "fp32"
) -> FeatureWriter | None:
    options = FeatureOptions(per="window", dtype=dtype)
    runner = open_runner(find_model(tiny), RunOptions())
    plan = plan_features(runner.model.spec, runner.settings, options)
    description = describe_features(runner.model, runner.settings, options)
    return open_output(
        parse_output(out), description, plan, ["a", "b"], part=part, overwrite=overwrite
    )


def test_who_comes_first_decides_which_run_it_is(tiny: str, tmp_path: Path) -> None:
    out = f"{tmp_path}/f.npy"
    with open_it(tiny, out, part="1-of-2") or nullcontext():
        with pytest.raises(UsageError, match=r"a different run: --dtype was fp32, now fp16"):
            open_it(tiny, out, part="2-of-2", dtype="fp16")
        with open_it(tiny, out, part="2-of-2") or nullcontext():
            pass
        with pytest.raises(UsageError, match="another process is writing"):
            open_it(tiny, out, part="1-of-2")
        with pytest.raises(UsageError, match="another process is writing"):
            open_it(tiny, out, overwrite=True)
        with pytest.raises(UsageError, match="another process is writing"):
            look_at_output(parse_output(out), resume=True, overwrite=True)
    with open_it(tiny, out, overwrite=True, dtype="fp16") or nullcontext():
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
# Three commands at once, four times: the order of their work without --overwrite is the slow one.
@pytest.mark.parametrize("more", [("--overwrite",), pytest.param((), marks=pytest.mark.slow)])
def test_runs_that_start_together_leave_one_winner(
    more: tuple[str, ...], tiny: str, listed: list[ListedVideo], tmp_path: Path
) -> None:
    """The same shard, or two of other options: one is described, and has all its rows."""
    folder = str(Path(listed[0].file or "").parent)
    ends = []
    for views in ("1x1", "1x3", "1x1"):
        command = ("extract", folder, "--out", tmp_path / "f.npy", "--model", tiny)
        ends.append(
            subprocess.Popen(
                sixty.command(*command, "--views", views, "--workers", 0, *more),
                env=sixty.environment(tmp_path, 1),
                stderr=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    told = [end.communicate(timeout=120) for end in ends]
    statuses = [end.returncode for end in ends]
    assert set(statuses) <= {2, 3}
    for status, (_, errors) in zip(statuses, told, strict=True):
        assert status == 3 or "another process is writing" in errors or "a different run" in errors
        assert "are there" not in errors
    assert 3 in statuses
    views = json.loads((tmp_path / "f.meta.json").read_text())["views"]
    alone = extract(folder, model=tiny, views=views)
    found = np.load(tmp_path / "f.npy")
    assert np.allclose(found, alone.features, atol=1e-4, equal_nan=True)  # views differ by 0.1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("f.index.csv", "f.meta.json", "f.npy"),
    ]


def test_a_folder_of_somebody_else_is_left(tiny: str, tmp_path: Path) -> None:
    (tmp_path / "f.npy.part").mkdir()
    (tmp_path / "f.npy.part" / "1-of-1.jsonl").write_text("mine")
    with pytest.raises(UsageError, match=r"no run\.json that says of which run it is"):
        open_it(tiny, f"{tmp_path}/f.npy")
    assert (tmp_path / "f.npy.part" / "1-of-1.jsonl").read_text() == "mine"


# --- what is read back ----------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["f.npy", "f.npz", "f.safetensors", "f-{0}.tar", "f/"])
def test_any_name_and_error_is_read_back(
    out: str, tiny: str, listed: list[ListedVideo], tmp_path: Path
) -> None:
    names = [f"x{chr(code)}y" for code in (*range(1, 32), 34, 44, 0x85, 0x2028, 0xDCFF)]
    write_video(tmp_path.with_name("short.mp4"), frames=3)
    videos = [replace(listed[0], path=n, file=f"{tmp_path.parent}/short.mp4") for n in names]
    videos.append(replace(listed[1], path="bad\r"))
    first = run(videos, f"{tmp_path}/{out}", tiny)
    before = contents(tmp_path)
    notices: list[str] = []
    again = run(videos, f"{tmp_path}/{out}", tiny, Notices(notices))
    assert f"{len(names)} of {len(videos)} videos were done before: skipped" in notices
    assert [video.path for video in again.videos] == [video.path for video in videos]
    assert [video.error for video in again.videos] == [video.error for video in first.videos]
    assert [video.notes for video in again.videos] == [video.notes for video in first.videos]
    assert again.videos[0].notes  # it loops
    assert contents(tmp_path) == before


def test_an_output_of_an_older_version_is_resumed(
    tiny: str, listed: list[ListedVideo], tmp_path: Path
) -> None:
    run(listed, f"{tmp_path}/f.npy", tiny)
    index = tmp_path / "f.index.csv"
    rows = [",".join(line.split(",")[:6]) + "\n" for line in index.read_text().splitlines()]
    index.write_text("".join(rows))
    notices: list[str] = []
    run(listed, f"{tmp_path}/f.npy", tiny, Notices(notices))
    assert "3 of 4 videos were done before: skipped" in notices


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *(("f.npy", ".npy"), ("f.safetensors", ".safetensors"), ("f-{000}.tar", ".tar")),
        *(("f", "folder"), ("f.npy/", "folder")),
    ],
)
def test_kinds_of_output(
    text: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_output(text) == Output(path=tmp_path / text.rstrip("/"), kind=kind)  # type: ignore[arg-type]


def test_unknown_kinds_of_output() -> None:
    with pytest.raises(UsageError, match=r"unknown suffix '\.h5'"):
        parse_output("f.h5")
    with pytest.raises(UsageError, match=r"f\.tar names no shards"):
        parse_output("f.tar")


def test_a_large_matrix_is_mapped(tiny: str, listed: list[ListedVideo], tmp_path: Path) -> None:
    """The rows on disk are never all in memory: they are read and written through maps."""
    run(listed, f"{tmp_path}/f.npy", tiny)
    rows = np.load(tmp_path / "f.npy", mmap_mode="r")
    assert isinstance(rows, np.memmap)
    assert rows.flags.c_contiguous


# --- within a video -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> list[ListedVideo]:
    """A video that cannot be read and two of several pieces."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "0.mp4").write_text("no video")
    write_video(folder / "1.mp4", frames=150, seed=1)
    write_video(folder / "2.mp4", frames=90, seed=2)
    return [
        ListedVideo(path=f"{n}.mp4", file=f"{folder}/{n}.mp4", label=None, line=n) for n in range(3)
    ]


class StoppedError(Exception):
    pass


def run_windows(
    listed: list[ListedVideo], out: str, tiny: str, *, workers: int = 0, pieces: int = 99
) -> list[str]:
    """Notices of a run that stops at the journal's entry of so many pieces."""
    notices: list[str] = []
    append, left = Journal.append, pieces

    def count(journal: Journal, entry: Any) -> None:
        nonlocal left
        append(journal, entry)
        left -= bool(entry.get("partial"))
        if not left:
            raise StoppedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "append", count)
        extract_to_files(
            listed,
            parse_output(out),
            find_model(tiny),
            RunOptions(workers=workers, batch_size=3),
            FeatureOptions(per="window", stride=Stride(frames=4)),
            JobOptions(resume=True),
            Notices(notices),
        )
    return notices


@pytest.mark.parametrize(
    ("out", "workers"),
    [
        ("f.npy", 2),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (("f.npy", 0), ("f/", 0), ("f/", 2))
        ),
    ],
)
def test_a_long_video_is_resumed_within(
    workers: int, out: str, tiny: str, long: list[ListedVideo], tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    run_windows(long, f"{tmp_path}/whole/{out}", tiny)
    for pieces in range(1, 9):
        folder = tmp_path / str(pieces)
        folder.mkdir()
        try:
            run_windows(long, f"{folder}/{out}", tiny, pieces=pieces)
        except StoppedError:
            pass
        else:
            break
        resumed = "1.mp4: {} windows were done before: skipped"
        notices = run_windows(long, f"{folder}/{out}", tiny, workers=workers)
        if pieces <= 4:
            assert resumed.format(8 * pieces) in notices
        assert any("windows were done before" in text for text in notices)
        assert contents(folder) == contents(tmp_path / "whole"), pieces
    assert pieces > 4
    # Stopped twice.
    for pieces in (2, 1):
        with pytest.raises(StoppedError):
            run_windows(long, f"{tmp_path}/twice{out}", tiny, pieces=pieces)
    assert resumed.format(24) in run_windows(long, f"{tmp_path}/twice{out}", tiny)


def test_a_video_that_was_changed_is_begun_anew(
    tiny: str, long: list[ListedVideo], tmp_path: Path
) -> None:
    own = tmp_path / "1.mp4"
    own.write_bytes(Path(long[1].file or "").read_bytes())
    listed = [replace(long[1], file=str(own)), long[2]]
    with pytest.raises(StoppedError):
        run_windows(listed, f"{tmp_path}/f.npy", tiny, pieces=3)
    own.write_bytes(Path(long[2].file or "").read_bytes())
    for _ in range(2):
        with pytest.raises(StoppedError):
            notices = run_windows(listed, f"{tmp_path}/f.npy", tiny, pieces=1)
    notices = run_windows(listed, f"{tmp_path}/f.npy", tiny)
    assert "1.mp4: 16 windows were done before: skipped" in notices
    found = np.load(tmp_path / "f.npy")
    assert np.array_equal(found[: len(found) // 2], found[len(found) // 2 :])
