"""An HTTP server that replaces an AWS service, and the environment that points SDKs to it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class Stub:
    """A server on a free port of this machine, while it is entered."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], variable: str, region: str) -> None:
        """Listen on a free port.

        Args:
            handler: handles the requests.
            variable: environment variable that SDKs read the endpoint from.
            region: AWS region of the service.
        """
        self._variable = variable
        self._region = region
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables with which an AWS SDK talks to it."""
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
