"""Parts of a data set under their usual names."""

from collections import Counter
from collections.abc import Mapping, Sequence

from videoswin_cli.data.lists.rows import ListRow
from videoswin_cli.errors import DatasetError
from videoswin_cli.io.visible import name_some

_SPELLINGS = {
    "training": "train",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "testing": "test",
    "holdout": "test",
}
UNNAMED = "(none)"  # rows without a split in a list of splits


def name_split(text: str) -> str:
    """`train`, `val` or `test` for all their spellings; else as written, in small letters."""
    folded = text.strip().lower()
    return _SPELLINGS.get(folded, folded)


def count_splits(rows: Sequence[ListRow]) -> Mapping[str, int]:
    """Rows of each split, in the order of the list; empty where no row names one."""
    counts = Counter(row.split or UNNAMED for row in rows)
    return {} if set(counts) <= {UNNAMED} else counts


def choose_split(
    rows: Sequence[ListRow], counts: Mapping[str, int], split: str, *, source: str
) -> tuple[ListRow, ...]:
    """The rows of one split.

    Raises:
        DatasetError: the list names no splits, or others.
    """
    wanted = name_split(split)
    if not counts:
        raise DatasetError(f"{source} has no column that names splits, so there is no {split!r}")
    if wanted not in counts:
        raise DatasetError(
            f"{source} has no split {split!r}", hint=f"its splits: {describe_splits(counts)}"
        )
    return tuple(row for row in rows if (row.split or UNNAMED) == wanted)


def describe_splits(counts: Mapping[str, int]) -> str:
    """Names and sizes: `train (20 rows), val (5)`."""
    return name_some([f"{name} ({count})" for name, count in counts.items()], 10)
