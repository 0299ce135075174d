"""Router: decides for each record of a chunk where it is written, or why it is not.

No record is lost here. Each one is written to its partition, or it is one of these:

- filtered: the transform returned None for it. Settled, but not written.
- bad: it cannot be written to its partition. The setting `on_bad_record` decides whether it is
  - quarantined (`quarantine`): written as a line of a quarantine object,
  - dropped (`drop`): settled, but not written,
  - rejected (`fail`): not settled, but reported to its source or program as failed.

Excluded records are the filtered and the dropped ones. All counts use these words. Only the
names of logs, metrics and JSON output differ: there, `left_out` is filtered, `refused` rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec import Struct, field

from batcher.batching.batch import Route
from batcher.batching.validation import TRANSFORM_OUTPUT_PREFIX, Transform, Validated, validate
from batcher.keys.names import quarantine_date
from batcher.keys.partition import PartitionTemplate
from batcher.records.bad_record import BadRecord
from batcher.records.chunk import Chunk, NamingScheme
from batcher.settings import Settings

if TYPE_CHECKING:
    from batcher.records.payload import JsonDefault


class Routed(Struct):
    """Every record of a chunk: in `chunks`, `excluded` or `rejected`, and in only one of them."""

    chunks: list[tuple[Route, Chunk]] = field(default_factory=list)
    """Records to be written. Quarantined records are the lines of their object."""
    excluded: list[Chunk] = field(default_factory=list)
    """Filtered and dropped records: settled without being written."""
    dropped: int = 0
    """Number of dropped records in `excluded`. The others are filtered."""
    bad: list[BadRecord] = field(default_factory=list)
    """All bad records, also those that are in another field."""
    rejected: list[BadRecord] = field(default_factory=list)
    """Bad records to be reported as failed."""


class Router:
    """Transforms, validates and routes chunks by the settings alone."""

    def __init__(
        self,
        settings: Settings,
        transform: Transform | None = None,
        default: JsonDefault | None = None,
    ) -> None:
        """Configure from `settings` and, if there is one, the user's `transform`.

        `default` converts values that JSON lacks in what the transform returns.

        Raises:
            TypeError: the transform cannot be called with a payload, or returns no record.
        """
        self._template = PartitionTemplate(settings.partition_by)
        self._is_json = settings.format == "ndjson"
        self._max_bytes = min(settings.max_bytes, settings.budget_bytes)
        self._max_depth = settings.max_depth
        self._on_bad_record = settings.on_bad_record
        self._default = default
        self._apply_transform = _load_transform(transform, default)

    @property
    def splits_records(self) -> bool:
        """Whether the partition depends on the record, so that a chunk may have many."""
        return self._template.has_fields

    def with_transform(self, transform: Transform | None) -> Router:
        """Return a router by the same settings with this transform, or with none."""
        router = copy(self)
        router._apply_transform = _load_transform(transform, self._default)  # noqa: SLF001  # of our own class
        return router

    def route(
        self, chunk: Chunk, bad: Sequence[BadRecord] = (), all_positions: Sequence[str] = ()
    ) -> Routed:
        """Transform, validate and route a chunk.

        Args:
            chunk: records of one origin.
            bad: records of the same origin that the source found bad.
            all_positions: the positions of `chunk` and `bad` in their order, if `bad` has records.

        Raises:
            MemoryError, RetryableError: see `batcher.batching.transform.apply_transform`.
        """
        routed = Routed()
        positions = all_positions or chunk.positions
        all_bad = list(bad)
        original = chunk
        if self._apply_transform is not None:
            transformed = self._apply_transform(chunk)
            chunk = transformed.good
            all_bad += transformed.bad
            if transformed.filtered is not None:
                routed.excluded.append(transformed.filtered)
        validated = validate(
            chunk, is_json=self._is_json, max_bytes=self._max_bytes, max_depth=self._max_depth
        )
        all_bad += (
            validated.bad if chunk is original else _restore_payloads(validated.bad, original)
        )
        for partition, part in self._template.split(validated.good):
            routed.chunks.append((Route(chunk.origin, partition), part))
        if all_bad:
            rank = {position: index for index, position in enumerate(positions)}
            all_bad.sort(key=lambda record: rank.get(record.position, 0))
            self._handle_bad(routed, all_bad)
        return routed

    def _handle_bad(self, routed: Routed, bad: list[BadRecord]) -> None:
        """Quarantine, drop or reject bad records, by the setting `on_bad_record`."""
        routed.bad = bad
        if self._on_bad_record == "fail":
            routed.rejected += bad
        elif self._on_bad_record == "drop":
            routed.dropped += len(bad)
            routed.excluded += [record.chunk for record in bad]
        else:
            from batcher.batching.quarantine import quarantine_chunk  # noqa: PLC0415  # rarely used

            for route, records in groupby(bad, key=_quarantine_route):
                routed.chunks.append((route, quarantine_chunk(list(records))))


def _quarantine_route(bad: BadRecord) -> Route:
    """Return the route of a bad record. Those of a stream are divided by the date in their key.

    So the key of any of them follows from the record alone, in whatever cut it is delivered.
    """
    origin = bad.chunk.origin
    partition = ""
    if origin.naming is NamingScheme.SEQUENCE:
        partition = f"dt={quarantine_date(bad.chunk.arrivals_s[0])}"
    return Route(origin, partition, is_quarantine=True)


def _load_transform(
    transform: Transform | None, default: JsonDefault | None
) -> Callable[[Chunk], Validated] | None:
    """Import what checks and applies a transform, only if there is one: most users have none."""
    if transform is None:
        return None
    from batcher.batching.transform import apply_transform, check_transform  # noqa: PLC0415

    check_transform(transform)
    return partial(apply_transform, transform=transform, default=default)


def _restore_payloads(bad: Sequence[BadRecord], chunk: Chunk) -> list[BadRecord]:
    """Return bad records with the payloads of the source instead of the transform's output."""
    if not bad:
        return []
    index_by_position = {position: index for index, position in enumerate(chunk.positions)}
    return [
        BadRecord(
            chunk.take([index_by_position[record.position]]),
            record.reason,
            TRANSFORM_OUTPUT_PREFIX + record.detail,
        )
        for record in bad
    ]
