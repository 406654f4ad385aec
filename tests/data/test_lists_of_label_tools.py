"""Files in the exact structure in which tools saved them, with contents made up.

FiftyOne 1.22.1 (`Dataset.export`), Label Studio 1.23.2 (JSON, JSON-MIN and CSV of a project, after
work in its editor) and pympi-ling 1.71, which writes files of ELAN.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from videoswin_cli.data.lists import read_list
from videoswin_cli.errors import DatasetError


def parts(path: Path) -> list[tuple[str, object, str]]:
    return [(row.name, row.label, str(row.segment)) for row in read_list(path).rows]


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


# --- FiftyOne -------------------------------------------------------------------------------------

FIFTYONE: dict[str, Any] = {
    "classes": None,
    "labels": {
        "a": None,  # the field of the sample is empty
        "b": [],
        "joined": [
            {"label": "pan", "support": [10, 60], "confidence": 0.98},
            {"label": "zoom", "support": [56, 135], "confidence": 0.82},
            {"label": "tilt", "support": [150, 165]},
        ],
        "é x.v1": [
            {"label": "pan", "support": [1, 56], "confidence": 1, "attributes": {"reviewed": True}}
        ],
    },
}


def test_parts_of_fiftyone_by_frames_and_samples_without_any(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.json", FIFTYONE)
    assert parts(path) == [
        ("joined", "pan", "frames=9,60"),
        ("joined", "zoom", "frames=55,135"),
        ("joined", "tilt", "frames=149,165"),
        ("é x.v1", "pan", "frames=0,56"),
    ]
    said = "support is read as the first and the last frame, counted from 1"
    assert said in read_list(path).notices


def test_parts_of_fiftyone_beside_its_manifest(tmp_path: Path) -> None:
    """`data_path="data.json"`: the keys have no folder, and the manifest has the whole path."""
    path = write(tmp_path / "labels.json", FIFTYONE)
    write(tmp_path / "data.json", {"joined": "/v/joined.mp4", "é x.v1": "/v/sub dir/é x.v1.mp4"})
    names = ["/v/joined.mp4"] * 3 + ["/v/sub dir/é x.v1.mp4"]
    assert [row.name for row in read_list(path).rows] == names


def test_parts_of_fiftyone_by_time_with_places_of_classes_and_absolute_paths(
    tmp_path: Path,
) -> None:
    labels = {"/v/a.mp4": [{"label": 1, "timestamps": [0.0, 1.844435278], "confidence": 0.98}]}
    path = write(tmp_path / "labels.json", {"classes": ["zoom", "pan"], "labels": labels})
    assert parts(path) == [("/v/a.mp4", "pan", "t=0,1.844435278")]


def test_a_whole_video_of_fiftyone_without_a_class_keeps_its_row(tmp_path: Path) -> None:
    """What needs the class says that it has none."""
    path = write(tmp_path / "labels.json", {"classes": ["pan"], "labels": {"a": None, "b": 0}})
    assert [(row.name, row.label) for row in read_list(path).rows] == [("a", None), ("b", "pan")]


# --- Label Studio ---------------------------------------------------------------------------------


def region(label: str, first: int, last: int, origin: str = "prediction") -> dict[str, Any]:
    return {
        "value": {"ranges": [{"start": first, "end": last}], "timelinelabels": [label]},
        "id": "segment-1",
        "from_name": "labels",
        "to_name": "video",
        "type": "timelinelabels",
        "origin": origin,
        "score": 0.98,
    }


def task(number: int, video: str, *annotations: dict[str, Any], fps: float = 25) -> dict[str, Any]:
    return {
        "id": number,
        "annotations": list(annotations),
        "drafts": [],
        "predictions": [number],
        "data": {"video": video, "fps": fps},
        "meta": {},
        "created_at": "2026-01-01T00:00:00.000000Z",
        "total_annotations": len(annotations),
        "total_predictions": 1,
        "inner_id": number,
        "project": 2,
        "comment_authors": [],
    }


def annotation(*regions: dict[str, Any], cancelled: bool = False) -> dict[str, Any]:
    """With the prediction from which it began."""
    return {
        "id": 1,
        "completed_by": 1,
        "result": list(regions),
        "was_cancelled": cancelled,
        "ground_truth": False,
        "lead_time": 11.279,
        "prediction": {"id": 6, "result": [region("guess", 1, 99)], "model_version": "m"},
        "result_count": len(regions),
        "parent_prediction": 6,
    }


def test_a_project_of_label_studio_with_tasks_that_nobody_labeled(tmp_path: Path) -> None:
    """Kept, changed and added regions; one video skipped, one without a region, one not opened."""
    regions = (region("pan", 1, 50), region("static", 51, 125, "prediction-changed"))
    found = [
        task(6, "/data/local-files/?d=videos/a.mp4", annotation(*regions)),
        task(7, "/data/local-files/?d=sub%20dir/%C3%A9.mp4", annotation(region("tilt", 4, 5))),
        task(8, "/data/local-files/?d=videos/c.mp4", annotation(cancelled=True)),
        task(9, "/data/local-files/?d=videos/d.mp4", annotation()),
        task(10, "/data/local-files/?d=videos/e.mp4"),
        task(11, "/data/upload/2/f956a76c-my_clip_%C3%A9.mp4", annotation(region("pan", 1, 25))),
    ]
    path = write(tmp_path / "export.json", found)
    assert parts(path) == [
        ("videos/a.mp4", "pan", "t=0,2"),
        ("videos/a.mp4", "static", "t=2,5"),
        ("sub dir/é.mp4", "tilt", "t=0.12,0.2"),
        ("my_clip_é.mp4", "pan", "t=0,1"),
    ]
    said = "1 of 6 tasks have no annotation, and predictions by number only"
    assert any(said in text for text in read_list(path).notices)


def test_the_short_form_of_label_studio(tmp_path: Path) -> None:
    about: dict[str, Any] = {"fps": 25.0, "annotator": 1, "annotation_id": 1, "lead_time": None}
    labels = [{"ranges": [{"start": 1, "end": 50}], "timelinelabels": ["pan"]}]
    found = [
        {"video": "/data/local-files/?d=videos/d.mp4", "id": 9, **about},  # without a region
        {"video": "/data/local-files/?d=videos/a.mp4", "id": 6, "labels": labels, **about},
    ]
    assert parts(write(tmp_path / "a.json", found)) == [("videos/a.mp4", "pan", "t=0,2")]


@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".tsv", "\t")])
def test_a_table_of_label_studio_is_refused(tmp_path: Path, suffix: str, mark: str) -> None:
    """Its regions are one cell of JSON, which would be the name of a class."""
    regions = '"[{""ranges"":[{""start"":1,""end"":50}],""timelinelabels"":[""pan""]}]"'
    rows = [["fps", "id", "labels", "video"], ["25.0", "6", regions, "/data/local-files/?d=a.mp4"]]
    path = tmp_path / f"export{suffix}"
    path.write_text("".join(f"{mark.join(row)}\n" for row in rows))
    with pytest.raises(DatasetError, match="expected a class, found JSON") as caught:
        read_list(path)
    assert "JSON-MIN" in (caught.value.hint or "")


# --- ELAN -----------------------------------------------------------------------------------------

EAF = """\
<?xml version='1.0' encoding='UTF-8'?>
<ANNOTATION_DOCUMENT AUTHOR="x" DATE="2026-01-01T06:13:02+00:00" VERSION="3.0" FORMAT="3.0" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv2.8.xsd">
\t<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
\t\t<MEDIA_DESCRIPTOR MEDIA_URL="file:///v/a.mp4" MIME_TYPE="video/*" \
RELATIVE_MEDIA_URL="./../v/a.mp4" />
\t\t</HEADER>
\t<TIME_ORDER>
\t\t<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="1835" />
\t\t<TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="4504" />
\t\t<TIME_SLOT TIME_SLOT_ID="ts7" TIME_VALUE="100" />
\t\t<TIME_SLOT TIME_SLOT_ID="ts8" TIME_VALUE="1500" />
\t\t</TIME_ORDER>
\t<TIER TIER_ID="actions" LINGUISTIC_TYPE_REF="default-lt">
\t\t<ANNOTATION>
\t\t\t<ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
\t\t\t\t<ANNOTATION_VALUE>zoom-in</ANNOTATION_VALUE>
\t\t\t\t</ALIGNABLE_ANNOTATION>
\t\t\t</ANNOTATION>
\t\t</TIER>
\t<TIER TIER_ID="mine" LINGUISTIC_TYPE_REF="default-lt">
\t\t<ANNOTATION>
\t\t\t<ALIGNABLE_ANNOTATION ANNOTATION_ID="a4" TIME_SLOT_REF1="ts7" TIME_SLOT_REF2="ts8">
\t\t\t\t<ANNOTATION_VALUE>tilt &amp; &lt;b&gt;</ANNOTATION_VALUE>
\t\t\t\t</ALIGNABLE_ANNOTATION>
\t\t\t</ANNOTATION>
\t\t</TIER>
\t<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true" \
GRAPHIC_REFERENCES="false" />
\t</ANNOTATION_DOCUMENT>
"""


def test_a_file_of_elan_that_pympi_saved(tmp_path: Path) -> None:
    (tmp_path / "a.eaf").write_text(EAF)
    assert parts(tmp_path / "a.eaf") == [
        ("/v/a.mp4", "zoom-in", "t=1.835,4.504"),
        ("/v/a.mp4", "tilt & <b>", "t=0.1,1.5"),
    ]
