"""A Lambda Runtime API, and functions that run under the real runtime client against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import Any, Self

HOST = "127.0.0.1"
PATIENCE_S = 30.0
"""The most a step may take on a busy machine; none is waited for so long."""
LEFT_S = 20.0
"""What an invocation is told that it has, unless said otherwise."""
START = "/2018-06-01/runtime/"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:batcher"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=557abcec3ee5a047;Sampled=1"


class Function:
    """One sandbox: a process with the runtime client and the handler in it, while it is entered."""

    def __init__(
        self,
        environ: Mapping[str, str],
        folder: Path,
        handler: str = "batcher.handler.handler",
        *,
        client: Sequence[str] = (sys.executable, "-m", "awslambdaric"),
        left_s: float = LEFT_S,
    ) -> None:
        """Run `handler` with nothing but `environ`; its output goes to `folder`.

        Its module may lie in `folder`. What `environ` has goes before what every sandbox has.
        `client` is the runtime client; each invocation is told that it has `left_s`.
        """
        self._client = client
        self._left_s = left_s
        self._handler = handler
        self._environ = environ
        self._folder = folder
        self._events: Queue[tuple[str, bytes]] = Queue()
        self._answers: Queue[tuple[str, Any]] = Queue()
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._server = _Server((HOST, 0), _Requests)
        self._server.events, self._server.answers = self._events, self._answers
        self._server.left_s = self._left_s
        Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        environ = {
            "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{self._server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "batcher",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "LAMBDA_TASK_ROOT": str(self._folder),
            "PATH": os.defpath,
            # The package under test, wherever this process has it from
            "PYTHONPATH": str(Path(sys.modules["batcher"].__file__ or "").parent.parent),
            **self._environ,
        }
        with (self._folder / "function.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and handler
                [*self._client, self._handler],
                env=environ,
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._server.shutdown()
        self._server.server_close()

    def kill(self) -> None:
        """End the process, as Lambda does: by SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(PATIENCE_S)

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone."""
        return self._process is None or self._process.poll() is not None

    def send(self, event: object) -> None:
        """Hand it an event, and don't wait."""
        self._events.put((f"request-{next(self._numbers)}", json.dumps(event).encode()))

    def invoke(self, event: object) -> tuple[str, Any]:
        """Hand it an event, and give `response` or `error`, and what was posted with it."""
        self.send(event)
        return self.answer(PATIENCE_S)

    def answer(self, within_s: float) -> tuple[str, Any]:
        """Return what `invoke` does, for the event that was sent.

        Raises:
            queue.Empty: there is none yet.
        """
        return self._answers.get(timeout=within_s)


class _Server(ThreadingHTTPServer):
    """Serves one function."""

    daemon_threads = True
    block_on_close = False
    events: Queue[tuple[str, bytes]]
    answers: Queue[tuple[str, Any]]
    left_s: float


class _Requests(BaseHTTPRequestHandler):
    """The requests of the runtime client: the next event, and what became of it."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Return the next event, whenever there is one."""
        identity, event = self.server.events.get()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", identity)
        deadline_ms = int((time.time() + self.server.left_s) * 1000)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(deadline_ms))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", ARN)
        self.send_header("Lambda-Runtime-Trace-Id", TRACE)
        self._send(event)

    def do_POST(self) -> None:
        """Take an answer, or the news that the function cannot even start."""
        body = self._body()
        self.server.answers.put((self.path.removeprefix(START).split("/")[-1], json.loads(body)))
        self.send_response(202)
        self._send(b"{}")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, body: bytes) -> None:
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name above
        """Return nothing."""
