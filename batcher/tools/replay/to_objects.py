"""Objects: replayed records become objects of data, as if they had come from their source."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from batcher.batching.router import Router
from batcher.handler.event_writer import EventWriter, plan_batches
from batcher.keys.names import Uuid7Generator
from batcher.records.chunk import positions_digest
from batcher.sources import Event
from batcher.tools.replay.grouping import REPLAY_SOURCE, make_chunk, make_group_id
from batcher.tools.replay.marks import (
    QuarantineLine,
    ReplayMark,
    ReplayState,
    incomplete_reason,
    missing_transform_reason,
)
from batcher.tools.replay.target import SendPlan, SendResult, Skipped
from batcher.writing.object import METADATA_DIGEST, object_key, object_name
from batcher.writing.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batcher.batching.validation import Transform
    from batcher.settings import Settings
    from batcher.stores import ObjectStore

ENCODER_THREADS = 2


class ObjectTarget:
    """Takes records through intake, batches and the writer; keys follow from the records alone."""

    def __init__(
        self, store: ObjectStore, settings: Settings, transform: Transform | None = None
    ) -> None:
        """Write to `store` as the settings say; bad records stay where they are."""
        self._store = store
        self._settings = replace(settings, on_bad_record="fail")
        self._has_transform = transform is not None
        self._router = Router(self._settings, transform)
        self._router_without_transform = Router(self._settings)
        self._executor = ThreadPoolExecutor(ENCODER_THREADS, "batcher-encode")
        writer = Writer(store, self._settings, self._executor, ENCODER_THREADS)
        names = Uuid7Generator(time.time, secrets.randbits)
        self._event_writer = EventWriter(
            self._router_without_transform, writer, self._settings, names
        )
        self.counts = self._event_writer.stats

    def plan(
        self, lines: Sequence[QuarantineLine], scope: str, group: str | None = None
    ) -> SendPlan:
        """See `Destination.plan`."""
        left, ready = [], []
        for line in lines:
            why = incomplete_reason(line, transformed=self._has_transform)
            if why is None and not self._has_transform:
                why = missing_transform_reason(line)
            if why is None:
                ready.append(line)
            else:
                left.append(Skipped(line, line.reason, why))
        if not ready:
            return SendPlan({}, left, None)
        admitted = self._router.route(make_chunk(ready, scope))
        by_identity = {line.identity: line for line in ready}
        left += [Skipped(by_identity[bad.position], bad.reason, bad.detail) for bad in admitted.bad]
        runs = [run for _, run in admitted.chunks]
        positions = [position for run in runs for position in run.positions]
        left_out = [position for run in admitted.excluded for position in run.positions]
        event = Event(REPLAY_SOURCE, runs, [], positions)
        keys: dict[str, str | None] = dict.fromkeys(left_out)
        keys |= self._plan_keys(event)
        name = group or make_group_id(scope, list(keys))
        marks = {
            identity: ReplayMark(name, ReplayState.STARTED, key) for identity, key in keys.items()
        }
        return SendPlan(marks, left, (event, left_out))

    def _plan_keys(self, event: Event) -> dict[str, str]:
        """Return the key of the object that each record will be in."""
        batches, _ = plan_batches(event, self._router_without_transform, self._settings)
        keys: dict[str, str] = {}
        for batch in batches:
            key = object_key(batch, object_name(batch, batch.digest(), ""), self._settings)
            keys |= {position: key for column in batch.positions for position in column}
        return keys

    async def send(self, plan: SendPlan) -> SendResult:
        """See `Destination.send`."""
        assert isinstance(plan.prepared, tuple)  # noqa: S101  # made above
        event, left_out = plan.prepared
        arrived = SendResult(set(left_out))
        self.counts.filtered += len(left_out)
        if event.positions:
            delivered = await self._event_writer.write(event, None)
            unsettled = set(delivered.ledger.unsettled(event.positions))
            arrived.delivered |= set(event.positions) - unsettled
            arrived.errors += delivered.errors
        return arrived

    async def has_arrived(self, mark: ReplayMark, lines: Sequence[QuarantineLine]) -> bool:
        """See `Destination.has_arrived`: the object is there, with these records in it."""
        if mark.key is None:
            return False
        there = await self._store.head(mark.key)
        digest = positions_digest(sorted(line.identity for line in lines))
        return there is not None and there.metadata.get(METADATA_DIGEST) == digest

    async def aclose(self) -> None:
        """Let the threads end; the store is its owner's."""
        self._executor.shutdown(wait=False)
