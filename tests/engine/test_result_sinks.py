"""Results of a long run on their way from the journals into the output, one at a time."""

import json
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from videoswin_cli.engine.journal import Journal
from videoswin_cli.engine.result_sinks import FileSink, ResultFile
from videoswin_cli.io.typed_records import to_record
from videoswin_cli.records import ClassProbability, ListedVideo, Prediction, Timing
from videoswin_cli.report.predictions import open_report

PATHS = ("b.mp4", "größer.mp4", "a.mp4", "c d.mp4")
TIMING = Timing(**{field.name: 0 for field in fields(Timing)})


def predicted(path: str) -> Prediction:
    top = (ClassProbability(label="走る", index=3, prob=0.25),)
    return Prediction(path=path, model="tiny", views="1x1", top=top)


def begin(out: Path, *paths: str, failed: str = "") -> None:
    """Entries of a run of two processes."""
    for number, path in enumerate(paths):
        part = f"rank{number % 2}"
        with Journal(out.with_name(f"{out.name}.part"), {"model": "tiny"}, part=part) as journal:
            error = "bad" if path == failed else None
            entry = {"path": path, "model": "tiny", "views": "1x1", "error": error}
            top = [{"label": "走る", "index": 3, "prob": 0.25}]
            journal.append(entry | {"top": top, "file_stamp": f"stamp of {path}"})


def make_sink(
    out: Path, write: Callable[[Iterable[Prediction]], None], *, resume: bool = True
) -> FileSink[Prediction]:
    file = ResultFile(
        out=out, kind=Prediction, describe=lambda *_: {}, write=write, read=lambda _: ()
    )
    listed = [ListedVideo(path=path, file=path, label=None, line=1) for path in PATHS]
    return FileSink(file, listed, resume=resume)


def test_results_are_read_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million of them would take gigabytes."""
    steps: list[str] = []

    def read(kind: Any, entry: Any, *, source: str) -> Any:
        steps.append(f"read {entry['path']}")
        return to_record(kind, entry, source=source)

    def write(results: Iterable[Prediction]) -> None:
        steps.extend(f"write {result.path}" for result in results)
        out.touch()

    monkeypatch.setattr("videoswin_cli.engine.result_sinks.to_record", read)
    out = tmp_path / "out.jsonl"
    begin(out, *reversed(PATHS), failed="a.mp4")
    summary = make_sink(out, write).finish((), TIMING)
    assert steps == [f"{step} {path}" for path in PATHS for step in ("read", "write")]
    assert (summary.videos, summary.failed, summary.complete) == (4, 1, True)
    assert not out.with_name("out.jsonl.part").exists()
    said = json.loads(out.with_name("out.jsonl.meta.json").read_text(encoding="utf-8"))
    assert said["file_stamps"] == {path: f"stamp of {path}" for path in PATHS}


def test_what_is_not_complete_is_counted_and_stays(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    begin(out, *PATHS[:3], failed="b.mp4")
    summary = make_sink(out, lambda results: out.touch()).finish((), TIMING)
    assert (summary.videos, summary.failed, summary.complete) == (3, 1, False)
    assert not out.exists()
    assert out.with_name("out.jsonl.part").exists()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_in_a_file_is_the_list_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    for out in (tmp_path / "out.json", None):
        with open_report("json", out) as write:
            for path in PATHS[:count]:
                write(predicted(path))
    text = (tmp_path / "out.json").read_text(encoding="utf-8")
    assert capsys.readouterr().out == text
    assert [row["path"] for row in json.loads(text)] == list(PATHS[:count])


def test_half_a_list_is_not_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    def stop() -> None:
        with open_report("json") as write:
            write(predicted("a.mp4"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert capsys.readouterr().out == ""
