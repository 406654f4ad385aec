"""What is drawn on frames: read back from their pixels."""

import numpy as np
import pytest
from numpy.typing import NDArray

from videoswin_cli.records import (
    ActionSegment,
    ClassProbability,
    Prediction,
    Timeline,
    UnreadSpan,
)
from videoswin_cli.report.fonts import find_font
from videoswin_cli.report.overlay import Size, color_of, paint_prediction, paint_timeline, wrap

Frame = NDArray[np.uint8]
SIZES = [(340, 256), (1280, 720), (64, 48), (16, 16), (2, 2)]


def segment(start: float, end: float, label: str, index: int, mean: float = 0.5) -> ActionSegment:
    return ActionSegment(start=start, end=end, label=label, index=index, mean=mean, peak=1)


def predict(*top: tuple[str, float]) -> Prediction:
    rows = tuple(ClassProbability(label=x, index=n, prob=p) for n, (x, p) in enumerate(top))
    return Prediction(path="a.mp4", model="tiny", views="1x1", top=rows)


def timeline(*segments: ActionSegment, gaps: tuple[UnreadSpan, ...] = ()) -> Timeline:
    return Timeline(path="a.mp4", model="tiny", duration=10, segments=segments, gaps=gaps)


def blank(size: Size, value: int = 0) -> Frame:
    return np.full((size[1], size[0], 3), value, np.uint8)


def near(frame: Frame, color: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.abs(frame.astype(int) - color).max(axis=2) < 24


def test_a_bar_is_as_long_as_its_probability() -> None:
    lengths = []
    for prob in (1.0, 0.5, 0.25):
        frame = blank((340, 256))
        paint_prediction(predict(("run", prob)), (340, 256))(frame, 0.0)
        lengths.append(near(frame, color_of(0)).sum(axis=1).max())
    assert lengths[1] / lengths[0] == pytest.approx(0.5, abs=0.02)
    assert lengths[2] / lengths[0] == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("background", [0, 128, 255])
def test_text_is_white_on_dark_whatever_is_behind_it(background: int) -> None:
    size = (340, 256)
    frame = blank(size, background)
    paint_prediction(predict(("running", 0.0)), size)(frame, 0.0)
    text = frame[8:20, 18:60]
    assert text.max() > 240
    assert np.median(text) < 90


def test_labels_that_differ_look_different() -> None:
    pictures = set()
    for label in ("run", "walk", "größer", "Ж", "\x1b[31m"):
        frame = blank((340, 256))
        paint_prediction(predict((label, 0.5)), (340, 256))(frame, 0.0)
        pictures.add(frame.tobytes())
    assert len(pictures) == 5


@pytest.mark.parametrize("size", SIZES)
def test_any_size_and_label_is_drawn_within_the_frame(size: Size) -> None:
    labels = ("run " * 300, "x" * 100_000, "", "a\nb\x00", "\ud800", "走る" * 50)
    top = [(label, 1 / 6) for label in labels]
    paint_prediction(predict(*top), size)(blank(size), 0.0)
    parts = [segment(n, n + 2, label, n) for n, label in enumerate(labels)]
    paint = paint_timeline(timeline(*parts), size, start=0, end=8)
    for seconds in (0.0, 3.3, 8.0):
        paint(blank(size), seconds)


def test_lines_are_no_wider_than_asked_and_lose_nothing() -> None:
    font = find_font("x", 12)
    text = "playing a very long game of something " + "w" * 40
    lines = wrap(text, font, 90)
    assert max(font.getlength(line) for line in lines) <= 90
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert lines[0] in ("playing a very", "playing a")  # between words


def test_the_strip_shows_each_segment_in_its_place_and_color() -> None:
    frame = blank((340, 256))
    both = timeline(segment(0, 5, "run", 0), segment(5, 10, "walk", 1))
    paint_timeline(both, (340, 256), start=0, end=10)(frame, 9.99)
    strip = frame[-18:-2]
    assert near(strip, color_of(0))[:, 20:160].mean() > 0.4
    assert near(strip, color_of(1))[:, 20:160].mean() == 0
    assert near(strip, color_of(1))[:, 180:320].mean() > 0.4


def test_the_mark_moves_from_the_left_to_the_right() -> None:
    paint = paint_timeline(timeline(), (340, 256), start=2.0, end=12.0)
    places = []
    for seconds in (2.0, 7.0, 11.9):
        frame = blank((340, 256))
        paint(frame, seconds)
        places.append(near(frame, (255, 255, 255))[-12].nonzero()[0].mean())
    assert places == pytest.approx([6.5, 170, 330], abs=6)


def test_what_is_seen_now_is_said_and_nothing_else() -> None:
    paint = paint_timeline(
        timeline(segment(2, 4, "run", 0, 0.9), segment(3, 6, "walk", 1, 0.6)),
        (340, 256),
        start=0,
        end=10,
    )
    colors = []
    for seconds in (1.0, 2.5, 3.5, 4.0, 6.0):
        frame = blank((340, 256))
        paint(frame, seconds)
        panel = frame[:120]
        colors.append(tuple(bool(near(panel, color_of(n)).any()) for n in (0, 1)))
    assert colors == [(False, False), (True, False), (True, True), (False, True), (False, False)]


def test_segments_at_one_time_lie_above_each_other() -> None:
    frame = blank((340, 256))
    both = timeline(segment(0, 10, "run", 0), segment(0, 10, "walk", 1))
    paint_timeline(both, (340, 256), start=0, end=10)(frame, 0.0)
    column = frame[:, 170]
    rows = [near(column[:, None], color_of(n)).nonzero()[0] for n in (0, 1)]
    assert len(rows[0]) > 3
    assert rows[0].max() < rows[1].min()


def test_a_gap_gives_its_reason() -> None:
    gap = UnreadSpan(start=4, end=6, reason="damaged")
    paint = paint_timeline(timeline(gaps=(gap,)), (340, 256), start=0, end=10)
    inside, outside = blank((340, 256)), blank((340, 256))
    paint(inside, 5.0)
    paint(outside, 6.5)
    assert inside[:60].max() > 200
    assert outside[:60].max() == 0
