"""A small S3 server on loopback that records what it is sent: conditions, headers and parts."""

from __future__ import annotations

import hashlib
import threading
import zlib
from base64 import b64decode
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cache
from http.server import BaseHTTPRequestHandler
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from support.http_stub import LoopbackServer

HOST = "127.0.0.1"
BUCKET = "golden-bucket"
UPLOAD_WAIT_S = 30.0
LONGEST_CRC64_BYTES = 64 * 1024
"""CRC-64 is computed in Python: larger bodies are not verified."""
_ROOT = '<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass(slots=True)
class StoredObject:
    """An object as the last successful request left it."""

    body: bytes
    headers: dict[str, str]
    """Of the request that described it, names in lower case."""
    part_sizes: list[int] | None = None
    """None: it was sent by one PUT."""

    @property
    def etag(self) -> str:
        """Return the entity tag, quotes included."""
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


@dataclass(slots=True)
class OpenUpload:
    """A multipart upload that is neither completed nor aborted."""

    key: str
    headers: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request for an object."""

    method: str
    key: str
    query: dict[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def operation(self) -> str:
        """Return what is asked for; the HTTP method where that says it."""
        if "uploads" in self.query:
            return "create upload"
        if "partNumber" in self.query:
            return "part"
        if "uploadId" in self.query:
            return "complete upload" if self.method == "POST" else "abort upload"
        return self.method


@dataclass(slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """Content-Length of an answer to HEAD."""


class RecordingS3(LoopbackServer):
    """Serves one bucket while it is entered; `reset` before each case."""

    def __init__(self) -> None:
        """Take a free port."""
        self._lock = threading.Lock()
        super().__init__(_handler_class(self), HOST)
        self.reset()

    @property
    def environ(self) -> dict[str, str]:
        """Return the variables that direct an AWS SDK to this server."""
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": "golden",
            "AWS_SECRET_ACCESS_KEY": "golden",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "NO_PROXY": HOST,
        }

    def reset(self, *, refuse: str = "", busy_once: bool = False) -> None:
        """Forget everything.

        Args:
            refuse: answer 403 to every write whose key contains this; empty: to none.
            busy_once: answer 503 to the first write.
        """
        self.objects: dict[str, StoredObject] = {}
        self.requests: dict[str, list[str]] = defaultdict(list)
        """Of each key, in their order; parts are not listed, for their order is free."""
        self.checksums: set[str] = set()
        """Names of the checksum headers of PUTs and parts."""
        self.uploads: dict[str, OpenUpload] = {}
        self.faults: list[str] = []
        """What a correct client does not send."""
        self._refuse = refuse
        self._busy_left = int(busy_once)
        self._numbers = count(1)
        self._upload_created = threading.Event()

    def wait_for_upload(self) -> None:
        """Wait until a multipart upload was created."""
        if not self._upload_created.wait(UPLOAD_WAIT_S):
            msg = "no multipart upload was created"
            raise TimeoutError(msg)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Carry out one request, and record it."""
        url = urlsplit(target)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(url.query, True).items()}  # noqa: FBT003
        with self._lock:
            if bucket != BUCKET:
                self.faults.append(f"{method} {target}: another bucket")
                return _error(404, "NoSuchBucket")
            if not key:
                return self._list(query)
            request = Request(method, key, query, headers, body)
            conditions = self._conditions(request)
            answer = self._refusal(request) or self._done(request)
            if request.operation not in {"GET", "part"}:
                line = " ".join([request.operation, *conditions])
                self.requests[key].append(f"{line} -> {answer.status}")
            return answer

    def _conditions(self, request: Request) -> list[str]:
        """Return the request's conditions; of an entity tag, whether it is the current one."""
        found, headers = [], request.headers
        # Only aioboto3 completes an upload under a condition; its key is fresh either way
        if "if-none-match" in headers and request.operation != "complete upload":
            found.append(f"if-none-match={headers['if-none-match']}")
        if "if-match" in headers:
            there = self.objects.get(request.key)
            is_current = there is not None and _bare(headers["if-match"]) == _bare(there.etag)
            found.append(f"if-match={'current' if is_current else 'another'}")
        return found

    def _refusal(self, request: Request) -> Answer | None:
        """Return why a request is not carried out; None: it is."""
        operation, key, headers = request.operation, request.key, request.headers
        if operation in {"GET", "HEAD"}:
            return None if key in self.objects else _error(404, "NoSuchKey")
        refusal = None
        if request.query.get("uploadId", "") not in {"", *self.uploads}:
            refusal = _error(404, "NoSuchUpload")
        elif self._refuse and self._refuse in key and operation != "abort upload":
            refusal = _error(403, "AccessDenied")
        elif self._busy_left:
            self._busy_left -= 1
            refusal = _error(503, "SlowDown")
        elif operation in {"PUT", "part"} and not self._is_verified(headers, request.body):
            self.faults.append(f"{operation} {key}: no checksum, or a wrong one")
            refusal = _error(400, "BadDigest")
        elif operation in {"PUT", "complete upload"} and not _is_met(
            headers, self.objects.get(key)
        ):
            refusal = _error(412, "PreconditionFailed")
        elif operation == "complete upload":
            refusal = self._incomplete(request)
        return refusal

    def _done(self, request: Request) -> Answer:
        """Carry a request out."""
        operation, key = request.operation, request.key
        if operation in {"GET", "HEAD"}:
            return _content(self.objects[key], request.headers)
        if operation == "create upload":
            upload_id = f"upload-{next(self._numbers)}"
            self.uploads[upload_id] = OpenUpload(key, dict(request.headers))
            self._upload_created.set()
            return _xml("InitiateMultipartUploadResult", f"<UploadId>{upload_id}</UploadId>")
        if operation == "part":
            number = int(request.query["partNumber"])
            self.uploads[request.query["uploadId"]].parts[number] = request.body
            return Answer(200, headers={"ETag": StoredObject(request.body, {}).etag})
        if operation == "abort upload":
            del self.uploads[request.query["uploadId"]]
            return Answer(204)
        if operation == "PUT":
            there = self.objects[key] = StoredObject(request.body, dict(request.headers))
            return Answer(200, headers={"ETag": there.etag})
        upload = self.uploads.pop(request.query["uploadId"])
        parts = [upload.parts[number] for number in sorted(upload.parts)]
        there = StoredObject(b"".join(parts), upload.headers, [len(part) for part in parts])
        self.objects[key] = there
        return _xml("CompleteMultipartUploadResult", f"<ETag>{escape(there.etag)}</ETag>")

    def _incomplete(self, request: Request) -> Answer | None:
        """Return what is wrong with the parts that an upload is completed with."""
        parts = self.uploads[request.query["uploadId"]].parts
        size_bytes = sum(len(part) for part in parts.values())
        if _numbers(request.body) != sorted(parts):
            self.faults.append(f"complete {request.key}: its parts are {sorted(parts)}")
            return _error(400, "InvalidPart")
        if request.headers.get("x-amz-mp-object-size", str(size_bytes)) != str(size_bytes):
            self.faults.append(f"complete {request.key}: x-amz-mp-object-size is not {size_bytes}")
            return _error(400, "InvalidRequest")
        return None

    def _is_verified(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Return whether the body has a checksum that is right."""
        given = {n: v for n, v in headers.items() if n.startswith("x-amz-checksum-")}
        self.checksums |= given.keys()
        if (crc32 := given.get("x-amz-checksum-crc32")) is not None:
            return b64decode(crc32) == zlib.crc32(body).to_bytes(4, "big")
        if (crc64 := given.get("x-amz-checksum-crc64nvme")) is not None:
            if len(body) > LONGEST_CRC64_BYTES:
                return True
            return b64decode(crc64) == crc64nvme(body).to_bytes(8, "big")
        return False

    def _list(self, query: dict[str, str]) -> Answer:
        """Answer ListObjectsV2 in one page."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        start = query.get("start-after", "")
        found = ""
        folders: dict[str, None] = {}
        for key in sorted(self.objects):
            if not key.startswith(prefix) or key <= start:
                continue
            rest = key.removeprefix(prefix)
            if delimiter and delimiter in rest:
                folders[prefix + rest.partition(delimiter)[0] + delimiter] = None
                continue
            there = self.objects[key]
            found += (
                f"<Contents><Key>{escape(key)}</Key><Size>{len(there.body)}</Size>"
                f"<ETag>{escape(there.etag)}</ETag>"
                "<LastModified>2026-11-23T08:00:00.000Z</LastModified></Contents>"
            )
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
            for folder in folders
        )
        return _xml("ListBucketResult", f"<IsTruncated>false</IsTruncated>{found}{common}")


def _is_met(headers: Mapping[str, str], there: StoredObject | None) -> bool:
    if "if-none-match" in headers and there is not None:
        return False
    wanted = headers.get("if-match")
    return wanted is None or (there is not None and _bare(wanted) == _bare(there.etag))


def _bare(etag: str) -> str:
    return etag.strip('"')


def _numbers(body: bytes) -> list[int]:
    """Return the part numbers that a CompleteMultipartUpload lists."""
    root = ET.fromstring(body)  # noqa: S314  # from the client under test
    return [int(item.text or "") for item in root.iter() if item.tag.endswith("PartNumber")]


def _content(there: StoredObject, headers: Mapping[str, str]) -> Answer:
    carried = {
        name: value
        for name, value in there.headers.items()
        if name.startswith("x-amz-meta-") or name == "content-type"
    }
    carried |= {
        "ETag": there.etag,
        "Last-Modified": formatdate(1_795_420_800, usegmt=True),
        "Accept-Ranges": "bytes",
    }
    first, last = 0, len(there.body) - 1
    wanted = headers.get("range", "")
    if wanted.startswith("bytes="):
        begin, _, end = wanted.removeprefix("bytes=").partition("-")
        first, last = int(begin), min(int(end or last), last)
        carried["Content-Range"] = f"bytes {first}-{last}/{len(there.body)}"
    body = there.body[first : last + 1]
    return Answer(206 if wanted else 200, body, carried, len(body))


def _xml(name: str, inner: str, status: int = 200) -> Answer:
    xmlns = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"' if name != "Error" else ""
    text = f"{_ROOT}<{name}{xmlns}>{inner}</{name}>"
    return Answer(status, text.encode(), {"Content-Type": "application/xml"})


def _error(status: int, code: str) -> Answer:
    return _xml("Error", f"<Code>{code}</Code><Message>golden</Message>", status)


@cache
def _crc64_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x9A6C9329AC4BC9B5 if value & 1 else 0)
        table.append(value)
    return table


def crc64nvme(body: bytes) -> int:
    """Return the checksum that S3 calls CRC64NVME."""
    table, value = _crc64_table(), 0xFFFF_FFFF_FFFF_FFFF
    for byte in body:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFF_FFFF_FFFF_FFFF


def _handler_class(server: RecordingS3) -> type[BaseHTTPRequestHandler]:
    """Make the class that `http.server` calls for each connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            if "transfer-encoding" in headers or "aws-chunked" in headers.get(
                "content-encoding", ""
            ):
                server.faults.append(f"{self.command} {self.path}: a chunked body")
            answer = server.answer(self.command, self.path, headers, body)
            is_head = self.command == "HEAD"
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            length = len(answer.body) if answer.length is None else answer.length
            if answer.status != 204:
                self.send_header(
                    "Content-Length", str(0 if is_head and not answer.length else length)
                )
            self.end_headers()
            if not is_head:
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
            """Log nothing."""

    return Handler
