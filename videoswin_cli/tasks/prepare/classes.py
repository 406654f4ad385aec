"""The file of class names beside a new list."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from videoswin_cli.errors import LabelError, OutputExistsError, UsageError
from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.io.text_files import shorten
from videoswin_cli.model.label_files import list_labels

NAME = "classes.txt"


def write_classes(path: Path, names: Sequence[str], stack: ExitStack, *, overwrite: bool) -> None:
    """Write class names, which take their place when the stack ends; equal ones are left.

    Lines that would be read as something else (`0 cats`, say) are written as a table.

    Raises:
        OutputExistsError: there are others, and they are not to be replaced.
        LabelError: a name that no line can hold.
    """
    if path.exists():
        try:
            there = list_labels(path)
        except UsageError:
            there = ()
        if there == tuple(names):
            return
        if not overwrite:
            raise OutputExistsError(
                f"{path} has other classes, {len(there)} instead of {len(names)}"
                if len(there) != len(names)
                else f"{path} has other classes, or in another order",
                hint=f"--labels {path} numbers the classes as it does; --overwrite replaces it",
            )
    draft = stack.enter_context(atomic_write(path))
    for text in (_to_lines(names), _to_table(names)):
        draft.write_text(text, encoding="utf-8", newline="\n")
        try:
            if list_labels(draft) == tuple(names):
                return
        except UsageError:
            continue
    odd = next((name for name in names if name != name.strip() or "\n" in name), names[0])
    raise LabelError(f"no file of class names can hold {shorten(odd)}", hint="rename the class")


def _to_lines(names: Sequence[str]) -> str:
    return "".join(f"{name}\n" for name in names)


def _to_table(names: Sequence[str]) -> str:
    quoted = (name.replace('"', '""') for name in names)
    return "id,name\n" + "".join(f'{n},"{name}"\n' for n, name in enumerate(quoted))
