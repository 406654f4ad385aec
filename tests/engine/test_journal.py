import json
from pathlib import Path
from typing import Any

import pytest

from videoswin_cli.engine.journal import (
    Journal,
    keep_description,
    kept_description,
    open_lines,
    read_journals,
)
from videoswin_cli.errors import UsageError

RUN = {"model": "tiny", "protocol": {"clips": 4, "crops": 3}, "version": "1"}


def write(folder: Path, part: str, *entries: dict[str, Any]) -> None:
    with Journal(folder, RUN, part=part) as journal:
        for entry in entries:
            journal.append(entry)


def test_entries_of_all_parts(tmp_path: Path) -> None:
    write(tmp_path / "j", "1-of-2", {"path": "a", "error": None}, {"path": "b", "error": "bad"})
    write(tmp_path / "j", "2-of-2", {"path": "ü", "error": None})
    with Journal(tmp_path / "j", RUN, part="1-of-1") as journal:
        assert journal.entries() == {
            "a": ("1-of-2", {"path": "a", "error": None}),
            "b": ("1-of-2", {"path": "b", "error": "bad"}),
            "ü": ("2-of-2", {"path": "ü", "error": None}),
        }


def test_a_failure_gives_way_to_a_success_in_either_order(tmp_path: Path) -> None:
    good: dict[str, Any] = {"path": "a", "error": None}
    bad: dict[str, Any] = {"path": "a", "error": "bad"}
    write(tmp_path / "1", "x", bad, good)
    write(tmp_path / "2", "x", good, bad)
    for folder in (tmp_path / "1", tmp_path / "2"):
        found = read_journals(folder, lambda line, entry: (line.part, entry))
        assert found == {"a": ("x", good)}


def test_an_entry_is_read_from_its_line(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    entries = {
        path: {"path": path, "error": None, "label": "größer 走る" * n}
        for n, path in enumerate(("a", "ä", "b", "走る"))
    }
    write(folder, "x", entries["a"], {"path": "part", "partial": True}, entries["ä"])
    write(folder, "y", entries["b"], entries["走る"])
    lines = read_journals(folder, lambda line, entry: line)
    with open_lines(folder) as read:
        for path in ("走る", "a", "b", "ä", "a"):
            assert read(lines[path]) == entries[path]


def test_an_unfinished_line_is_cut(tmp_path: Path) -> None:
    write(tmp_path / "j", "x", {"path": "a"}, {"path": "b"})
    file = tmp_path / "j" / "x.jsonl"
    file.write_bytes(file.read_bytes()[:-3])
    write(tmp_path / "j", "x", {"path": "c"})
    assert [json.loads(line)["path"] for line in file.read_text().splitlines()] == ["a", "c"]


def test_another_run_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "j", "x")
    other = {**RUN, "protocol": {"clips": 1, "crops": 3}, "version": "2"}
    with pytest.raises(UsageError, match=r"protocol was \{'clips': 4\}, now \{'clips': 1\}"):
        Journal(tmp_path / "j", other, part="x")
    with Journal(tmp_path / "j", {**RUN, "version": "2"}, part="x"):
        pass


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"stride_frames": 16}, {"stride_seconds": 0.5}, "--stride was 16f, now 0.5"),
        ({"stride_frames": None}, {"stride_frames": 8}, "--stride was not given, now 8f"),
        ({"logits": False}, {"logits": True}, "--logits was not given, now given"),
        ({"model": "a"}, {"model": "b"}, "model was 'a', now 'b'"),
    ],
)
def test_what_differs_is_told_as_users_give_it(
    tmp_path: Path, before: dict[str, Any], now: dict[str, Any], told: str
) -> None:
    empty = {"stride_frames": None, "stride_seconds": None}
    keep_description(tmp_path / "j", empty | before)
    with pytest.raises(UsageError, match=f"a different run: {told}$"):
        Journal(tmp_path / "j", empty | now, part="x")


def test_two_writers_of_one_part_are_refused(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j", RUN, part="x"),
        pytest.raises(UsageError, match="another process is writing"),
    ):
        Journal(tmp_path / "j", RUN, part="x")
    write(tmp_path / "j", "x", {"path": "a"})


def test_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"):
        Journal(tmp_path / "file" / "j", RUN, part="x")


def test_who_comes_first_says_which_run_it_is(tmp_path: Path) -> None:
    other = {**RUN, "model": "other"}
    assert kept_description(tmp_path / "j") is None
    assert keep_description(tmp_path / "j", RUN) == RUN
    assert keep_description(tmp_path / "j", other) == RUN
    assert kept_description(tmp_path / "j") == RUN


def test_a_run_that_differs_in_its_precision_can_be_gone_on_with(tmp_path: Path) -> None:
    keep_description(tmp_path / "j", {**RUN, "precision": "bf16"})
    with pytest.raises(UsageError, match="--precision was bf16, now fp32") as caught:
        Journal(tmp_path / "j", {**RUN, "precision": "fp32"}, part="x")
    assert caught.value.hint.startswith("--precision bf16 or auto resumes it; or choose")
