"""The stub that editors read: the options of the records as keywords of the Python functions."""

import inspect
import os
import re
from pathlib import Path

import videoswin_cli
from videoswin_cli.data import in_memory

STUB = Path(videoswin_cli.__file__).with_suffix(".pyi")
DOORS = (
    "check",
    "evaluate",
    "explain",
    "extract",
    "finetune",
    "load_model",
    "predict",
    "timeline",
)
ALIASES: dict[object, str] = {
    in_memory.Source: "Source",
    in_memory.Sources: "Sources",
    in_memory.Data | None: "Data | None",
}
HEAD = '''"""Public names with their types. Written by `nox -s golden` from the option records."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

'''


def render() -> str:
    homes = vars(videoswin_cli)["_HOMES"]
    others = sorted(name for name in homes if name not in DOORS)
    lines = [f"from videoswin_cli.{homes[name]} import {name} as {name}" for name in others]
    lines += [
        "from videoswin_cli.data.in_memory import Data, Source, Sources",
        "from videoswin_cli.engine.progress import Reporter",
        "from videoswin_cli.records import Shard, Stride",
        "from videoswin_cli.version import __version__ as __version__",
    ]
    lines.append("\n__all__: list[str]")
    functions = [render_function(name) for name in DOORS]
    return HEAD + "\n".join([*lines, "", *functions])


def render_function(name: str) -> str:
    signature = inspect.signature(getattr(videoswin_cli, name))
    parameters, starred = [], False
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and not starred:
            parameters.append("*")
            starred = True
        default = "" if each.default is each.empty else f" = {render_default(each.default)}"
        parameters.append(f"{each.name}: {render_type(each.annotation)}{default}")
    result = render_type(signature.return_annotation)
    return f"def {name}(\n    " + ",\n    ".join(parameters) + f",\n) -> {result}: ...\n"


def render_default(value: object) -> str:
    return repr(value) if isinstance(value, bool | int | float | str | None) else "..."


def render_type(annotation: object) -> str:
    if annotation in ALIASES:
        return ALIASES[annotation]
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"\b(videoswin_cli|pathlib|typing|collections|types)(\.\w+)*\.(?=\w)", "", text)
    text = text.replace("NoneType", "None")
    text = re.sub(r"Optional\[(.*)\]$", r"\1 | None", text)
    return re.sub(r"Union\[(.*)\]$", lambda found: found[1].replace(", ", " | "), text)


def test_the_stub_has_the_options_of_today() -> None:
    """`nox -s golden` writes it anew."""
    if os.environ.get("VIDEOSWIN_WRITE_GOLDEN"):
        STUB.write_text(render(), encoding="utf-8")
    assert STUB.read_text(encoding="utf-8") == render()
