"""ObjectStore: the few things batcher needs of a place for objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class About:
    """What an object carries beside its body."""

    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as the store has it."""

    etag: str
    """Tells this body at this key from any other; opaque."""
    size_bytes: int
    metadata: Mapping[str, str] = field(default_factory=dict)


class Upload(Protocol):
    """A multipart upload that is open: no object exists before `complete`."""

    async def put_part(self, number: int, body: bytes) -> None:
        """Send part `number`, from 1; all but the last have the size given at the start.

        Raises as `ObjectStore.put`, but for the precondition. Safe to call side by side.
        """

    async def complete(self, *, replaces: str | None = None) -> Stored:
        """Make the object appear, whole. Conditions and errors are those of `ObjectStore.put`."""

    async def abort(self) -> None:
        """Throw all parts away; call it when no part is in flight any more."""


class ObjectStore(Protocol):
    """A place for objects. Every write is conditional: it creates, or replaces what it names."""

    async def put(
        self, key: str, body: bytes, about: About, *, replaces: str | None = None
    ) -> Stored:
        """Store one object, durable on return, or nothing.

        Args:
            key: its full name, at most 1,024 bytes.
            body: all its bytes.
            about: what it carries beside them.
            replaces: the ETag of the object that may be replaced; None: the key must be free.

        Raises:
            PreconditionFailedError: the key is taken, or has another ETag than `replaces`.
            RetryableError: the outcome is unknown or the store is busy; the same bytes may go.
            RejectedError: the store refuses, and will again; the message says what to do.
        """

    async def head(self, key: str) -> Stored | None:
        """Look at an object, or give None where the key is free. Errors as in `put`."""

    async def create_upload(self, key: str, about: About, *, part_bytes: int) -> Upload:
        """Open a multipart upload whose parts, all but the last, have `part_bytes` bytes."""

    async def aclose(self) -> None:
        """Let go of connections; objects stay."""
