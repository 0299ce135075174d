"""An S3 that is not as it should be: it overwrites, forgets metadata, refuses, or never answers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.http_stub import Stub

DENIED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
TAKEN = b"<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>"
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
    """What is answered by 403: put, head, delete, create, abort, bucket, configuration."""
    forgets_metadata: bool = False
    requests: list[str] = field(default_factory=list)
    """What was asked, by the words above, and the conditions that were met."""
    keys: set[str] = field(default_factory=set)


class StubS3(Stub):
    """Serves one bucket while it is entered, by these faults."""

    def __init__(self, faults: Faults) -> None:
        """Listen on a free port."""
        self.faults = faults
        handler = type("Handler", (_Handler,), {"faults": faults, "objects": {}})
        super().__init__(handler, "AWS_ENDPOINT_URL_S3", "us-east-1")


class _Handler(BaseHTTPRequestHandler):
    """One request; objects are kept as (ETag, metadata)."""

    faults: Faults
    objects: dict[str, tuple[str, dict[str, str]]]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  # the base's
        """Return nothing."""

    def _do(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        url = urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True)
        _, _, key = url.path.removeprefix("/").partition("/")
        if not key:
            what = next((name for name in CONFIGURATION if name in query), "")
            self._configuration(what) if what else self._bucket()
            return
        self._object(key, query, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815  # the base's names

    def _bucket(self) -> None:
        self._answer("bucket", 200, headers={"x-amz-bucket-region": "us-east-1"})

    def _configuration(self, what: str) -> None:
        body = b"<VersioningConfiguration/>"
        if what != "versioning":
            self._answer("configuration", 501, b"<Error><Code>NotImplemented</Code></Error>")
        else:
            self._answer("configuration", 200, body)

    def _object(self, key: str, query: dict[str, list[str]], body: bytes) -> None:
        there = self.objects.get(key)
        if self.command == "HEAD":
            metadata = there[1] if there and not self.faults.forgets_metadata else {}
            headers = {**metadata, "ETag": there[0]} if there else {}
            self._answer("head", 200 if there else 404, headers=headers)
        elif self.command == "DELETE" and "uploadId" in query:
            self._answer("abort", 204)
        elif self.command == "DELETE":
            if "delete" not in self.faults.denies:
                del self.objects[key]
                self.faults.keys.discard(key)
            self._answer("delete", 204)
        elif self.command == "POST" and "uploads" in query:
            kind = "InitiateMultipartUploadResult"
            self._answer("create", 200, f"<{kind}><UploadId>u</UploadId></{kind}>".encode())
        elif "partNumber" in query:
            self._answer("part", 200, headers={"ETag": '"part"'})
        elif self.command == "POST":
            self._write("complete", key, body, there)
        else:
            self._write("put", key, body, there)

    def _write(
        self, what: str, key: str, body: bytes, there: tuple[str, dict[str, str]] | None
    ) -> None:
        condition = "if-none-match" if "If-None-Match" in self.headers else "if-match"
        self.faults.requests.append(f"{what} {condition}")
        is_free = there is None
        if condition == "if-match":
            is_free = there is not None and self.headers["If-Match"] == there[0]
        ignored = {condition, what} & set(self.faults.ignores)
        if not is_free and not ignored:
            self._answer(what, 412, TAKEN)
            return
        etag = f'"{hash(body):x}"'
        text = b""
        if what == "complete":
            kind = "CompleteMultipartUploadResult"
            text = f"<{kind}><ETag>{etag}</ETag></{kind}>".encode()
        if what not in self.faults.denies:  # before the answer: the next request looks at it
            headers = ((name.lower(), value) for name, value in self.headers.items())
            metadata = {name: value for name, value in headers if name.startswith("x-amz-meta-")}
            self.objects[key] = (etag, metadata)
            self.faults.keys.add(key)
        self._answer(what, 200, text, {"ETag": etag})

    def _answer(
        self, what: str, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        """Answer, or refuse what is denied."""
        self.faults.requests.append(what)
        if what in self.faults.denies:
            status, body, headers = 403, b"" if self.command == "HEAD" else DENIED, {}
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:  # it has no body
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
