"""Which class names a mirror would make wrong, and which it makes another one."""

from itertools import pairwise

import pytest

from videoswin_cli.data.direction_words import DOUBTFUL, PARTS, SYMBOLS, WORDS
from videoswin_cli.data.directions import choose_flips
from videoswin_cli.errors import UsageError
from videoswin_cli.io.paths import configs_dir


def labels_of(dataset: str) -> list[str]:
    path = configs_dir() / "labels" / f"{dataset}.txt"
    return path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("pan-left", "left"),
        ("Turn RIGHT", "right"),
        ("SwipeLeft", "left"),
        ("TURNRIGHT", "right"),
        ("turnLEFTnow", "left"),
        ("RightToLeft", "right"),
        ("righttoleft", "right"),
        ("left2right", "left"),
        ("leftwards", "left"),
        ("rightward", "right"),
        ("lefthand", "left"),
        ("swipe-left-02", "left"),
        ("swipeleft02", "left"),
        ("LEFTturn", "left"),
        ("cw", "cw"),
        ("rotate_CCW", "ccw"),
        ("90ccw", "ccw"),
        ("CWrotation", "cw"),
        ("roll_clockwise", "clockwise"),
        ("RollCounterClockwise", "counterclockwise"),
        ("anti-clockwise", "counterclockwise"),
        ("counter clock-wise", "counterclockwise"),
        ("rotateanticlockwise", "counterclockwise"),
        ("LHS", "lhs"),
        ("L2R", "l"),
        ("RTL", "rtl"),
        ("Linkskurve", "links"),
        ("à gauche", "gauche"),
        ("bras droit", "droite"),
        ("mano izquierda", "izquierd"),
        ("a sinistra", "sinistra"),
        ("virar à direita", "direit"),
        ("skręt w prawo", "prawo"),
        ("налево", "налево"),
        ("по часовой стрелке", "часовой"),
        ("向左转", "左"),
        ("ひだりて", "ひだり"),
        ("오른쪽으로", "오른쪽"),
        ("\uff2c\uff25\uff26\uff34", "left"),
        ("le\u200bft", "left"),
    ],
)
def test_one_class_with_a_direction_stops_all_flips(name: str, word: str) -> None:
    flips = choose_flips("auto", ["walk", name])
    assert (flips.on, flips.partners) == (False, None)
    assert f"{name!r} holds {word!r}, and no other class is its mirror image" in flips.reason


@pytest.mark.parametrize(
    "name",
    [
        *(
            "bright light",
            "brightness",
            "cleft",
            "copyright",
            "upright",
            "theft",
            "fright",
            "alright",
        ),
        *(
            "playwright",
            "Wright brothers",
            "leftover",
            "frightened",
            "blinks",
            "cwm climbing",
            "lift",
        ),
        *("pulling it right out", "right away", "управлять", "destroy", "pedestrian", "LCD", "R"),
        *("east gate", "port", "sol", "лев", "solo", "turnl", "→", ""),
    ],
)
def test_words_that_only_look_like_a_direction(name: str) -> None:
    flips = choose_flips("auto", ["walk", name])
    assert (flips.on, flips.partners) == (True, None)
    assert flips.reason == "flips: no class name holds a direction"


@pytest.mark.parametrize(
    "names",
    [
        ("SwipeLeft", "SwipeRight"),
        ("swipe_left", "SWIPE RIGHT"),
        ("swipeleft", "swiperight"),
        ("turnLEFTnow", "turnRIGHTnow"),
        ("left to right", "right to left"),
        ("L2R", "R2L"),
        ("ltr", "rtl"),
        ("turn leftwards", "turn rightwards"),
        ("roll-clockwise", "roll-counterclockwise"),
        ("Clockwise", "anti clockwise"),
        ("cw 90", "ccw 90"),
        ("up left", "upright"),
        ("bras gauche", "bras droit"),
        ("links abbiegen", "rechts abbiegen"),
        ("mano izquierda", "mano derecha"),
        ("левая рука", "правая рука"),
        ("左转", "右转"),
        ("反時計回り", "時計回り"),
        ("왼쪽", "오른쪽"),
    ],
)
def test_names_that_pair_off_stop_flips_or_exchange_their_clips(names: tuple[str, str]) -> None:
    for first, second in (names, names[::-1]):
        usual = choose_flips("auto", ["stand", first, "walk", second])
        assert (usual.on, usual.partners) == (False, None)
        assert usual.reason == (
            f"no flips: a mirror exchanges {first!r} and {second!r}; --flip swap does too"
        )
        flips = choose_flips("swap", ["stand", first, "walk", second])
        assert flips.on
        assert flips.partners == (0, 3, 2, 1)
        assert flips.reason == f"flips exchange the classes {first!r} and {second!r}"


@pytest.mark.parametrize(
    "names",
    [
        ("turn_L", "turn_R"),
        ("LHand", "RHand"),
        ("sx", "dx"),
        ("turnl", "turnr"),
        ("L", "R"),
        ("hand LH", "hand RH"),
        ("rotcw", "rotccw"),
        ("east gate", "west gate"),
        ("port", "starboard"),
        ("← swipe", "→ swipe"),
        ("sol", "sağ"),
        ("좌", "우"),
    ],
)
def test_where_a_pair_is_in_doubt_nothing_is_mirrored_unless_asked_for(
    names: tuple[str, str],
) -> None:
    flips = choose_flips("auto", ["stand", *names])
    assert not flips.on
    assert f"{names[0]!r} and {names[1]!r} may be mirror images of each other" in flips.reason
    assert "--flip swap exchanges them" in flips.reason
    assert choose_flips("swap", ["stand", *names]).partners == (0, 2, 1)


@pytest.mark.parametrize(
    "names",
    [
        ("swipe_left", "SwipeLeft", "swipe_right"),
        ("left_L", "left_R", "right_L", "right_R"),
        ("wave_l", "wave_L", "wave_r"),
    ],
)
def test_more_than_one_mirror_image_is_none(names: tuple[str, ...]) -> None:
    flips = choose_flips("auto", names)
    assert not flips.on
    assert "has more than one possible mirror image" in flips.reason
    with pytest.raises(UsageError, match="more than one possible mirror image"):
        choose_flips("swap", names)


def test_one_class_without_a_partner_stops_the_pairs_too() -> None:
    names = ("look left", "look right", "turn left")
    flips = choose_flips("auto", names)
    assert not flips.on
    assert "'turn left' holds 'left'" in flips.reason
    with pytest.raises(UsageError, match=r"flip=swap: 'turn left' holds 'left'"):
        choose_flips("swap", names)


def test_all_exchanged_pairs_are_shown() -> None:
    names = [f"{action} {side}" for action in ("go", "look", "run", "sit") for side in WORDS[0]]
    reason = choose_flips("swap", names).reason
    assert all(repr(name) in reason for name in names)
    assert "and 1 more pairs" in choose_flips("auto", names).reason


def test_equal_words_are_no_mirror_images() -> None:
    for names in (("a b", "ab"), ("AB", "ab"), ("", " ")):
        assert choose_flips("auto", names).partners is None


def test_something_something_exchanges_what_mmaction2_does() -> None:
    """Its `flip_label_map`, and no other class."""
    labels = labels_of("sthv2")
    assert not choose_flips("auto", labels).on
    flips = choose_flips("swap", labels)
    assert flips.partners is not None
    changed = {label: other for label, other in enumerate(flips.partners) if label != other}
    assert changed == {86: 87, 87: 86, 93: 94, 94: 93, 166: 167, 167: 166}


@pytest.mark.parametrize("name", ["kinetics400", "kinetics600", "kinetics700"])
def test_kinetics_is_mirrored(name: str) -> None:
    flips = choose_flips("auto", labels_of(name))
    assert (flips.on, flips.partners) == (True, None)


def test_what_is_asked_for_is_done_and_said() -> None:
    names = ("pan-left", "pan-right", "static")
    no = choose_flips(False, names)
    assert (no.on, no.reason) == (False, "no flips, as requested")
    yes = choose_flips(True, names)
    assert (yes.on, yes.partners) == (True, None)
    assert yes.reason == (
        "flips, as requested; their mirrored clips keep their names: 'pan-left' and 'pan-right' "
        "(--flip swap exchanges them)"
    )
    assert choose_flips(True, ["run", "turn left"]).reason == (
        "flips, as requested, although 'turn left' holds 'left'"
    )
    assert choose_flips(True, ["run", "walk"]).reason == "flips, as requested"
    assert choose_flips("swap", ["run", "walk"]).partners is None


@pytest.mark.parametrize("pairs", [PARTS, WORDS, DOUBTFUL, SYMBOLS])
def test_no_word_is_listed_twice(pairs: tuple[tuple[str, str], ...]) -> None:
    """A second entry would replace the first one's partner."""
    listed = sorted(word for pair in pairs for word in pair)
    assert all(a != b for a, b in pairwise(listed))
    for pair in pairs:
        assert choose_flips("swap", pair).partners == (1, 0), pair
