"""Place for one clip between the thread that reads and the one that computes."""

import threading

from videoswin_cli.data.live.clips import LiveClip

_POLL_SECONDS = 0.1


class Mailbox:
    """The latest clip that nobody has taken; a new one takes the place of an old one.

    So a slow network never gets a clip that is older than the time from one clip to the next.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._clip: LiveClip | None = None
        self._closed = False
        self._error: BaseException | None = None
        self._counted = -1  # number of the last frame that was computed, or counted as dropped
        self.dropped = 0  # frames of due clips that were never computed
        self.skipped = 0  # clips

    def put(self, clip: LiveClip) -> None:
        """Offer a clip."""
        with self._changed:
            if (old := self._clip) is not None:
                first, last = max(old.first, self._counted + 1), min(old.last, clip.first - 1)
                self.dropped += max(last - first + 1, 0)
                self._counted = max(self._counted, last)
                self.skipped += 1
            self._clip = clip
            self._changed.notify()

    def close(self, error: BaseException | None = None) -> None:
        """No further clip comes; the one that waits can still be taken."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify()

    def take(self, ended: threading.Event) -> LiveClip | None:
        """The latest clip, waited for; None at the end, or as soon as `ended` is set.

        It polls `ended`, which a handler of a signal sets: that must not wait for a lock.

        Raises:
            BaseException: that which `close` was called with.
        """
        with self._changed:
            while not ended.is_set():
                if self._clip is not None:
                    clip, self._clip = self._clip, None
                    self._counted = max(self._counted, clip.last)
                    return clip
                if self._closed:
                    if self._error is not None:
                        raise self._error
                    return None
                self._changed.wait(_POLL_SECONDS)
        return None
