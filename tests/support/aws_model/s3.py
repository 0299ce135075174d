"""A model of S3: what it stores, what it is asked, and what becomes of each request."""

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
    """What becomes of one request."""

    ACTS = "acts"
    """It is done, and answered."""
    ACTS_SLOWLY = "acts_slowly"
    """The same, some seconds later."""
    BUSY = "busy"
    """503: nothing is done."""
    BUSY_FOR_LONG = "busy_for_long"
    """503 with a Retry-After."""
    REFUSED = "refused"
    """403: nothing is done, and nothing will be."""
    ANSWER_LOST = "answer_lost"
    """It is done, and the connection breaks before the answer."""
    HANGS = "hangs"
    """It is never done, and never answered."""
    LATE = "late"
    """It is done at some later time, and never answered."""
    ERROR_AND_LATE = "error_and_late"
    """It is answered with an error, and done at some later time all the same."""
    LATE_BY_ONE = "late_by_one"
    """It is done when the next request has arrived, and never answered."""


@dataclass(eq=False, slots=True)
class DelayedWrite:
    """A write that was sent, and is done whenever it is done, if its condition holds then."""

    key: str
    if_match: str | None
    act: Callable[[], object]
    after: int | None
    """It lands once so many requests have arrived; None: when somebody says so."""


class Bucket:
    """Objects under S3's rules: each write is one step, and its condition is looked at then."""

    def __init__(self, reached: Counter[str]) -> None:
        """Start empty; `reached` counts what has happened."""
        self.objects: dict[str, MemoryObject] = {}
        self.pending: list[DelayedWrite] = []
        self.writes: Counter[str] = Counter()
        """How often each key was written."""
        self.reached = reached
        self._arrived = count()

    def write(
        self, key: str, body: bytes, attributes: ObjectAttributes, if_match: str | None, tag: str
    ) -> ObjectInfo:
        """Store one object, if the condition holds."""
        there = self.objects.get(key)
        if (None if there is None else there.info.etag) != if_match:
            self.reached["refused by a condition"] += 1
            raise PreconditionFailedError(key)
        if there is not None:
            self.reached["object replaced"] += 1
        stored = ObjectInfo(tag, len(body), dict(attributes.metadata))
        self.objects[key] = MemoryObject(body, attributes, stored)
        self.writes[key] += 1
        return stored

    def arrive(self) -> int:
        """Note one more request; writes that waited for it are done first."""
        number = next(self._arrived)
        for pending in [p for p in self.pending if p.after is not None and p.after < number]:
            self.land(pending)
        return number

    def land(self, pending: DelayedWrite) -> None:
        """Do a write that was late."""
        self.pending.remove(pending)
        try:
            pending.act()
        except (PreconditionFailedError, UploadLostError):
            self.reached["late write refused"] += 1
        else:
            self.reached["late write landed"] += 1

    def forget_replacements(self) -> None:
        """Drop late writes that replace what is there now.

        That is an assumption: a replacing write is not that late. It can only still succeed when
        what it saw has come back after it was sent; see `test_stream_assumptions`.
        """
        for pending in list(self.pending):
            there = self.objects.get(pending.key)
            if there is not None and there.info.etag == pending.if_match:
                self.pending.remove(pending)
                self.reached["assumed: no such late replacement"] += 1


@dataclass(eq=False)
class ModelUpload:
    """A multipart upload; a late complete finds it open or gone."""

    parts: dict[int, bytes] = field(default_factory=dict)
    is_open: bool = True

    def open_parts(self) -> dict[int, bytes]:
        """Return the parts of an open upload."""
        if not self.is_open:
            gone = "the upload is gone"
            raise UploadLostError(gone)
        return self.parts


@dataclass(eq=False)
class Connection(EngineStore):
    """One process's way to the bucket: an `ObjectStore`. When it is cut, nothing gets through."""

    bucket: Bucket
    is_cut: bool = False
    fates: Iterator[RequestOutcome] = field(default_factory=lambda: repeat(RequestOutcome.ACTS))
    requests: list[str] = field(default_factory=list)
    uploads: dict[str, ModelUpload] = field(default_factory=dict)

    def draw(self, fates: Iterable[RequestOutcome]) -> None:
        """Set the fates of the next requests; those after them succeed."""
        self.fates = chain(fates, repeat(RequestOutcome.ACTS))

    async def aclose(self) -> None:
        """Do nothing."""

    async def _put(self, request: Request) -> ObjectInfo:
        """Store one object; the ETag depends on the body alone, as in S3."""
        key, body = request.key, request.body
        tag = hashlib.md5(body, usedforsecurity=False).hexdigest()

        def act() -> ObjectInfo:
            return self.bucket.write(key, body, request.attributes, request.if_match, tag)

        return await self.request("put", act, key, request.if_match)

    async def _head(self, request: Request) -> ObjectInfo | None:
        def act() -> ObjectInfo | None:
            there = self.bucket.objects.get(request.key)
            return None if there is None else there.info

        return await self.request("head", act)

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
        """Make the object appear; its ETag depends on the parts alone."""
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
        """Make one request, whose fate is drawn; a kill may come before it, within, and after."""
        await self._pause(0)
        number = self.bucket.arrive()
        fate = next(self.fates)
        self.requests.append(operation)
        self.bucket.reached[f"{operation} {fate}"] += 1
        if (
            fate in {RequestOutcome.LATE, RequestOutcome.LATE_BY_ONE, RequestOutcome.ERROR_AND_LATE}
            and key is not None
        ):
            after = number if fate is RequestOutcome.LATE_BY_ONE else None
            self.bucket.pending.append(DelayedWrite(key, if_match, act, after))
        if fate is RequestOutcome.REFUSED:
            raise RejectedError(operation)
        if fate in {RequestOutcome.BUSY, RequestOutcome.ERROR_AND_LATE}:
            raise RetryableError(operation)
        if fate is RequestOutcome.BUSY_FOR_LONG:
            raise RetryableError(operation, SLOW_S)
        if fate in {RequestOutcome.HANGS, RequestOutcome.LATE, RequestOutcome.LATE_BY_ONE}:
            await asyncio.Event().wait()
        if fate is RequestOutcome.ACTS_SLOWLY:
            await self._pause(SLOW_S)
        result = act()
        await self._pause(0)
        if fate is RequestOutcome.ANSWER_LOST:
            raise RetryableError(operation)
        return result

    async def _pause(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        if self.is_cut:
            gone = "the process is gone"
            raise RejectedError(gone)
