"""A server of answers: what `videoswin serve` runs."""

import os
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from videoswin_cli.engine.progress import Monitor, Reporter
from videoswin_cli.engine.runner import open_runner
from videoswin_cli.engine.shared_forward import SharedForward, VideoLimits
from videoswin_cli.errors import UsageError
from videoswin_cli.model.loading import FoundModel
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.serve import ServeOptions
from videoswin_cli.tasks.serve.answers import Answer, Computer
from videoswin_cli.tasks.serve.app import Service, make_app
from videoswin_cli.tasks.serve.gate import Gate
from videoswin_cli.tasks.serve.intake import IntakeRules
from videoswin_cli.tasks.serve.measures import Measures

TOKEN_VARIABLE = "VIDEOSWIN_TOKEN"
FETCHES = 16  # at once; each holds one of the 40 threads that write uploads to the disk


def serve_answers(
    model: FoundModel,
    run: RunOptions,
    answers: Mapping[str, Answer],
    options: ServeOptions,
    reporter: Reporter,
) -> None:
    """Answer requests until SIGTERM or SIGINT; what was begun then is finished.

    Args:
        model: with classes.
        run: how videos are sampled and computed.
        answers: by the route of each.
        options: address and limits.
        reporter: of the server.

    Raises:
        UsageError: options that do not fit the model, or an address that cannot be listened on.
        CheckpointError, FetchError: the weights cannot be loaded.
    """
    token = read_token(options.token_file)
    with (
        listening(options.host, options.port) as listener,
        open_service(model, run, answers, options, reporter, token) as app,
    ):
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        if token is None and not ip_address(host.partition("%")[0]).is_loopback:
            reporter.notice(
                f"everyone who reaches {shown} can use this server: --token-file asks for a token"
            )
        server = make_server(app)
        reporter.notice(f"serving {model.spec.name} on http://{shown}:{port}/ (Ctrl-C ends it)")
        server.run(sockets=[listener])


def make_server(app: FastAPI) -> uvicorn.Server:
    """A server that prints nothing: stdout is for results, and names are hostile."""
    return uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    )


@contextmanager
def open_service(
    model: FoundModel,
    run: RunOptions,
    answers: Mapping[str, Answer],
    options: ServeOptions,
    reporter: Reporter,
    token: str | None,
) -> Iterator[FastAPI]:
    """The application with its network, which is free again when the block ends."""
    runner = open_runner(model, run, with_head=True, reporter=reporter)
    monitor = Monitor(reporter=reporter)
    shared = SharedForward(runner, monitor)
    # Enough that decoding goes on while a batch fills.
    threads = min(32, (os.cpu_count() or 1) + runner.settings.batch_size)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    intake = IntakeRules(
        max_body=options.max_body,
        allow_urls=options.allow_urls,
        receiving=Gate(options.uploads, "uploads"),
        fetching=Gate(FETCHES, "addresses"),
        computing=Gate(options.queue, "requests"),
    )
    limits = VideoLimits(seconds=options.max_duration, views=options.max_views)
    try:
        yield make_app(
            Service(
                computer=Computer(runner=runner, shared=shared, limits=limits),
                answers=answers,
                options=options,
                token=token,
                intake=intake,
                pool=pool,
                measures=Measures(monitor, intake.receiving, intake.computing),
            )
        )
    finally:
        pool.shutdown()
        shared.close()
        runner.close()


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens.

    Raises:
        UsageError: the address is not of this machine, or the port is taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=256)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"cannot listen on {host} port {port}: {getattr(error, 'strerror', None) or error}",
            hint="choose another --host or --port; --port 0 takes any that is free",
        ) from error
    with listener:
        yield listener


def read_token(file: Path | None) -> str | None:
    """The token that requests must have; None: they need none.

    Raises:
        UsageError: it cannot be read as UTF-8, or there is nothing in the file.
    """
    if file is None:
        try:
            return os.environ.get(TOKEN_VARIABLE, "").strip().encode().decode() or None
        except UnicodeError as error:
            raise UsageError(f"{TOKEN_VARIABLE} is no UTF-8") from error
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--token-file {file}: cannot be read: {error}") from error
    if not token:
        raise UsageError(f"--token-file {file}: empty", hint="write a long random word into it")
    return token
