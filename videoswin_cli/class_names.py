"""Class names as people spell them: equal but for case, spaces, `_`, `-` and Unicode form."""

import unicodedata


def fold_name(name: str) -> str:
    """The form in which two spellings of one class name are equal."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(folded.replace("_", " ").replace("-", " ").split())
