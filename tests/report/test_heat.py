"""Heat on frames, read back from their pixels."""

import numpy as np

from videoswin_cli.records import ClassProbability
from videoswin_cli.report.heat import HeatMaps, draw_contact_sheet, glow, paint_heat

RUN = ClassProbability(label="run", index=0, prob=0.75)


def heat(maps: np.ndarray) -> HeatMaps:
    """Maps of frames at 1.0 s, 1.5 s and so on, and a clip of the second after them."""
    times = [1 + n / 2 for n in range(len(maps))]
    return HeatMaps(
        explained=RUN,
        maps=maps.astype(np.float32),
        times=times,
        clips=[(1.0, times[-1] + 0.5)],
        peak=1.0,
    )


def gray(side: int = 200) -> np.ndarray:
    return np.full((side, side, 3), 100, np.uint8)


def test_the_most_evidence_is_red_and_none_leaves_the_picture() -> None:
    evidence = np.zeros((10, 10), np.float32)
    evidence[2, 7] = 5
    frame = gray()
    glow(frame, evidence, peak=5)
    hot = np.unravel_index(frame[..., 0].astype(int).argmax(), frame.shape[:2])
    assert abs(hot[0] - 50) < 22
    assert abs(hot[1] - 150) < 22
    hottest = frame[50, 150].astype(int)
    assert hottest[0] > hottest[2] + 40
    assert (frame[120:, :100] == 100).all()


def test_what_nobody_has_seen_is_darker() -> None:
    evidence = np.zeros((10, 10), np.float32)
    evidence[:, :5] = np.nan
    frame = gray()
    glow(frame, evidence, peak=1)
    assert (frame[:, :95] == 45).all()
    assert (frame[:, 105:] == 100).all()


def test_maps_that_are_all_zero_show_no_heat() -> None:
    frame = gray()
    glow(frame, np.zeros((4, 4), np.float32), peak=0)
    assert (frame == 100).all()


def test_each_frame_has_the_map_of_its_time_and_none_between_clips() -> None:
    maps = np.stack([np.zeros((4, 4)), np.ones((4, 4))])
    paint = paint_heat(heat(maps), (200, 200))
    below = slice(150, 200)
    pictures = {}
    for seconds in (0.5, 1.0, 1.4, 1.5, 1.9, 2.0):
        frame = gray()
        paint(frame, seconds)
        pictures[seconds] = not (frame[below] == 100).all()
    assert pictures == {0.5: False, 1.0: False, 1.4: False, 1.5: True, 1.9: True, 2.0: False}


def test_a_contact_sheet_has_each_frame_above_its_heat() -> None:
    maps = np.stack([np.zeros((4, 4)), np.ones((4, 4))])
    sheet = np.asarray(draw_contact_sheet([gray(), gray()], [1.0, 1.5], heat(maps)))
    columns = sheet.shape[1] // 2
    above, hot = sheet[60:160], sheet[220:320]
    assert (above[:, 20:140] == 100).all()
    assert (hot[:, 20:140] == 100).all()
    assert (hot[:, columns + 20 : columns + 140] != 100).any(axis=-1).all()
