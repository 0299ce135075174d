"""A model of S3 in which each request has a chosen outcome."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, count, repeat
from typing import TypeVar

from batcher.errors import (
    PreconditionFailedError,
    RejectedError,
    RetryableError,
    UploadLostError,
)
from batcher.stores import ObjectAttributes, ObjectInfo, Request, UploadPart
from batcher.stores.base import EngineStore
from batcher.stores.memory import MemoryObject

T = TypeVar("T")
SLOW_S = 3.0


class RequestOutcome(StrEnum):
    """The outcome of one request."""

    ACTS = "acts"
    """It succeeds."""
    ACTS_SLOWLY = "acts_slowly"
    """It succeeds after some seconds."""
    BUSY = "busy"
    """503: it has no effect."""
    BUSY_FOR_LONG = "busy_for_long"
    """503 with a Retry-After: it has no effect."""
    REFUSED = "refused"
    """403: it has no effect, and a retry would not either."""
    ANSWER_LOST = "answer_lost"
    """It takes effect, and the connection breaks before the response."""
    HANGS = "hangs"
    """It has no effect and gets no response."""
    LATE = "late"
    """It takes effect at some later time and gets no response."""
    ERROR_AND_LATE = "error_and_late"
    """It gets an error, but takes effect at some later time."""
    LATE_BY_ONE = "late_by_one"
    """It takes effect when the next request has arrived, and gets no response."""


@dataclass(eq=False, slots=True)
class DelayedWrite:
    """A write that takes effect later, if its condition holds then."""

    key: str
    if_match: str | None
    act: Callable[[], object]
    after: int | None
    """It takes effect once this many requests have arrived; None: when the test says so."""


class Bucket:
    """Objects under S3's rules: a write is atomic, including the check of its condition."""

    def __init__(self, reached: Counter[str]) -> None:
        """Start empty; `reached` counts the cases that a test has reached."""
        self.objects: dict[str, MemoryObject] = {}
        self.pending: list[DelayedWrite] = []
        self.writes: Counter[str] = Counter()
        """Number of writes, by key."""
        self.reached = reached
        self._arrived = count()

    def write(
        self, key: str, body: bytes, attributes: ObjectAttributes, if_match: str | None, tag: str
    ) -> ObjectInfo:
        """Store one object if the condition holds."""
        existing = self.objects.get(key)
        if (None if existing is None else existing.info.etag) != if_match:
            self.reached["refused by a condition"] += 1
            raise PreconditionFailedError(key)
        if existing is not None:
            self.reached["object replaced"] += 1
        stored = ObjectInfo(tag, len(body), dict(attributes.metadata))
        self.objects[key] = MemoryObject(body, attributes, stored)
        self.writes[key] += 1
        return stored

    def arrive(self) -> int:
        """Count a request and return its number; delayed writes that it triggers come first."""
        number = next(self._arrived)
        for pending in [p for p in self.pending if p.after is not None and p.after < number]:
            self.land(pending)
        return number

    def land(self, pending: DelayedWrite) -> None:
        """Let a delayed write take effect."""
        self.pending.remove(pending)
        try:
            pending.act()
        except (PreconditionFailedError, UploadLostError):
            self.reached["late write refused"] += 1
        else:
            self.reached["late write landed"] += 1


@dataclass(eq=False)
class ModelUpload:
    """A multipart upload. A delayed complete fails if the upload is not open any more."""

    parts: dict[int, bytes] = field(default_factory=dict)
    is_open: bool = True

    def open_parts(self) -> dict[int, bytes]:
        """Return the parts.

        Raises:
            UploadLostError: the upload was completed or aborted.
        """
        if not self.is_open:
            reason = "the upload is not open"
            raise UploadLostError(reason)
        return self.parts


@dataclass(eq=False)
class Connection(EngineStore):
    """One process's connection to the bucket, an `ObjectStore`. Once cut, all requests fail."""

    bucket: Bucket
    is_cut: bool = False
    outcomes: Iterator[RequestOutcome] = field(default_factory=lambda: repeat(RequestOutcome.ACTS))
    requests: list[str] = field(default_factory=list)
    uploads: dict[str, ModelUpload] = field(default_factory=dict)
    meanwhile: list[Callable[[], object] | None] = field(default_factory=list)
    """What others do before each of the next requests."""

    def draw(self, outcomes: Iterable[RequestOutcome]) -> None:
        """Set the outcomes of the next requests. Requests after them succeed."""
        self.outcomes = chain(outcomes, repeat(RequestOutcome.ACTS))

    async def aclose(self) -> None:
        """Do nothing."""

    async def _put(self, request: Request) -> ObjectInfo:
        """Store one object. As in S3, its ETag depends on the body alone."""
        key, body = request.key, request.body
        tag = hashlib.md5(body, usedforsecurity=False).hexdigest()

        def act() -> ObjectInfo:
            return self.bucket.write(key, body, request.attributes, request.if_match, tag)

        return await self.request("put", act, key, request.if_match)

    async def _head(self, request: Request) -> ObjectInfo | None:
        def act() -> ObjectInfo | None:
            existing = self.bucket.objects.get(request.key)
            return None if existing is None else existing.info

        return await self.request("head", act)

    async def _read(self, request: Request) -> bytes | None:
        def act() -> bytes | None:
            existing = self.bucket.objects.get(request.key)
            return None if existing is None else existing.body[request.start : request.stop]

        return await self.request("read", act)

    async def _create_upload(self, request: Request) -> str:
        del request

        def act() -> str:
            upload_id = str(len(self.uploads))
            self.uploads[upload_id] = ModelUpload()
            return upload_id

        return await self.request("create", act)

    async def _put_part(self, request: Request) -> UploadPart:
        def act() -> UploadPart:
            self.uploads[request.upload_id].open_parts()[request.part_number] = request.body
            return UploadPart(request.part_number, len(request.body))

        return await self.request("part", act)

    async def _complete_upload(self, request: Request) -> ObjectInfo:
        """Complete the upload; the object's ETag depends on the parts alone."""
        key, if_match = request.key, request.if_match

        def act() -> ObjectInfo:
            upload = self.uploads[request.upload_id]
            parts = upload.open_parts()
            body = b"".join(parts[number] for number in sorted(parts))
            tag = hashlib.md5(body, usedforsecurity=False).hexdigest() + f"-{len(parts)}"
            stored = self.bucket.write(key, body, request.attributes, if_match, tag)
            upload.is_open = False
            return stored

        return await self.request("complete", act, key, if_match)

    async def _abort_upload(self, request: Request) -> None:
        def act() -> None:
            self.uploads[request.upload_id].is_open = False

        await self.request("abort", act)

    async def request(
        self,
        operation: str,
        act: Callable[[], T],
        key: str | None = None,
        if_match: str | None = None,
    ) -> T:
        """Send one request with the next outcome. The process may be killed before and after it."""
        await self._pause(0)
        if self.meanwhile and (others_act := self.meanwhile.pop(0)) is not None:
            others_act()
        number = self.bucket.arrive()
        outcome = next(self.outcomes)
        self.requests.append(operation)
        self.bucket.reached[f"{operation} {outcome}"] += 1
        if (
            outcome
            in {RequestOutcome.LATE, RequestOutcome.LATE_BY_ONE, RequestOutcome.ERROR_AND_LATE}
            and key is not None
        ):
            after = number if outcome is RequestOutcome.LATE_BY_ONE else None
            self.bucket.pending.append(DelayedWrite(key, if_match, act, after))
        if outcome is RequestOutcome.REFUSED:
            raise RejectedError(operation)
        if outcome in {RequestOutcome.BUSY, RequestOutcome.ERROR_AND_LATE}:
            raise RetryableError(operation)
        if outcome is RequestOutcome.BUSY_FOR_LONG:
            raise RetryableError(operation, SLOW_S)
        if outcome in {RequestOutcome.HANGS, RequestOutcome.LATE, RequestOutcome.LATE_BY_ONE}:
            await asyncio.Event().wait()
        if outcome is RequestOutcome.ACTS_SLOWLY:
            await self._pause(SLOW_S)
        result = act()
        await self._pause(0)
        if outcome is RequestOutcome.ANSWER_LOST:
            raise RetryableError(operation)
        return result

    async def _pause(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        if self.is_cut:
            reason = "the process was killed"
            raise RejectedError(reason)
