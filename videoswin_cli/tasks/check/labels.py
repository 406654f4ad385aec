"""Findings of labels and classes."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from videoswin_cli.class_names import fold_name
from videoswin_cli.data.directions import choose_flips
from videoswin_cli.io.visible import name_some
from videoswin_cli.ranges import shown
from videoswin_cli.report.findings import Finding
from videoswin_cli.tasks.check.data_set import NO_CLASS, DataSet
from videoswin_cli.tasks.check.files import find

_LOPSIDED = 10  # videos of the largest class over those of the smallest


def check_labels(data: DataSet) -> Iterator[Finding]:
    """Findings of the labels of a data set that has some."""
    yield from data.findings
    if data.classes:
        for check in _CHECKS:
            yield from check(data)


def count_classes(data: DataSet, *, split: str | None = None) -> dict[int, int]:
    """Videos of each class, in all splits or in one."""
    counts: Counter[int] = Counter()
    for member in data.members:
        if split is None or member.split == split:
            counts.update(member.classes)
    return {number: counts[number] for number in range(len(data.classes))}


def _check_range(data: DataSet) -> Iterator[Finding]:
    wrong = [member for member in data.members if NO_CLASS in member.video.labels]
    labels = {
        split: {row.line: row.label for row in part.rows} if wrong else {}
        for split, part in data.parts.items()
    }
    for member in wrong:
        line = member.video.line
        label = labels[member.split].get(line)
        if label is None:
            text = f"line {line} has no label"
        elif isinstance(label, int):
            text = f"label {label} of line {line}: there are {len(data.classes)} classes, from 0"
        else:
            text = f"{shown(label)} of line {line} is none of the {len(data.classes)} classes"
        yield find(member, "label", text)


def _check_repeated(data: DataSet) -> Iterator[Finding]:
    for member in data.members:
        names = [shown(data.classes[label]) for label in member.classes]
        if len(names) > 1 and not data.multi_label:
            yield find(member, "two-labels", f"listed as {' and as '.join(names)}")
        elif (rows := 1 + len(member.video.more_labels)) > max(len(member.video.labels), 1):
            yield find(member, "repeated", f"listed {rows} times")


def _check_trained(data: DataSet) -> Iterator[Finding]:
    """Classes that a training would lack, or a validation."""
    used = count_classes(data)
    if data.given and (unused := [data.classes[n] for n, count in used.items() if not count]):
        text = f"{len(unused)} of {len(used)}, without a video: {name_some(unused)}"
        yield Finding(kind="unused-class", text=text)
    trained = count_classes(data, split="train")
    others = [split for split in data.parts if split not in ("train", None)]
    for split in others if "train" in data.parts else ():
        counts = count_classes(data, split=split)
        for number, count in counts.items():
            if count and not trained[number]:
                text = f"{shown(data.classes[number])}: videos in {split}: {count}, in train: none"
                yield Finding(kind="untrained-class", text=text)
        unseen = [data.classes[n] for n, count in trained.items() if count and not counts[n]]
        if unseen and any(counts.values()):
            text = f"{len(unseen)} of train, without a video in {split}: {name_some(unseen)}"
            yield Finding(kind="unused-class", text=text)


def _check_balance(data: DataSet) -> Iterator[Finding]:
    split = "train" if "train" in data.parts else None
    counts = {n: count for n, count in count_classes(data, split=split).items() if count}
    if not counts:
        return
    many, few = (choose(counts, key=lambda n: counts[n]) for choose in (max, min))
    if counts[many] >= _LOPSIDED * counts[few]:
        text = (
            f"videos of {shown(data.classes[many])}: {counts[many]}, "
            f"of {shown(data.classes[few])}: {counts[few]}"
        )
        yield Finding(kind="balance", text=text)


def _check_spellings(data: DataSet) -> Iterator[Finding]:
    for names in data.spellings.values():
        if len(names) > 1:
            text = (
                f"{name_some(list(map(shown, names)))} are one class of a list, several of folders"
            )
            yield Finding(kind="class-spelling", text=text)
    alike: dict[str, list[str]] = defaultdict(list)
    for number in data.spellings:
        alike[fold_name(data.classes[number])].append(data.classes[number])
    for several in alike.values():
        if len(several) > 1 and not data.given:
            text = f"{name_some(list(map(shown, several)))} are several classes"
            yield Finding(kind="class-spelling", text=text)


def _check_directions(data: DataSet) -> Iterator[Finding]:
    used = [data.classes[number] for number in data.spellings]
    flips = choose_flips("auto", used)
    if not flips.on:
        yield Finding(kind="left-right", text=flips.reason)


_CHECKS: tuple[Callable[[DataSet], Iterator[Finding]], ...] = (
    _check_range,
    _check_repeated,
    _check_trained,
    _check_balance,
    _check_spellings,
    _check_directions,
)
