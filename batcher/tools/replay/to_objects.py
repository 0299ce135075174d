"""Objects: replayed records become objects of data, as if they had come from their source."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from batcher.batching.router import Intake
from batcher.handler.event_writer import Delivery, plan
from batcher.keys.names import FreshNames
from batcher.records.chunk import digest_of
from batcher.sources import Event
from batcher.tools.replay.grouping import SOURCE, group_id, run_of
from batcher.tools.replay.marks import Line, Mark, State, why_incomplete, why_untransformed
from batcher.tools.replay.target import Arrived, Left, Plan
from batcher.writing.object import DIGEST, key_of, name_of
from batcher.writing.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batcher.batching.validation import Transform
    from batcher.settings import Settings
    from batcher.stores import ObjectStore

ENCODER_THREADS = 2


class Objects:
    """Takes records through intake, batches and the writer; keys follow from the records alone."""

    def __init__(
        self, store: ObjectStore, settings: Settings, transform: Transform | None = None
    ) -> None:
        """Write to `store` as the settings say; bad records stay where they are."""
        self._store = store
        self._settings = replace(settings, on_bad_record="fail")
        self._is_transformed = transform is not None
        self._intake = Intake(self._settings, transform)
        self._as_it_is = Intake(self._settings)
        self._executor = ThreadPoolExecutor(ENCODER_THREADS, "batcher-encode")
        writer = Writer(store, self._settings, self._executor, ENCODER_THREADS)
        names = FreshNames(time.time, secrets.randbits)
        self._delivery = Delivery(self._as_it_is, writer, self._settings, names)
        self.counts = self._delivery.counts

    def plan(self, lines: Sequence[Line], scope: str, group: str | None = None) -> Plan:
        """See `Destination.plan`."""
        left, ready = [], []
        for line in lines:
            why = why_incomplete(line, is_transformed=self._is_transformed)
            if why is None and not self._is_transformed:
                why = why_untransformed(line)
            if why is None:
                ready.append(line)
            else:
                left.append(Left(line, line.reason, why))
        if not ready:
            return Plan({}, left, None)
        admitted = self._intake.admit(run_of(ready, scope))
        by_identity = {line.identity: line for line in ready}
        left += [Left(by_identity[bad.position], bad.reason, bad.detail) for bad in admitted.bad]
        runs = [run for _, run in admitted.routed]
        positions = [position for run in runs for position in run.positions]
        left_out = [position for run in admitted.left_out for position in run.positions]
        event = Event(SOURCE, runs, [], positions)
        keys: dict[str, str | None] = dict.fromkeys(left_out)
        keys |= self._keys(event)
        name = group or group_id(scope, list(keys))
        marks = {identity: Mark(name, State.STARTED, key) for identity, key in keys.items()}
        return Plan(marks, left, (event, left_out))

    def _keys(self, event: Event) -> dict[str, str]:
        """Give the key of the object that each record will be in."""
        batches, _ = plan(event, self._as_it_is, self._settings)
        keys: dict[str, str] = {}
        for batch in batches:
            key = key_of(batch, name_of(batch, batch.digest(), ""), self._settings)
            keys |= {position: key for column in batch.positions for position in column}
        return keys

    async def send(self, plan: Plan) -> Arrived:
        """See `Destination.send`."""
        assert isinstance(plan.work, tuple)  # noqa: S101  # made above
        event, left_out = plan.work
        arrived = Arrived(set(left_out))
        self.counts.left_out += len(left_out)
        if event.positions:
            delivered = await self._delivery.deliver(event, None)
            unsettled = set(delivered.ledger.unsettled(event.positions))
            arrived.identities |= set(event.positions) - unsettled
            arrived.errors += delivered.errors
        return arrived

    async def has_arrived(self, mark: Mark, lines: Sequence[Line]) -> bool:
        """See `Destination.has_arrived`: the object is there, with these records in it."""
        if mark.key is None:
            return False
        there = await self._store.head(mark.key)
        digest = digest_of(sorted(line.identity for line in lines))
        return there is not None and there.metadata.get(DIGEST) == digest

    async def aclose(self) -> None:
        """Let the threads end; the store is its owner's."""
        self._executor.shutdown(wait=False)
