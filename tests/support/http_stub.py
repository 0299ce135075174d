"""Serving: a stand-in for AWS on a free port, and what leads an SDK to it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class Stub:
    """Serves while it is entered."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], variable: str, region: str) -> None:
        """Listen on a free port.

        Args:
            handler: answers each request.
            variable: names the endpoint in the environment.
            region: of what is served.
        """
        self._variable = variable
        self._region = region
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def environ(self) -> dict[str, str]:
        """What an AWS SDK must find in the environment to talk to it."""
        return {
            self._variable: f"http://127.0.0.1:{self._server.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": self._region,
        }

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
