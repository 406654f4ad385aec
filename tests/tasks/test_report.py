"""`videoswin report`: what its pages say, and what is refused."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from make_video import write_video
from report_sources import (
    NAMES,
    QUOTED,
    SCRIPT,
    make_timeline,
    scored,
    write_dumps,
    write_run,
    write_timelines,
)
from typer.testing import CliRunner, Result

from videoswin_cli.cli.app import app
from videoswin_cli.engine.dumps import write_dump
from videoswin_cli.engine.progress import Silent
from videoswin_cli.errors import UsageError
from videoswin_cli.options.report import ReportOptions
from videoswin_cli.options.timeline import TimelineFormat
from videoswin_cli.report.pages.contents import EvaluationSection, Page, TrainingSection
from videoswin_cli.report.timeline.forms import FORMS, open_timelines
from videoswin_cli.tasks.report.dumps import read_described
from videoswin_cli.tasks.report.files import find_file, split_segment
from videoswin_cli.tasks.report.report import write_report
from videoswin_cli.tasks.report.strips import Strips, make_strip


class Elements(HTMLParser):
    """Names and attributes of all elements, and the texts between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def report(tmp_path: Path, *sources: Path, **options: Any) -> tuple[Page, str]:
    out = tmp_path / "page.html"
    page = write_report(sources, ReportOptions(out=out, **options), Silent())
    return page, out.read_text(encoding="utf-8")


def run(*args: object) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, args)])


def evaluation(page: Page, number: int = 0) -> EvaluationSection:
    section = page.sections[number]
    assert isinstance(section, EvaluationSection)
    return section


# --- dumps ----------------------------------------------------------------------------------------


def test_a_dump_is_summed_up_as_eval_does(tmp_path: Path) -> None:
    first, _, labels = write_dumps(tmp_path)
    page, html = report(tmp_path, first, labels=labels)
    section = evaluation(page)
    cards = {card.name: card for card in section.cards}
    assert cards["top-1"].value == "50.00 %"
    assert "95 % confidence" in cards["top-1"].note
    assert cards["videos"].note == "1 failed, counted as wrong"
    assert [(row.label, row.videos, row.correct, row.taken_for) for row in section.classes] == [
        ("run", 2, 1, f"{SCRIPT} (1)"),
        (SCRIPT, 2, 1, "run (1)"),
        ('sit "down"', 2, 1, ""),
    ]
    assert [row.precision for row in section.classes] == [50.0, 50.0, 100.0]
    assert section.failed == [("f.mp4", f"no video in {SCRIPT}")]
    assert section.calibration is not None
    assert section.calibration.videos == 5
    assert "50.00 %" in html


def test_cells_of_the_matrix_have_their_videos(tmp_path: Path) -> None:
    first, _, labels = write_dumps(tmp_path)
    matrix = evaluation(report(tmp_path, first, labels=labels)[0]).matrix
    assert matrix is not None
    assert matrix.labels == list(NAMES)
    assert matrix.failed == [0, 0, 1]  # so that its row is 1 of 2, as in the table of classes
    assert sorted(matrix.cells) == [(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1), (2, 2, 1)]
    assert [(path, true, got) for path, true, got, _ in matrix.errors] == [
        (QUOTED, 1, 0),
        ("b.mp4", 0, 1),
    ]


def test_a_class_whose_videos_all_failed_has_its_row(tmp_path: Path) -> None:
    dump = tmp_path / "d.npz"
    write_dump(dump, [scored("a.mp4", 0, 0.7, 0.2, 0.1), scored("f.mp4", 2)], NAMES)
    matrix = evaluation(report(tmp_path, dump)[0]).matrix
    assert matrix is not None
    assert (matrix.indices, matrix.failed, matrix.cells) == ([0, 2], [0, 1], [(0, 0, 1)])


def test_the_most_confident_errors_come_first(tmp_path: Path) -> None:
    first, _, labels = write_dumps(tmp_path)
    confident, worst = evaluation(report(tmp_path, first, labels=labels, examples=1)[0]).galleries
    (video,) = confident.videos
    assert (video.path, video.predicted, video.correct) == (QUOTED, "run", SCRIPT)
    assert [video.prob, video.correct_prob] == pytest.approx([0.9, 0.05])
    assert [video.path for video in worst.videos] == ["b.mp4"]
    assert evaluation(report(tmp_path, first, examples=0)[0]).galleries == []


def test_pictures_come_from_the_root(tmp_path: Path) -> None:
    write_video(tmp_path / "b.mp4", frames=20)
    dump = tmp_path / "d.npz"
    wrong = (0.1, 0.6, 0.3)
    names = ("b.mp4#t=0.2,0.4", "gone.mp4", "../d.npz", "d.npz")
    write_dump(dump, [scored(name, 0, *wrong) for name in names], NAMES)
    (gallery,) = evaluation(report(tmp_path, dump, root=tmp_path)[0]).galleries
    found = {video.path: video for video in gallery.videos}
    strip = found[names[0]].strip
    assert strip is not None
    assert strip.uri.startswith("data:image/jpeg;base64,")
    assert found["gone.mp4"].problem == "no such file under --root"
    assert found["../d.npz"].problem == "its path leads out of --root"
    assert "not a readable video" in found["d.npz"].problem
    (without,) = evaluation(report(tmp_path, dump)[0]).galleries
    assert {video.problem for video in without.videos} == {"no picture without --root"}


def test_a_strip_is_small_whatever_the_video(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", frames=5, seed=1)
    strip = make_strip(tmp_path / "v.mp4")
    assert (strip.frames, strip.height) == (5, 120)
    assert strip.width <= 240
    assert len(strip.uri) < 90_000
    strips = Strips(tmp_path)
    assert strips.find("v.mp4") is strips.find("v.mp4")


def test_names_come_from_the_dump_its_model_or_the_user(tmp_path: Path) -> None:
    first, second, _ = write_dumps(tmp_path)
    options = ReportOptions(out=tmp_path / "p.html")
    assert read_described(second, options).name(1) == SCRIPT
    assert read_described(first, options).name(1) == "class 1"
    ten = tmp_path / "ten.npz"
    write_dump(ten, [scored("a.mp4", 3, *[0.1] * 10)], ["x"] * 10)
    (tmp_path / "ten.npz.meta.json").write_text('{"model": "camera-motion", "views": "1x1"}')
    dump = read_described(ten, options)
    assert dump.name(0) == "pan-left"
    assert dump.spec is not None
    assert dump.spec.name == "camera-motion"
    (tmp_path / "first.npz.meta.json").write_text('{"model": "camera-motion"}')
    assert read_described(first, options).name(1) == "class 1"  # of other classes than it says
    wrong = run(first, "--model", "camera-motion", "--out", tmp_path / "p.html")
    assert wrong.exit_code == 2
    assert "has 3 classes, and camera-motion 10" in wrong.stderr


def test_several_classes_per_video_have_their_precision(tmp_path: Path) -> None:
    dump = tmp_path / "d.npz"
    videos = [scored("a.mp4", 0, 0.9, 0.8, 0.1), scored("b.mp4", 2, 0.2, 0.1, 0.7)]
    write_dump(dump, [replace(videos[0], more_labels=(1,)), videos[1]], NAMES)
    section = evaluation(report(tmp_path, dump)[0])
    assert (section.matrix, section.calibration, section.galleries) == (None, None, [])
    assert [(row.videos, row.accuracy) for row in section.classes] == [(1, 100.0)] * 3
    assert section.cards[0].value == "100.00 %"


def test_raw_scores_have_no_reliability(tmp_path: Path) -> None:
    dump = tmp_path / "d.pkl"
    write_dump(dump, [scored("a.mp4", 0, 7.0, 1.0, 2.0), scored("b.mp4", 0, 1.0, 9.0, 2.0)], NAMES)
    section = evaluation(report(tmp_path, dump)[0])
    assert (section.calibration, section.galleries) == (None, [])
    assert section.matrix is not None
    assert section.matrix.errors == []
    assert "Its scores are no probabilities" in section.warnings[0]


def test_dumps_are_compared_video_by_video(tmp_path: Path) -> None:
    first, second, labels = write_dumps(tmp_path)
    page, html = report(tmp_path, first, second, labels=labels)
    assert page.comparison is not None
    ((name, pair),) = page.comparison.pairs
    assert name == str(second)
    assert (pair.both, pair.only_first, pair.only_second, pair.neither) == (2, 1, 3, 0)
    assert pair.difference == pytest.approx(100 / 3)
    assert dict(page.comparison.rows)["top-1"] == ["50.00 %", "83.33 %"]
    assert page.comparison.classes[0] == ("run", [50.0, 100.0])
    assert "McNemar" in html
    assert "+33.33" in html


def test_another_frame_rate_than_the_model_s_has_no_published_figure(tmp_path: Path) -> None:
    dumps = []
    for name, rate in (("own", 15.0), ("source", None), ("ten", 10.0)):
        dumps.append(tmp_path / f"{name}.npz")
        write_dump(dumps[-1], [scored("a.mp4", 3, *[0.1] * 10)], ["x"] * 10)
        described = {"model": "camera-motion", "views": "1x1", "protocol": {"frame_rate": rate}}
        (tmp_path / f"{name}.npz.meta.json").write_text(json.dumps(described))
    page, _ = report(tmp_path, *dumps)
    assert ["published" in evaluation(page, n).cards[0].note for n in range(3)] == [
        True,
        False,
        False,
    ]
    assert page.comparison is not None
    rows = dict(page.comparison.rows)
    assert [text.partition(", mean")[0] for text in rows["protocol"]] == [
        "1x1 views (clips x crops)",
        "1x1 views (clips x crops), own frame rate",
        "1x1 views (clips x crops) at 10 frames per second",
    ]
    assert rows["protocol.frame rate"] == ["15.0", "source", "10.0"]


def test_dumps_without_a_common_video_have_no_difference(tmp_path: Path) -> None:
    first, _, labels = write_dumps(tmp_path)
    other = tmp_path / "other.npz"
    write_dump(other, [scored("z.mp4", 0, 0.7, 0.2, 0.1)], NAMES)
    page, html = report(tmp_path, first, other, labels=labels)
    assert page.comparison is not None
    assert (page.comparison.pairs, page.comparison.apart) == ([], [str(other)])
    assert "no video in common" in html


# --- runs and timelines ---------------------------------------------------------------------------


def test_a_run_shows_its_best_epoch_and_confusions(tmp_path: Path) -> None:
    page, html = report(tmp_path, write_run(tmp_path / "run"))
    (section,) = page.sections
    assert isinstance(section, TrainingSection)
    assert section.cards[0].value == "75.00 %"
    assert section.cards[0].note == "validation, best epoch, 2 of 3"
    assert [(row.label, row.videos, row.correct) for row in section.classes] == [
        ("run", 4, 3),
        (SCRIPT, 2, 2),
    ]
    validation = section.charts[0].lines[1]
    assert len(validation.points) == 2  # the NaN is left out
    assert ("betas", "0.9, 0.999") in section.environment
    assert section.failed == [(QUOTED, "cut off")]
    assert html.count("<polyline") == 4


def test_the_test_of_a_run_comes_first(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    result = json.loads((folder / "result.json").read_text())
    result["test"] = {
        "views": "4x3",
        "metrics": {"loss": 0.5, "top1": 87.5, "mean_class_accuracy": None},
    }
    (folder / "result.json").write_text(json.dumps(result))
    page, html = report(tmp_path, folder)
    (section,) = page.sections
    assert isinstance(section, TrainingSection)
    assert [(card.value, card.note) for card in section.cards[:3]] == [
        ("87.50 %", "test, 4x3 views"),
        ("unknown", "test, 4x3 views"),
        ("75.00 %", "validation, best epoch, 2 of 3"),
    ]
    assert "Confusion matrix of the test, 4x3 views" in html


def test_a_run_that_is_not_finished_says_so(tmp_path: Path) -> None:
    page, _ = report(tmp_path, write_run(tmp_path / "run", finished=False))
    (section,) = page.sections
    assert isinstance(section, TrainingSection)
    assert ("state", "not finished: 3 epochs so far") in section.facts
    assert section.cards[0].note == "validation, last epoch, 3 of 3"


def test_an_older_run_has_the_picture_of_its_confusions(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "confusion.csv").unlink()
    (folder / "confusion.png").write_bytes(b"\x89PNG")
    _, html = report(tmp_path, folder)
    assert '<img class="picture" src="data:image/png;base64,iVBORw==" alt=' in html


def test_a_timeline_plays_its_video_by_a_relative_path(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "pages").mkdir()
    name = "a #1 'x' 100%.mp4"
    (tmp_path / "videos" / name).touch()
    source = write_timelines(tmp_path / "t.json", make_timeline(name), make_timeline("gone.mp4"))
    out = tmp_path / "pages" / "t.html"
    result = run(source, "--root", tmp_path / "videos", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out}\n"
    found = Elements(out.read_text(encoding="utf-8")).found
    videos = [attributes["src"] for tag, attributes in found if tag == "video"]
    assert videos == ["../videos/a%20%231%20%27x%27%20100%25.mp4"]
    starts = [float(a["data-start"] or -1) for tag, a in found if tag == "button"]
    assert sorted(starts) == [0.0, 0.0, 0.5, 0.5, 1.2, 1.2]


def test_timelines_are_read_from_lines_too(tmp_path: Path) -> None:
    path = write_timelines(tmp_path / "t.json", make_timeline())
    lines = tmp_path / "t.jsonl"
    lines.write_text(json.dumps(json.loads(path.read_text())[0]) + "\n")
    (section,) = report(tmp_path, lines)[0].sections
    assert section.title == "clip.mp4"
    failed = write_timelines(
        tmp_path / "f.json", make_timeline(segments=(), gaps=(), error="no video in it")
    )
    assert "failed: no video in it" in report(tmp_path, failed)[1]


@pytest.mark.parametrize(
    ("form", "name"),
    [("activitynet", "ActivityNet"), ("fiftyone", "FiftyOne"), ("labelstudio", "Label Studio")],
)
def test_forms_of_other_tools_are_named(form: TimelineFormat, name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with open_timelines(FORMS[form], path) as write:
        write(make_timeline(video="clip.mp4", fps=25.0))
    result = run(path, "--out", tmp_path / "p.html")
    assert result.exit_code == 2
    assert f"this is {name} (--format {form}): write it with --format json" in result.stderr


def test_a_folder_of_timelines_is_told_by_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    written = write_timelines(folder / "a.json", make_timeline("a.mp4"))
    (folder / "index.csv").write_text("path,file\n")
    with pytest.raises(UsageError, match="lines is a folder of timelines") as caught:
        report(tmp_path, folder)
    assert str(written) in caught.value.hint


# --- hostile names --------------------------------------------------------------------------------


def test_names_are_text_everywhere(tmp_path: Path) -> None:
    first, second, labels = write_dumps(tmp_path)
    folder = write_run(tmp_path / "run")
    lines = write_timelines(tmp_path / "t.json", make_timeline(QUOTED, notes=(SCRIPT,)))
    _, html = report(tmp_path, first, second, folder, lines, labels=labels)
    assert "all classes" in html
    page = Elements(html)
    tags = {tag for tag, _ in page.found}
    assert "b" in tags  # of the templates
    images = [attributes for tag, attributes in page.found if tag == "img"]
    assert images == []
    scripts = [attributes for tag, attributes in page.found if tag == "script"]
    assert [a.get("type") for a in scripts] == ["application/json"] * 3 + [None]
    assert not [a for _, a in page.found if any(name.startswith("on") for name in a)]
    for text in (SCRIPT, QUOTED):
        assert text in "".join(page.texts)
        assert text not in html
    blocks = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    assert SCRIPT in json.loads(blocks[0])["labels"]


def test_control_characters_and_broken_names_are_visible(tmp_path: Path) -> None:
    name = "a\u202egnp.mp4\udcff"
    path = write_timelines(tmp_path / "t.json", make_timeline(name))
    _, html = report(tmp_path, path)
    assert "\u202e" not in html
    assert "a\\u202egnp.mp4\\udcff" in html


def test_a_page_allows_its_own_script_and_names_no_address(tmp_path: Path) -> None:
    _, html = report(tmp_path, write_run(tmp_path / "run"))
    page = Elements(html)
    policies = [a["content"] or "" for tag, a in page.found if "http-equiv" in a]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; img-src data:;")
    assert "script-src 'sha256-" in policies[0]
    places = [a[name] for _, a in page.found for name in ("src", "href") if name in a]
    assert [place for place in places if not (place or "").startswith(("data:", "#"))] == []
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg|http-equiv", "", html)


# --- what is refused ------------------------------------------------------------------------------


def test_a_path_may_end_in_its_segment() -> None:
    name, segment = split_segment("a#b.mp4#t=0.5,1.5")
    assert name == "a#b.mp4"
    assert str(segment) == "t=0.5,1.5"
    assert str(split_segment("a.mp4#frames=3")[1]) == "frames=3"
    assert split_segment("a#t=b.mp4") == ("a#t=b.mp4", None)
    assert find_file(Path("/root"), "/etc/passwd") is None


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    first, _, _ = write_dumps(tmp_path)
    out = tmp_path / "p.html"
    (tmp_path / "folder").mkdir()
    (tmp_path / "x.json").write_text('{"results": {}}')
    (tmp_path / "y.json").write_text("[]")
    (tmp_path / "z.txt").touch()
    wrong = make_timeline(duration=float("inf"))
    write_timelines(tmp_path / "inf.json", wrong)
    for source, told in {
        "gone.npz": "no such file or folder",
        "folder": "holds no metrics.csv",
        "x.json": "timeline 1: expected an object with path, model and segments",
        "y.json": "expected a list of timelines",
        "z.txt": "unknown kind of source '.txt'",
    }.items():
        result = run(tmp_path / source, "--out", out)
        assert result.exit_code == 2
        assert told in result.stderr
    assert run(first, "--out", first).exit_code == 2
    assert run(tmp_path / "inf.json", "--out", out).exit_code == 2
    assert "no such folder" in run(first, "--out", out, "--root", tmp_path / "no").stderr
    assert not out.exists()


def test_a_video_of_two_classes_is_not_compared(tmp_path: Path) -> None:
    first, _, _ = write_dumps(tmp_path)
    other = tmp_path / "other.npz"
    write_dump(other, [scored("a.mp4", 1, 0.7, 0.2, 0.1)], NAMES)
    result = run(first, other, "--out", tmp_path / "p.html")
    assert result.exit_code == 2
    assert "1 video with different classes in two dumps: a.mp4" in result.stderr
