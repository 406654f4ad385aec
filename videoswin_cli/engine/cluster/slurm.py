"""Scripts that let Slurm run a command as an array of jobs, each a shard of the list."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.options.cluster import ClusterOptions

_OWN = {  # options of the array, and whether they have a value
    "--engine": True,
    "--worker-engine": True,
    "--gpus-per-worker": True,
    "--max-workers": True,
    "--dry-run": False,
}
_OF_ALL = {  # options of `eval` about all shards together
    **dict.fromkeys(("--out", "-o", "--per-class", "--confusion", "--expect"), True),
    **dict.fromkeys(("--tolerance", "--format", "-f"), True),
    "--ci": False,
}
_OF_BOTH = ("--model", "-m", "--labels", "--topk", "--on-error")
_TASK = "$SLURM_ARRAY_TASK_ID"


@dataclass(frozen=True, kw_only=True)
class Script:
    """A batch script."""

    name: str
    text: str
    after: bool = False  # it runs when the one before has ended


def make_scripts(arguments: Sequence[str], options: ClusterOptions) -> list[Script]:
    """The script of the array, and for `eval` one that puts the shards together.

    Args:
        arguments: of the command line, its command first.
        options: of the array.

    Raises:
        UsageError: the command line cannot be dealt to jobs.
    """
    if options.max_workers is None:
        raise UsageError(
            "--engine slurm: how many jobs?", hint="say --max-workers N: the array has so many"
        )
    for name, reason in (
        ("--shard", "the jobs of the array are the shards"),
        ("--overwrite", "each job would remove what the others wrote"),
    ):
        if _find(arguments, name) is not None or name in arguments:
            raise UsageError(f"--engine slurm with {name}: {reason}")
    if options.gpus_per_worker is not None and options.gpus_per_worker % 1:
        raise UsageError(
            f"--gpus-per-worker {options.gpus_per_worker:g}: Slurm gives whole GPUs",
            hint="expected a whole number",
        )
    if "-" in arguments:
        raise UsageError(
            "--engine slurm: jobs cannot share the paths on standard input",
            hint="write them into a file and give @FILE",
        )
    kept = _without(arguments, _OWN)
    if options.worker_engine is not None:
        kept += ["--engine", options.worker_engine]
    if "--resume" not in kept and kept[0] != "extract":  # which does so anyway
        kept.append("--resume")  # a job may be queued again
    if kept[0] == "timeline" and _find(kept, "--out") is None and _find(kept, "-o") is None:
        raise UsageError(
            "--engine slurm: the jobs write one output together", hint="say where: --out FILE"
        )
    if kept[0] != "eval":
        return [_make_array(kept, [], options)]
    dump = _find(kept, "--dump")
    if dump is None:
        raise UsageError(
            "--engine slurm: each job keeps its shard in a dump", hint="say --dump FILE.npz"
        )
    suffix = Path(dump).suffix
    before = dump.removesuffix(suffix)
    own = f'{_quote(f"{before}-")}"{_TASK}"{_quote(suffix)}'
    array = _make_array(_without(kept, {"--dump": True, **_OF_ALL}), ["--dump", own], options)
    numbers = range(1, options.max_workers + 1)
    dumps = [f"{before}-{number}{suffix}" for number in numbers]
    more = _only(kept, {**_OF_ALL, **dict.fromkeys(_OF_BOTH, True)})
    merge = _join(["videoswin", "eval", *more, "--from-dump", *dumps])
    name = "videoswin-eval-merge"
    return [array, Script(name=name, text=_head(name, []) + f"{merge}\n", after=True)]


def submit_scripts(scripts: Iterable[Script]) -> list[str]:
    """Give scripts to sbatch; gives the numbers of their jobs.

    Raises:
        UsageError: there is no sbatch.
        VideoSwinError: it refuses.
    """
    if shutil.which("sbatch") is None:
        raise UsageError(
            "--engine slurm: there is no sbatch on this machine",
            hint="run it on a login node, or print the script with --dry-run",
        )
    jobs: list[str] = []
    for script in scripts:
        after = [f"--dependency=afterany:{jobs[-1]}"] if script.after else []
        done = subprocess.run(
            ["sbatch", "--parsable", *after], input=script.text, capture_output=True, text=True
        )
        if done.returncode:
            raise VideoSwinError(f"sbatch: {done.stderr.strip() or done.returncode}")
        jobs.append(done.stdout.strip().partition(";")[0])
    return jobs


def _make_array(arguments: Sequence[str], more: Sequence[str], options: ClusterOptions) -> Script:
    """The script of an array; `more` is as a shell reads it."""
    sbatch = [f"--array=1-{options.max_workers}", "--ntasks=1", "--requeue"]
    if options.gpus_per_worker:
        sbatch.append(f"--gpus-per-task={options.gpus_per_worker:g}")
    command = [_join(["videoswin", *arguments]), *more]
    command.append(f"--shard {_TASK}/{options.max_workers}")
    name = f"videoswin-{arguments[0]}"
    return Script(name=name, text=_head(name, sbatch) + " ".join(command) + "\n")


def _head(name: str, more: Sequence[str]) -> str:
    options = [f"--job-name={name}", f"--chdir={Path.cwd()}", "--output=%x-%A_%a.log", *more]
    lines = ["#!/bin/bash", *(f"#SBATCH {_quote(text)}" for text in options)]
    return "\n".join([*lines, "set -euo pipefail", ""])


def _join(arguments: Sequence[str]) -> str:
    return " ".join(map(_quote, arguments))


def _quote(text: str) -> str:
    """An argument as bash reads it; bytes of names that are no text are escapes in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        data = os.fsencode(text)
        return "$'" + "".join(f"\\x{byte:02x}" for byte in data) + "'"
    return shlex.quote(text)


def _only(arguments: Sequence[str], options: Mapping[str, bool]) -> list[str]:
    """Some options of the arguments, which have a value or not."""
    kept, rest = [], iter(arguments)
    for argument in rest:
        name, given, _ = argument.partition("=")
        if name in options:
            kept += [argument] if given or not options[name] else [argument, next(rest, "")]
    return kept


def _without(arguments: Sequence[str], options: Mapping[str, bool]) -> list[str]:
    """Arguments without some options, which have a value or not."""
    kept, rest = [], iter(arguments)
    for argument in rest:
        name, given, _ = argument.partition("=")
        if name not in options:
            kept.append(argument)
        elif options[name] and not given:
            next(rest, None)
    return kept


def _find(arguments: Sequence[str], name: str) -> str | None:
    """Value of an option; None where it is not given."""
    for place, argument in enumerate(arguments):
        if argument == name and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
    return None
