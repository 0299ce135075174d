"""The minimal handler: the least Python that does what the handler must do, for one good event.

No error handling, no second partition, no duplicate, no signature: no handler can cost less.
It checks, joins, compresses and names as batcher does, and sends one PUT over one connection.
Pieces of half a MiB make it faster than one text would: 9.8 ms of CPU in place of 12.7 ms to join
and compress 3.3 MB, for small buffers are used again where large ones are paged in again.
"""

from __future__ import annotations

import hashlib
import os
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.client import HTTPSConnection
from itertools import repeat
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from isal import isal_zlib
from pybase64 import b64decode

T = TypeVar("T", str, bytes)
SUFFIXES = {"zstd": ".zst", "gzip": ".gz", "none": ""}
HOUR_S = 3600
PIECE_BYTES = 512 * 1024
_check = msgspec.json.Decoder(msgspec.Raw).decode


def compressor(compression: str) -> Callable[[bytes], bytes]:
    """Return the codec that batcher uses, at level 1; `none` leaves the text as it is."""
    if compression == "none":
        return lambda text: text
    if compression == "gzip":
        return lambda text: isal_zlib.compress(text, 1, 31)
    try:
        from compression import zstd  # noqa: PLC0415  # from Python 3.14 on
    except ImportError:
        from backports import zstd  # noqa: PLC0415
    return lambda text: zstd.compress(text, 1)


class BareFloor:
    """Writes the records of an event into one object."""

    def __init__(self, bucket: str, compression: str) -> None:
        """Connect to the endpoint that the environment names."""
        self._compress = compressor(compression)
        self._prefix = f"/{bucket}/events/"
        self._suffix = f".ndjson{SUFFIXES[compression]}"
        trusted = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
        endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL_S3"])
        self._connection = HTTPSConnection(endpoint.netloc, context=trusted)

    def sqs(self, event: dict[str, Any]) -> dict[str, Any]:
        """Write an event of one standard queue's messages, all sent within an hour."""
        records = event["Records"]
        bodies = [record["body"] for record in records]
        ids = [record["messageId"] for record in records]
        sent_ms = [record["attributes"]["SentTimestamp"] for record in records]
        deque(map(_check, bodies), 0)
        texts = (("\n".join(piece) + "\n").encode() for piece in _pieces(bodies))
        body = b"".join(map(self._compress, texts))
        ids.sort()
        digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
        oldest_ms = min(sent_ms)
        partition = _partition(int(oldest_ms) / 1000, int(max(sent_ms)) / 1000)
        queue = records[0]["eventSourceARN"].rpartition(":")[2]
        self._put(f"{queue}-{oldest_ms}-{digest[:32]}", partition, digest, body)
        return {"batchItemFailures": []}

    def kinesis(self, event: dict[str, Any]) -> dict[str, Any]:
        """Write an event of one shard's records, all of one hour."""
        records = event["Records"]
        inner = [record["kinesis"] for record in records]
        numbers = [record["sequenceNumber"] for record in inner]
        arrivals_s = [record["approximateArrivalTimestamp"] for record in inner]
        data = [record["data"] for record in inner]
        payloads = list(map(b64decode, data, repeat(None), repeat(True)))  # noqa: FBT003  # validate
        deque(map(_check, payloads), 0)
        texts = (b"\n".join((*piece, b"")) for piece in _pieces(payloads))
        body = b"".join(self._compress(text) for text in texts if text.isascii() or text.decode())
        digest = hashlib.sha256("\n".join(numbers).encode()).hexdigest()
        partition = _partition(min(arrivals_s), max(arrivals_s))
        stream = records[0]["eventSourceARN"].partition("/")[2]
        shard = records[0]["eventID"].partition(":")[0]
        self._put(f"{stream}-{shard}-{numbers[0]:0>64}", partition, digest, body)
        return {"batchItemFailures": []}

    def _put(self, name: str, partition: str, digest: str, body: bytes) -> None:
        """Send; anything but a 200 is an error."""
        salt = f"{hashlib.sha256(name.encode()).digest()[0] >> 4:04b}"
        crc32 = b64encode(isal_zlib.crc32(body).to_bytes(4, "big")).decode()
        self._connection.request(
            "PUT",
            f"{self._prefix}{salt}/{partition}/{name}{self._suffix}",
            body,
            {
                "If-None-Match": "*",
                "x-amz-checksum-crc32": crc32,
                "x-amz-meta-batcher-digest": digest,
            },
        )
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 200:  # noqa: PLR2004  # HTTP's
            msg = f"the sink answered {answer.status}"
            raise RuntimeError(msg)


def _pieces(payloads: list[T]) -> Iterator[list[T]]:
    """Cut records into slices of about `PIECE_BYTES`; here all are of one size."""
    step = max(1, PIECE_BYTES // (len(payloads[0]) + 1))
    return (payloads[start : start + step] for start in range(0, len(payloads), step))


def _partition(oldest_s: float, newest_s: float) -> str:
    """Return the one partition of arrivals between these."""
    if oldest_s // HOUR_S != newest_s // HOUR_S:
        msg = "the minimal handler writes one partition"
        raise ValueError(msg)
    return datetime.fromtimestamp(oldest_s, UTC).strftime("dt=%Y-%m-%d/hour=%H")
