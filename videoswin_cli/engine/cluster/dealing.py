"""Parts of a list, dealt to workers that may be lost with what they have."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from videoswin_cli.io.visible import counted
from videoswin_cli.records import ListedVideo

MOST_KILLS = 3  # workers that a video may cost


@dataclass(frozen=True, kw_only=True)
class Part:
    """Consecutive videos that one worker computes."""

    first: int  # place of the first one among those of the run
    videos: tuple[ListedVideo, ...]
    kills: int = 0  # workers that died with it


def default_part_size(videos: int, *, windows: bool) -> int:
    """Videos of a part: a short list has some dozens of parts, so that no worker is idle.

    Args:
        videos: of the list.
        windows: every window of a video is computed, which takes long.
    """
    return max(1, min(8 if windows else 64, videos // 32))


class Dealer:
    """Parts that wait for a worker, in the order of the list; lost ones come first."""

    def __init__(self, videos: Sequence[ListedVideo], size: int) -> None:
        """`size`: videos of a part."""
        self._waiting = deque(
            Part(first=first, videos=tuple(videos[first : first + size]))
            for first in range(0, len(videos), size)
        )

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> Part:
        """The next part."""
        return self._waiting.popleft()

    def give_back(self, part: Part) -> None:
        """Deal a part again that was lost without its fault."""
        self._waiting.appendleft(part)

    def blame(self, part: Part) -> ListedVideo | None:
        """Deal the videos of a part that killed its worker again, each alone.

        Returns:
            The video that is set aside: it was dealt often enough.
        """
        kills = part.kills + 1
        if kills >= MOST_KILLS and len(part.videos) == 1:
            reason = f"{counted(kills, 'worker')} died with it: set aside"
            return replace(part.videos[0], file=None, missing=reason)
        self._waiting.extendleft(
            Part(first=part.first + place, videos=(video,), kills=kills)
            for place, video in reversed(list(enumerate(part.videos)))
        )
        return None
