"""To objects: replayed records become data objects, as if they had come from their source."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batcher.handler.event_writer import EventWriter, plan_batches
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
from batcher.writing.pipeline import Pipeline, find_instruments
from batcher.writing.stats import Stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batcher.batching.validation import Transform
    from batcher.settings import Settings
    from batcher.stores import ObjectStore

ENCODER_THREADS = 2

MAX_PARTITIONS = 3
"""Partitions that are remembered, for messages."""


class ObjectTarget:
    """Sends records through router, batches and writer. Keys are derived from the records alone."""

    def __init__(
        self, store: ObjectStore, settings: Settings, transform: Transform | None = None
    ) -> None:
        """Write to `store` by these settings. Bad records stay in quarantine."""
        self._store = store
        self._settings = replace(settings, on_bad_record="fail")
        self._has_transform = transform is not None
        # What `plan` has transformed must not be transformed again when it is sent
        instruments = find_instruments(settings, None, has_callers=True)
        self._pipeline = Pipeline(
            self._settings, store, threads=ENCODER_THREADS, instruments=instruments
        )
        self._router = self._pipeline.router.with_transform(transform)
        self._event_writer = EventWriter(self._pipeline)
        self.counts: Stats = self._event_writer.stats
        self.partitions: dict[str, None] = {}
        """The first partitions of records that were planned."""
        self.has_more_partitions: bool = False
        """Whether records were planned for others, too."""

    def plan(
        self, lines: Sequence[QuarantineLine], scope: str, group: str | None = None
    ) -> SendPlan:
        """See `ReplayTarget.plan`."""
        skipped, ready = [], []
        for line in lines:
            detail = incomplete_reason(line, transformed=self._has_transform)
            if detail is None and not self._has_transform:
                detail = missing_transform_reason(line)
            if detail is None:
                ready.append(line)
            else:
                skipped.append(Skipped(line, line.reason, detail))
        if not ready:
            return SendPlan({}, skipped, None)
        routed = self._router.route(make_chunk(ready, scope))
        by_identity = {line.identity: line for line in ready}
        skipped += [
            Skipped(by_identity[bad.position], bad.reason, bad.detail) for bad in routed.bad
        ]
        for route, _ in routed.chunks:
            self._note_partition(route.partition)
        chunks = [chunk for _, chunk in routed.chunks]
        positions = [position for chunk in chunks for position in chunk.positions]
        filtered = [position for chunk in routed.excluded for position in chunk.positions]
        event = Event(REPLAY_SOURCE, chunks, [], positions)
        keys: dict[str, str | None] = dict.fromkeys(filtered)
        keys |= self._plan_keys(event)
        group_id = group or make_group_id(scope, list(keys))
        marks = {
            identity: ReplayMark(group_id, ReplayState.STARTED, key)
            for identity, key in keys.items()
        }
        return SendPlan(marks, skipped, (event, filtered), frozenset(filtered))

    def _note_partition(self, partition: str) -> None:
        if len(self.partitions) < MAX_PARTITIONS:
            self.partitions[partition] = None
        elif partition not in self.partitions:
            self.has_more_partitions = True

    def _plan_keys(self, event: Event) -> dict[str, str]:
        """Return the key of the object that each record will be in."""
        batches, _ = plan_batches(event, self._pipeline.router, self._settings)
        keys: dict[str, str] = {}
        for batch in batches:
            key = object_key(batch, object_name(batch, batch.digest(), ""), self._settings)
            keys |= {position: key for column in batch.positions for position in column}
        return keys

    async def send(self, plan: SendPlan) -> SendResult:
        """See `ReplayTarget.send`."""
        assert isinstance(plan.prepared, tuple)  # noqa: S101  # made by `plan`
        event, filtered = plan.prepared
        send_result = SendResult(set(filtered))
        self.counts.count_filtered(len(filtered))
        if event.positions:
            event_result = await self._event_writer.write(event, None)
            unsettled = set(event_result.ledger.unsettled(event.positions))
            send_result.delivered |= set(event.positions) - unsettled
            send_result.errors += event_result.errors
        return send_result

    async def has_arrived(self, mark: ReplayMark, lines: Sequence[QuarantineLine]) -> bool:
        """See `ReplayTarget.has_arrived`: the object exists, and has exactly these records."""
        if mark.key is None:
            return False
        existing = await self._store.head(mark.key)
        digest = positions_digest(sorted(line.identity for line in lines))
        return existing is not None and existing.metadata.get(METADATA_DIGEST) == digest

    async def aclose(self) -> None:
        """End the threads. The caller closes the store."""
        self._pipeline.close_threads()
