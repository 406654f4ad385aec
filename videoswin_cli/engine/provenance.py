"""Provenance of a result: model, weights, protocol. Equal for all that may share one output."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from videoswin_cli.engine.runtime import DTYPES, ENGINES, Numerics
from videoswin_cli.engine.settings import Settings
from videoswin_cli.errors import ResumeError
from videoswin_cli.io.atomic import atomic_write, to_json
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.model.weight_stamps import hash_unchanged
from videoswin_cli.options.run import Precision
from videoswin_cli.version import __version__

Description = dict[str, Any]

_ENGINE = "torch"  # of descriptions from before there was another
_MAY_DIFFER = ("version", "weights_origin")
_OPTIONS = frozenset(  # keys of descriptions that users know as options
    (
        *(
            "views",
            "weights_set",
            "precision",
            "engine",
            "decoder",
            "stream",
            "allow_truncated",
            "average",
        ),
        *("topk", "logits", "stride", "threshold", "smooth", "min_duration", "windows", "per"),
        *("stage", "pool", "dtype", "output_format", "part_size"),
    )
)
_HINT = "choose another output, or remove that one (extract: --overwrite)"


def describe_settings(model: LoadedModel, settings: Settings, **more: Any) -> Description:
    """Everything that results depend on, as JSON can hold it.

    Not the device, batch size or number of processes: these change them by float noise at most.

    Raises:
        CheckpointError: the weight file has changed since it was read.
    """
    protocol, opening = settings.protocol, settings.opening
    description = {
        "model": model.spec.name,
        "weights_sha256": hash_unchanged(model.stamps),
        "weights_set": model.weights_set,
        **({"weights_origin": model.origin} if model.origin else {}),
        "views": str(settings.views),
        "precision": settings.runtime.precision,
        "engine": settings.runtime.engine,
        "decoder": opening.decoder,
        "stream": opening.stream,
        "allow_truncated": opening.allow_truncated,
        "frame_template": opening.frame_template,
        # That of --fps is in the protocol, and older outputs have no other.
        "frames_fps": None if opening.frames_fps == protocol.frame_rate else opening.frames_fps,
        **more,
        "variable_rate": "time stamps" if protocol.frame_rate else "frame numbers",
        "protocol": asdict(protocol),
        "version": __version__,
    }
    parsed: Description = json.loads(json.dumps(description))
    return parsed


def write_description(file: Path, description: Description) -> None:
    with atomic_write(file) as part:
        part.write_text(to_text(description), encoding="utf-8")


def to_text(description: Description) -> str:
    return to_json(description, indent=1) + "\n"


def check_description(file: Path, description: Description) -> None:
    """Compare what was written about a run with the one that continues it.

    Raises:
        UsageError: they differ, and in what; or there is no such file to tell.
    """
    check_equal(read_description(file), description, where=str(file))


def read_description(file: Path) -> Description:
    """Description that `write_description` wrote.

    Raises:
        UsageError: there is no such file, or it is something else.
    """
    try:
        found: Description = json.loads(file.read_text(encoding="utf-8"))
        return dict(found)
    except FileNotFoundError as error:
        raise ResumeError(
            f"cannot tell which run the results are of: there is no {file} that says it",
            hint="choose another output, or remove that one; a run with --resume keeps such a file",
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise ResumeError(
            f"cannot tell which run the results are of: {file} cannot be read",
            hint="choose another output, or remove that one",
        ) from error


def read_precision(description: Description | None) -> Precision | None:
    """That of a run; None where it is not said, or no precision that we know."""
    found = (description or {}).get("precision")
    return next((name for name in DTYPES if name == found), None)


def read_numerics(description: Description | None) -> Numerics | None:
    """Those of a run; None where they are not said, or are none that we know."""
    precision = read_precision(description)
    engine = (description or {}).get("engine", _ENGINE)
    if precision is None or engine not in ENGINES:
        return None
    return Numerics(precision=precision, engine=engine)


def read_rates(descriptions: Iterable[Description]) -> set[float | None]:
    """Frame rates of runs, None for that of each video; without the runs that do not say it."""
    protocols = [description.get("protocol") for description in descriptions]
    rates = [
        protocol["frame_rate"]
        for protocol in protocols
        if isinstance(protocol, dict) and "frame_rate" in protocol
    ]
    return {rate for rate in rates if rate is None or isinstance(rate, int | float)}


def check_equal(
    found: Mapping[str, Any],
    wanted: Description,
    *,
    where: str,
    hint: str = _HINT,
) -> None:
    """As `check_description`, with the description at hand."""
    found = {"engine": _ENGINE, **_join_stride(found)}
    wanted = _join_stride(wanted)
    keys = [key for key in wanted if key not in _MAY_DIFFER and found.get(key) != wanted[key]]
    if not keys:
        return
    there, here = found.get(keys[0]), wanted[keys[0]]
    told = map(_as_given, (there, here)) if keys[0] in _OPTIONS else _tell_apart(there, here)
    if keys[0] in ("precision", "engine") and len(keys) == 1 and read_numerics(found) is not None:
        hint = f"--{keys[0]} {found[keys[0]]} or auto resumes it; or {hint}"
    name, *others = (f"--{key.replace('_', '-')}" if key in _OPTIONS else key for key in keys)
    verb = "differs" if len(others) == 1 else "differ"
    raise ResumeError(
        f"{where} belongs to a different run: {name} was {', now '.join(told)}"
        + (f" ({', '.join(others)} {verb} too)" if others else ""),
        hint=hint,
    )


def _join_stride(description: Mapping[str, Any]) -> Description:
    """The description with its stride as one text, as `--stride` has it."""
    joined = dict(description)
    if "stride_frames" in joined or "stride_seconds" in joined:
        frames, seconds = joined.pop("stride_frames", None), joined.pop("stride_seconds", None)
        joined["stride"] = seconds if frames is None else f"{frames}f"
    return joined


def _as_given(value: Any) -> str:
    """Value of an option in the words of a command line."""
    if value is None or value is False:
        return "not given"
    return "given" if value is True else f"{value}"


def _tell_apart(there: Any, here: Any) -> tuple[str, str]:
    """Both as text; of mappings and lists, which may be long, only what the other has not."""
    if isinstance(there, dict) and isinstance(here, dict):
        return repr(_without_equal(there, here)), repr(_without_equal(here, there))
    if isinstance(there, list) and isinstance(here, list):
        return _first_extra(there, here), _first_extra(here, there)
    return repr(there), repr(here)


def _first_extra(entries: list[Any], others: list[Any]) -> str:
    """Such as `['a.mp4', ...] (3 of 20)`: lists may be long."""
    known = set(others)
    extra = [entry for entry in entries if entry not in known]
    if entries != others and set(entries) == known:
        pairs = enumerate(zip(entries, others, strict=False))
        place = next(
            (n for n, (one, other) in pairs if one != other), min(len(entries), len(others))
        )
        return f"{entries[place : place + 1]} in place {place} ({len(entries)} in another order)"
    some = str(extra[:2])[:-1] + (", ...]" if len(extra) > 2 else "]")
    return f"{some} ({len(extra)} of {len(entries)})"


def _without_equal(entries: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if value != other.get(key)}
