"""Text files of users, lists and class names alike: bytes, lines and JSON."""

import codecs
import json
import reprlib
import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from videoswin_cli.errors import MissingInputError, UsageError
from videoswin_cli.io.atomic import check_no_stream
from videoswin_cli.io.encodings import guess_encoding

_LARGEST = 2**29  # bytes of a file
_MARKS = (  # UTF-32's before UTF-16's, which begins alike
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_STRIPPED = "\ufeff \t\r\n"  # files that were joined have marks inside


def read_text(path: Path, *, what: str) -> str:
    """Text of a file in UTF-8, or in what its byte order mark says.

    Args:
        path: of the file.
        what: it is, for messages: "list".

    Raises:
        UsageError: it cannot be read, is no text or in another encoding; says how to convert it.
    """
    check_no_stream(path, from_shell=True)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        kind = MissingInputError if isinstance(error, FileNotFoundError) else UsageError
        raise kind(f"cannot read the {what} {path}: {error.strerror or error}") from error
    if len(data) > _LARGEST:
        raise UsageError(
            f"cannot read the {what} {path}: it is larger than {_LARGEST // 2**20} MiB"
        )
    mark, encoding = next((m for m in _MARKS if data.startswith(m[0])), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            reason = f"it is damaged: its mark says {encoding.upper()[:6]}, its bytes do not"
            raise UsageError(f"cannot read the {what} {path}: {reason}") from error
        raise _foreign(path, what, data) from error
    if "\0" in text:
        raise _foreign(path, what, data)
    return text


def _foreign(path: Path, what: str, data: bytes) -> UsageError:
    guess = guess_encoding(data)
    if guess is None and b"\0" in data:
        return UsageError(f"cannot read the {what} {path}: it is not text: it contains zero bytes")
    name = shlex.quote(str(path))
    return UsageError(
        f"cannot read the {what} {path}: it is not UTF-8 text"
        + (f" but probably {guess}" if guess else ""),
        hint=f"iconv -f {guess or 'ENCODING'} -t UTF-8 {name} > {shlex.quote(f'{path}.utf8')}"
        " converts it",
    )


def numbered_lines(lines: Iterable[str]) -> list[tuple[int, str]]:
    """Lines with their numbers from 1, without the blanks around them; empty ones are left out.

    A line ends with a line feed, whatever else Unicode calls a line end: names may hold those.
    """
    stripped = ((number, line.strip(_STRIPPED)) for number, line in enumerate(lines, start=1))
    return [(number, line) for number, line in stripped if line]


def split_lines(text: str, *, source: str) -> list[tuple[int, str]]:
    """`numbered_lines` of a text.

    Raises:
        UsageError: its only line ends are lone carriage returns.
    """
    lines = numbered_lines(text.split("\n"))
    if "\n" not in text and "\r" in "".join(line for _, line in lines):
        raise UsageError(
            f"{source}: its lines end with carriage returns, as on classic Mac OS",
            hint=f"tr '\\r' '\\n' < {shlex.quote(source)} > "
            f"{shlex.quote(f'{source}.txt')} converts it",
        )
    return lines


def parse_json(text: str, *, source: str) -> object:
    """The value of a JSON text.

    Raises:
        UsageError: it is not valid, nested too deeply, or an object has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_to_dict)
    except RecursionError as error:
        raise UsageError(f"{source}: JSON nested too deeply for a list") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{source}: not valid JSON: {error}") from error
    except _RepeatedKeyError as error:
        raise UsageError(f"{source}: duplicate key {error} in a JSON object") from error
    except ValueError as error:  # Python's limit of digits
        raise UsageError(f"{source}: not usable JSON: a number of thousands of digits") from error


class _RepeatedKeyError(Exception):
    pass


def _to_dict(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise _RepeatedKeyError(shorten(counts.most_common(1)[0][0]))
    return found


def shorten(value: object) -> str:
    """A value as a message shows it, whatever its length and depth."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100
_SHORT.maxlevel = 3


def begins_as_json(text: str) -> bool:
    """Whether a text was meant as JSON, valid or not: a name, too, may begin with a bracket."""
    beginning = "".join(text[:1000].split())[:2]
    return beginning in _JSON_BEGINNINGS or text.lstrip().partition("\n")[0].strip() in ("[", "{")


_JSON_BEGINNINGS = ('["', "[{", "[[", '{"')


def unquote(text: str) -> str:
    """Text without quotes around it; doubled ones inside become single."""
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
        return text
    inner, quote = text[1:-1], text[0]
    if quote in inner.replace(quote * 2, ""):
        return text  # 'a' or 'b': they are not a pair
    return inner.replace(quote * 2, quote)
