"""Recordings told by the names of clips, and names that tell none."""

import pytest

from videoswin_cli.data.recordings import find_recordings


def find(*names: str, classes: tuple[str, ...] = ("a", "b")) -> tuple[list[str], dict[str, str]]:
    """Titles of the schemes and recordings by path; `*` in a name is the class."""
    videos = {
        f"{own}/{name.replace('*', own)}": label
        for label, own in enumerate(classes)
        for name in names
    }
    found = find_recordings(videos, classes)
    return [each.title for each in found], {
        path: name for each in found for path, name in each.names.items()
    }


@pytest.mark.parametrize(
    ("names", "title", "expected"),
    [
        (("v_*_g01_c01.avi", "v_*_g01_c02.avi"), "v_NAME_g01_c01 (UCF101)", ["v_a_g01", "v_b_g01"]),
        (("v_*_01_01.mpg", "v_*_01_02.mpg"), "v_NAME_01_02 (UCF11)", ["v_a_01", "v_b_01"]),
        (
            ("-aBcDe_12*4_000010_000020.mp4", "v_-aBcDe_12*4_000030_000040.mp4"),
            "ID_000010_000020 (Kinetics)",
            ["-aBcDe_12a4", "-aBcDe_12b4"],
        ),
        (
            ("My film *-Scene-001.mp4", "My film *-Scene-002.mp4"),
            "NAME-Scene-001 (PySceneDetect)",
            ["My film a", "My film b"],
        ),
        (
            ("Film_2_*_u_cm_np1_fr_med_0.avi", "Film_2_*_f_nm_np2_ba_goo_13.avi"),
            "FILM_CLASS_f_cm_np1_fr_med_1 (HMDB51)",
            ["Film_2_a", "Film_2_b"],
        ),
        (
            ("S001C001P002R001A007.avi", "S001C003P002R002A007.avi"),
            "S001C001P001R001A001 (NTU RGB+D)",
            ["a/S001P002", "b/S001P002"],
        ),
        (
            ("GH010123.MP4", "GH020123.MP4"),
            "GH010001 (chapters of a GoPro)",
            ["a/GH0123", "b/GH0123"],
        ),
        (
            ("GOPR0123.MP4", "GP010123.MP4"),
            "GOPR0001 (chapters of a GoPro)",
            ["a/G0123", "b/G0123"],
        ),
        (
            ("scene1-*01.mp4", "scene1-*02.mp4", "scene2-*01.mp4"),
            "NAME-001",
            ["scene1", "scene2"],
        ),
        (("1_001.mp4", "1_002.mp4", "2_001.mp4"), "NAME-001", ["a/1", "a/2", "b/1", "b/2"]),
        (
            ("cutA_1.mp4", "cutA_2.mp4", "cutB_1.mp4"),
            "NAME-001",
            ["a/cutA", "a/cutB", "b/cutA", "b/cutB"],
        ),
        (
            tuple(
                f"{word}_00{n}.mp4"
                for word in ("hall *", "yard *", "zoo *", "pool *")
                for n in (0, 1)
            ),
            "NAME-001",
            [f"{word} {own}" for own in "ab" for word in ("hall", "pool", "yard", "zoo")],
        ),
        (
            ("hall *.part01.mp4", "hall *.part02.mp4", "yard *_part1.mp4"),
            "NAME-part1",
            ["hall a", "hall b", "yard a", "yard b"],
        ),
        (
            ("match1*_5_10.5.mp4", "match1*_20_25.mp4", "match2*_5_10.mp4"),
            "NAME_10_20 (start and end)",
            ["match1a", "match1b", "match2a", "match2b"],
        ),
        (
            ("rec1/x.mp4", "rec1/y.mp4", "rec2/x.mp4", "rec2/y.mp4"),
            "CLASS/NAME/...",
            ["a/rec1", "a/rec2", "b/rec1", "b/rec2"],
        ),
    ],
)
def test_names_tell_recordings(names: tuple[str, ...], title: str, expected: list[str]) -> None:
    titles, found = find(*names)
    assert titles == [title]
    assert sorted(set(found.values()), key=lambda name: (name[-1:] not in "ab", name)) == sorted(
        expected, key=lambda name: (name[-1:] not in "ab", name)
    )


@pytest.mark.parametrize(
    "names",
    [
        [f"*{n}.mp4" for n in range(1, 11)],
        [f"{n}.webm" for n in range(78650, 78690)],
        [f"clip_{n:03}.mp4" for n in range(20)],
        [f"*_{n:03}.mp4" for n in range(20)],
        [f"x*_{n:03}.mp4" for n in range(20)],
        [f"*_part{n}.mp4" for n in range(20)],
        [f"IMG_{n:04}.MOV" for n in range(9)] + [f"MVI_{n:04}.AVI" for n in range(9)],
        [f"VID_202001{n % 5 + 10}_1203{n:02}.mp4" for n in range(20)],
        [f"VID-202001{n % 5 + 10}-WA00{n:02}.mp4" for n in range(20)],
        [f"2026-01-{n % 5 + 10} 12-03-{n:02}.mkv" for n in range(20)],
        [f"2026-01-{n + 10}.mkv" for n in range(20)],
        [f"{side}_{n:03}.mp4" for side in ("left", "right") for n in range(20)],
        [f"cam{n % 2}_{n:03}.mp4" for n in range(20)],
        [f"GH01{n:04}.MP4" for n in range(20)],
        [f"{n % 9:02x}/{n % 9:02x}{n}ab.mp4" for n in range(20)],
        [f"{place}/{n}.mp4" for place in ("hall", "yard") for n in range(9)],
        [f"clip ({n}).mp4" for n in range(9)],
    ],
    ids=lambda names: names[0],
)
def test_counters_and_conditions_are_no_recordings(names: list[str]) -> None:
    assert find(*names) == ([], {})


def test_a_recording_may_hold_several_classes() -> None:
    names = {
        f"match{m}_{2 * n + own}.mp4": (m, own) for m in (1, 2) for n in (1, 2) for own in (0, 1)
    }
    videos = {f"{('goal', 'foul')[own]}/{name}": own for name, (_, own) in names.items()}
    (found,) = find_recordings(videos, ("goal", "foul"))
    assert {
        name: sum(n == name for n in found.names.values()) for name in found.names.values()
    } == {
        "match1": 4,
        "match2": 4,
    }


def test_schemes_are_told_of_the_clips_that_have_them() -> None:
    titles, found = find("golf_1.mp4", "golf_2.mp4", "v_A_g01_c01.avi", "v_A_g01_c02.avi")
    assert titles == ["v_NAME_g01_c01 (UCF101)"]
    assert len(found) == 4


def test_a_folder_without_a_class_above_it_is_no_recording() -> None:
    """In a list of several labels per clip it may be a class."""
    videos = {f"{folder}/{n}.mp4": 0 for folder in ("a", "b") for n in range(4)}
    assert find_recordings(videos, ("run", "jump")) == []
