"""Bounds on what a server does at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from videoswin_cli.tasks.serve.refusals import RefusedError


class Gate:
    """Places for work of one kind, in the thread of the event loop."""

    def __init__(self, most: int, work: str) -> None:
        """`work` is in the plural."""
        self.taken = 0
        self._work = work
        self._places = asyncio.Semaphore(most)

    def check(self) -> None:
        """Raise RefusedError where no place is free, or others wait for one."""
        if self._places.locked():
            raise RefusedError(
                503, f"too many {self._work} at once", hint="ask again a little later"
            )

    @asynccontextmanager
    async def entered(self, *, waits: bool = False) -> AsyncIterator[None]:
        """A place until the block ends.

        Args:
            waits: until one is free.

        Raises:
            RefusedError: none is free, and it does not wait.
        """
        if not waits:
            self.check()
        async with self._places:
            self.taken += 1
            try:
                yield
            finally:
                self.taken -= 1
