"""Class indices of the rows of a list, and whether they can be believed."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from videoswin_cli.class_names import fold_name
from videoswin_cli.data.lists.label_columns import suggest_label_columns
from videoswin_cli.data.lists.rows import ListRow, VideoList
from videoswin_cli.errors import UsageError
from videoswin_cli.text_files import shorten
from videoswin_cli.visible import name_some

_SHOWN = 200  # characters of a name


def number_labels(videos: VideoList, classes: Sequence[str]) -> list[int]:
    """Class index of every row, by number or by name.

    Names are compared as they are, then without regard to case, `_`, `-` and Unicode form where
    that leaves one class.

    Raises:
        UsageError: a row without a label, out of range, of an unknown class, or whose number is
            also the name of another class; it names the line.
    """
    exact = {name: number for number, name in enumerate(classes)}
    for row in videos.rows:
        _check_label(videos, row)
    by_number = all(_is_number(row.label) for row in videos.rows)
    if by_number and all(str(row.label) in exact for row in videos.rows):
        by_number = _are_numbers(videos, exact)
    if by_number:
        return [_check_range(videos, row, int(row.label or 0), classes) for row in videos.rows]
    forms = Counter(map(fold_name, classes))
    folded = {form: number for name, number in exact.items() if forms[form := fold_name(name)] == 1}
    found: dict[str, int] = {}
    for row in videos.rows:
        name = str(row.label)
        if name not in found:
            found[name] = _find_name(videos, row, classes, exact, folded)
    return [found[str(row.label)] for row in videos.rows]


def question_labels(videos: VideoList, numbers: Sequence[int], classes: Sequence[str]) -> list[str]:
    """Notices about rows whose number contradicts the folder that the video is in.

    A folder counts where it is called like a class and its rows have one label, most of all its
    own; a folder of several labels is called so by chance.

    Raises:
        UsageError: most rows contradict their folders, of two classes or more: the list numbers
            its classes from 1, or in another order than the model.
    """
    by_folder: dict[int, list[tuple[ListRow, int]]] = defaultdict(list)
    for row, number, own in _compare_with_folders(videos, numbers, classes):
        by_folder[own].append((row, number))
    wrong: list[tuple[ListRow, int, int]] = []
    total = 0
    for own, found in by_folder.items():
        counts = Counter(number for _, number in found)
        if len(counts) == 1 or 2 * counts[own] > len(found):
            total += len(found)
            wrong += [(row, number, own) for row, number in found if number != own]
    if not wrong:
        return []
    row, number, own = wrong[0]
    text = (
        f"{videos.source}:{row.line}: {_name(row)} has label {number}, which is "
        f"{classes[number]!r}, and lies in the folder of {classes[own]!r}, {own}"
    )
    if 2 * len(wrong) <= total or len({own for *_, own in wrong}) < 2:
        return [f"{len(wrong)} of {total} labels are not those of their folders: {text}"]
    if all(number - own == 1 for _, number, own in wrong):
        hint = "the labels of this list seem to be counted from 1: subtract 1 from each"
    else:
        hint = (
            "the list seems to number its classes in another order: write names instead of "
            "numbers, or give the names in its order with --labels"
        )
    raise UsageError(f"{text}; so it is with {len(wrong)} of {total} rows", hint=hint)


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


def _are_numbers(videos: VideoList, exact: Mapping[str, int]) -> bool:
    """Of labels that are all names of classes, too: whether they are meant as numbers."""
    if videos.format == "folder":
        return False
    row = next((row for row in videos.rows if exact[str(row.label)] != int(row.label or 0)), None)
    if row is None:
        return True
    raise UsageError(
        f"{videos.source}:{row.line}: {row.label} is the name of class {exact[str(row.label)]}, "
        f"and class {row.label} has another name",
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
        raise UsageError(
            f"{videos.source}: no column for the class among {shown}",
            hint=f"choose it with --label-column {' or '.join(names[:6])}; {hint}",
        )
    raise UsageError(
        f"{videos.source}:{row.line}: {_name(row)} has no label ({videos.format} list)", hint=hint
    )


def _check_range(videos: VideoList, row: ListRow, label: int, classes: Sequence[str]) -> int:
    if label < len(classes):
        return label
    numbers = [int(other.label) for other in videos.rows if other.label is not None]
    from_one = min(numbers) == 1 and max(numbers) == len(classes)
    raise UsageError(
        f"{videos.source}:{row.line}: label {label} of {_name(row)} is out of range: the model has "
        f"{len(classes)} classes, 0 to {len(classes) - 1}",
        hint="the labels of this list seem to be counted from 1: subtract 1 from each"
        if from_one
        else f"its labels go from {min(numbers)} to {max(numbers)}: choose a model of that data "
        "set with --model, or fix the list",
    )


def _find_name(
    videos: VideoList,
    row: ListRow,
    classes: Sequence[str],
    exact: Mapping[str, int],
    folded: Mapping[str, int],
) -> int:
    name = str(row.label)
    if (number := exact.get(name, folded.get(fold_name(name)))) is not None:
        return number
    names = Counter(str(other.label) for other in videos.rows)
    unknown = sum(other not in exact and fold_name(other) not in folded for other in names)
    if similar := [each for each in classes if fold_name(each) == fold_name(name)]:
        hint = f"it could be {' or '.join(map(repr, similar[:3]))}: write it as one of them"
    elif _is_number(row.label):
        hint = "the list has numbers and names: write one or the other"
    else:
        near = get_close_matches(fold_name(name)[:200], [fold_name(c) for c in classes], n=3)
        hint = f"nearest: {', '.join(near)}; " if near else ""
        hint += "class names can be given with --labels, another model with --model"
    raise UsageError(
        f"{videos.source}:{row.line}: the model has no class {shorten(name)} "
        f"({unknown} of {len(names)} class names of this list are unknown)",
        hint=hint,
    )
