"""Wrong answers of a dump, the worst ones with pictures."""

from collections.abc import Sequence

from videoswin_cli.engine.metrics import ScoredVideo
from videoswin_cli.report.pages.contents import ErrorGallery, Strip, WrongVideo
from videoswin_cli.tasks.report.dumps import Dump
from videoswin_cli.tasks.report.strips import Strips


def list_errors(videos: Sequence[ScoredVideo]) -> list[ScoredVideo]:
    """Wrong videos, the most confident first; failed ones have no answer and are left out."""
    wrong = [video for video in videos if video.top and video.top[0] != video.label]
    return sorted(wrong, key=lambda video: (-video.top_probs[0], video.path))


def show_errors(dump: Dump, strips: Strips, *, most: int) -> list[ErrorGallery]:
    """The most confident errors, and of the others those whose own class got the least."""
    errors = list_errors(dump.videos)
    if not errors:
        return []
    confident, others = errors[:most], errors[most:]
    galleries = [
        ErrorGallery(
            title="Most confident errors",
            note=f"{len(confident)} of {len(errors)} wrong videos: those with the highest "
            "probability of a wrong class. Point at a picture to play it.",
            videos=[_show(dump, video, strips) for video in confident],
        )
    ]
    if others:
        worst = sorted(others, key=lambda video: (correct_prob(video) or 0.0, video.path))[:most]
        galleries.append(
            ErrorGallery(
                title="Worst mistakes",
                note=f"{len(worst)} of the other wrong videos: those whose correct class got the "
                "lowest probability.",
                videos=[_show(dump, video, strips) for video in worst],
            )
        )
    return galleries


def correct_prob(video: ScoredVideo) -> float | None:
    """Probability of the correct class; None where it is not among the classes that are kept."""
    if video.scores is not None:
        return float(video.scores[video.label])
    return dict(zip(video.top, video.top_probs, strict=True)).get(video.label)


def _show(dump: Dump, video: ScoredVideo, strips: Strips) -> WrongVideo:
    strip = strips.find(video.path)
    return WrongVideo(
        path=video.path,
        correct=dump.name(video.label),
        predicted=dump.name(video.top[0]),
        prob=video.top_probs[0],
        correct_prob=correct_prob(video),
        strip=strip if isinstance(strip, Strip) else None,
        problem="" if isinstance(strip, Strip) else strip,
    )
