"""A server in a thread of the test's process."""

import threading
from pathlib import Path
from typing import Any

import requests

from videoswin_cli.cli.serve import list_answers
from videoswin_cli.engine.progress import Silent
from videoswin_cli.model.loading import find_model
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.serve import ServeOptions
from videoswin_cli.tasks.serve.serve import listening, make_server, open_service


class Client:
    """A server in a thread of this process, and requests to it."""

    def __init__(self, model: Path, token: str | None = None, **options: Any) -> None:
        self._listener = listening("127.0.0.1", 0)
        listener = self._listener.__enter__()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._service = open_service(
            find_model(str(model), with_head=True),
            RunOptions(workers=0),
            list_answers(),
            ServeOptions(**options),
            Silent(),
            token,
        )
        self.server = make_server(self._service.__enter__())
        self._thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self.server.should_exit = True
        self._thread.join()
        self._service.__exit__(None, None, None)
        self._listener.__exit__(None, None, None)

    def send(self, route: str, file: Path | bytes, name: str = "", **query: Any) -> Any:
        content = file if isinstance(file, bytes) else file.read_bytes()
        name = name or (file.name if isinstance(file, Path) else "clip.mp4")
        return requests.post(
            f"{self.url}/{route}", files={"file": (name, content)}, params=query, timeout=60
        )
