"""Functions with option records as parameters, as the functions with plain options Typer reads."""

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin

import typer

from videoswin_cli.cli.console import set_verbosity
from videoswin_cli.options.fields import Option, fill, list_options

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
        found = [parameter]
        if parameter.name in records:
            found = [_to_parameter(each) for each in list_options(records[parameter.name])]
        parameters += found
    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (*parameters, *_VERBOSITY)]

    def run(*, quiet: bool, verbose: bool, **values: Any) -> None:
        set_verbosity(quiet=quiet, verbose=verbose)
        given = {name: value for name, value in values.items() if value is not None}
        filled = {name: fill(record, given) for name, record in records.items()}
        own = {name: values[name] for name in signature.parameters if name not in records}
        command(**own, **filled)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def option_of(record: Any, name: str) -> Any:
    """One option of a record, for the annotation of a parameter of a command."""
    (option,) = (each for each in list_options(record) if each.name == name)
    return get_args(_to_parameter(option).annotation)[1]


def _to_parameter(option: Option) -> inspect.Parameter:
    """An option as Typer reads it: values that are parsed come as text."""
    about, kind, default = option.about, option.type, option.default
    if about.parse is not None:
        kind, default = str | None, None
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
