"""Objects: how many an invocation writes and how large they are, and the prefixes they need."""

from __future__ import annotations

import math
from dataclasses import dataclass

from batcher.planning.compression import Compression
from batcher.planning.workload import Workload
from batcher.settings import MAX_FANOUT, Settings

PREFIX_SHARE = 0.5
"""How much of `prefix_rate` the peak may take of a prefix: records do not come evenly."""


@dataclass(frozen=True, slots=True)
class Objects:
    """What one invocation writes."""

    per_event: float
    records: float
    """Of one object."""
    text_bytes: float
    """Of one object, before compression; newlines counted."""


@dataclass(frozen=True, slots=True)
class Prefixes:
    """How the writes are spread."""

    puts_per_s: float
    """At the peak, over all prefixes."""
    puts_per_s_prefix: float
    """At the peak, of one of `fanout` prefixes."""
    fanout: int
    """As the settings have it."""
    fanout_needed: int
    """The smallest power of two that keeps the peak under half of `prefix_rate`."""


def objects_of(workload: Workload, settings: Settings, event_records: float) -> Objects:
    """Give what an invocation of so many records writes.

    That is one object a partition, and more where a queue's event is cut.
    """
    partitions = min(float(workload.partitions), event_records)
    records = event_records / partitions
    if workload.source.is_queue:  # a stream's event is never cut
        cut = settings.max_bytes // (workload.record_bytes + 1)
        most = min(cut, settings.max_records or math.inf)
        records /= math.ceil(records / most)
    return Objects(event_records / records, records, records * (workload.record_bytes + 1))


def requests_of(objects: Objects, settings: Settings, compression: Compression) -> int:
    """Give the billed requests that one object takes: a PUT, or an upload in parts."""
    body_bytes = objects.text_bytes / compression.ratio
    if body_bytes < settings.multipart_threshold:
        return 1
    return 2 + math.ceil(body_bytes / settings.part_size)


def prefixes_of(settings: Settings, puts_per_s: float) -> Prefixes:
    """Spread so many PUTs a second, at the peak."""
    wanted = max(1, math.ceil(puts_per_s / (settings.prefix_rate * PREFIX_SHARE)))
    needed = 1 << (wanted - 1).bit_length()
    return Prefixes(
        puts_per_s, puts_per_s / settings.fanout, settings.fanout, min(MAX_FANOUT, needed)
    )
