"""Tasks of development, each in an environment of its own: `nox --list`, `nox -s quick lint`.

`nox --no-venv --no-install -s lint` runs a task with what is installed already.
"""

import shutil
from pathlib import Path

import nox

PINNED = ("-c", "constraints.txt", "-e", ".[dev]")

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["quick", "lint"]


@nox.session
def quick(session: nox.Session) -> None:
    """Tests that take half a second or less each: under a minute on two cores."""
    session.install(*PINNED)
    session.run(
        "pytest",
        "-m",
        "not slow and not thorough and not browser and not cluster",
        *session.posargs,
    )


@nox.session
def test(session: nox.Session) -> None:
    """The default tests. `nox -s test -- -m slow` runs the full-size rest."""
    session.install(*PINNED)
    session.run("pytest", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Report pages in the Chromium of this machine; skipped where there is none."""
    session.install(*PINNED)
    session.run("pytest", "-m", "browser", "-rs", "-n", "0", *session.posargs)


@nox.session
def cluster(session: nox.Session) -> None:
    """Runs on a Ray cluster of two nodes on this machine, whose parts are killed; ten minutes."""
    session.install(*PINNED, "ray[default]")
    session.run("pytest", "-m", "cluster", "-n", "0", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format and types."""
    session.install(*PINNED)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def golden(session: nox.Session) -> None:
    """Write the golden texts of every `--help` again; read the diff before you commit it."""
    session.install(*PINNED)
    session.run(
        "pytest",
        "-n",
        "0",
        "tests/cli/test_help.py",
        "tests/test_stub.py",
        env={"VIDEOSWIN_WRITE_GOLDEN": "1"},
    )


@nox.session
def docs(session: nox.Session) -> None:
    """The pages of `docs/` as a site in `build/site`; a dead link is an error."""
    session.install("mkdocs>=1.6")
    session.run("mkdocs", "build", "--strict", "--site-dir", "build/site", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the bundled model on this machine: decoding, preprocessing, network."""
    session.install(*PINNED)
    arguments = session.posargs or ["--model", "camera-motion"]
    session.run("videoswin", "bench", *arguments)


@nox.session
def lowest(session: nox.Session) -> None:
    """The default tests with the lowest versions that `pyproject.toml` allows."""
    session.install("-c", "constraints-lowest.txt", "-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session
def nodecord(session: nox.Session) -> None:
    """The default tests where decord is not installed: PyAV reads all videos."""
    session.install(*PINNED)
    session.run("python", "-m", "pip", "uninstall", "-y", "decord")
    session.run("pytest", *session.posargs)


@nox.session
def loggers(session: nox.Session) -> None:
    """Curves of a training for Weights & Biases and MLflow, without a network."""
    session.install("-c", "constraints.txt", "-e", ".[dev]")
    session.install("wandb", "mlflow")
    session.run("pytest", "-n", "0", "tests/training/test_loggers.py", *session.posargs)


@nox.session
def torchcodec(session: nox.Session) -> None:
    """The tests of decoding with torchcodec; the machine needs FFmpeg's libraries (4 to 8)."""
    session.install(*PINNED)
    # 0.13 is the last whose wheels from PyPI load without CUDA.
    session.install("--no-deps", "torchcodec==0.13.0")
    session.run("python", "-c", "import torchcodec")  # or the tests would be skipped
    session.run("pytest", "tests/data/decoding", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """The wheel and the sdist in `build/dist`; the wheel runs from another folder."""
    session.install("build")
    target = Path("build/dist").absolute()
    shutil.rmtree(target, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(target))
    (wheel,) = target.glob("*.whl")
    session.install("-c", "constraints.txt", str(wheel))
    clip = Path("samples/zoom-in.mp4").absolute()
    with session.chdir(session.create_tmp()):
        session.run("videoswin", "predict", str(clip), "--model", "camera-motion")
