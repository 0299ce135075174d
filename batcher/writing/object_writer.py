"""Object writer: makes the records of one batch durable, whatever earlier deliveries have written.

`batcher.writing.write_once` decides the steps. As a rule there is one: the PUT that creates the
object.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from batcher.encoding.codec import Checksum
from batcher.errors import PreconditionFailedError, RejectedError, shorten
from batcher.records.chunk import NamingScheme
from batcher.records.positions import PositionsError, decode_positions
from batcher.stores.request import Operation, Request
from batcher.writing.object import (
    METADATA_DIGEST,
    METADATA_FINGERPRINT,
    METADATA_OF,
    METADATA_RECORDS,
    GuardSpec,
    ObjectSpec,
    Receipt,
    choose_format,
    complete_body,
    is_guard,
    read_positions_metadata,
)
from batcher.writing.outcome import send_write
from batcher.writing.write_once import (
    Answer,
    CreateGuard,
    CreateObject,
    ExistingObject,
    Look,
    Step,
    plan_writes,
)

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.stores.base import ObjectInfo, ObjectStore
    from batcher.writing.pending import PendingBatch

log: logging.Logger = logging.getLogger("batcher")

EncodeBatch = Callable[["PendingBatch"], Coroutine[Any, Any, tuple[bytes, Checksum]]]


class ObjectWriter:
    """Writes one sealed batch of an event source, by one PUT unless its key is taken."""

    def __init__(
        self, store: ObjectStore, settings: Settings, pending: PendingBatch, encode: EncodeBatch
    ) -> None:
        """Write `pending` to `store`; `encode` makes the body of a pending batch."""
        self._store = store
        self._settings = settings
        self._pending = pending
        self._encode = encode
        self._encoded: tuple[bytes, Checksum] | None = None
        self._found_key = ""
        self._found: ObjectInfo | None = None
        self._guarded_key = ""
        self._unknown_reason = "it has no positions list"
        self._receipt: Receipt | None = None

    async def write(self) -> Receipt:
        """Make all records durable. Return the receipt of the last object that has some of them.

        Raises: see `Writer.write`.
        """
        batch = self._pending.batch
        plan = plan_writes(
            batch.full_positions(),
            batch.digest_of,
            is_stream=batch.route.origin.naming is NamingScheme.SEQUENCE,
        )
        answer: Answer = None
        while True:
            try:
                step = plan.send(answer)
            except StopIteration:
                break
            answer = await self._carry_out(step)
        assert self._receipt is not None  # noqa: S101  # the first step creates, or finds
        return self._receipt

    async def _carry_out(self, step: Step) -> Answer:
        if isinstance(step, CreateObject):
            return await self._create(step)
        if isinstance(step, Look):
            return await self._look()
        if isinstance(step, CreateGuard):
            return await self._create_guard(step)
        return await self._read_positions()

    async def _create(self, step: CreateObject) -> bool:
        """Create the object of some records, or of all. Return False if its key is taken."""
        whole = self._pending
        if len(step.positions) == whole.batch.records:
            if self._encoded is None:
                self._encoded = await self._encode_all(whole)
            return await self._send(whole, step, *self._encoded)
        self._encoded = None
        rest = whole.restart(whole.batch.select(frozenset(step.positions)))
        try:
            return await self._send(rest, step, *await self._encode_all(rest))
        finally:
            rest.release()

    async def _encode_all(self, pending: PendingBatch) -> tuple[bytes, Checksum]:
        """Return the body of a batch, with its positions list if that belongs there."""
        body, checksum = await self._encode(pending)
        return complete_body(pending.batch, body, self._settings), checksum

    async def _send(
        self, pending: PendingBatch, step: CreateObject, body: bytes, checksum: Checksum
    ) -> bool:
        spec = ObjectSpec(
            pending.batch,
            pending.uuid_name,
            checksum,
            self._settings,
            suffix=step.suffix,
        )
        if step.is_unknown:
            log.warning(
                "positions_unknown key=%s of=%s reason=%s",
                spec.key,
                self._found_key,
                self._unknown_reason,
            )
        is_created = await self._put(pending, spec.key, body, spec)
        self._found_key = spec.key
        if is_created or self._receipt is None or step.suffix:
            receipt = spec.make_receipt(len(body))
            self._receipt = replace(receipt, records=self._pending.batch.records)
        return is_created

    async def _put(
        self, pending: PendingBatch, key: str, body: bytes, spec: ObjectSpec | GuardSpec
    ) -> bool:
        request = Request(
            Operation.PUT,
            key,
            body=body,
            attributes=spec.attributes,
            deadline_s=pending.deadline_s,
            slots=pending.slots,
        )
        try:
            await send_write(self._store, request)
        except PreconditionFailedError as error:
            shorten(error)
            return False
        return True

    async def _look(self) -> ExistingObject | None:
        pending = self._pending
        self._found = await self._store.head(
            self._found_key, deadline_s=pending.deadline_s, slots=pending.slots
        )
        if self._found is None:
            return None
        metadata = self._found.metadata
        records = metadata.get(METADATA_RECORDS, "")
        return ExistingObject(
            metadata.get(METADATA_DIGEST, ""),
            int(records) if records.isdecimal() else 0,
            metadata.get(METADATA_FINGERPRINT, ""),
        )

    async def _read_positions(self) -> Sequence[str] | None:
        """Return the list of the object that was found, or None if none can be read.

        A body may be refused for good where a HEAD is not: if the object is archived
        (`storage_class`), or if the role may not decrypt it. The records are written once more
        then. Otherwise they would come back until they expire.
        """
        assert self._found is not None  # noqa: S101  # `Look` was the step before
        found = read_positions_metadata(self._found.metadata)
        try:
            if found is None:
                found = await self._read_from_body(self._found.size_bytes)
            return None if found is None else decode_positions(found)
        except (PositionsError, RejectedError) as error:
            self._unknown_reason = str(error)
            return None

    async def _read_from_body(self, size_bytes: int) -> bytes | None:
        from batcher.encoding.positions_field import (  # noqa: PLC0415  # of long lists
            find_positions,
            positions_range,
        )

        compression = choose_format(self._pending.batch.route, self._settings).compression
        wanted = positions_range(compression, size_bytes)
        while wanted is not None and wanted[0] < wanted[1]:
            part = await self._store.read_range(
                self._found_key,
                *wanted,
                deadline_s=self._pending.deadline_s,
                slots=self._pending.slots,
            )
            found = None if part is None else find_positions(compression, part)
            if not isinstance(found, int):
                return found
            start = max(0, size_bytes - found)
            wanted = None if start >= wanted[0] else (start, size_bytes)
        return None

    async def _create_guard(self, step: CreateGuard) -> bool:
        """Create a guard of the object that was found. Return False if its key is taken."""
        assert self._found is not None  # noqa: S101  # it was found by an earlier step
        if not step.suffix:  # else this is the second try, and what has the key was found since
            metadata = self._found.metadata
            of_key = metadata.get(METADATA_OF, "") if is_guard(metadata) else ""
            self._guarded_key = of_key or self._found_key
        guard = GuardSpec(
            self._pending.batch, step.positions, self._guarded_key, self._settings, step.suffix
        )
        is_created = await self._put(self._pending, guard.key, guard.body, guard)
        self._found_key = guard.key
        return is_created
