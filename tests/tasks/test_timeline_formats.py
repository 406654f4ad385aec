"""Formats of timelines: written, and read back as lists of labelled parts of videos."""

import json
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from make_video import write_video

from videoswin_cli.data.lists import number_labels, read_list
from videoswin_cli.data.locating import locate
from videoswin_cli.errors import DatasetError, UsageError
from videoswin_cli.options.timeline import TimelineFormat, TimelineOutput
from videoswin_cli.records import ActionSegment, Segment, Timeline, UnreadSpan
from videoswin_cli.report.timeline.forms import FORMS, open_timelines

EVIL = 'say "<b>hi</b>" --> & \x1b[31m\nnow'


def segment(start: float, end: float, label: str, index: int = 0) -> ActionSegment:
    return ActionSegment(start=start, end=end, label=label, index=index, mean=0.75, peak=0.9)


def timeline(*segments: ActionSegment, video: str = "sub/a b.mp4") -> Timeline:
    return Timeline(
        path=video, model="tiny", video=video, fps=25, duration=90, window=2, stride=1,
        segments=segments,
    )  # fmt: skip


def write(path: Path, format: TimelineFormat, *timelines: Timeline) -> Path:
    with open_timelines(FORMS[format], path) as write_one:
        for each in timelines:
            write_one(each)
    return path


@pytest.mark.parametrize("format", ["activitynet", "fiftyone", "labelstudio", "elan"])
def test_a_corrected_file_is_a_list_of_parts_to_train_on(
    tmp_path: Path, format: TimelineFormat
) -> None:
    """To a millisecond, or to a frame."""
    (tmp_path / "sub").mkdir()
    write_video(tmp_path / "sub" / "a b.mp4", frames=3)
    found = timeline(segment(0, 2.04, "jump", 1), segment(2.04, 61.2, "größer, 走る", 2))
    if format == "elan":
        found = Timeline(**vars(found) | {"video": str(tmp_path / "sub" / "a b.mp4")})
    rows = read_list(write(tmp_path / "list", format, found))
    labels = ("run", "jump", "größer, 走る")
    listed, _ = locate(rows, number_labels(rows, labels), root=None)
    assert [Path(video.file or "").name for video in listed] == ["a b.mp4"] * 2
    assert [video.label for video in listed] == [1, 2]
    spans = [(video.segment.start, video.segment.end) for video in listed if video.segment]
    assert spans == [(0, 2.04), (2.04, 61.2)]


@pytest.mark.parametrize("format", ["activitynet", "fiftyone", "labelstudio", "elan"])
def test_names_of_classes_and_files_are_text_whatever_they_hold(
    tmp_path: Path, format: TimelineFormat
) -> None:
    found = timeline(segment(0, 2, EVIL), video="a&<b>\"'.mp4")
    (row,) = read_list(write(tmp_path / "list", format, found)).rows
    assert Path(row.name).name in ("a&<b>\"'.mp4", "a&<b>\"'")
    expected = EVIL.replace("\x1b", "\\x1b").replace("\n", "\\n") if format == "elan" else EVIL
    assert row.label == expected


def test_srt_has_times_with_commas_and_labels_that_end_no_cue(tmp_path: Path) -> None:
    found = timeline(segment(0, 2.5, "jump"), segment(3661.25, 3662, EVIL))
    text = write(tmp_path / "a.srt", "srt", found).read_text(encoding="utf-8")
    assert text == (
        "1\n00:00:00,000 --> 00:00:02,500\njump 75.0%\n\n"
        "2\n01:01:01,250 --> 01:01:02,000\n"
        'say "< b>hi< /b>" - -> & \\x1b[31m\\nnow 75.0%\n\n'
    )


def test_vtt_escapes_labels(tmp_path: Path) -> None:
    text = write(tmp_path / "a.vtt", "vtt", timeline(segment(1, 2.5, EVIL))).read_text("utf-8")
    assert text == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n"
        'say "&lt;b&gt;hi&lt;/b&gt;" --&gt; &amp; \\x1b[31m\\nnow 75.0%\n\n'
    )


@pytest.mark.parametrize("format", ["srt", "vtt", "table"])
def test_a_class_that_is_nearly_certain_is_not_shown_as_certain(
    tmp_path: Path, format: TimelineFormat
) -> None:
    each = ActionSegment(start=0, end=2, label="jump", index=1, mean=0.99998, peak=0.9)
    text = write(tmp_path / "a", format, timeline(each)).read_text()
    assert "100" not in text
    assert "99.9" in text


def test_the_table_shows_segments_and_gaps_in_order(tmp_path: Path) -> None:
    gap = UnreadSpan(start=5, end=6.5, reason="it is damaged")
    found = timeline(segment(0, 5, "jump"), segment(6.5, 90, "run"))
    found = Timeline(**vars(found) | {"gaps": (gap,)})
    failed = Timeline(path="b.mp4", model="tiny", error="no video")
    text = write(tmp_path / "a.txt", "table", found, timeline(), failed).read_text("utf-8")
    assert text.splitlines() == [
        "sub/a b.mp4  (90.00 s, tiny, windows of 2.00 s every 1.00 s)",
        "  00:00:00.00  00:00:05.00  75.00%  jump",
        "  00:00:05.00  00:00:06.50  unread  it is damaged",
        "  00:00:06.50  00:01:30.00  75.00%  run",
        "sub/a b.mp4  (90.00 s, tiny, windows of 2.00 s every 1.00 s)",
        "  no segment (--threshold, --min-duration)",
        "b.mp4",
        "  failed: no video",
    ]


def test_csv_has_a_row_for_each_segment_gap_and_failure(tmp_path: Path) -> None:
    gap = UnreadSpan(start=5, end=6.5, reason="damaged")
    found = Timeline(**vars(timeline(segment(0, 5, "sit, stand", 3))) | {"gaps": (gap,)})
    failed = Timeline(path="b.mp4", model="tiny", error="no video")
    text = write(tmp_path / "a.csv", "csv", found, failed).read_text("utf-8")
    assert text.splitlines() == [
        "path,start,end,label,index,mean,peak,error",
        'sub/a b.mp4,0,5,"sit, stand",3,0.75,0.9,',
        "sub/a b.mp4,5,6.5,,,,,damaged",
        "b.mp4,,,,,,,no video",
    ]


def test_activitynet_joins_the_parts_of_a_file(tmp_path: Path) -> None:
    parts = [timeline(segment(0, 5, "jump")), timeline(segment(7.1234567, 9, "run"))]
    data = json.loads(write(tmp_path / "a.json", "activitynet", *parts).read_text("utf-8"))
    assert set(data) == {"version", "results", "external_data"}
    assert data["results"] == {
        "sub/a b.mp4": [
            {"segment": [0, 5], "label": "jump", "score": 0.75},
            {"segment": [7.123, 9], "label": "run", "score": 0.75},
        ]
    }


def test_elan_has_no_overlap_in_a_tier(tmp_path: Path) -> None:
    found = timeline(segment(0, 5, "a"), segment(3, 8, "b"), segment(5, 9, "c"))
    root = ElementTree.parse(write(tmp_path / "a.eaf", "elan", found)).getroot()
    tiers = {
        tier.get("TIER_ID"): [each.text for each in tier.iter("ANNOTATION_VALUE")]
        for tier in root.iter("TIER")
    }
    assert tiers == {"actions": ["a", "c"], "actions 2": ["b"]}


def test_elan_finds_the_video_beside_the_file(tmp_path: Path) -> None:
    found = timeline(segment(0, 5, "a"), video=str(tmp_path / "v" / "a b.mp4"))
    text = write(tmp_path / "a.eaf", "elan", found).read_text("utf-8")
    assert 'RELATIVE_MEDIA_URL="./v/a%20b.mp4"' in text


def test_a_key_of_fiftyone_names_one_file_that_it_can_open(tmp_path: Path) -> None:
    """It opens an absolute key as it is, and looks for others without their extension."""
    url, absolute = "https://example.org/v/a.mp4", str(tmp_path / "a.mp4")
    videos = ["v/b.c.mp4", absolute, "../d.mp4", "v/e.mp4", "v/e.avi", url]
    found = [timeline(segment(0, 1, name), video=name) for name in videos]
    failed = Timeline(path="f.mp4", video="f.mp4", model="tiny", error="no video")
    path = write(tmp_path / "labels.json", "fiftyone", *found, failed)
    content = json.loads(path.read_text("utf-8"))
    assert list(content["labels"]) == [
        "v/b.c",
        absolute,
        str(Path.cwd().parent / "d.mp4"),
        str(Path.cwd() / "v" / "e.mp4"),
        str(Path.cwd() / "v" / "e.avi"),
        url,
    ]


def test_label_studio_opens_paths_from_its_document_root(tmp_path: Path) -> None:
    names = ["sub dir/50%+é.mp4", "../a.mp4", "/v/a.mp4", "https://example.org/a b.mp4"]
    found = [timeline(segment(0, 1, "jump"), video=name) for name in names]
    path = write(tmp_path / "tasks.json", "labelstudio", *found)
    assert [each["data"]["video"] for each in json.loads(path.read_text("utf-8"))] == [
        "/data/local-files/?d=sub%20dir/50%25%2B%C3%A9.mp4",
        f"/data/local-files/?d={quote(str(Path.cwd().parent / 'a.mp4'))}",
        "/data/local-files/?d=/v/a.mp4",
        "https://example.org/a b.mp4",
    ]
    expected = [names[0], str(Path.cwd().parent / "a.mp4"), *names[2:]]
    assert [row.name for row in read_list(path).rows] == expected


# --- reading what tools export --------------------------------------------------------------------


def write_json(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def task(*regions: dict[str, object], **more: object) -> dict[str, object]:
    return {
        "id": 7,
        "data": {"video": "/data/upload/3/0a1b2c3d-my%20clip.mp4", "fps": "50"},
        "annotations": [{"id": 1, "was_cancelled": False, "result": list(regions)}],
        "predictions": [{"result": [region("guess", 1, 2)]}],
        **more,
    }


def region(label: str, first: object, last: object) -> dict[str, object]:
    value = {"ranges": [{"start": first, "end": last}], "timelinelabels": [label]}
    return {"id": "x", "type": "timelinelabels", "value": value}


def parts_of(path: Path) -> list[tuple[str, object, Segment | None]]:
    return [(row.name, row.label, row.segment) for row in read_list(path).rows]


def test_annotations_of_label_studio_count_more_than_predictions(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", [task(region("jump", 1, 100), region("run", 101, 150))])
    assert parts_of(path) == [
        ("my clip.mp4", "jump", Segment(start=0, end=2)),
        ("my clip.mp4", "run", Segment(start=2, end=3)),
    ]
    path = write_json(tmp_path / "b.json", [task(annotations=[])])
    assert parts_of(path) == [("my clip.mp4", "guess", Segment(start=0, end=0.04))]


def test_label_studio_in_short(tmp_path: Path) -> None:
    ranges = [{"start": 1, "end": 25}]
    short = {
        "video": "/data/local-files/?d=clips%2Fa.mp4",
        "fps": 25,
        "labels": [{"ranges": ranges, "timelinelabels": ["jump"]}],
    }
    path = write_json(tmp_path / "a.json", [short])
    assert parts_of(path) == [("clips/a.mp4", "jump", Segment(start=0, end=1))]


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (task(region("a", 1, 2), data={"video": "a.mp4"}), "frames per second"),
        (task(region("a", 0, 2)), "expected frames counted from 1, found 0"),
        (task(region("a", None, 2)), "expected frames counted from 1, found None"),
        (task(region("a", 5, 2)), "is not after the start"),
        (task(region("a", 1, 2), data={"text": "x", "fps": 25}), "no video named in the task"),
    ],
)
def test_tasks_that_cannot_be_understood(
    tmp_path: Path, broken: dict[str, object], expected: str
) -> None:
    path = write_json(tmp_path / "a.json", [task(region("fine", 1, 2)), broken])
    with pytest.raises(DatasetError, match=expected) as caught:
        read_list(path)
    assert "a.json:2" in caught.value.message


def eaf(slots: str, annotations: str, media: str = 'MEDIA_URL="file:///C:/clips/a.mp4"') -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT AUTHOR="">'
        f"<HEADER><MEDIA_DESCRIPTOR {media}/></HEADER><TIME_ORDER>{slots}</TIME_ORDER>"
        f'<TIER TIER_ID="x">{annotations}</TIER></ANNOTATION_DOCUMENT>'
    )


SLOTS = '<TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="9"/>'


def annotation(text: str, last: str = "t2") -> str:
    return (
        f'<ANNOTATION><ALIGNABLE_ANNOTATION TIME_SLOT_REF1="t1" TIME_SLOT_REF2="{last}">'
        f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
    )


def test_annotations_of_elan_without_text_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.eaf"
    path.write_text(eaf(SLOTS, annotation("jump") + annotation(" ")))
    videos = read_list(path)
    assert videos.format == "elan"
    assert [(row.name, row.label) for row in videos.rows] == [("C:/clips/a.mp4", "jump")]
    assert any("1 of 2 annotations have no text" in text for text in videos.notices)


def test_several_files_of_elan_are_one_list_even_where_one_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.eaf").write_text(eaf(SLOTS, annotation("jump")))
    (tmp_path / "b.eaf").write_text(eaf("", ""))
    assert len(read_list(tmp_path / "*.eaf").rows) == 1
    with pytest.raises(DatasetError, match="names no video"):
        read_list(tmp_path / "b.eaf")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            eaf(SLOTS, annotation("a", last="t3")),
            "a.eaf:1: an annotation without a start or an end",
        ),
        (eaf(SLOTS, annotation("a"), media=""), "no video is linked"),
        (eaf(SLOTS, annotation("a"))[:-5], "not a readable file of ELAN"),
        ("<!DOCTYPE x [<!ENTITY y 'z'>]>" + eaf(SLOTS, "")[39:], "definitions of its own"),
    ],
)
def test_files_of_elan_that_cannot_be_understood(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "a.eaf").write_text(text)
    with pytest.raises(DatasetError, match=expected):
        read_list(tmp_path / "a.eaf", format="elan")


# --- destinations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("out", "format", "expected"),
    [
        ("a.json", None, "json"),
        ("a.SRT", None, "srt"),
        ("a.eaf", None, "elan"),
        ("a.json", "activitynet", "activitynet"),
        ("a.text", "vtt", "vtt"),
        (None, None, "table"),
        ("dir/", "vtt", "vtt"),
    ],
)
def test_the_suffix_decides_the_format(
    out: str | None, format: TimelineFormat | None, expected: str
) -> None:
    assert TimelineOutput(out=out, format=format).chosen_format == expected


@pytest.mark.parametrize(
    ("out", "format", "videos", "windows", "expected"),
    [
        ("a.srt", "vtt", 1, False, "--format vtt does not fit --out a.srt, which is srt"),
        ("a.json", "csv", 1, False, "does not fit"),
        ("a.xyz", None, 1, False, "unknown suffix '.xyz'"),
        ("dir/", None, 1, False, "which format do its files have"),
        ("a.srt", None, 2, False, "--format srt is of one video, and there are 2"),
        (None, "elan", 2, False, "is of one video"),
        ("a.json", None, 1, True, "--windows does not fit --format json"),
    ],
)
def test_destinations_that_do_not_fit(
    out: str | None, format: TimelineFormat | None, videos: int, windows: bool, expected: str
) -> None:
    with pytest.raises(UsageError, match=expected):
        TimelineOutput(out=out, format=format).check(videos=videos, windows=windows)
