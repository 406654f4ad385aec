"""Bounds on what a server does at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from videoswin_cli.tasks.serve.refusals import RefusedError


class Gate:
    """Places for work of one kind, in the thread of the event loop."""

    def __init__(self, most: int, work: str) -> None:
        """`work` is in the plural."""
        self.taken = 0
        self._most = most
        self._work = work

    def check(self) -> None:
        """Raise RefusedError where no place is free."""
        if self.taken >= self._most:
            raise RefusedError(
                503, f"too many {self._work} at once", hint="ask again a little later"
            )

    @contextmanager
    def entered(self) -> Iterator[None]:
        """A place until the block ends.

        Raises:
            RefusedError: none is free.
        """
        self.check()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
