"""Mirrored training clips: whether there are any, and which class a mirrored clip has."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from videoswin_cli.data.direction_names import Level, Piece, read_name, spell
from videoswin_cli.errors import UsageError
from videoswin_cli.ranges import shown

_SHOWN = 3  # pairs


@dataclass(frozen=True, kw_only=True)
class Flips:
    """Mirroring of training clips, and the classes of the mirrored ones."""

    on: bool
    partners: tuple[int, ...] | None = None  # by class, itself where it stays; None: all stay
    reason: str  # a sentence for the user


def choose_flips(wanted: Literal["auto", "swap"] | bool, classes: Sequence[str]) -> Flips:
    """Decide by the names of the classes.

    With `auto` clips are mirrored where no name holds a direction; else none is, which is the safe
    error: names do not prove that a mirror makes the one class of the other (left-click). With
    `swap` a mirrored clip belongs to the class whose name differs by exchanged directions only, as
    with mmaction2's `flip_label_map` for Something-Something; also where the names may be meant
    otherwise (turn_L, turn_R).

    Raises:
        UsageError: with `swap`, a class of a direction without one certain mirror image.
    """
    if wanted is False:
        return Flips(on=False, reason="no flips, as requested")
    names = [read_name(name) for name in classes]
    held = {label: word for label, name in enumerate(names) if (word := _direction(name))}
    found = _pair(names)
    if wanted is True:
        return Flips(on=True, reason=_asked_for(classes, held, found))
    if wanted == "swap":
        found = _Pairs(certain=found.certain | found.doubtful, doubtful={}, unclear=found.unclear)
    problem = next(_problems(classes, held, found), None)
    if problem and wanted == "swap":
        raise UsageError(f"flip=swap: {problem}", hint="--flip no, or names that pair off")
    if problem:
        return Flips(on=False, reason=f"no flips: {problem}")
    if not found.certain:
        return Flips(on=True, reason="flips: no class name holds a direction")
    if wanted == "auto":
        pairs = _show_pairs(classes, found.certain)
        return Flips(on=False, reason=f"no flips: a mirror exchanges {pairs}; --flip swap does too")
    return Flips(
        on=True,
        partners=tuple(found.certain.get(label, label) for label in range(len(classes))),
        reason=f"flips exchange the classes {_show_pairs(classes, found.certain, most=None)}",
    )


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """Class -> class of its mirror image, both ways."""

    certain: dict[int, int]
    doubtful: dict[int, int]
    unclear: tuple[int, ...]  # classes that have more than one


def _pair(names: Sequence[Sequence[Piece]]) -> _Pairs:
    labels = defaultdict(list)
    for label, name in enumerate(names):
        labels[spell(name, Level.NONE)].append(label)
    near: dict[int, dict[int, Level]] = defaultdict(dict)  # class -> mirror image -> how sure
    for label, name in enumerate(names):
        for level in (Level.DOUBTFUL, Level.INNOCENT, Level.SURE):
            mirrored = spell(name, level)
            if mirrored != spell(name, Level.NONE):
                for other in labels.get(mirrored, ()):
                    # Both ways: of upleft and upright the second is an innocent word by itself.
                    near[label][other] = near[other][label] = level
    single = {label: next(iter(images)) for label, images in near.items() if len(images) == 1}
    pairs = {a: b for a, b in single.items() if single.get(b) == a}
    return _Pairs(
        certain={a: b for a, b in pairs.items() if near[a][b] < Level.DOUBTFUL},
        doubtful={a: b for a, b in pairs.items() if near[a][b] == Level.DOUBTFUL},
        unclear=tuple(label for label in near if label not in pairs),
    )


def _direction(name: Sequence[Piece]) -> str | None:
    return next((piece.text for piece in name if piece.level == Level.SURE), None)


def _problems(classes: Sequence[str], held: Mapping[int, str], found: _Pairs) -> Iterator[str]:
    for label in found.unclear:
        yield f"{shown(classes[label])} has more than one possible mirror image"
    for label, word in held.items():
        if label not in found.certain:
            yield f"{shown(classes[label])} holds {word!r}, and no other class is its mirror image"
    for label, other in found.doubtful.items():
        both = f"{shown(classes[label])} and {shown(classes[other])}"
        yield (
            f"{both} may be mirror images of each other; --flip swap exchanges them, --flip yes "
            "does not"
        )


def _asked_for(classes: Sequence[str], held: Mapping[int, str], found: _Pairs) -> str:
    asked = "flips, as requested"
    if pairs := found.certain | found.doubtful:
        return (
            f"{asked}; their mirrored clips keep their names: {_show_pairs(classes, pairs)} "
            "(--flip swap exchanges them)"
        )
    for label, word in held.items():
        return f"{asked}, although {shown(classes[label])} holds {word!r}"
    return asked


def _show_pairs(
    classes: Sequence[str], pairs: Mapping[int, int], *, most: int | None = _SHOWN
) -> str:
    both = [f"{shown(classes[a])} and {shown(classes[b])}" for a, b in pairs.items() if a < b]
    more = f"; and {len(both[most:])} more pairs" if most and both[most:] else ""
    return "; ".join(both[:most]) + more
