"""HTTP servers for tests: any, and one that replaces an AWS service."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class LoopbackServer:
    """An HTTP server on a free port of this machine, while it is entered."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], host: str = "127.0.0.1") -> None:
        """Listen on a free port of `host`; `handler` handles the requests."""
        self._server = ThreadingHTTPServer((host, 0), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.url = f"http://{host}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Stub(LoopbackServer):
    """A server in the place of an AWS service."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], variable: str, region: str) -> None:
        """Listen on a free port.

        Args:
            handler: handles the requests.
            variable: environment variable that SDKs read the endpoint from.
            region: AWS region of the service.
        """
        super().__init__(handler)
        self._variable = variable
        self._region = region

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables with which an AWS SDK talks to it."""
        return {
            self._variable: self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": self._region,
        }
