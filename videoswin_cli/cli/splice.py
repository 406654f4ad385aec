"""Functions with option records as parameters, as the functions with plain options Typer reads."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import typer

from videoswin_cli.cli.console import notice, set_verbosity
from videoswin_cli.errors import ExpectationError, VideoError
from videoswin_cli.io.addresses import check_no_address
from videoswin_cli.options.fields import Option, fill, list_options

READ, WRITE = "read", "write"  # marks of parameters that are files: their addresses may be given

_VERBOSITY = (
    inspect.Parameter(
        "quiet",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")],
    ),
    inspect.Parameter(
        "verbose",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option("--verbose", "-v", help="Print details too.")],
    ),
)


def splice(command: Callable[..., None]) -> Callable[..., None]:
    """A function whose options are those of the records in the signature of `command`.

    The default of such a parameter is a record; its values are the defaults of the options.
    """
    signature = inspect.signature(command)
    records = {p.name: p.default for p in signature.parameters.values() if is_dataclass(p.default)}
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        found = [parameter.replace(annotation=_as_text(parameter.annotation))]
        if parameter.name in records:
            found = [_to_parameter(each) for each in list_options(records[parameter.name])]
        parameters += found
    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (*parameters, *_VERBOSITY)]

    places = {p.name: _place(p.annotation) for p in signature.parameters.values()}
    for each in (option for record in records.values() for option in list_options(record)):
        places[each.name] = each.about.place

    def run(*, quiet: bool, verbose: bool, **values: Any) -> None:
        set_verbosity(quiet=quiet, verbose=verbose)
        with _local(values, places) as local:
            given = {name: value for name, value in local.items() if value is not None}
            filled = {name: fill(record, given) for name, record in records.items()}
            own = {
                name: _to_path(local[name], signature.parameters[name].annotation)
                for name in signature.parameters
                if name not in records
            }
            command(**own, **filled)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def option_of(record: Any, name: str) -> Any:
    """One option of a record, for the annotation of a parameter of a command."""
    (option,) = (each for each in list_options(record) if each.name == name)
    return get_args(_to_parameter(option).annotation)[1]


def _place(annotation: Any) -> str | None:
    """Place of a parameter of a command, where its annotation has a mark."""
    return next((part for part in get_args(annotation) if part in (READ, WRITE)), None)


def _as_text(annotation: Any) -> Any:
    """An annotation without paths: one would make `s3:/` of `s3://`."""
    kind, *others = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    if not others or not _holds_path(kind):
        return annotation
    text: Any = list[str] if _holds_list(kind) else str
    kind = text | None if NoneType in get_args(kind) else text
    return Annotated[kind, others[0]]


def _holds_path(kind: Any) -> bool:
    return kind is Path or any(map(_holds_path, get_args(kind)))


def _holds_list(kind: Any) -> bool:
    return get_origin(kind) is list or any(map(_holds_list, get_args(kind)))


def _to_path(value: Any, annotation: Any) -> Any:
    """The value of a parameter whose annotation was changed by `_as_text`."""
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if value is None or not _holds_path(kind):
        return value
    paths = [_path(text) for text in (value if isinstance(value, list) else [value])]
    return paths if isinstance(value, list) else paths[0]


def _path(text: str) -> Path:
    check_no_address(text)
    return Path(text)


@contextmanager
def _local(
    values: Mapping[str, Any], places: Mapping[str, str | None]
) -> Iterator[Mapping[str, Any]]:
    """The values with local files in place of addresses; nothing is loaded where there is none."""
    files = {name: values.get(name) for name, place in places.items() if place is not None}
    texts = [v for value in files.values() for v in (value if isinstance(value, list) else [value])]
    if not any(isinstance(text, str) and "://" in text for text in texts):
        yield values
        return
    from videoswin_cli.engine.places import local_places

    def is_complete(error: BaseException) -> bool:
        """Whether all is written: failed videos and a wrong accuracy are reported after that."""
        code = error.exit_code if isinstance(error, typer.Exit | ExpectationError) else 1
        return code in (0, VideoError.exit_code, ExpectationError.exit_code)

    with local_places(values, places, is_complete=is_complete, notice=notice) as local:
        yield local


def _to_parameter(option: Option) -> inspect.Parameter:
    """An option as Typer reads it: values that are parsed come as text."""
    about, kind, default = option.about, option.type, option.default
    if about.parse is not None:
        kind, default = str | None, None
    elif _holds_path(kind) and get_origin(kind) is not tuple:  # as in `_as_text`
        kind, default = str | None, None if default is None else str(default)
    elif get_origin(kind) is tuple and _holds_path(kind):
        kind, default = list[str] | None, None
    elif get_origin(kind) is tuple:
        kind, default = list[get_args(kind)[0]] | None, None  # type: ignore[misc]
    flags = about.flags or (f"--{option.name.replace('_', '-')}",)
    settings = typer.Option(
        *flags,
        metavar=about.metavar,
        help=about.help,
        show_default=about.shown_default or default not in (None, False, ()),
        min=_to_limit(about.least, kind),
        max=_to_limit(about.most, kind),
    )
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if about.required else default,
        annotation=Annotated[kind, settings],
    )


def _to_limit(limit: float | None, kind: Any) -> float | None:
    """A limit in the type of the values: `5`, not `5.0`, in the help of whole numbers."""
    return int(limit) if limit is not None and int in (kind, *get_args(kind)) else limit
