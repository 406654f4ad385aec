"""`--engine ray` and `--engine slurm` of commands over many videos."""

import sys
from dataclasses import replace

import typer

from videoswin_cli.cli.console import notice, result
from videoswin_cli.options.cluster import ClusterOptions
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.source import JobOptions


def choose_cluster(run: RunOptions, job: JobOptions) -> tuple[RunOptions, JobOptions]:
    """The options with the cluster in those of the job, its workers' engine in those of the run.

    Slurm gets this command line as an array of jobs, and the command ends.

    Raises:
        UsageError: an option of another engine.
    """
    cluster = job.cluster.on(run.engine)
    if cluster.cluster == "slurm":
        _submit(cluster)
        raise typer.Exit
    if cluster.cluster is not None:
        run = replace(run, engine=cluster.worker_engine or "torch")
    return run, replace(job, cluster=cluster)


def _submit(cluster: ClusterOptions) -> None:
    from videoswin_cli.engine.cluster.slurm import make_scripts, submit_scripts

    scripts = make_scripts(sys.argv[1:], cluster)
    if cluster.dry_run:
        result("\n".join(script.text for script in scripts), end="")
        return
    for script, job in zip(scripts, submit_scripts(scripts), strict=True):
        notice(f"submitted {script.name}: job {job}")
        result(job)
