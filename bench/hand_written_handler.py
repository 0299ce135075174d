"""The expert's batcher: what a careful engineer writes with aiobotocore, orjson's like and zstd.

One client and one loop are kept, records are checked, named, joined and compressed by calls over
all of them, an object is written a partition under `If-None-Match`, and only failures are answered.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import repeat
from operator import contains
from typing import Any

import msgspec
import pybase64
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

try:
    from compression import zstd
except ImportError:
    from backports import zstd

CONCURRENCY = 16
HOUR_S = 3600
_NEWLINE: Any = 0x0A
_check = msgspec.json.Decoder(msgspec.Raw).decode


class HandWrittenHandler:
    """Writes the records of an event into an object an hour of arrival."""

    def __init__(self, bucket: str) -> None:
        """Connect at the first event."""
        self._bucket = bucket
        self._runner = asyncio.Runner()
        self._client: Any = None

    def sqs(self, event: dict[str, Any]) -> dict[str, Any]:
        """Write messages; those that are bad, and those of a failed object, come back."""
        records = event["Records"]
        ids = [record["messageId"] for record in records]
        if len(set(ids)) < len(ids):  # an id that comes twice is written once
            records = list({record["messageId"]: record for record in records}.values())
            ids = [record["messageId"] for record in records]
        bodies = [record["body"].encode() for record in records]
        sent_s = [int(record["attributes"]["SentTimestamp"]) / 1000 for record in records]
        queue = records[0]["eventSourceARN"].rpartition(":")[2]
        bodies, ids, sent_s, bad = _good(bodies, ids, sent_s)
        objects = []
        for hour_s, indices in _hours(sent_s):
            payloads, members, times_s = _taken(indices, bodies, ids, sent_s)
            members = sorted(members)
            digest = hashlib.sha256("\n".join(members).encode()).hexdigest()
            name = f"{queue}-{round(min(times_s) * 1000):013d}-{digest[:32]}"
            objects.append((name, hour_s, digest, payloads, members))
        failed = self._runner.run(self._write(objects))
        return {"batchItemFailures": [{"itemIdentifier": one} for one in (*bad, *failed)]}

    def kinesis(self, event: dict[str, Any]) -> dict[str, Any]:
        """Write a shard's records; the lowest that is not durable comes back."""
        records = event["Records"]
        inner = [record["kinesis"] for record in records]
        numbers = [record["sequenceNumber"] for record in inner]
        payloads = [pybase64.b64decode(record["data"], validate=True) for record in inner]
        arrivals_s = [record["approximateArrivalTimestamp"] for record in inner]
        stream = records[0]["eventSourceARN"].partition("/")[2]
        shard = records[0]["eventID"].partition(":")[0]
        payloads, numbers, arrivals_s, bad = _good(payloads, numbers, arrivals_s)
        objects = []
        for hour_s, indices in _hours(arrivals_s):
            lines, members, _ = _taken(indices, payloads, numbers, arrivals_s)
            digest = hashlib.sha256("\n".join(members).encode()).hexdigest()
            objects.append((f"{stream}-{shard}-{members[0]:0>64}", hour_s, digest, lines, members))
        failed = [*bad, *self._runner.run(self._write(objects))]
        return {"batchItemFailures": [{"itemIdentifier": min(failed, key=int)}] if failed else []}

    async def _write(
        self, objects: list[tuple[str, int, str, list[bytes], list[str]]]
    ) -> list[str]:
        """Write all objects; give the positions of those that failed."""
        if self._client is None:
            config = AioConfig(max_pool_connections=CONCURRENCY, retries={"mode": "standard"})
            self._client = await get_session().create_client("s3", config=config).__aenter__()
        failed = await asyncio.gather(*(self._put(*one) for one in objects))
        return [position for positions in failed for position in positions]

    async def _put(
        self, name: str, hour_s: int, digest: str, lines: list[bytes], members: list[str]
    ) -> list[str]:
        salt = f"{hashlib.sha256(name.encode()).digest()[0] >> 4:04b}"
        partition = datetime.fromtimestamp(hour_s, UTC).strftime("dt=%Y-%m-%d/hour=%H")
        try:
            await self._client.put_object(
                Bucket=self._bucket,
                Key=f"events/{salt}/{partition}/{name}.ndjson.zst",
                Body=zstd.compress(b"\n".join((*lines, b"")), 1),
                ContentType="application/zstd",
                IfNoneMatch="*",
                Metadata={"batcher-digest": digest, "batcher-records": str(len(lines))},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                return members
        except BotoCoreError:
            return members
        return []


def _good(
    payloads: list[bytes], positions: list[str], times_s: list[float]
) -> tuple[list[bytes], list[str], list[float], list[str]]:
    """Leave out what is not one JSON value on one line; give the positions of that besides."""
    try:
        deque(map(_check, payloads), 0)
        is_utf8 = all(map(bytes.isascii, payloads)) or b"".join(payloads).decode()
        if is_utf8 and not any(map(contains, payloads, repeat(_NEWLINE))):
            return payloads, positions, times_s, []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    good = [index for index, payload in enumerate(payloads) if _is_line(payload)]
    kept = set(good)
    bad = [position for index, position in enumerate(positions) if index not in kept]
    return (*_taken(good, payloads, positions, times_s), bad)


def _is_line(payload: bytes) -> bool:
    try:
        _check(payload)
        return b"\n" not in payload and bool(payload.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _hours(times_s: list[float]) -> Iterator[tuple[int, list[int] | None]]:
    """Return each hour in which records came, and which they are; None: all of them."""
    if not times_s:
        return
    first, last = int(min(times_s) // HOUR_S), int(max(times_s) // HOUR_S)
    if first == last:
        yield first * HOUR_S, None
        return
    for hour in range(first, last + 1):
        if members := [i for i, time_s in enumerate(times_s) if time_s // HOUR_S == hour]:
            yield hour * HOUR_S, members


def _taken(
    indices: list[int] | None, payloads: list[bytes], positions: list[str], times_s: list[float]
) -> tuple[list[bytes], list[str], list[float]]:
    if indices is None:
        return payloads, positions, times_s
    return (
        [payloads[index] for index in indices],
        [positions[index] for index in indices],
        [times_s[index] for index in indices],
    )
