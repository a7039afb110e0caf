"""A small Hugging Face Hub on loopback: what its own client asks of one to make, fill and read a repository."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_test"


class Hub(ThreadingHTTPServer):
    """commits: {repository: {sha of a commit: {path: content}}}, the last one being the branch main."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, repository: str, files: dict[str, bytes]) -> str:
        """Adds files; returns the sha of the commit."""
        history = self.commits.setdefault(repository, {})
        now = {**(list(history.values())[-1] if history else {}), **files}
        sha = hashlib.sha1(repr((len(history), sorted(now))).encode()).hexdigest()
        history[sha] = now
        return sha


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: object, status: int = 200, **headers: str) -> None:
        self._answer(status, json.dumps(value).encode(), **{"Content-Type": "application/json"}, **headers)

    def _unknown(self, code: str) -> None:
        self._json({"error": code}, 404, **{"X-Error-Code": code})

    def _files(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        history = self.server.commits.get(repository, {})
        sha = list(history)[-1] if history and revision == "main" else revision
        return (sha, history[sha]) if sha in history else None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = urlsplit(self.path).path.strip("/").split("/")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json({"error": "Invalid credentials"}, 401)
        elif path == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.server.commits.setdefault(name, {})
            self._json({"url": f"{self.server.address}/{name}", "id": name})
        elif path == ["api", "validate-yaml"]:
            self._json({"errors": [], "warnings": []})
        elif path[4] == "preupload":
            files = [{"path": one["path"], "uploadMode": "regular"} for one in json.loads(body)["files"]]
            self._json({"files": [{**one, "shouldIgnore": False} for one in files]})
        elif path[4] == "commit":
            lines = [json.loads(line) for line in body.splitlines()]
            files = {one["value"]["path"]: one["value"]["content"] for one in lines if one["key"] == "file"}
            name = "/".join(path[2:4])
            sha = self.server.commit(name, {file: base64.b64decode(text) for file, text in files.items()})
            url = f"{self.server.address}/{name}/commit/{sha}"
            self._json({"commitUrl": url, "commitOid": sha, "success": True})
        else:
            self._unknown("EntryNotFound")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/").split("/")
        api = path[:2] == ["api", "models"]
        repository = "/".join(path[2:4] if api else path[:2])
        if repository not in self.server.commits:
            return self._unknown("RepoNotFound")
        rest = path[4:] if api else path[2:]
        found = self._files(repository, rest[1] if len(rest) > 1 else "main")
        if found is None:
            return self._unknown("RevisionNotFound")
        sha, files = found
        if not api:
            content = files.get("/".join(rest[2:]))
            if content is None:
                return self._unknown("EntryNotFound")
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            return self._answer(200, content, ETag=etag, **{"X-Repo-Commit": sha, "Accept-Ranges": "bytes"})
        if rest[:1] == ["tree"]:
            rows = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ]
            return self._json(rows)
        siblings = [{"rfilename": name} for name in files]
        return self._json({"id": repository, "sha": sha, "siblings": siblings, "private": False, "tags": []})


@contextmanager
def serving() -> Iterator[Hub]:
    """A Hub that answers while the block runs."""
    hub = Hub()
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
