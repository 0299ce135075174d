"""A Lambda Runtime API, and function processes with the real runtime client that talk to it."""

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
STEP_TIMEOUT_S = 30.0
"""A test fails if a step takes longer. Normally steps take less than a second."""
DEFAULT_REMAINING_S = 20.0
"""Default time until the deadline of an invocation."""
PATH_PREFIX = "/2018-06-01/runtime/"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:batcher"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=557abcec3ee5a047;Sampled=1"


class Function:
    """A sandbox: a process with the runtime client and the handler, while it is entered."""

    def __init__(
        self,
        environ: Mapping[str, str],
        folder: Path,
        handler: str = "batcher.handler.handler",
        *,
        client: Sequence[str] = (sys.executable, "-m", "awslambdaric"),
        remaining_s: float = DEFAULT_REMAINING_S,
    ) -> None:
        """Prepare to run a handler.

        Args:
            environ: the whole environment, besides the variables of every sandbox, which it
                overrides.
            folder: working directory, which may have the handler's module. `function.log` in it
                gets the output.
            handler: as Lambda's setting `Handler`.
            client: command that runs the runtime client.
            remaining_s: time until the deadline of each invocation.
        """
        self._client = client
        self._remaining_s = remaining_s
        self._handler = handler
        self._environ = environ
        self._folder = folder
        self._events: Queue[tuple[str, bytes]] = Queue()
        self._responses: Queue[tuple[str, Any]] = Queue()
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._server = _Server((HOST, 0), _Requests)
        self._server.events, self._server.responses = self._events, self._responses
        self._server.remaining_s = self._remaining_s
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
            # The package under test, as this process has imported it
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
            process.wait(STEP_TIMEOUT_S)

    @property
    def has_ended(self) -> bool:
        """Whether its process has ended."""
        return self._process is None or self._process.poll() is not None

    def send(self, event: object) -> None:
        """Send an event to the function without waiting for its response."""
        self._events.put((f"request-{next(self._numbers)}", json.dumps(event).encode()))

    def invoke(self, event: object) -> tuple[str, Any]:
        """Send an event and return the function's `response` or `error`, with its document."""
        self.send(event)
        return self.wait_response(STEP_TIMEOUT_S)

    def wait_response(self, timeout_s: float) -> tuple[str, Any]:
        """Wait for the response to the event that was sent, and return it as `invoke` does.

        Raises:
            queue.Empty: there was no response within `timeout_s`.
        """
        return self._responses.get(timeout=timeout_s)


class _Server(ThreadingHTTPServer):
    """Serves the runtime client of one function."""

    daemon_threads = True
    block_on_close = False
    events: Queue[tuple[str, bytes]]
    responses: Queue[tuple[str, Any]]
    remaining_s: float


class _Requests(BaseHTTPRequestHandler):
    """The requests of the runtime client: get the next event, post a response or an error."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Respond with the next event when there is one."""
        identity, event = self.server.events.get()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", identity)
        deadline_ms = int((time.time() + self.server.remaining_s) * 1000)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(deadline_ms))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", ARN)
        self.send_header("Lambda-Runtime-Trace-Id", TRACE)
        self._send(event)

    def do_POST(self) -> None:
        """Accept a response, an error, or the error that the function cannot start."""
        kind = self.path.removeprefix(PATH_PREFIX).split("/")[-1]
        self.server.responses.put((kind, json.loads(self._body())))
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
        """Log nothing."""
