"""Request: everything about one request to a store.

What it reads or writes, how long it may take (`PausableTimeout`), and its retries (`RetryLog`).
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from batcher.concurrency import WorkerSlots

log: logging.Logger = logging.getLogger("batcher")

RESPONSE_TIMEOUT_S = 10.0
"""How long a response may take, in addition to the time to send the body."""


MIN_BYTES_PER_S = 256 * 1024
"""A connection that is slower than this is taken for dead."""


COMPLETE_TIMEOUT_S = 300.0
"""S3 joins parts for minutes. Source: Amazon S3 API reference, CompleteMultipartUpload."""


ABORT_TIMEOUT_S = 3.0
"""Short enough for a retry within the time that `batcher.writing.multipart` has for an abort."""


def transfer_timeout_s(size_bytes: int) -> float:
    """Return how long a request with this many bytes may take until its response comes."""
    return RESPONSE_TIMEOUT_S + size_bytes / MIN_BYTES_PER_S


class Operation(Enum):
    """The operations of a store, and what a retry after a lost response meets."""

    PUT = "put"
    """Write one object. A retry meets 412, because the first attempt's object is there."""
    HEAD = "head"
    """Look at an object. Idempotent."""
    READ = "read"
    """Read a part of an object's body. Idempotent."""
    CREATE_UPLOAD = "create"
    """Open a multipart upload. A retry opens a second one: the engine aborts the first."""
    PUT_PART = "part"
    """Send a part of an upload. Idempotent."""
    COMPLETE_UPLOAD = "complete"
    """Make an upload's object appear. A retry meets `UploadLostError`: look for the object."""
    ABORT_UPLOAD = "abort"
    """Discard an upload. Idempotent."""

    def __init__(self, label: str) -> None:
        """Derive the properties from the label."""
        self.label = label
        """The operation in messages and logs."""
        self.has_body: bool = label in {"put", "part"}
        """Whether the request carries bytes of an object."""
        self.creates_object: bool = label in {"put", "complete"}
        """Whether an object exists after its success."""
        self.is_cleanup: bool = label == "abort"
        """Whether it must be sent even after the deadline, and without waiting for a turn."""
        self.only_reads: bool = label in {"head", "read"}
        """Whether it changes nothing. S3 has a separate rate limit for these."""


class ObjectAttributes(Struct, frozen=True):
    """The headers of an object."""

    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)


class ObjectInfo(Struct, frozen=True):
    """An object as the store knows it."""

    etag: str
    """Opaque. It differs between any two bodies that a key has had."""
    size_bytes: int
    metadata: Mapping[str, str] = field(default_factory=dict)


class UploadPart(Struct, frozen=True):
    """A part that the store has received, as `COMPLETE_UPLOAD` must name it."""

    number: int
    """From 1."""
    size_bytes: int
    etag: str = ""
    checksum: str = ""


NO_ATTRIBUTES = ObjectAttributes()


class PausableTimeout:
    """Time limits of one request. `RetryingStore` sets them, `RateLimitedStore` pauses them."""

    __slots__ = ("_clock", "_response_s", "_response_timeout", "paused_s")

    def __init__(self, clock: Callable[[], float]) -> None:
        """Read the time from `clock`, in seconds."""
        self._clock = clock
        self._response_timeout: asyncio.Timeout | None = None
        self._response_s = 0.0
        self.paused_s: float = 0.0
        """How long the request has waited for its turns so far."""

    def limit_response(self, response_s: float) -> asyncio.Timeout:
        """Return a timeout that cancels an attempt whose response takes longer than this."""
        self._response_timeout = asyncio.timeout(response_s)
        self._response_s = response_s
        return self._response_timeout

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop all limits meanwhile. The response has its whole time again afterwards."""
        since_s = self._clock()
        if self._response_timeout is not None:
            self._response_timeout.reschedule(None)
        try:
            yield
        finally:
            self.paused_s += self._clock() - since_s
            if self._response_timeout is not None:
                now_s = asyncio.get_running_loop().time()
                self._response_timeout.reschedule(now_s + self._response_s)


class RetryLog:
    """Remembers the first failure of an object's requests, and counts the retries.

    If the object cannot be written, nothing is logged here: the error that is raised has it all.
    """

    __slots__ = ("_first_error", "_first_operation", "_retries", "key")

    def __init__(self, key: str) -> None:
        """Start for the object at `key`, with no retries."""
        self.key: str = key
        self._first_operation = self._first_error = ""
        self._retries = 0

    def add(self, operation: str, error: Exception) -> None:
        """Count a request that is retried after this error."""
        if not self._retries:
            self._first_operation, self._first_error = operation, str(error)
        self._retries += 1

    def write(self) -> None:
        """Log one `request_repeated` if there were retries since the last one."""
        if self._retries:
            log.warning(
                "request_repeated operation=%s key=%s times=%s error=%s",
                self._first_operation,
                self.key,
                self._retries,
                self._first_error,
            )
            self._retries = 0


class Request(Struct, frozen=True, repr_omit_defaults=True):
    """One request to a store. Which fields matter depends on the operation.

    To derive one request from another, use `msgspec.structs.replace`.
    """

    operation: Operation
    key: str
    """The object's full key, at most 1,024 bytes."""
    body: bytes = b""
    """PUT and PUT_PART: the bytes to send."""
    attributes: ObjectAttributes = NO_ATTRIBUTES
    if_match: str | None = None
    """PUT: the ETag of the object to replace. None: the key must be free.

    Objects that hold records are never replaced; only marks of a replay replace their object."""
    start: int = 0
    """READ: the first byte to read, from 0."""
    stop: int = 0
    """READ: the byte after the last one to read. It is within the object, and above `start`."""
    part_bytes: int = 0
    """Multipart: the size of all parts but the last."""
    upload_id: str = ""
    """Multipart, except CREATE_UPLOAD: the response to CREATE_UPLOAD."""
    part_number: int = 0
    """PUT_PART: from 1."""
    parts: Sequence[UploadPart] = ()
    """COMPLETE_UPLOAD: all parts in order."""
    deadline_s: float | None = None
    """When the result must be known, on the event loop's clock. None: there is no deadline."""
    slots: WorkerSlots | None = None
    """The slots of which the sender holds one. It is released while the request waits."""
    timeout: PausableTimeout | None = None
    """Set by `RetryingStore`, for stores inside it that wait before they send."""
    retry_log: RetryLog | None = None
    """The log that counts retries. None: the request gets its own."""

    def __repr__(self) -> str:  # a body is payload, which must not get into logs
        return f"<Request {self.label} {self.key!r} {len(self.body)} B>"

    @property
    def label(self) -> str:
        """The operation in messages and logs, with the number of a part."""
        label = self.operation.label
        return f"{label} {self.part_number}" if self.part_number else label

    @property
    def response_timeout_s(self) -> float:
        """How long one attempt may take, without the time it waits for its turn."""
        if self.operation is Operation.COMPLETE_UPLOAD:
            return COMPLETE_TIMEOUT_S
        if self.operation.is_cleanup:
            return ABORT_TIMEOUT_S
        return transfer_timeout_s(len(self.body) + self.stop - self.start)

    def timeout_paused(self) -> AbstractContextManager[None]:
        """Pause the request's timeout, if it has one, while the request waits for its turn."""
        return nullcontext() if self.timeout is None else self.timeout.paused()

    def slot_released(self) -> AbstractContextManager[None]:
        """Release the sender's worker slot, if it holds one, while the request waits."""
        return nullcontext() if self.slots is None else self.slots.temporarily_released()


Response: TypeAlias = ObjectInfo | UploadPart | bytes | str | None
"""The result of a request.

- PUT and COMPLETE_UPLOAD: `ObjectInfo`
- HEAD: `ObjectInfo`, or None if the key is free
- READ: the bytes, or None if the key is free or the store cannot read
- CREATE_UPLOAD: the upload's id, which is opaque
- PUT_PART: `UploadPart`
- ABORT_UPLOAD: None
"""
