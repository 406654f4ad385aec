"""Tables of prepared data."""

from collections.abc import Mapping, Sequence

from videoswin_cli.io.visible import visible


def format_counts(classes: Sequence[str], counts: Mapping[str, Sequence[int]]) -> str:
    """Videos of each class in each list, and their sums."""
    rows = [["class", *counts]]
    rows += [
        [visible(name), *(str(own[n]) for own in counts.values())] for n, name in enumerate(classes)
    ]
    rows.append(["all", *(str(sum(own)) for own in counts.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() + "\n"
        for row in rows
    )
