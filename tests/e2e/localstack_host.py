"""LocalStack whose Lambda functions are processes of this machine, under the real runtime client.

Runs by LocalStack's own Python; stands in for the executor that would start containers. Told by
the environment: E2E_CLIENT (how to start the runtime client, JSON), E2E_RUNTIME (its folder),
E2E_ENVIRON (what every function finds, JSON), E2E_INVOCATIONS (a file that gets a line of JSON for
each invocation).
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswerError
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Lock, Thread
from typing import Any

from localstack.runtime.main import main  # type: ignore[import-not-found]  # only there
from localstack.services.lambda_.invocation import (  # type: ignore[import-not-found]  # as above
    runtime_executor,
)
from localstack.services.lambda_.invocation.executor_endpoint import (  # type: ignore[import-not-found]  # as above
    StatusErrorException,
)
from localstack.services.lambda_.invocation.lambda_models import (  # type: ignore[import-not-found]  # as above
    InvocationResult,
)
from twisted.internet import endpoints  # type: ignore[import-not-found]  # as above

HOST = "127.0.0.1"
START_S = 20.0
KEPT = ("PATH", "LANG")
_noting = Lock()


class Process(runtime_executor.RuntimeExecutor):  # type: ignore[misc]  # it has no types there
    """One environment of a function: a process, and the Runtime API that it asks."""

    def start(self, env_vars: dict[str, str]) -> None:
        """Start it, and wait until it asks for its first event."""
        self.events: Queue[dict[str, Any] | None] = Queue()
        self.answers: dict[str, Future[Any]] = {}
        self.ready: Future[bool] = Future()
        config = self.function_version.config
        self.timeout_s = float(config.timeout)
        root = str(config.code.get_unzipped_code_location())
        self._server = _Server((HOST, 0), _Requests)
        self._server.of = self
        Thread(target=self._server.serve_forever, daemon=True).start()
        environ = {
            **{name: os.environ[name] for name in KEPT if name in os.environ},
            **{name: str(value) for name, value in env_vars.items()},
            **json.loads(os.environ["E2E_ENVIRON"]),
            "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{self._server.server_port}",
            "LAMBDA_TASK_ROOT": root,
            "PYTHONPATH": f"{root}:{os.environ['E2E_RUNTIME']}",
        }
        environ.pop("AWS_SESSION_TOKEN", None)  # of LocalStack's credentials, not of S3's
        self._log = Path(f"lambda-{self.id}.log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  # what `sandboxes` runs, too
                [*json.loads(os.environ["E2E_CLIENT"]), config.handler],
                cwd=root,
                env=environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.ready.result(timeout=START_S)

    def stop(self) -> None:
        """End it."""
        self.events.put(None)
        self._process.kill()
        self._process.wait()
        self._server.shutdown()

    def invoke(self, payload: dict[str, Any]) -> Any:  # noqa: ANN401  # it has no types there
        """Hand it an event; a function whose time is over is killed."""
        identity = payload["invoke-id"]
        answer = self.answers[identity] = Future()
        self.events.put(payload)
        try:
            result = answer.result(timeout=self.timeout_s)
        except NoAnswerError:
            self._process.kill()
            told = {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out"}
            result = InvocationResult(identity, json.dumps(told).encode(), is_error=True, logs="")
        is_failure = result.is_error or b"itemIdentifier" in result.payload
        event_bytes = len(payload["payload"].encode())
        line = {
            "function": self.function_version.id.function_name,
            "failed": is_failure,
            "event_bytes": event_bytes,
        }
        with _noting, Path(os.environ["E2E_INVOCATIONS"]).open("a") as file:
            file.write(json.dumps(line) + "\n")
        return result

    def get_logs(self) -> str:
        """Return what it printed."""
        return self._log.read_text()

    def get_address(self) -> str:
        """Return where it is."""
        return HOST

    def get_endpoint_from_executor(self) -> str:
        """Return where LocalStack is, seen from it."""
        return HOST

    def get_runtime_endpoint(self) -> str:
        """Return nothing that is used."""
        return f"http://{HOST}/unused"

    @classmethod
    def prepare_version(cls, function_version: Any) -> None:  # noqa: ANN401  # as above
        """Unpack the function's zip."""
        function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: Any) -> None:  # noqa: ANN401  # as above
        """Leave it: the folder goes with LocalStack."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    of: Process


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Return the next event, whenever there is one."""
        process = self.server.of
        if not process.ready.done():
            process.ready.set_result(True)
        payload = process.events.get()
        if payload is None:
            self.close_connection = True
            return
        self.send_response(200)
        deadline_ms = int((time.time() + process.timeout_s) * 1000)
        self.send_header("Lambda-Runtime-Aws-Request-Id", payload["invoke-id"])
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", payload["invoked-function-arn"])
        self.send_header("Lambda-Runtime-Deadline-Ms", str(deadline_ms))
        self._send(payload["payload"].encode())

    def do_POST(self) -> None:
        """Take an answer, or the news that the function cannot even start."""
        body = self._body()
        self.send_response(202)
        self._send(b"{}")
        process = self.server.of
        _, _, path = self.path.partition("/runtime/")
        what, *parts = path.split("/")
        if what == "init" and not process.ready.done():
            process.ready.set_exception(StatusErrorException("init", payload=body))
        elif what == "invocation":
            identity, kind = parts
            answer = process.answers.pop(identity, None)
            if answer is not None and not answer.done():
                answer.set_result(InvocationResult(identity, body, kind == "error", logs=""))

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
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name above
        """Return nothing."""


class _Executors:
    """Stands in for LocalStack's registry of executors: there is one."""

    def exists(self, name: str) -> bool:
        """Return yes."""
        return bool(name)

    def load(self, name: str) -> _Executor:
        """Return the plugin of that name."""
        del name
        return _Executor()


class _Executor:
    """A plugin."""

    def load(self) -> type[Process]:
        """Return what it brings."""
        return Process


def _on_loopback() -> None:
    """Let its server listen on loopback alone: it ignores the host it is told."""
    listening = endpoints.TCP4ServerEndpoint

    def on_loopback(reactor: Any, port: int, **options: Any) -> Any:  # noqa: ANN401  # as above
        return listening(reactor, port, **{**options, "interface": HOST})

    endpoints.TCP4ServerEndpoint = on_loopback


if __name__ == "__main__":
    runtime_executor.EXECUTOR_PLUGIN_MANAGER = _Executors()
    _on_loopback()
    main()
