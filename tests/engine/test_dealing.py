"""Parts of a list that are dealt, lost and dealt again."""

from videoswin_cli.engine.cluster.dealing import Dealer, Part, default_part_size
from videoswin_cli.engine.cluster.versions import find_difference, library_versions
from videoswin_cli.records import ListedVideo

VIDEOS = [ListedVideo(path=f"{n}.mp4", file=f"{n}.mp4", label=None, line=n) for n in range(5)]


def names(part: Part) -> list[str]:
    return [video.path for video in part.videos]


def test_parts_are_consecutive_and_all_are_dealt() -> None:
    dealer = Dealer(VIDEOS, 2)
    parts = [dealer.take() for _ in range(len(dealer))]
    assert [part.first for part in parts] == [0, 2, 4]
    assert [name for part in parts for name in names(part)] == [v.path for v in VIDEOS]


def test_a_part_that_was_lost_with_its_node_comes_again_whole() -> None:
    dealer = Dealer(VIDEOS, 2)
    part = dealer.take()
    for _ in range(9):
        dealer.give_back(part)
        part = dealer.take()
        assert part.kills == 0
    assert names(part) == ["0.mp4", "1.mp4"]


def test_a_part_that_killed_its_worker_comes_again_video_by_video() -> None:
    dealer = Dealer(VIDEOS, 2)
    assert dealer.blame(dealer.take()) is None
    again = [dealer.take(), dealer.take()]
    assert [(part.first, names(part), part.kills) for part in again] == [
        (0, ["0.mp4"], 1),
        (1, ["1.mp4"], 1),
    ]
    assert names(dealer.take()) == ["2.mp4", "3.mp4"]


def test_the_third_death_sets_a_video_aside() -> None:
    dealer = Dealer(VIDEOS[:1], 2)
    assert dealer.blame(dealer.take()) is None
    assert dealer.blame(dealer.take()) is None
    lost = dealer.blame(dealer.take())
    assert lost is not None
    assert (lost.path, lost.file, lost.missing) == (
        "0.mp4",
        None,
        "3 workers died with it: set aside",
    )
    assert not dealer


def test_short_lists_have_small_parts() -> None:
    sizes = [default_part_size(videos, windows=False) for videos in (0, 1, 60, 300, 10**6)]
    assert sizes == [1, 1, 1, 9, 64]
    assert default_part_size(10**6, windows=True) == 8


def test_versions_that_differ_are_both_named() -> None:
    here = library_versions()
    assert {"Python", "torch", "videoswin", "av"} <= here.keys()
    assert "+" not in here["torch"]  # a build for CUDA reads as one for CPUs
    assert find_difference(here, here) is None
    other = here | {"torch": "0.1", "av": "0.2"}
    assert find_difference(here, other) == (
        f"torch 0.1 there and {here['torch']} here, av 0.2 there and {here['av']} here"
    )
