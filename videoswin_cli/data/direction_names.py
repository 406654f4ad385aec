"""Class names as a mirror sees them: in pieces, each plain or a direction with its opposite."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise

from videoswin_cli.data import direction_words as words


class Level(IntEnum):
    """Certainty that a piece of a name is a direction."""

    NONE = 0
    SURE = 1
    INNOCENT = 2  # an innocent word, unless the mirrored name is a class as well
    DOUBTFUL = 3  # may be one where the mirrored name is a class, and is none otherwise


@dataclass(frozen=True)
class Piece:
    """Part of a name, folded."""

    text: str
    mirrored: str
    level: Level = Level.NONE


def spell(name: Sequence[Piece], level: Level) -> str:
    """A name in one word, its directions up to `level` exchanged."""
    return "".join(p.mirrored if Level.NONE < p.level <= level else p.text for p in name)


def read_name(name: str) -> list[Piece]:
    """The pieces of a class name in order, without its separators."""
    parts = [_best_cut(word) for word in _words(_fold(name))]
    tokens = list(_join(token for part in parts for token in part))
    pieces = [piece for token in tokens for piece in _look(token)]
    if {"l", "r"} <= set(tokens):  # L2R, L-to-R
        pieces = [replace(p, level=Level.SURE) if p.text in ("l", "r") else p for p in pieces]
    for number, pair in enumerate(pairwise(pieces)):
        if tuple(piece.text for piece in pair) in words.INNOCENT_PHRASES:
            at = number if pair[0].level else number + 1
            pieces[at] = replace(pieces[at], level=Level.INNOCENT)
    if pieces and not pieces[-1].level:
        pieces[-1:] = _look_at_end(pieces[-1].text)
        first = pieces[0].text
        if not (pieces[0].level or pieces[-1].level) and first[:1] in _STARTS:
            rest = Piece(first[1:], first[1:])
            pieces[:1] = [Piece(first[0], _STARTS[first[0]], Level.DOUBTFUL), rest]
    return pieces


def _fold(text: str) -> str:
    """Without forms that only look different, and without the accents of Latin and Greek letters.

    Marks of other scripts make other letters; case stays, as words are told apart by it.
    """
    kept, base = [], ""
    for char in unicodedata.normalize("NFKD", text):
        kind = unicodedata.category(char)
        if kind != "Mn":
            base = char
        if kind != "Cf" and (kind != "Mn" or base >= "\u0400"):
            kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


def _both_ways(pairs: words.Pairs) -> dict[str, str]:
    folded = [(_fold(a).casefold(), _fold(b).casefold()) for a, b in pairs]
    return dict(folded) | {b: a for a, b in folded}


_PARTS = _both_ways(words.PARTS)
_WORDS = _both_ways(words.WORDS)
_DOUBTFUL = _both_ways(words.DOUBTFUL)
_ENDS = _both_ways(words.DOUBTFUL_ENDS)
_STARTS = _both_ways(words.DOUBTFUL_STARTS)
_SYMBOLS = _both_ways(words.SYMBOLS)
_UNPAIRED = tuple(_fold(word) for word in words.UNPAIRED)
_SAME = {_fold(a): _fold(b) for a, b in words.SAME.items()}
# Innocent words come first, then the longest: counterclockwise holds clockwise.
_PART = "|".join(sorted(_PARTS, key=len, reverse=True))
_SCAN = re.compile(rf"(?P<innocent>{'|'.join(words.INNOCENT)})|(?P<part>{_PART})|.", re.DOTALL)
_NEGATED = ("clockwise", "orario", "horario", "horaire")


def _words(text: str) -> Iterator[str]:
    """Words by separators and digits: turnLeft_2 -> turnLeft 2."""
    word, last = "", ""
    for char in text:
        kind = unicodedata.category(char)[0]
        kind = "S" if char in _SYMBOLS else kind if kind in "LN" else "L" if kind == "M" else ""
        if kind != last or kind == "S":
            yield word
            word = ""
        last = kind
        word += char if kind else ""
    yield word


def _best_cut(word: str) -> list[str]:
    """A word by its case, as TurnLeft, HTMLFile or LEFTturn: as it shows a direction, if any."""
    cuts = [_cut(word, _before_last_capital), _cut(word, _behind_capitals), [word]]
    for found in cuts:
        if any(p.level == Level.SURE for token in _join(iter(found)) for p in _look(token)):
            return found
    return cuts[0]


def _cut(word: str, begins: Callable[[str, int], bool]) -> list[str]:
    places = [0, *(n for n in range(1, len(word)) if begins(word, n)), len(word)]
    return [word[a:b] for a, b in pairwise(places)]


def _before_last_capital(word: str, n: int) -> bool:
    following = word[n + 1 : n + 2]
    return word[n].isupper() and (word[n - 1].islower() or following.islower())


def _behind_capitals(word: str, n: int) -> bool:
    if word[n].isupper():
        return word[n - 1].islower()
    return word[n].islower() and word[max(n - 2, 0) : n].isupper() and n > 1


def _join(found: Iterator[str]) -> Iterator[str]:
    """Words in lower case and one spelling; ClockWise and anti clockwise are one word each."""
    held = ""
    for word in found:
        word = _SAME.get(word.casefold(), word.casefold())
        word = word.replace("anticlockwise", "counterclockwise")
        if held == "clock" and word == "wise":
            held = "clockwise"
        elif held in ("counter", "anti", "contra") and word.startswith("clock"):
            held = f"counter{word}"
        elif held == "counterclock" and word == "wise":
            held = "counterclockwise"
        elif held == "anti" and word in _NEGATED:
            held = f"anti{word}"
        elif word:
            if held:
                yield held
            held = word
    if held:
        yield held


def _look(word: str) -> Iterator[Piece]:
    """The directions in one word."""
    for known, level in ((_WORDS, Level.SURE), (_DOUBTFUL | _SYMBOLS, Level.DOUBTFUL)):
        if word in known:
            yield Piece(word, known[word], level)
            return
    if word in _UNPAIRED:
        yield Piece(word, "", Level.SURE)
        return
    plain = ""
    for match in _SCAN.finditer(word):
        text = match[0]
        if not match["innocent"] and not match["part"]:
            plain += text
            continue
        if plain:
            yield Piece(plain, plain)
            plain = ""
        harmless = match["innocent"] or word in words.WHOLE_INNOCENT
        mirrored = re.sub(_PART, lambda found: _PARTS[found[0]], text)
        yield Piece(text, mirrored, Level.INNOCENT if harmless else Level.SURE)
    if plain:
        yield Piece(plain, plain)


def _look_at_end(word: str) -> Iterator[Piece]:
    for end in _ENDS:
        if word.endswith(end):
            yield Piece(word.removesuffix(end), word.removesuffix(end))
            yield Piece(end, _ENDS[end], Level.DOUBTFUL)
            return
    yield Piece(word, word)
