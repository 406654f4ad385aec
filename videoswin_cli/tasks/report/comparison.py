"""Several dumps side by side."""

from collections.abc import Sequence

from videoswin_cli.engine.bootstrap import LEVEL, RESAMPLES, SEED, compare_top1
from videoswin_cli.report.pages.contents import Comparison, EvaluationSection
from videoswin_cli.tasks.report.dumps import Dump

_METHOD = (
    f"Paired over the videos that both have; a failed video counts as wrong. The {LEVEL:g} % "
    f"interval is that of the percentiles of a paired bootstrap over videos ({RESAMPLES} "
    f"resamples, seed {SEED}); p is that of McNemar's exact test, two-sided, "
    "that both are equally good."
)


def compare_dumps(dumps: Sequence[Dump], sections: Sequence[EvaluationSection]) -> Comparison:
    """Figures side by side, and differences of top-1 to the first.

    Raises:
        UsageError: two of them disagree about the class of a video.
    """
    titles = [section.title for section in sections]
    first, *others = dumps
    pairs, apart = [], []
    if not any(dump.several for dump in dumps):
        for dump, title in zip(others, titles[1:], strict=True):
            pair = compare_top1(first.videos, dump.videos)
            if pair is None:
                apart.append(title)
            else:
                pairs.append((title, pair))
    return Comparison(
        names=titles,
        rows=_rows(sections),
        pairs=pairs,
        method=_METHOD,
        apart=apart,
        classes=_classes(sections),
    )


def _rows(sections: Sequence[EvaluationSection]) -> list[tuple[str, list[str]]]:
    """A row per figure: the cards, facts that they do not say, and settings that differ."""
    cards = [{card.name: card.value for card in section.cards} for section in sections]
    facts = [dict(section.facts) for section in sections]
    settings = [_without_equal(dict(section.environment), sections) for section in sections]
    rows: list[tuple[str, list[str]]] = []
    for tables in (cards, facts, settings):
        names = dict.fromkeys(name for table in tables for name in table)
        known = {name for name, _ in rows}
        rows += [
            (name, [table.get(name, "") for table in tables]) for name in names if name not in known
        ]
    return rows


def _without_equal(
    settings: dict[str, str], sections: Sequence[EvaluationSection]
) -> dict[str, str]:
    """Settings of one run that not all runs have alike."""
    others = [dict(section.environment) for section in sections]
    return {
        name: value
        for name, value in settings.items()
        if name != "dump" and any(other.get(name) != value for other in others)
    }


def _classes(
    sections: Sequence[EvaluationSection],
) -> list[tuple[str, list[float | None]]]:
    found = [{row.index: row for row in section.classes} for section in sections]
    indices = sorted({index for rows in found for index in rows})
    table = []
    for index in indices:
        label = next(rows[index].label for rows in found if index in rows)
        values = [rows[index].accuracy if index in rows else None for rows in found]
        table.append((label, values))
    return table
