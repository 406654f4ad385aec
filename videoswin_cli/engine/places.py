"""The door for addresses: options get local files in their place, and outputs go up in the end.

Commands and Python functions know local paths only. What an option is, read or written, says its
record (`place`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from videoswin_cli.engine.distributed import find_world
from videoswin_cli.errors import UsageError
from videoswin_cli.io.addresses import check_scheme, is_hub_model, is_url, parent_address
from videoswin_cli.io.staging import StagedOutput, fetch_staged, stage_output
from videoswin_cli.options.fields import list_options

Returned = TypeVar("Returned")
Places = Mapping[str, str | None]  # option -> "read", "write" or neither
_LISTS = ("list_file", "train_list")  # whose folder is the default of `root`


def find_places(records: Sequence[Any]) -> Places:
    """Options of records that are files."""
    return {
        each.name: each.about.place
        for record in records
        for each in list_options(record)
        if each.about.place is not None
    }


@contextmanager
def local_places(
    values: Mapping[str, Any],
    places: Places,
    *,
    is_complete: Callable[[BaseException], bool] = lambda error: False,
    notice: Callable[[str], None] = lambda text: None,
) -> Iterator[dict[str, Any]]:
    """Values of options with local paths in place of addresses.

    Args:
        values: of options, by name.
        places: what of them are files.
        is_complete: whether an exception that ends the block leaves its outputs complete.
        notice: of what became of outputs.

    Raises:
        FetchError: a file cannot be fetched, or an output not be uploaded.
        UsageError: an address of an unknown kind, or one where none can be.
    """
    outputs: list[StagedOutput] = []
    local = dict(values)
    if values.get("output_format") is not None:  # its parts go up one by one
        places = {name: place for name, place in places.items() if name != "out"}
    if not any(is_address(each) for name in places for each in _each(values.get(name))):
        yield local
        return
    world = find_world()
    for name, place in places.items():
        if place == "write" and is_address(values.get(name)):
            _check_alone(values)
            outputs.append(stage_output(values[name]))
            local[name] = outputs[-1].text
            if world.is_main:
                outputs[-1].begin()
        elif place == "read" and name in values:
            local[name] = _read(values.get(name))
    listed = next((str(values[n]) for n in _LISTS if is_address(values.get(n))), None)
    if listed is not None and values.get("root") is None:
        local["root"] = parent_address(listed)
    try:
        yield local
    except BaseException as error:
        if not world.is_main or not is_complete(error):
            _keep(outputs, notice)
            raise
        _upload(outputs, notice)
        raise
    if world.is_main:
        _upload(outputs, notice)


def reaching(*records: Any) -> Callable[[Callable[..., Returned]], Callable[..., Returned]]:
    """Let the keywords of a function be addresses where their options are files."""
    places = find_places(records)

    def decorate(function: Callable[..., Returned]) -> Callable[..., Returned]:
        @wraps(function)
        def run(*args: Any, **options: Any) -> Returned:
            with local_places(options, places) as local:
                return function(*args, **local)

        return run

    return decorate


def is_address(value: Any) -> bool:
    """Whether the value of an option is an address, of a known kind or not."""
    if not isinstance(value, str) or "://" not in value or Path(value).exists():
        return False
    check_scheme(value)
    return is_url(value)


def _each(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _read(value: Any) -> Any:
    """A value whose addresses are those of local copies."""
    if isinstance(value, list | tuple):
        return type(value)(map(_read, value))
    if not is_address(value) or is_hub_model(value):
        return value
    return str(fetch_staged(value))


def _check_alone(values: Mapping[str, Any]) -> None:
    """Raises UsageError where other processes would write elsewhere."""
    if values.get("shard") is not None:
        raise UsageError(
            "--shard and an output behind an address do not go together: shards meet in one folder",
            hint="write to a folder that all shards see, and upload it when all are done",
        )


def _upload(outputs: Sequence[StagedOutput], notice: Callable[[str], None]) -> None:
    for output in outputs:
        if output.is_empty():
            output.discard()
            continue
        count = output.finish()
        notice(f"{count} file{'' if count == 1 else 's'} uploaded to {output.address}")


def _keep(outputs: Sequence[StagedOutput], notice: Callable[[str], None]) -> None:
    for output in outputs:
        if output.is_empty():
            output.discard()
        else:
            notice(f"nothing was uploaded to {output.address}; what is done is kept for --resume")
