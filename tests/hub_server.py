"""A server on this machine with the endpoints of the Hugging Face Hub that huggingface_hub uses."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_testing_token"


class HubServer(ThreadingHTTPServer):
    """Repositories as commits, each a mapping from names to bytes, by branch."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.branches: dict[tuple[str, str], str] = {}  # repository and branch -> commit
        self.commits: dict[tuple[str, str], dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.messages: list[str] = []
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, name: str, files: dict[str, bytes], branch: str = "main") -> str:
        before = self.commits.get((name, self.branches.get((name, branch), "")), {})
        number = sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[name, number] = before | files
        self.branches[name, branch] = number
        return number

    def files(self, name: str, revision: str = "main") -> dict[str, bytes] | None:
        return self.commits.get((name, self.branches.get((name, revision), revision)))

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are no news."""


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(size)
        path = self.path.partition("?")[0].replace("%2F", "/").strip("/")
        self.server.asked.append(f"{self.command} {path}")
        parts = path.split("/")
        if self.command in ("GET", "HEAD") and parts[:2] == ["api", "models"]:
            self._tell_model("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
        elif self.command in ("GET", "HEAD") and parts[2:3] == ["resolve"]:
            self._send_file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._reply(401, {"error": "Invalid username or password."})
        elif path == "api/repos/create":
            self._create(json.loads(data))
        elif path == "api/validate-yaml":
            self._reply(200, {"errors": [], "warnings": []})
        elif parts[:2] == ["api", "models"] and parts[4:5] == ["preupload"]:
            asked = json.loads(data)["files"]
            each = [{"path": f["path"], "uploadMode": "regular"} for f in asked]
            self._reply(200, {"files": [one | {"shouldIgnore": False} for one in each]})
        elif parts[:2] == ["api", "models"] and parts[4:5] == ["branch"]:
            name, branch = "/".join(parts[2:4]), "/".join(parts[5:])
            self.server.branches.setdefault((name, branch), self.server.branches[name, "main"])
            self._reply(200, {})
        elif parts[:2] == ["api", "models"] and parts[4:5] == ["commit"]:
            self._commit("/".join(parts[2:4]), "/".join(parts[5:]), data)
        else:
            self._reply(404, {"error": f"no such endpoint: {path}"})

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if (name, "main") in self.server.branches:
            self._reply(409, {"error": "exists", "url": f"{self.server.url}/{name}"})
            return
        self.server.commit(name, {})
        if wanted.get("private") or wanted.get("visibility") == "private":
            self.server.private.add(name)
        self._reply(200, {"url": f"{self.server.url}/{name}", "name": name})

    def _commit(self, name: str, branch: str, data: bytes) -> None:
        files = {}
        for line in map(json.loads, data.splitlines()):
            if line["key"] == "header":
                self.server.messages.append(line["value"]["summary"])
            else:
                value = line["value"]
                files[value["path"]] = base64.b64decode(value["content"])
        number = self.server.commit(name, files, branch)
        url = f"{self.server.url}/{name}/commit/{number}"
        self._reply(200, {"success": True, "commitOid": number, "commitUrl": url})

    def _tell_model(self, name: str, revision: str) -> None:
        files = self.server.files(name, revision)
        if files is None:
            self._reply(404, {"error": "Repository not found"}, code="RepoNotFound")
            return
        number = self.server.branches.get((name, revision), revision)
        each = [{"rfilename": file} for file in files]
        self._reply(200, {"id": name, "sha": number, "siblings": each, "tags": []})

    def _send_file(self, name: str, revision: str, file: str) -> None:
        data = (self.server.files(name, revision) or {}).get(file)
        if data is None:
            self._reply(404, {"error": "Entry not found"}, code="EntryNotFound")
            return
        number = self.server.branches.get((name, revision), revision)
        self.send_response(200)
        self.send_header("X-Repo-Commit", number)
        self.send_header("ETag", f'"{sha1(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def _reply(self, status: int, value: object, code: str = "") -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve_hub() -> Iterator[HubServer]:
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
