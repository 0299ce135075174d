"""An S3 server that accepts the requests of some access keys, and refuses those of all others."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.http_stub import LoopbackServer

LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
UPLOADS = (
    b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
)
CREATED = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
COMPLETE = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"


class CredentialServer(LoopbackServer):
    """Accepts requests by their access key, while it is entered. It stores nothing."""

    def __init__(self) -> None:
        """Listen on a free port, and accept nobody."""
        self.accepted: set[str] = set()
        self.status = 400
        self.code = "ExpiredToken"
        self.seen: list[tuple[str, str]] = []
        """Method and access key of each request."""
        self.gathering: threading.Barrier | None = None
        """Requests wait here for each other before they are answered."""
        super().__init__(type("Handler", (_Handler,), {"credentials": self}))

    def signed_by(self) -> list[str]:
        """Return the access keys of all requests since the last call."""
        keys = [key for _, key in self.seen]
        self.seen.clear()
        return keys


class _Handler(BaseHTTPRequestHandler):
    credentials: CredentialServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  # the base's
        """Log nothing."""

    def _do(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server = self.credentials
        key = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        server.seen.append((self.command, key))
        if server.gathering is not None:
            server.gathering.wait(timeout=30)
        if key in server.accepted:
            status, body = 200, self._answer()
        else:
            body = f"<Error><Code>{server.code}</Code><Message>no</Message></Error>".encode()
            status = server.status
        self.send_response(status)
        self.send_header("ETag", '"an-etag"')
        self.send_header("Last-Modified", "Mon, 23 Nov 2026 07:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer(self) -> bytes:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if self.command == "POST":
            return CREATED if "uploads" in query else COMPLETE
        if "uploads" in query:
            return UPLOADS
        return LISTING if self.command == "GET" and "list-type" in query else b""

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815  # the base's names
