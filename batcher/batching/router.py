"""Intake: what becomes of each record of a run: a route, quarantine, or a decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

from msgspec import Struct, field

from batcher.batching.batch import Route
from batcher.batching.quarantine import quarantine_chunk
from batcher.batching.validation import TRANSFORM_OUTPUT_PREFIX, Transform, Validated, validate
from batcher.keys.names import Format
from batcher.keys.partition import PartitionTemplate
from batcher.records.bad_record import BadRecord
from batcher.records.chunk import Chunk
from batcher.settings import Settings


class Routed(Struct):
    """Every record of a run, once: to be written, left out by decision, or refused."""

    chunks: list[tuple[Route, Chunk]] = field(default_factory=list)
    """What is to be written, quarantined records as the lines they become."""
    excluded: list[Chunk] = field(default_factory=list)
    """Settled by a decision: a transform gave None, or bad records are dropped."""
    dropped: int = 0
    """How many of those were bad."""
    bad: list[BadRecord] = field(default_factory=list)
    """All that were found bad, whatever becomes of them."""
    rejected: list[BadRecord] = field(default_factory=list)
    """Those of them that the user wants back: `on_bad_record=fail`."""


class Router:
    """Decides by the settings alone, with no I/O and no clock."""

    def __init__(self, settings: Settings, transform: Transform | None = None) -> None:
        """Take what decides from `settings`, and the user's `transform`, if any."""
        self._template = PartitionTemplate(settings.partition_by)
        self._is_json = settings.format == Format.NDJSON
        self._max_bytes = min(settings.max_bytes, settings.budget_bytes)
        self._on_bad_record = settings.on_bad_record
        self._apply_transform: Callable[[Chunk], Validated] | None = None
        if transform is not None:
            from batcher.batching.transform import apply_transform  # noqa: PLC0415  # most have none

            self._apply_transform = partial(apply_transform, transform=transform)

    def route(
        self, chunk: Chunk, bad: Sequence[BadRecord] = (), all_positions: Sequence[str] = ()
    ) -> Routed:
        """Transform, check and route a run.

        Args:
            run: records of one origin.
            bad: records of the same origin that were found bad before.
            order: the positions in their order, where some of them stand in `bad` alone.
        """
        admitted = Routed()
        positions = all_positions or chunk.positions
        all_bad = list(bad)
        as_it_came = chunk
        if self._apply_transform is not None:
            changed = self._apply_transform(chunk)
            chunk = changed.good
            all_bad += changed.bad
            if changed.filtered is not None:
                admitted.excluded.append(changed.filtered)
        checked = validate(chunk, is_json=self._is_json, max_bytes=self._max_bytes)
        all_bad += (
            checked.bad if chunk is as_it_came else _restore_payloads(checked.bad, as_it_came)
        )
        for partition, part in self._template.split(checked.good):
            admitted.chunks.append((Route(chunk.origin, partition), part))
        if all_bad:
            rank = {position: index for index, position in enumerate(positions)}
            all_bad.sort(key=lambda record: rank.get(record.position, 0))  # stages find them
            self._handle_bad(admitted, all_bad)
        return admitted

    def _handle_bad(self, routed: Routed, bad: list[BadRecord]) -> None:
        """Do with bad records what the user chose."""
        routed.bad = bad
        if self._on_bad_record == "fail":
            routed.rejected += bad
        elif self._on_bad_record == "drop":
            routed.dropped += len(bad)
            routed.excluded += [record.chunk for record in bad]
        else:
            for origin, records in groupby(bad, key=lambda record: record.chunk.origin):
                route = Route(origin, "", is_quarantine=True)
                routed.chunks.append((route, quarantine_chunk(list(records))))


def _restore_payloads(bad: Sequence[BadRecord], chunk: Chunk) -> list[BadRecord]:
    """Return bad records their own payloads back, where a transform gave them what was checked."""
    if not bad:
        return []
    index = {position: number for number, position in enumerate(chunk.positions)}
    return [
        BadRecord(
            chunk.take([index[record.position]]),
            record.reason,
            TRANSFORM_OUTPUT_PREFIX + record.detail,
        )
        for record in bad
    ]
