"""Class names from a file, in index order, whatever a data set or a framework writes them in.

A number beside a name is its index, and never part of it, where the numbers of all lines are those
of so many classes: from 0, or from 1.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from videoswin_cli.errors import LabelError, UsageError, raised_as
from videoswin_cli.io.delimited import fold_column, split_records
from videoswin_cli.io.text_files import (
    begins_as_json,
    parse_json,
    read_text,
    shorten,
    split_lines,
    unquote,
)

_DIGITS = "0123456789"
_MARKS = (",", "\t", ";", ":")  # between index and name
_COMMENT = "# "
_MOST_DIGITS = 9  # of an index

# Columns of a header and keys of objects, in order of preference, without `_` and in small letters.
_NAMES = ("name", "classname", "labelname", "displayname", "classlabel", "category", "action")
_WORDS = ("class", "label", "labels", "classes")  # the name, or beside one the index
_INDICES = ("index", "idx", "id", "classid", "classindex", "classidx", "labelid", "labelindex")

_Pairs = list[tuple[str, str]]  # index and name, both as written


def list_labels(path: Path) -> tuple[str, ...]:
    """Class names in index order.

    The file has a name per line, alone or with its index; a table with a header; or JSON: a list of
    names, an object from names to indices or from indices to names, or one with `id2label`.

    Raises:
        LabelError: the file is missing or does not hold names, each once; or its indices are not
            those of so many classes.
    """
    return _check(_read_names(path), path)


@raised_as(LabelError)
def _read_names(path: Path) -> Sequence[str]:
    text = read_text(path, what="labels")
    try:
        if (data := _read_json(path, text)) is not None:
            return _from_json(data)
        return _from_lines(split_lines(text, source=str(path)), str(path))
    except ValueError as error:
        raise LabelError(f"cannot read the labels {path}: {error}") from error


def _read_json(path: Path, text: str) -> object:
    """The value of a JSON file; None where it is none: a name, too, may begin with a bracket."""
    suffixed = path.suffix.lower() == ".json"
    if not suffixed and text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        return parse_json(text, source=f"cannot read the labels {path}")
    except UsageError:
        if suffixed or begins_as_json(text):
            raise
        return None


def read_labels(path: Path, *, num_classes: int) -> tuple[str, ...]:
    """`list_labels` for a model.

    Raises:
        LabelError: also where there are not `num_classes` names.
    """
    names = _read_names(path)
    return check_names(names, path, num_classes=num_classes) if names else _check(names, path)


def check_names(names: Sequence[str], path: Path, *, num_classes: int) -> tuple[str, ...]:
    """Class names of a file, if they are those of so many classes.

    Raises:
        LabelError: there are more or fewer, or one is empty or there twice.
    """
    if len(names) != num_classes:
        raise LabelError(
            f"{path} holds {len(names)} class names, the model has {num_classes} classes",
            hint="give the label file of the data set that the model was trained on (--labels)",
        )
    return _check(names, path) if names else ()


def _check(names: Sequence[str], path: Path) -> tuple[str, ...]:
    if not names:
        raise LabelError(f"cannot read the labels {path}: it holds no name")
    if not all(names):
        raise LabelError(f"cannot read the labels {path}: class {names.index('')} has no name")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise LabelError(
            f"cannot read the labels {path}: the name {shorten(name)} occurs {count} times",
            hint="if numbers belong to the names, write a table: a header `id,name`, quoted names",
        )
    return tuple(names)


# --- lines ----------------------------------------------------------------------------------------


def _from_lines(numbered: Sequence[tuple[int, str]], source: str) -> list[str]:
    numbered = [(number, line) for number, line in numbered if not line.startswith(_COMMENT)]
    if not numbered:
        return []
    for delimiter in ",\t;":
        _, header = next(split_records(numbered[:1], delimiter, source=source), (0, []))
        if (places := _find_columns(header)) is not None:
            index, name = places
            table = list(split_records(numbered[1:], delimiter, source=source))
            if short := next((line for line, cells in table if len(cells) <= max(places)), None):
                raise ValueError(f"line {short} has fewer cells than the header")
            return _in_order([(cells[index], cells[name]) for _, cells in table])
    lines = [line for _, line in numbered]
    if fold_column(lines[0]) in (*_NAMES, *_WORDS):
        lines = lines[1:]
    for split, leading in ((_split_first, True), (_split_last, False)):
        pairs = [pair for line in lines if (pair := split(line)) is not None]
        if _are_indices(pairs, lines, leading=leading):
            if len(pairs) < len(lines):
                bare = next(line for line in lines if split(line) is None)
                raise ValueError(f"the lines have indices, but not {shorten(bare)}")
            return _in_order([(number, name) for number, name, _ in pairs])
    return [unquote(line) for line in lines]


def _split_first(line: str) -> tuple[str, str, bool] | None:
    """`0 abseiling`, `0,abseiling` or the like: index, name, and whether a mark is between."""
    rest = line.lstrip(_DIGITS)
    digits = line[: len(line) - len(rest)]
    name = rest.lstrip(" ")
    marked = name[:1] in _MARKS and name != ""
    name = name[marked:].strip(" \t")
    if not 0 < len(digits) <= _MOST_DIGITS or not (marked or rest[:1] == " "):
        return None
    return digits, unquote(name), marked


def _split_last(line: str) -> tuple[str, str, bool] | None:
    """`abseiling,0` or the like."""
    rest = line.rstrip(_DIGITS)
    digits = line[len(rest) :]
    name = rest.rstrip(" ")
    marked = name[-1:] in _MARKS and name != ""
    name = name[: len(name) - marked].strip(" \t")
    if not 0 < len(digits) <= _MOST_DIGITS or not (marked or rest[-1:] == " "):
        return None
    return digits, unquote(name), marked


def _are_indices(
    pairs: Sequence[tuple[str, str, bool]], lines: Sequence[str], *, leading: bool
) -> bool:
    """Whether the numbers of lines are indices, not parts of names such as `2 point` or `step 3`.

    They are where they count the lines from 0 or 1, or a comma or tab sets them off everywhere.
    Where most lines have them, in order, the others are taken for mistakes.
    """
    numbers = [int(number) for number, _, _ in pairs]
    if pairs and sorted(numbers) in _countings(len(lines)):
        names = {name for _, name, _ in pairs}
        return leading or len(names) == len(pairs)  # `class 0`, `class 1` are names
    if len(pairs) == len(lines) and all(marked for _, _, marked in pairs):
        return True
    if not leading or 2 * len(pairs) <= len(lines):
        return False
    counted = sum(number in (place, place + 1) for place, number in enumerate(numbers))
    return min(numbers) in (0, 1) and 2 * counted > len(numbers)


def _countings(count: int) -> tuple[list[int], list[int]]:
    return list(range(count)), list(range(1, count + 1))


def _find_columns(cells: Sequence[str]) -> tuple[int, int] | None:
    """Places of index and name in a header."""
    folded = [fold_column(cell) for cell in cells]
    names = [cell for cell in _NAMES if cell in folded]
    words = [cell for cell in _WORDS if cell in folded]
    indices = [cell for cell in _INDICES if cell in folded]
    if indices and (names or words):
        return folded.index(indices[0]), folded.index((names or words)[0])
    if names and words:
        return folded.index(words[0]), folded.index(names[0])
    return None


# --- JSON -----------------------------------------------------------------------------------------


def _from_json(data: object) -> list[str]:
    if isinstance(data, dict):
        for key in ("id2label", "label2id"):
            if isinstance(data.get(key), dict):
                return _in_order(_pairs_of_map(data[key]))
        for key in ("names", "classes", "labels", "categories"):
            if isinstance(data.get(key), list):
                return _from_json(data[key])
        return _in_order(_pairs_of_map(data))
    if not isinstance(data, list):
        raise ValueError(f"expected names and their indices, found {type(data).__name__}")
    if all(isinstance(item, dict) for item in data):
        return _in_order(list(_pairs_of_objects(data)))
    return [_name(item) for item in data]


def _pairs_of_map(data: Mapping[str, Any]) -> _Pairs:
    """{"abseiling": 0} or {"0": "abseiling"}."""
    by_index = all(_is_index(key) for key in data)
    by_name = all(_is_index(value) for value in data.values())
    if by_index and by_name and any(int(key) != int(value) for key, value in data.items()):
        raise ValueError("both keys and values are numbers: which is the index?")
    if by_index:
        return [(key, _name(value)) for key, value in data.items()]
    if by_name:
        return [(str(value), _name(key)) for key, value in data.items()]
    odd = next(item for item in data.items() if not _is_index(item[1]))
    raise ValueError(f"expected names and their indices, found {shorten(dict([odd]))}")


def _pairs_of_objects(data: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for item in data:
        keys = list(item)
        if (places := _find_columns(keys)) is None or not _is_index(item[keys[places[0]]]):
            raise ValueError(f"expected objects with id and name, found {shorten(dict(item))}")
        yield str(item[keys[places[0]]]), _name(item[keys[places[1]]])


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a name, found {shorten(value)}")
    return unquote(value.strip())


def _is_index(value: object) -> bool:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


# --- both -----------------------------------------------------------------------------------------


def _in_order(pairs: _Pairs) -> list[str]:
    """Names by their indices, which are 0 to n-1 or 1 to n."""
    odd = next((number for number, _ in pairs if not _is_index(number)), None)
    if odd is not None:
        raise ValueError(f"expected an index, found {shorten(odd)}")
    numbers = sorted(int(number) for number, _ in pairs)
    count = len(pairs)
    if numbers not in _countings(count):
        twice = [number for number, times in Counter(numbers).items() if times > 1]
        places = enumerate(sorted(set(numbers)), start=min(numbers[0], 1))
        absent = [place for place, number in places if place != number]
        what = f"{twice[0]} occurs twice" if twice else f"{absent[0]} is missing"
        raise ValueError(f"the indices of {count} names are not 0 to {count - 1}: {what}")
    return [name for _, name in sorted(pairs, key=lambda pair: int(pair[0]))]
