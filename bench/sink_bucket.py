"""Bucket: what the sink knows of the objects it was sent, of which it keeps nothing."""

from __future__ import annotations

import base64
import threading
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import Any, BinaryIO
from urllib.parse import parse_qs, unquote

from isal import isal_zlib

from body_decoder import Decoding, joined

_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_LIST = f"{_XML}<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, whole."""

    method: str
    path: str
    """As it came, with its query."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    """Without its transfer encoding."""

    def stored(self) -> bytes:
        """Return the body as S3 would store it: boto3 sends chunks, its checksum after them."""
        is_chunked = "aws-chunked" in self.headers.get("content-encoding", "")
        return dechunked(BytesIO(self.body)) if is_chunked else self.body


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client gets."""

    status: str = "200 OK"
    body: bytes = b""
    size_bytes: int | None = None
    """What Content-Length says of a HEAD's object."""


@dataclass(slots=True)
class Seen:
    """What came for one bucket."""

    requests: int = 0
    size_bytes: int = 0
    """Of all bodies."""
    path: str = ""
    """The last request's."""
    headers: dict[str, str] = field(default_factory=dict)
    """The last request's, names in lower case."""


@dataclass(slots=True)
class Kept:
    """What is known of one object."""

    size_bytes: int
    crc32: int
    parts: int
    text_bytes: int = 0
    text_crc32: int = 0
    """Of the decoded text, where the bucket was proving."""
    fault: str = ""
    """Why it could not be decoded."""


class Bucket:
    """Takes what comes from any number of connections."""

    def __init__(self) -> None:
        """Start empty, with no delay, measuring bodies as they are."""
        self.delay_s = 0.0
        self.is_proving = False
        """Whether texts are decoded: much work, so for the proof alone."""
        self._seen = Seen()
        self._last = Request("", "", {}, b"")
        self._objects: dict[str, Kept] = {}
        self._uploads: dict[str, _Upload] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """Take a request in, and say what to answer."""
        path, _, query = request.path.partition("?")
        options = parse_qs(query, keep_blank_values=True)
        key = unquote(path).partition("/")[2].partition("/")[2]
        with self._lock:
            self._seen.requests += 1
            self._seen.size_bytes += len(request.body)
            self._seen.path, self._seen.headers = request.path, request.headers
        if "uploads" in options:
            return self._create(key)
        if "uploadId" in options:
            return self._go_on(request, key, options)
        if request.method == "PUT":
            self._put(request, key)
        elif request.method in {"HEAD", "GET"} and key:
            kept = self._objects.get(key)
            return Answer("404 Not Found") if kept is None else Answer(size_bytes=kept.size_bytes)
        elif request.method == "GET":
            return Answer(body=f"{_LIST}</ListBucketResult>".encode())
        return Answer()

    def _put(self, request: Request, key: str) -> None:
        upload = _Upload(is_proving=self.is_proving)
        upload.add(1, request.stored())
        with self._lock:
            self._last = request
            self._objects[key] = upload.end()

    def _create(self, key: str) -> Answer:
        with self._lock:
            identity = f"upload-{self._seen.requests}"
            self._uploads[identity] = _Upload(is_proving=self.is_proving)
        text = f"{_XML}<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>{key}</Key>"
        end = f"<UploadId>{identity}</UploadId></InitiateMultipartUploadResult>"
        return Answer(body=(text + end).encode())

    def _go_on(self, request: Request, key: str, options: dict[str, list[str]]) -> Answer:
        """Go on with a multipart upload: a part, its completion or its end."""
        identity = options["uploadId"][0]
        upload = self._uploads.get(identity)
        if upload is None:
            return Answer("404 Not Found")
        if request.method == "PUT":
            upload.add(int(options["partNumber"][0]), request.stored())
            return Answer()
        with self._lock:
            del self._uploads[identity]
            if request.method == "DELETE":
                return Answer("204 No Content")
            self._objects[key] = upload.end()
        text = f"{_XML}<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>{key}</Key>"
        return Answer(
            body=f"{text}<ETag>&quot;0&quot;</ETag></CompleteMultipartUploadResult>".encode()
        )

    def change(self, *, is_proving: bool = False, delay_s: float = 0.0) -> None:
        """Forget everything, and go on like this."""
        with self._lock:
            self.is_proving, self.delay_s = is_proving, delay_s
            self._seen = Seen()
            self._objects.clear()
            self._uploads.clear()

    def seen(self) -> dict[str, Any]:
        """Report of the requests, and give the last PUT's body."""
        with self._lock:
            body = base64.b64encode(self._last.stored()).decode()
            return asdict(self._seen) | {"body": body}

    def objects(self) -> dict[str, Any]:
        """Report of the objects, and how many uploads are open."""
        with self._lock:
            kept = {key: asdict(one) for key, one in self._objects.items()}
            return {
                "objects": kept,
                "open_uploads": len(self._uploads),
                "requests": self._seen.requests,
            }


class _Upload:
    """The parts of one object: their sums, and what cannot be decoded before its turn."""

    def __init__(self, *, is_proving: bool) -> None:
        """Start with no part."""
        self._sums: dict[int, tuple[int, int]] = {}
        self._decoding = Decoding() if is_proving else None
        self._early: dict[int, bytes] = {}
        self._next = 1
        self._fault = ""
        self._lock = threading.Lock()

    def add(self, number: int, body: bytes) -> None:
        """Take a part; parts come in any order."""
        sums = (isal_zlib.crc32(body), len(body))
        with self._lock:
            self._sums[number] = sums
            if self._decoding is None:
                return
            self._early[number] = body
            while (ready := self._early.pop(self._next, None)) is not None:
                self._next += 1
                self._feed(self._decoding, ready)

    def _feed(self, decoding: Decoding, body: bytes) -> None:
        try:
            decoding.feed(body)
        except Exception as error:  # noqa: BLE001  # whatever it is, the body is not right
            self._fault = self._fault or repr(error)

    def end(self) -> Kept:
        """Return what is known of the object."""
        crc32, size_bytes = joined([self._sums[number] for number in sorted(self._sums)])
        kept = Kept(size_bytes, crc32, len(self._sums))
        if (decoding := self._decoding) is not None:
            is_whole = decoding.is_whole and not self._early
            kept.text_bytes, kept.text_crc32 = decoding.size_bytes, decoding.crc32
            kept.fault = self._fault or ("" if is_whole else "it ends too early")
        return kept


def dechunked(reader: BinaryIO) -> bytes:
    """Read a body that comes in chunks, up to its trailer."""
    chunks = []
    while size_bytes := int(reader.readline().partition(b";")[0], 16):
        chunks.append(reader.read(size_bytes))
        reader.readline()
    return b"".join(chunks)
