"""Endless order of the training clips, the same for any number of processes and restarts."""

import torch

from videoswin_cli.seeding import seeded


class ClipSampler:
    """Number of the clip at each position of the run; an epoch has as many positions as clips."""

    def __init__(self, labels: list[int], *, seed: int, balanced: bool) -> None:
        self._labels = torch.tensor(labels)
        self._seed = seed
        self._balanced = balanced
        self._epoch = -1
        self._numbers: list[int] = []

    def __getitem__(self, position: int) -> int:
        epoch, rest = divmod(position, len(self._labels))
        if epoch != self._epoch:
            self._epoch, self._numbers = epoch, self._shuffle(epoch)
        return self._numbers[rest]

    def keys(self, positions: range) -> list[tuple[int, int]]:
        """(clip, position) of each; the position makes its augmentation another one each time."""
        return [(self[position], position) for position in positions]

    def _shuffle(self, epoch: int) -> list[int]:
        generator = seeded(self._seed, "order", epoch)
        count = len(self._labels)
        if not self._balanced:
            return list(map(int, torch.randperm(count, generator=generator)))
        weights = 1 / torch.bincount(self._labels).clamp(min=1).double()
        drawn = torch.multinomial(
            weights[self._labels], count, replacement=True, generator=generator
        )
        return list(map(int, drawn))
