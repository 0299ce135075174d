"""An HTTP server that gives one response to everything, and records what it receives."""

from __future__ import annotations

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from support.http_stub import LoopbackServer


@dataclass(frozen=True, slots=True)
class Received:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    """By names in lower case."""
    body: bytes


class RespondingServer(LoopbackServer):
    """Responds in the same way to every request, while it is entered."""

    def __init__(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        host: str = "127.0.0.1",
    ) -> None:
        """Listen on a free port of `host`. `{path}` in a header is the request's path."""
        self.status = status
        self.headers = headers or {}
        self.body = body
        self.received: list[Received] = []
        super().__init__(type("Handler", (_Handler,), {"responding": self}), host)


class _Handler(BaseHTTPRequestHandler):
    responding: RespondingServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  # the base's
        """Log nothing."""

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        server = self.responding
        server.received.append(Received(self.command, self.path, headers, body))
        self.send_response(server.status)
        for name, value in server.headers.items():
            self.send_header(name, value.replace("{path}", self.path))
        if server.status != 204:  # it has no body
            self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(server.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815  # the base's names
