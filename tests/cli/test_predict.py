import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sixty
import torch
from tiny import LABELS
from typer.testing import Result

from videoswin_cli.model.loading import load, save
from videoswin_cli.records import ClassProbability, Prediction
from videoswin_cli.report import predictions as report

Run = Callable[..., Result]
KEYS = ["path", "model", "views", "decoder", "frames", "fps", "frame_rate", "top", "error", "notes"]


def predict(run: Run, *args: object) -> list[dict[str, Any]]:
    result = run("predict", *args, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# --- what is printed ------------------------------------------------------------------------------


def test_json_is_a_list_of_objects_as_documented(run: Run, tiny: str, clips: Path) -> None:
    (answer,) = predict(run, clips / "b.mp4", "--model", tiny)
    assert list(answer) == KEYS
    assert answer["path"] == str(clips / "b.mp4")
    assert answer["model"] == "tiny"
    assert answer["views"] == "1x1"
    assert answer["decoder"] in ("decord", "pyav")
    assert (answer["frames"], answer["fps"], answer["error"]) == (5, 25.0, None)
    assert len(answer["top"]) == 5
    assert all(list(row) == ["label", "index", "prob"] for row in answer["top"])
    probs = [row["prob"] for row in answer["top"]]
    assert probs == sorted(probs, reverse=True)
    assert all(row["label"] == LABELS[row["index"]] for row in answer["top"])


def test_all_classes_sum_to_one(run: Run, tiny: str, clips: Path) -> None:
    (answer,) = predict(run, clips / "b.mp4", "--model", tiny, "--topk", 100)
    assert len(answer["top"]) == len(LABELS)
    assert sum(row["prob"] for row in answer["top"]) == pytest.approx(1)


def test_jsonl_holds_the_same_objects(run: Run, tiny: str, clips: Path) -> None:
    paths = [clips / "b.mp4", clips / "a [1].mp4"]
    lines = run("predict", *paths, "--model", tiny, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == predict(run, *paths, "--model", tiny)


def test_csv_has_a_row_a_class_and_one_a_failure(run: Run, tiny: str, clips: Path) -> None:
    result = run("predict", clips, "--model", tiny, "--format", "csv", "--topk", 7)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert list(rows[0]) == list(report.CSV_COLUMNS)
    assert len(rows) == 3 * 7 + 3
    assert {row["label"] for row in rows} == {*LABELS, ""}
    failures = [row for row in rows if row["error"]]
    assert len(failures) == 3
    assert all(row["prob"] == row["rank"] == "" for row in failures)


def test_table_is_plain_where_it_is_piped(run: Run, tiny: str, clips: Path) -> None:
    text = run("predict", clips / "b.mp4", "--model", tiny, "--topk", 2).stdout
    first, *rows = text.splitlines()
    assert str(clips / "b.mp4") in first
    assert "5 frames" in first
    assert len(rows) == 2
    assert all("%" in row for row in rows)
    assert "\x1b" not in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("prob", "cells"), [(0.5, 12), (1.0, 24)])
def test_table_has_bars_on_a_terminal(
    prob: float, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", screen := Terminal())
    answer = Prediction(
        path="[red]clip.mp4",  # no markup
        model="tiny",
        views="1x1",
        decoder="pyav",
        frames=5,
        fps=25.0,
        top=(ClassProbability(label="run", index=0, prob=prob),),
    )
    with report.open_report("table") as write:
        write(answer)
        write(Prediction(path="bad.mp4", model="tiny", views="1x1", error="it is empty"))
    text = screen.getvalue()
    assert "[red]clip.mp4" in text
    assert text.count("█") == cells
    assert "failed: it is empty" in text


def test_stdout_carries_results_only(run: Run, tiny: str, clips: Path) -> None:
    result = run("predict", clips / "b.mp4", "--model", tiny, "--format", "json")
    json.loads(result.stdout)
    assert "tiny" in result.stderr
    assert "frames are repeated" in result.stderr  # 5 frames are fewer than a clip


def test_fast_videos_are_mentioned(run: Run, tiny: str, clips: Path) -> None:
    result = run("predict", clips / "sub" / "c.mp4", "--model", tiny)
    assert "50 frames per second" in result.stderr


@pytest.mark.parametrize("format", ["jsonl", "csv", "table"])
def test_each_video_is_flushed_as_it_ends(
    format: report.Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pipe(io.StringIO):
        seen = ""

        def flush(self) -> None:
            self.seen = self.getvalue()

    monkeypatch.setattr(sys, "stdout", pipe := Pipe())
    with report.open_report(format) as write:
        for name in ("first.mp4", "second.mp4"):
            write(Prediction(path=name, model="tiny", views="1x1", error="empty"))
            assert name in pipe.seen


# --- where it goes --------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["table", "json", "jsonl", "csv"])
def test_out_holds_what_stdout_would(
    format: str, run: Run, tiny: str, clips: Path, tmp_path: Path
) -> None:
    args = ["predict", clips / "b.mp4", "--model", tiny, "--format", format]
    out = tmp_path / "answers"
    result = run(*args, "--out", out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert out.read_text(encoding="utf-8") == run(*args).stdout
    assert list(tmp_path.iterdir()) == [out]


def test_a_run_that_dies_leaves_the_old_file_and_its_part(
    run: Run, tiny: str, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "answers.jsonl"
    out.write_text("old\n")

    def fail(fields: dict[str, str]) -> str:
        if fields["path"].endswith("c.mp4"):
            raise KeyboardInterrupt
        return json.dumps({"path": fields["path"]})

    monkeypatch.setattr(report, "to_json", fail)
    args = ["predict", clips / "b.mp4", clips / "sub" / "c.mp4", "--model", tiny, "--workers", 0]
    result = run(*args, "--format", "jsonl", "--out", out)
    assert result.exit_code == 130
    assert out.read_text() == "old\n"
    part = tmp_path / f"answers.jsonl.{os.getpid()}.part"
    assert json.loads(part.read_text())["path"] == str(clips / "b.mp4")


def test_out_that_cannot_be_written_is_found_at_once(run: Run, clips: Path, tmp_path: Path) -> None:
    result = run("predict", clips / "b.mp4", "--out", tmp_path / "missing" / "answers.json")
    assert result.exit_code == 2
    assert "cannot write" in result.stderr


@pytest.mark.parametrize("what", ["video", "list", "model", "labels", "link"])
def test_an_input_is_never_written_over(
    what: str, run: Run, tiny: str, clips: Path, tmp_path: Path
) -> None:
    for name, source in (("video.mp4", clips / "b.mp4"), ("model", Path(tiny))):
        (tmp_path / name).write_bytes(source.read_bytes())
    (tmp_path / "list").write_text(f"{tmp_path / 'video.mp4'}\n")
    (tmp_path / "labels").write_text("".join(f"class {n}\n" for n in range(7)))
    (tmp_path / "link").symlink_to("labels")
    out = tmp_path / ("video.mp4" if what == "video" else what)
    before = out.read_bytes()
    options = ("--model", tmp_path / "model", "--labels", tmp_path / "labels")
    result = run("predict", f"@{tmp_path / 'list'}", *options, "--out", out)
    assert result.exit_code == 2
    assert "it is an input" in result.stderr
    assert out.read_bytes() == before


def test_out_may_be_a_device_but_no_folder(
    run: Run, tiny: str, clips: Path, tmp_path: Path
) -> None:
    result = run("predict", clips / "b.mp4", "--model", tiny, "--out", os.devnull)
    assert result.exit_code == 0
    assert Path(os.devnull).is_char_device()
    for folder in (tmp_path, ""):
        result = run("predict", clips / "b.mp4", "--model", tiny, "--out", folder)
        assert result.exit_code == 2
        assert "it is a folder" in result.stderr


def test_a_name_that_is_no_utf8_is_read_and_reported(
    run: Run, tiny: str, clips: Path, tmp_path: Path
) -> None:
    strange = os.fsencode(tmp_path) + b"/\xff.mp4"
    try:
        Path(os.fsdecode(strange)).write_bytes((clips / "b.mp4").read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    out = tmp_path / "answers"
    for format in ("json", "jsonl", "csv", "table"):
        options = ("--model", tiny, "--workers", 1, "--format", format, "--out", out)
        result = run("predict", os.fsdecode(strange), clips / "b.mp4", *options)
        assert result.exit_code == 0, result.output
        text = out.read_text(encoding="utf-8")
        assert "\\udcff.mp4" in text
        if format == "json":
            first, second = json.loads(text)
            assert os.fsencode(first["path"]) == strange
            assert first["top"] == second["top"]


def test_scores_that_are_no_numbers_are_a_failure(
    run: Run, tiny: str, clips: Path, tmp_path: Path
) -> None:
    model = load(tiny)
    assert model.network.head is not None
    model.network.head.bias.data[3] = torch.nan
    save(tmp_path / "nan.safetensors", model)
    options = ("--model", tmp_path / "nan.safetensors", "--format", "json")
    result = run("predict", clips / "b.mp4", *options)
    assert result.exit_code == 3
    (answer,) = json.loads(result.stdout)
    assert "NaN or infinity" in answer["error"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--views", "abc"), "unknown views 'abc'"),
        (("--device", "tpu9"), "cannot use the device 'tpu9'"),
        (("--labels", __file__), "the model has 400 classes"),
        (("--start", "nan"), "--start nan: expected seconds"),
        (("--end", "inf"), "--end inf: expected seconds"),
        (("--end", "0"), "the end 0 s is not after the start 0 s"),
    ],
)
def test_options_are_looked_at_before_weights_are_fetched(
    option: tuple[str, str], message: str, run: Run, clips: Path
) -> None:
    """Here nothing could be fetched: the exit code would be 4."""
    result = run("predict", clips / "b.mp4", "--format", "csv", *option)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_video_on_stdin_is_no_list(clips: Path) -> None:
    command = [sys.executable, "-m", "videoswin_cli", "predict", "-"]
    with (clips / "b.mp4").open("rb") as video:
        done = subprocess.run(command, stdin=video, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"standard input is no text" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_in_a_line(tiny: str, clips: Path) -> None:
    command = [sys.executable, "-m", "videoswin_cli", "predict"]
    command += [str(clips / "b.mp4"), "--model", tiny]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"error: cannot write the results: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_name_that_is_too_long_is_a_row(run: Run, tiny: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("x" * 300 + "\n")
    result = run("predict", f"@{tmp_path / 'list'}", "--model", tiny, "--format", "json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)[0]["error"] == "File name too long"


def test_closed_streams_do_no_harm(run: Run, tiny: str, clips: Path) -> None:
    command = f"{sys.executable} -m videoswin_cli predict '{clips / 'b.mp4'}' --model {tiny}"
    done = subprocess.run(f"{command} <&- >&- 2>&-", shell=True, check=False)
    assert done.returncode == 0
    heard = subprocess.run(f"{command} --format json 2>&-", shell=True, capture_output=True)
    (expected,) = predict(run, clips / "b.mp4", "--model", tiny)
    (found,) = json.loads(heard.stdout)
    assert found["decoder"] == expected["decoder"]
    assert [e["label"] for e in found["top"]] == [e["label"] for e in expected["top"]]


# --- what is computed -----------------------------------------------------------------------------


def test_logits_are_views_times_classes_in_the_documented_order(
    run: Run, tiny: str, clips: Path
) -> None:
    args = [clips / "a [1].mp4", "--model", tiny, "--logits"]
    (six,) = predict(run, *args, "--views", "2x3")
    (two,) = predict(run, *args, "--views", "paper", "--batch-size", 1)
    assert list(six) == [*KEYS[:-1], "logits", "notes"]
    assert len(six["logits"]) == 6
    assert all(len(row) == len(LABELS) for row in six["logits"])
    assert six["views"] == two["views"] == "2x3"  # the paper protocol of the tiny model
    for a, b in zip(six["logits"], two["logits"], strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    clip_0, clip_1 = six["logits"][0::2], six["logits"][1::2]  # view = crop * clips + clip
    assert clip_0 != clip_1


def test_average_of_probabilities_and_of_scores_differ(run: Run, tiny: str, clips: Path) -> None:
    args = [clips / "a [1].mp4", "--model", tiny, "--views", "2x3"]
    (by_prob,), (by_score,) = (predict(run, *args, "--average", how) for how in ("prob", "score"))
    assert by_prob["top"] != by_score["top"]


def test_seconds_choose_the_frames(run: Run, tiny: str, clips: Path) -> None:
    args = [clips / "a [1].mp4", "--model", tiny, "--topk", 7]
    (whole,) = predict(run, *args)
    (start,) = predict(run, *args, "--end", 0.3)
    (all_of_it,) = predict(run, *args, "--start", 0, "--end", 60)
    assert start["top"] != whole["top"]
    assert all_of_it["top"] == whole["top"]
    assert whole["notes"] == []
    (note,) = all_of_it["notes"]
    assert "ends at 60 s" in note


def test_notes_stand_in_the_rows_and_are_counted(run: Run, tiny: str, clips: Path) -> None:
    paths = [clips / "a [1].mp4", clips / "b.mp4"]  # 40 frames, and 5, which are too few
    result = run("predict", *paths, "--model", tiny, "--format", "csv", "--topk", 2)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["notes"] for row in rows[:2]] == ["", ""]
    assert all("only 5 frames, fewer than one clip" in row["notes"] for row in rows[2:])
    assert report.CSV_COLUMNS[-1] == "notes"
    assert "1 of 2 videos with notes" in result.stderr
    long, short = predict(run, *paths, "--model", tiny)
    assert long["notes"] == []
    assert short["notes"] == [rows[2]["notes"]]


def test_precision_changes_little(run: Run, tiny: str, clips: Path) -> None:
    args = [clips / "a [1].mp4", "--model", tiny, "--topk", 7]
    exact = {row["index"]: row["prob"] for row in predict(run, *args)[0]["top"]}
    for precision in ("bf16", "fp16"):
        rough = predict(run, *args, "--precision", precision)[0]["top"]
        assert [row["prob"] for row in rough] != list(exact.values())
        assert all(row["prob"] == pytest.approx(exact[row["index"]], abs=0.02) for row in rough)


# --- many inputs, some of them broken -------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12, with threads
@pytest.mark.parametrize("workers", [0, 2])
def test_broken_videos_are_rows_and_the_others_are_done(
    workers: int, run: Run, tiny: str, clips: Path, truncated: Path
) -> None:
    result = run(
        "predict", clips, truncated, "--model", tiny, "--format", "json", "--workers", workers
    )
    assert result.exit_code == 3
    rows = json.loads(result.stdout)
    assert all(set(row) == set(KEYS) for row in rows)
    names = [Path(row["path"]).name for row in rows]
    assert names == [
        "a [1].mp4",
        "audio.mp4",
        "b.mp4",
        "empty.mp4",
        "c.mp4",
        "text.mp4",
        "half.mp4",
    ]
    errors = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
    assert set(errors) == {"audio.mp4", "empty.mp4", "text.mp4", "half.mp4"}
    assert "no video stream" in errors["audio.mp4"]
    assert "empty" in errors["empty.mp4"]
    assert all(not row["top"] for row in rows if row["error"])
    assert all(len(row["top"]) == 5 for row in rows if not row["error"])
    assert "4 of 7 videos failed" in result.stderr


def test_a_missing_file_of_a_list_is_a_row(
    run: Run, tiny: str, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text(f"{clips / 'b.mp4'}\r\n\r\nmissing.mp4\r\n")
    result = run(
        "predict", f"@{tmp_path / 'list.txt'}", "--model", tiny, "--format", "json", "--workers", 0
    )
    assert result.exit_code == 3
    good, bad = json.loads(result.stdout)
    assert good["error"] is None
    assert "no such file" in bad["error"]


def test_paths_come_on_stdin(tiny: str, clips: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "videoswin_cli", "predict", "-", "--model", tiny, "--format", "csv"],
        input=f"{clips / 'b.mp4'}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count(str(clips / "b.mp4")) == 5


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--views", "0x1"], "unknown views"),
        (["--views", "5x2"], "unknown views"),
        (["--logits"], "--logits does not fit"),
        (["--start", "2", "--end", "1"], "not after"),
        (["--topk", "0"], "topk"),
        (["--device", "nonsense"], "nonsense"),
        (["--precision", "int4"], "int4"),
        (["--decoder", "opencv"], "opencv"),
        (["--model", "swin-tiny-k40"], "swin-tiny-k400"),
        (["--model", "missing.safetensors"], "no such file"),
        (["--model", "swin-tiny-in1k"], "no classification head: image weights"),
        (["--checkpoint", "missing.pth"], "missing.pth"),
    ],
)
def test_wrong_usage_ends_with_2(
    args: list[str], text: str, run: Run, tiny: str, clips: Path
) -> None:
    model = [] if "--model" in args else ["--model", tiny]
    result = run("predict", clips / "b.mp4", *model, *args)
    assert result.exit_code == 2, result.output
    assert text in result.stderr
    assert result.stdout == ""


def test_a_missing_input_is_found_before_the_model(run: Run) -> None:
    result = run("predict", "missing.mp4")
    assert result.exit_code == 2
    assert "no such file: missing.mp4" in result.stderr


def test_labels_must_fit(run: Run, tiny: str, clips: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    args = ["predict", clips / "b.mp4", "--model", tiny, "--labels", tmp_path / "names.txt"]
    result = run(*args)
    assert result.exit_code == 2
    assert "2 class names, the model has 7" in result.stderr
    (tmp_path / "names.txt").write_text("\n".join("tuvwxyz"))
    answers = json.loads(run(*args, "--format", "json").stdout)
    assert {row["label"] for row in answers[0]["top"]} < set("tuvwxyz")


def test_seconds_beyond_the_end_are_a_failed_video(run: Run, tiny: str, clips: Path) -> None:
    result = run("predict", clips / "b.mp4", "--model", tiny, "--start", 60, "--format", "json")
    assert result.exit_code == 3
    assert "last frame starts at 0.16 s" in json.loads(result.stdout)[0]["error"]


def test_a_default_model_that_cannot_be_had(run: Run, clips: Path, tmp_path: Path) -> None:
    result = run("predict", clips / "b.mp4")
    assert result.exit_code == 4
    path = tmp_path / "own/checkpoints/swin_tiny_patch244_window877_kinetics400_1k.pth"
    for text in ("swin-tiny-k400", str(path), "videoswin download swin-tiny-k400", "--checkpoint"):
        assert text in result.stderr
    assert result.stdout == ""


def test_an_interrupted_run_says_so(tiny: str) -> None:
    command = [sys.executable, "-m", "videoswin_cli", "predict", "-", "--model", tiny]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Shells start what is put into the background with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdin is not None
        process.stdin.write("clip.mp4\n" * 50_000)  # more than a pipe holds: it is read by now
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout, stderr) == (130, "", "interrupted\n")


# --- several processes ----------------------------------------------------------------------------


@pytest.mark.slow  # fifteen seconds; by default three processes evaluate
def test_three_processes_print_what_one_prints(tiny: str, clips: Path, tmp_path: Path) -> None:
    args = ("predict", clips, "--model", tiny, "--format", "csv", "--workers", 0)
    expected = sixty.run(sixty.command(*args), tmp_path)
    done = sixty.run(sixty.torchrun(3, *args), tmp_path)
    assert "exitcode  : 3" in done.stderr, done.stderr
    assert done.stderr.count("computing on cpu in fp32") == 1
    assert done.stderr.count("3 of 6 videos failed") == 1
    assert done.stdout == expected.stdout


@pytest.mark.slow  # twelve seconds for a process without a video; three share videos above
def test_more_processes_than_videos_and_a_file(tiny: str, clips: Path, tmp_path: Path) -> None:
    paths = (clips / "b.mp4", clips / "a [1].mp4")
    args = ("predict", *paths, "--model", tiny, "--format", "jsonl", "--out", tmp_path / "o")
    done = sixty.run(sixty.torchrun(3, *args), tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    rows = [json.loads(line) for line in (tmp_path / "o").read_text().splitlines()]
    assert [row["path"] for row in rows] == list(map(str, paths))
    assert list(tmp_path.iterdir()) == [tmp_path / "o"]


@pytest.mark.parametrize("command", ["predict", "extract"])
def test_processes_do_not_share_stdin(
    command: str, run: Run, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    out = ("--out", tmp_path / "o.npy") if command == "extract" else ()
    result = run(command, "-", "--model", tiny, *out)
    assert result.exit_code == 2
    assert "2 processes cannot share the paths on standard input" in result.stderr


@pytest.mark.parametrize("command", ["predict", "eval", "extract", "finetune"])
def test_a_rank_that_is_no_number_is_wrong_usage(
    command: str, run: Run, data: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "first")
    monkeypatch.setenv("WORLD_SIZE", "2")
    out = ("--out", tmp_path / "o") if command in ("extract", "finetune") else ()
    result = run(command, data, "--model", tiny, *out)
    assert result.exit_code == 2, result.output
    assert "RANK is 'first': expected a number" in result.stderr
