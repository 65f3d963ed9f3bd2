"""A W&B server just real enough for the real client: it stores the runs and rows that it is sent, on loopback only.

The client asks GraphQL (`POST /graphql`) for who it is and creates or resumes a run, then streams each file's new
lines to `POST /files/ENTITY/PROJECT/RUN/file_stream` with the number of the first of them (`offset`), and puts whole
files (media) to the addresses that it was given for them. Lines that are sent again replace what was there.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

KEY = "feedc0de" * 5
"""An API key of the right form that opens nothing."""


@dataclass
class StoredRun:
    """What the server knows of a run."""

    id: str
    variables: dict[str, Any] = field(default_factory=dict)  # of the last UpsertBucket, by name
    lines: dict[str, list[str]] = field(default_factory=dict)  # of each streamed file
    files: dict[str, bytes] = field(default_factory=dict)
    complete: bool = False
    exit_code: int | None = None

    @property
    def history(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines.get("wandb-history.jsonl", [])]

    @property
    def config(self) -> dict[str, Any]:
        config = json.loads(self.variables.get("config") or "{}")
        return {name: entry["value"] for name, entry in config.items() if name != "_wandb"}


class WandbStub:
    """Use as `with WandbStub() as server:`; `server.url` is its address and `server.runs` what it stored, by id."""

    def __init__(self) -> None:
        self.runs: dict[str, StoredRun] = {}
        self.operations: list[str] = []
        self.paths: list[str] = []
        self.takes_rows = True  # else streams are answered "unavailable", as by a server in trouble
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer a GraphQL operation."""
        self.operations.append(operation)
        if operation == "UpsertBucket":
            run = self.runs.get(variables["name"])
            inserted = run is None
            if run is None:
                run = self.runs[variables["name"]] = StoredRun(variables["name"])
            run.variables |= {name: value for name, value in variables.items() if value is not None}
            return {"upsertBucket": {"bucket": self._bucket(run), "inserted": inserted}}
        if operation == "RunResumeStatus":
            run = self.runs.get(variables["name"])
            project = {"name": variables.get("project"), "entity": {"name": variables.get("entity")}}
            return {"model": {"id": "project", **project, "bucket": self._bucket(run) if run else None}}
        if operation == "Viewer":
            return {"viewer": {"id": "user", "entity": "nobody", "username": "nobody", "teams": {"edges": []}}}
        if operation == "CreateRunFiles":
            run_id = variables["run"]
            files = [{"name": name, "uploadUrl": f"{self.url}/put/{run_id}/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": run_id, "uploadHeaders": [], "files": files}}
        return {}

    def _bucket(self, run: StoredRun) -> dict[str, Any]:
        history = run.lines.get("wandb-history.jsonl", [])
        variables = run.variables
        return {
            "id": run.id,
            "name": run.id,
            "displayName": variables.get("displayName"),
            "config": variables.get("config", "{}"),
            "tags": variables.get("tags", []),
            "sweepName": None,
            "historyLineCount": len(history),
            "historyTail": json.dumps(history[-1:]),
            "eventsLineCount": len(run.lines.get("wandb-events.jsonl", [])),
            "eventsTail": "[]",
            "logLineCount": len(run.lines.get("output.log", [])),
            "summaryMetrics": (run.lines.get("wandb-summary.json") or ["{}"])[-1],
            "wandbConfig": '{"t": {}}',
            "project": {
                "id": "project",
                "name": variables.get("project", "uncategorized"),
                "entity": {"id": "entity", "name": variables.get("entity", "nobody")},
            },
        }

    def stream(self, run_id: str, sent: dict[str, Any]) -> None:
        """Store streamed lines where they belong."""
        run = self.runs.setdefault(run_id, StoredRun(run_id))
        for name, chunk in (sent.get("files") or {}).items():
            lines, offset, content = run.lines.setdefault(name, []), chunk.get("offset", 0), chunk["content"]
            if name == "wandb-summary.json":
                lines[:] = content
            else:
                lines[offset : offset + len(content)] = content
        if "complete" in sent:
            run.complete, run.exit_code = bool(sent["complete"]), sent.get("exitcode")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet about a client that was killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: WandbStub

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        self._reply({})

    def do_PUT(self) -> None:
        body = self._body()
        if found := re.fullmatch(r"/put/([^/]+)/(.+)", self.path):
            with self.stub.lock:
                self.stub.runs[found[1]].files[found[2]] = body
        self._reply({})

    def do_POST(self) -> None:
        body = self._body()
        with self.stub.lock:
            self.stub.paths.append(self.path)
            if self.path == "/graphql":
                asked = json.loads(body)
                found = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
                data = self.stub.answer(found[1] if found else "", asked.get("variables") or {})
                self._reply({"data": data})
            elif found := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
                if self.stub.takes_rows:
                    self.stub.stream(found[1], json.loads(body))
                self._reply({}, status=200 if self.stub.takes_rows else 503)
            else:
                self._reply({}, status=404)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _reply(self, value: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
