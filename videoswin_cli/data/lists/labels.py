"""Class indices of the rows of a list, and whether they can be believed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from videoswin_cli.class_names import fold_name
from videoswin_cli.data.lists.label_columns import suggest_label_columns
from videoswin_cli.data.lists.rows import MOST_DIGITS, ListRow, VideoList, is_index
from videoswin_cli.errors import LabelError
from videoswin_cli.io.text_files import shorten
from videoswin_cli.io.visible import name_some

_SHOWN = 200  # characters of a name


def number_labels(videos: VideoList, classes: Sequence[str]) -> list[int]:
    """Class index of every row, by number or by name.

    Names are compared as they are, then without regard to case, `_`, `-` and Unicode form where
    that leaves one class. Numbers are indices, unless classes are called by numbers: see
    `_are_indices`.

    Raises:
        LabelError: a row without a label, out of range, of an unknown class, or whose number is
            also the name of another class; it names the line.
    """
    for row in videos.rows:
        _check_label(videos, row)
    found = match_labels(videos, classes)
    numbers = []
    for row in videos.rows:
        number = found[row.label]
        if number is None:
            raise _no_class(videos, row, classes)
        numbers.append(number)
    return numbers


def match_labels(videos: VideoList, classes: Sequence[str]) -> dict[int | str | None, int | None]:
    """Class index of each label that occurs, as `number_labels` has it; None where it is no class.

    Raises:
        LabelError: numbers could be indices or names, and would be different classes.
    """
    called = _numbered_names(classes)
    labels = dict.fromkeys(row.label for row in videos.rows)
    if _are_numbers(labels) and _are_indices(videos, classes, called):
        numbers = {label: int(label or 0) for label in labels}
        return {label: n if n < len(classes) else None for label, n in numbers.items()}
    exact, folded = _name_classes(classes, called)
    found: dict[int | str | None, int | None] = {}
    for label in labels:
        same = exact.get(label or 0, ())
        number = same[0] if len(same) == 1 else folded.get(fold_name(str(label or 0)))
        found[label] = None if len(same) > 1 else number
    return found


def _are_numbers(labels: Iterable[int | str | None]) -> bool:
    return all(map(_is_number, labels))


def _name_classes(
    classes: Sequence[str], called: Mapping[int | str, Sequence[int]]
) -> tuple[dict[int | str, Sequence[int]], dict[str, int]]:
    """Class indices by exact name or number, and by the folded names that one class has."""
    exact: dict[int | str, Sequence[int]] = {name: [n] for n, name in enumerate(classes)}
    exact |= called
    forms = Counter(map(fold_name, classes))
    folded = {form: n for n, name in enumerate(classes) if forms[form := fold_name(name)] == 1}
    return exact, folded


def spell_classes(rows: Iterable[ListRow]) -> list[list[str]]:
    """Spellings of each class that is named, in the order of the rows."""
    spellings: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        if row.label is not None:
            spellings[fold_name(str(row.label))][str(row.label)] = None
    return [list(names) for names in spellings.values()]


def question_labels(videos: VideoList, numbers: Sequence[int], classes: Sequence[str]) -> list[str]:
    """Notices on numbers that could be meant otherwise.

    They were taken for indices and could be names, or contradict the folder of the video.

    A folder counts where it is called like a class and its rows have one label, most of all its
    own; a folder of several labels is called so by chance.

    Raises:
        LabelError: most rows contradict their folders, of two classes or more: the list numbers
            its classes from 1, or in another order than the model.
    """
    by_folder: dict[int, list[tuple[ListRow, int]]] = defaultdict(list)
    compared = _compare_with_folders(videos, numbers, classes)
    for row, number, own in compared if videos.format != "folder" else ():
        by_folder[own].append((row, number))
    taken = _describe_indices(videos, numbers, classes)
    wrong: list[tuple[ListRow, int, int]] = []
    total = 0
    for own, found in by_folder.items():
        counts = Counter(number for _, number in found)
        if len(counts) == 1 or 2 * counts[own] > len(found):
            total += len(found)
            wrong += [(row, number, own) for row, number in found if number != own]
    if not wrong:
        return taken
    row, number, own = wrong[0]
    text = (
        f"{videos.source}:{row.line}: {_name(row)} has label {number}, which is "
        f"{classes[number]!r}, and lies in the folder of {classes[own]!r}, {own}"
    )
    if 2 * len(wrong) <= total or len({own for *_, own in wrong}) < 2:
        return [
            *taken,
            f"{len(wrong)} of {total} labels are not those of their folders: {text}",
        ]
    if all(number - own == 1 for _, number, own in wrong):
        hint = "the labels of this list seem to be counted from 1: subtract 1 from each"
    else:
        hint = (
            "the list seems to number its classes in another order: write names instead of "
            "numbers, or give the names in its order with --labels"
        )
    raise LabelError(f"{text}; the same holds for {len(wrong)} of {total} rows", hint=hint)


def _describe_indices(
    videos: VideoList, numbers: Sequence[int], classes: Sequence[str]
) -> list[str]:
    """A notice where numbers were taken for indices, though they could be meant as names."""
    labels = [row.label for row in videos.rows]
    if not all(map(_is_number, labels)) or [int(label or 0) for label in labels] != list(numbers):
        return []
    called = _numbered_names(classes)
    if videos.format == "folder":
        same, what = bool(called), "the names of the class folders"
    else:
        same = all(called.get(number) == [number] for number in set(numbers)) or not called
        what = f"the labels of {videos.source}"
    if same:
        return []
    return [f"{what} are read as class indices: {labels[0]} is {classes[numbers[0]]!r}"]


def _compare_with_folders(
    videos: VideoList, numbers: Sequence[int], classes: Sequence[str]
) -> Iterator[tuple[ListRow, int, int]]:
    """Rows labelled by number, the number, and the class that a folder of theirs is called like."""
    named = {fold_name(name): n for n, name in enumerate(classes) if name != f"class {n}"}
    folders: dict[str, int | None] = {}
    for row, number in zip(videos.rows, numbers, strict=True):
        folder = row.name.replace("\\", "/").rpartition("/")[0]
        if folder not in folders:
            forms = map(fold_name, reversed(folder.split("/")))
            folders[folder] = next((named[form] for form in forms if form in named), None)
        if _is_number(row.label) and (own := folders[folder]) is not None:
            yield row, number, own


def _is_number(label: int | str | None) -> bool:
    return isinstance(label, int) or (
        isinstance(label, str) and label.isascii() and label.isdigit()
    )


def _numbered_names(classes: Sequence[str]) -> dict[int | str, list[int]]:
    """Indices of the classes that are called by a number, by that number: `7`, `007` or `7.0`."""
    called: dict[int | str, list[int]] = defaultdict(list)
    for index, name in enumerate(classes):
        if is_index(name) and len(digits := name.partition(".")[0]) <= MOST_DIGITS:
            called[int(digits)].append(index)
    return dict(called)


def _are_indices(
    videos: VideoList, classes: Sequence[str], called: Mapping[int | str, Sequence[int]]
) -> bool:
    """Whether labels that are all numbers are indices, not names of classes.

    Class folders are names wherever the model has such names. The numbers of a list are names
    where all of them are and one is too large for an index.

    Raises:
        LabelError: they could be either, and would be different classes.
    """
    if videos.format == "folder":
        return not called
    rows = {int(row.label or 0): row for row in reversed(videos.rows)}
    if not rows.keys() <= called.keys() or all(called[number] == [number] for number in rows):
        return True
    if max(rows) >= len(classes):
        return False
    number, row = next((n, r) for n, r in reversed(rows.items()) if called[n] != [n])
    raise LabelError(
        f"{videos.source}:{row.line}: {number} is the name of class {called[number][0]}, "
        f"and class {number} has another name",
        hint="rename the classes with --labels so that no name is a number, and number the rows",
    )


def _name(row: ListRow) -> str:
    """The name as messages show it."""
    return row.name if len(row.name) <= _SHOWN else f"{row.name[:_SHOWN]}..."


def _check_label(videos: VideoList, row: ListRow) -> None:
    if row.label is not None:
        return
    hint = "accuracy needs the class of every video; for videos alone use predict or extract"
    if videos.columns and all(other.label is None for other in videos.rows):
        shown = name_some(list(map(repr, videos.columns)), 20)
        names = suggest_label_columns(videos.columns) or ("NAME",)
        raise LabelError(
            f"{videos.source}: no column for the class among {shown}",
            hint=f"choose it with --label-column {' or '.join(names[:6])}; {hint}",
        )
    raise LabelError(
        f"{videos.source}:{row.line}: {_name(row)} has no label ({videos.format} list)", hint=hint
    )


def _no_class(videos: VideoList, row: ListRow, classes: Sequence[str]) -> LabelError:
    called = _numbered_names(classes)
    if _are_numbers(other.label for other in videos.rows) and _are_indices(videos, classes, called):
        return _out_of_range(videos, row, classes)
    return _unknown(videos, row, classes, called)


def _out_of_range(videos: VideoList, row: ListRow, classes: Sequence[str]) -> LabelError:
    numbers = [int(other.label) for other in videos.rows if other.label is not None]
    if videos.format == "folder":
        return LabelError(
            f"{videos.source} has a class folder {row.label}, the model {len(classes)} classes, "
            f"0 to {len(classes) - 1}, the first of which is {classes[0]!r}",
            hint="call the folders as the model calls its classes, or give the names of its "
            "classes with --labels",
        )
    from_one = min(numbers) == 1 and max(numbers) == len(classes)
    return LabelError(
        f"{videos.source}:{row.line}: label {int(row.label or 0)} of {_name(row)} is out of range: "
        f"the model has {len(classes)} classes, 0 to {len(classes) - 1}",
        hint="the labels of this list seem to be counted from 1: subtract 1 from each"
        if from_one
        else f"its labels go from {min(numbers)} to {max(numbers)}: choose a model of that data "
        "set with --model, or fix the list",
    )


def _unknown(
    videos: VideoList,
    row: ListRow,
    classes: Sequence[str],
    called: Mapping[int | str, Sequence[int]],
) -> LabelError:
    exact, folded = _name_classes(classes, called)
    label = row.label or 0
    name = str(label)
    names = Counter(other.label or 0 for other in videos.rows)
    unknown = sum(other not in exact and fold_name(str(other)) not in folded for other in names)
    similar = [classes[number] for number in exact.get(label, ())]
    if similar := similar or [each for each in classes if fold_name(each) == fold_name(name)]:
        hint = f"it could be {' or '.join(map(repr, similar[:3]))}: write it as one of them"
    elif isinstance(label, int):
        hint = "the list has numbers and names: write one or the other"
    else:
        near = get_close_matches(fold_name(name)[:200], [fold_name(c) for c in classes], n=3)
        hint = f"nearest: {', '.join(near)}; " if near else ""
        hint += "class names can be given with --labels, another model with --model"
    return LabelError(
        f"{videos.source}:{row.line}: unknown class {shorten(name)} "
        f"({unknown} of {len(names)} class names of this list are unknown)",
        hint=hint,
    )
