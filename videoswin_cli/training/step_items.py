"""Training items of consecutive steps, decoded ahead; those of a step can be had again."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing

from videoswin_cli.data.workers import load_in_workers
from videoswin_cli.training.inputs import Inputs, Item

Key = tuple[int, int]  # (clip, draw)


class StepItems:
    """Items of one step in this process, each decoded when its turn comes.

    Iterated a second time, what was taken before is decoded anew. Equal keys give equal items.
    """

    def __init__(
        self,
        keys: Sequence[Key],
        stream: Iterator[Item],
        decode: Callable[[Sequence[Key]], Iterator[Item]],
    ) -> None:
        """`stream` has the items of this step next, and then those of later ones."""
        self._keys = keys
        self._stream = stream
        self._decode = decode
        self._taken = 0  # items, from the stream
        self.wait_seconds = 0.0  # for items, so far

    def __iter__(self) -> Iterator[Item]:
        asked = time.monotonic()
        for item in self._items():
            self.wait_seconds += time.monotonic() - asked
            yield item
            asked = time.monotonic()

    def _items(self) -> Iterator[Item]:
        yield from self._decode(self._keys[: self._taken])
        while self._taken < len(self._keys):
            self._taken += 1
            yield next(self._stream)


def feed_steps(
    inputs: Inputs, keys: Sequence[Sequence[Key]], *, batch_size: int, notice: Callable[[str], None]
) -> Generator[StepItems, None, None]:
    """Items of each of several steps.

    While a micro-batch is computed, the clips of the next one are decoded: memory follows the
    micro-batch and not the step.
    """
    flat = [key for step in keys for key in step]
    workers = min(inputs.workers, len(flat))
    ahead = 1 + batch_size // max(workers, 1)  # items a worker

    def decode(some: Sequence[Key]) -> Generator[Item, None, None]:
        return load_in_workers(inputs.source, some, workers=workers, ahead=ahead, notice=notice)

    with closing(decode(flat)) as stream:
        for step in keys:
            yield StepItems(step, stream, decode)
