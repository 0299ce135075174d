"""Checksums and sizes of the objects that the sink received. Bodies are not kept."""

from __future__ import annotations

import base64
import threading
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import Any, BinaryIO
from urllib.parse import parse_qs, unquote

from isal import isal_zlib

from body_decoder import BodyDecoder, combine_checksums

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
class Response:
    """A response to the client."""

    status: str = "200 OK"
    body: bytes = b""
    size_bytes: int | None = None
    """Content-Length of a HEAD's object."""


@dataclass(slots=True)
class SeenRequests:
    """Requests for one bucket."""

    requests: int = 0
    size_bytes: int = 0
    """Of all bodies."""
    path: str = ""
    """The last request's."""
    headers: dict[str, str] = field(default_factory=dict)
    """The last request's, names in lower case."""


@dataclass(slots=True)
class StoredObject:
    """Checksums and sizes of one object."""

    size_bytes: int
    crc32: int
    parts: int
    text_bytes: int = 0
    text_crc32: int = 0
    """Of the decoded text, where the bucket was proving."""
    fault: str = ""
    """Why it could not be decoded."""


class Bucket:
    """Receives objects from any number of connections."""

    def __init__(self) -> None:
        """Start empty, with no delay, measuring bodies as they are."""
        self.delay_s = 0.0
        self.is_proving = False
        """Whether texts are decoded: much work, so for the proof alone."""
        self._seen = SeenRequests()
        self._last = Request("", "", {}, b"")
        self._objects: dict[str, StoredObject] = {}
        self._uploads: dict[str, _Upload] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Response:
        """Record a request, and return its response."""
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
            return self._continue_upload(request, key, options)
        if request.method == "PUT":
            self._put(request, key)
        elif request.method in {"HEAD", "GET"} and key:
            kept = self._objects.get(key)
            return (
                Response("404 Not Found") if kept is None else Response(size_bytes=kept.size_bytes)
            )
        elif request.method == "GET":
            return Response(body=f"{_LIST}</ListBucketResult>".encode())
        return Response()

    def _put(self, request: Request, key: str) -> None:
        upload = _Upload(is_proving=self.is_proving)
        upload.add(1, request.stored())
        with self._lock:
            self._last = request
            self._objects[key] = upload.end()

    def _create(self, key: str) -> Response:
        with self._lock:
            identity = f"upload-{self._seen.requests}"
            self._uploads[identity] = _Upload(is_proving=self.is_proving)
        text = f"{_XML}<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>{key}</Key>"
        end = f"<UploadId>{identity}</UploadId></InitiateMultipartUploadResult>"
        return Response(body=(text + end).encode())

    def _continue_upload(
        self, request: Request, key: str, options: dict[str, list[str]]
    ) -> Response:
        """Handle a part, the completion or the abort of a multipart upload."""
        identity = options["uploadId"][0]
        upload = self._uploads.get(identity)
        if upload is None:
            return Response("404 Not Found")
        if request.method == "PUT":
            upload.add(int(options["partNumber"][0]), request.stored())
            return Response()
        with self._lock:
            del self._uploads[identity]
            if request.method == "DELETE":
                return Response("204 No Content")
            self._objects[key] = upload.end()
        text = f"{_XML}<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>{key}</Key>"
        return Response(
            body=f"{text}<ETag>&quot;0&quot;</ETag></CompleteMultipartUploadResult>".encode()
        )

    def change(self, *, is_proving: bool = False, delay_s: float = 0.0) -> None:
        """Forget everything, and set how later requests are handled."""
        with self._lock:
            self.is_proving, self.delay_s = is_proving, delay_s
            self._seen = SeenRequests()
            self._objects.clear()
            self._uploads.clear()

    def seen(self) -> dict[str, Any]:
        """Return figures of the requests, and the last PUT's body."""
        with self._lock:
            body = base64.b64encode(self._last.stored()).decode()
            return asdict(self._seen) | {"body": body}

    def objects(self) -> dict[str, Any]:
        """Return figures of the objects, and how many uploads are open."""
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
        self._decoding = BodyDecoder() if is_proving else None
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

    def _feed(self, decoding: BodyDecoder, body: bytes) -> None:
        try:
            decoding.feed(body)
        except Exception as error:  # noqa: BLE001  # whatever it is, the body is not right
            self._fault = self._fault or repr(error)

    def end(self) -> StoredObject:
        """Return what is known of the object."""
        crc32, size_bytes = combine_checksums([self._sums[number] for number in sorted(self._sums)])
        kept = StoredObject(size_bytes, crc32, len(self._sums))
        if (decoding := self._decoding) is not None:
            is_whole = decoding.is_complete and not self._early
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
