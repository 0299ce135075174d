"""A faulty S3 server: it ignores conditions, drops metadata, or denies requests."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.http_stub import Stub

DENIED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
PRECONDITION_FAILED = b"<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>"
CONFIGURATION = {
    "versioning": "versioning",
    "lifecycle": "lifecycle",
    "publicAccessBlock": "public_access",
    "policy": "policy",
    "encryption": "encryption",
    "object-lock": "object_lock",
}


@dataclass
class Faults:
    """What is wrong with the server."""

    ignores: Collection[str] = ()
    """Conditions that it ignores: if-none-match, if-match, complete."""
    denies: Collection[str] = ()
    """Requests that get a 403: put, head, delete, create, abort, bucket, configuration."""
    forgets_metadata: bool = False
    requests: list[str] = field(default_factory=list)
    """The requests received, by the words above, and writes with their condition."""
    keys: set[str] = field(default_factory=set)
    """The keys of the objects that exist."""


class StubS3(Stub):
    """Serves one bucket with these faults, while it is entered."""

    def __init__(self, faults: Faults) -> None:
        """Listen on a free port."""
        self.faults = faults
        handler = type("Handler", (_Handler,), {"faults": faults, "objects": {}})
        super().__init__(handler, "AWS_ENDPOINT_URL_S3", "us-east-1")


class _Handler(BaseHTTPRequestHandler):
    """Handles requests. `objects` has ETag and metadata by key."""

    faults: Faults
    objects: dict[str, tuple[str, dict[str, str]]]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  # the base's
        """Log nothing."""

    def _do(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        url = urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True)
        _, _, key = url.path.removeprefix("/").partition("/")
        if not key:
            configuration = next((name for name in CONFIGURATION if name in query), "")
            self._configuration(configuration) if configuration else self._bucket()
            return
        self._object(key, query, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815  # the base's names

    def _bucket(self) -> None:
        self._respond("bucket", 200, headers={"x-amz-bucket-region": "us-east-1"})

    def _configuration(self, name: str) -> None:
        body = b"<VersioningConfiguration/>"
        if name != "versioning":
            self._respond("configuration", 501, b"<Error><Code>NotImplemented</Code></Error>")
        else:
            self._respond("configuration", 200, body)

    def _object(self, key: str, query: dict[str, list[str]], body: bytes) -> None:
        existing = self.objects.get(key)
        if self.command == "HEAD":
            metadata = existing[1] if existing and not self.faults.forgets_metadata else {}
            headers = {**metadata, "ETag": existing[0]} if existing else {}
            self._respond("head", 200 if existing else 404, headers=headers)
        elif self.command == "DELETE" and "uploadId" in query:
            self._respond("abort", 204)
        elif self.command == "DELETE":
            if "delete" not in self.faults.denies:
                del self.objects[key]
                self.faults.keys.discard(key)
            self._respond("delete", 204)
        elif self.command == "POST" and "uploads" in query:
            kind = "InitiateMultipartUploadResult"
            self._respond("create", 200, f"<{kind}><UploadId>u</UploadId></{kind}>".encode())
        elif "partNumber" in query:
            self._respond("part", 200, headers={"ETag": '"part"'})
        elif self.command == "POST":
            self._write("complete", key, body, existing)
        else:
            self._write("put", key, body, existing)

    def _write(
        self, operation: str, key: str, body: bytes, existing: tuple[str, dict[str, str]] | None
    ) -> None:
        condition = "if-none-match" if "If-None-Match" in self.headers else "if-match"
        self.faults.requests.append(f"{operation} {condition}")
        # obstore completes an upload without a condition
        holds = existing is None or (operation == "complete" and condition == "if-match")
        if condition == "if-match" and operation == "put":
            holds = existing is not None and self.headers["If-Match"] == existing[0]
        ignored = {condition, operation} & set(self.faults.ignores)
        if not holds and not ignored:
            self._respond(operation, 412, PRECONDITION_FAILED)
            return
        etag = f'"{hash(body):x}"'
        text = b""
        if operation == "complete":
            kind = "CompleteMultipartUploadResult"
            text = f"<{kind}><ETag>{etag}</ETag></{kind}>".encode()
        if operation not in self.faults.denies:  # before the response, for the next request
            headers = ((name.lower(), value) for name, value in self.headers.items())
            metadata = {name: value for name, value in headers if name.startswith("x-amz-meta-")}
            self.objects[key] = (etag, metadata)
            self.faults.keys.add(key)
        self._respond(operation, 200, text, {"ETag": etag})

    def _respond(
        self, operation: str, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        """Send a response, or a 403 if the operation is denied."""
        self.faults.requests.append(operation)
        if operation in self.faults.denies:
            status, body, headers = 403, b"" if self.command == "HEAD" else DENIED, {}
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:  # it has no body
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
