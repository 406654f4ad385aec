"""A file behind an address that is fetched in blocks, where it is read."""

from collections.abc import Callable, Sequence

_Fetch = Callable[[int, int], bytes]  # from a byte to below another


class TooMuchError(Exception):
    """More was read than a part of a file: all of it had better be fetched at once."""


class RangeFile:
    """A binary file for reading, as libraries take one in place of a path.

    Attributes:
        hollow: give zeros in place of what was not fetched and lies in `holes`.
    """

    def __init__(self, fetch: _Fetch, size: int, *, block: int, budget: int) -> None:
        """A file of `size` bytes, of which no more than `budget` are fetched, `block` at once."""
        self.size = size
        self.holes: Sequence[range] = ()
        self.hollow = False
        self.fetched = 0  # bytes
        self._fetch = fetch
        self._block = block
        self._budget = budget
        self._blocks: dict[int, bytes] = {}
        self._place = 0

    def peek(self, start: int, end: int) -> bytes:
        """Bytes from `start` to below `end`, and no more than these.

        Raises:
            FetchError: they cannot be fetched.
            TooMuchError: the budget is spent.
        """
        self._spend(end - start)
        return self._fetch(start, end)

    def read(self, size: int = -1) -> bytes:
        """The next bytes, fewer at the end.

        Raises:
            FetchError: they cannot be fetched.
            TooMuchError: the budget is spent.
        """
        end = self.size if size < 0 else min(self._place + size, self.size)
        pieces = []
        while self._place < end:
            number, offset = divmod(self._place, self._block)
            count = min(self._block - offset, end - self._place)
            pieces.append(self._read_block(number)[offset : offset + count])
            self._place += count
        return b"".join(pieces)

    def seek(self, place: int, whence: int = 0) -> int:
        self._place = place + (0, self._place, self.size)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing: it is read again after those who read it before have closed it."""

    def __enter__(self) -> "RangeFile":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _spend(self, count: int) -> None:
        self.fetched += count
        if self.fetched > self._budget:
            raise TooMuchError

    def _read_block(self, number: int) -> bytes:
        if number in self._blocks:
            return self._blocks[number]
        start, end = number * self._block, min((number + 1) * self._block, self.size)
        if self.hollow and any(hole.start <= start and end <= hole.stop for hole in self.holes):
            return bytes(end - start)
        self._spend(end - start)
        self._blocks[number] = self._fetch(start, end)
        return self._blocks[number]
