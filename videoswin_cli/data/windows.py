"""Clips that slide over whole videos, a few at a time, so that memory is bounded."""

from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial

from videoswin_cli.data.dataset import FailedVideo, VideoViews, read_video, read_views
from videoswin_cli.data.decoding.open import DecoderChoice, Video
from videoswin_cli.data.feeding import feed
from videoswin_cli.data.sampling import Stride, slide_windows
from videoswin_cli.records import Protocol, Views

WINDOWS_AT_ONCE = 8  # of 32 frames: 256 frames, 60 MB of 340x256


class WindowDataset:
    """Pieces of videos by (number of the video, first window)."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        protocol: Protocol,
        views: Views,
        stride: Stride | None,
        decoder: DecoderChoice,
    ) -> None:
        self.paths = list(paths)
        self.protocol = protocol
        self.views = views
        self.stride = stride
        self.decoder = decoder

    def __getitem__(self, key: tuple[int, int]) -> VideoViews | FailedVideo:
        number, first = key
        return read_video(self.paths[number], partial(self._read, first), decoder=self.decoder)

    def failed(self, key: tuple[int, int], reason: str) -> FailedVideo:
        return FailedVideo(path=self.paths[key[0]], reason=reason)

    def _read(self, first: int, video: Video) -> VideoViews:
        windows = slide_windows(self.protocol, times=video.timestamps(), stride=self.stride)
        piece = windows[first : first + WINDOWS_AT_ONCE]
        return read_views(
            video,
            piece,
            protocol=self.protocol,
            views=self.views,
            frames=video.info.frames,
            unread=len(windows) - first - len(piece),
        )


def read_windows(
    dataset: WindowDataset, *, workers: int
) -> Generator[VideoViews | FailedVideo, None, None]:
    """All pieces of all videos in order; the last piece of each has nothing `unread`.

    A video that cannot be read to its end is a `FailedVideo` there, and its other pieces are left.
    """
    firsts = feed(dataset, [(n, 0) for n in range(len(dataset.paths))], workers=workers)
    for number, piece in enumerate(firsts):
        yield piece
        if isinstance(piece, FailedVideo) or not piece.unread:
            continue
        keys = [
            (number, first)
            for first in range(WINDOWS_AT_ONCE, WINDOWS_AT_ONCE + piece.unread, WINDOWS_AT_ONCE)
        ]
        with closing(feed(dataset, keys, workers=min(workers, len(keys)))) as rest:
            for other in rest:
                yield other
                if isinstance(other, FailedVideo):
                    break
