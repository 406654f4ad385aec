"""A guess at the encoding of text that is not UTF-8, for the message that says how to convert it.

A strict decoder refuses little: GBK takes almost any pair of bytes. So the characters that come
out are looked at: a language uses a small part of what its encoding can say.
"""

from collections.abc import Callable

_SAMPLE = 65_536  # bytes
_CERTAIN = 0.9  # share of the characters outside ASCII that a guess must explain


def guess_encoding(data: bytes) -> str | None:
    """Name for `iconv`, or None. UTF-16 shows in its zero bytes, others in their language."""
    sample = data[:_SAMPLE]
    if b"\0" in sample:
        return _guess_by_zeros(sample)
    sample = sample[: sample.rfind(b"\n") + 1] or sample  # no character is cut in two
    if _share(_is_lone_letter, sample) >= _CERTAIN:
        return _western(sample)
    if _score(sample, "euc_kr", _is_hangul) == 1 and len(sample.decode("euc_kr")) < len(sample) - 8:
        return "EUC-KR"  # half of all Chinese characters look so, but not ten in a row
    scores = {name: _score(sample, codec, usual) for name, codec, usual in _CANDIDATES}
    best = max(scores, key=lambda name: scores[name])  # of equals the first
    if scores[best] >= _CERTAIN:
        return best
    return _western(sample) if _share(_is_letter, sample) >= _CERTAIN else None


def _western(sample: bytes) -> str:
    return "WINDOWS-1252" if any(0x80 <= byte < 0xA0 for byte in sample) else "ISO-8859-1"


def _guess_by_zeros(sample: bytes) -> str | None:
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) < len(sample) / 8 or min(even, odd) > max(even, odd) / 8:
        return None
    return "UTF-16BE" if even > odd else "UTF-16LE"


def _share(is_usual: Callable[[bytes, int], bool], sample: bytes) -> float:
    high = [place for place, byte in enumerate(sample) if byte >= 0x80]
    return sum(is_usual(sample, place) for place in high) / max(len(high), 1)


def _is_lone_letter(sample: bytes, place: int) -> bool:
    """An accented letter of a western word: its neighbors are ASCII."""
    around = sample[max(place - 1, 0) : place] + sample[place + 1 : place + 2]
    return sample[place] >= 0xC0 and all(byte < 0x80 for byte in around)


def _is_letter(sample: bytes, place: int) -> bool:
    """An accented letter, or a quotation mark of Windows, with ASCII on one side."""
    around = sample[max(place - 1, 0) : place] + sample[place + 1 : place + 2]
    fits = sample[place] >= 0xC0 or 0x91 <= sample[place] <= 0x97
    return fits and any(byte < 0x80 for byte in around)


def _score(sample: bytes, codec: str, is_usual: Callable[[str], bool]) -> float:
    try:
        characters = [c for c in sample.decode(codec) if c >= "\x80"]
    except UnicodeDecodeError:
        return 0.0
    return sum(map(is_usual, characters)) / max(len(characters), 1)


def _is_common_chinese(character: str) -> bool:
    try:
        lead, *_ = character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return 0xA1 <= lead <= 0xA3 or 0xB0 <= lead <= 0xD7  # punctuation; the usual 3755 characters


def _is_japanese(character: str) -> bool:
    return "\u3000" <= character <= "\u30ff" or "\u4e00" <= character <= "\u9fff"


def _is_hangul(character: str) -> bool:
    return "\uac00" <= character <= "\ud7a3"


def _is_chinese(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff" or "\u3000" <= character <= "\u303f"


def _is_small_cyrillic(character: str) -> bool:
    return "\u0430" <= character <= "\u044f"


_CANDIDATES: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("GBK", "gbk", _is_common_chinese),
    ("SHIFT_JIS", "shift_jis", _is_japanese),
    ("EUC-JP", "euc_jp", _is_japanese),
    ("BIG5", "big5", _is_chinese),
    ("WINDOWS-1251", "cp1251", _is_small_cyrillic),
    ("KOI8-R", "koi8_r", _is_small_cyrillic),
)
