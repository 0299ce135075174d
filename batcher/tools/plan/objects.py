"""Objects: how many an invocation writes and how large they are, and the prefixes they need."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batcher.encoding.codec import Codec, MemberSplitter
from batcher.settings import MAX_FANOUT, Settings
from batcher.tools.plan.workload import Workload

Level = int


MEASURED_LEVELS: Mapping[str, Mapping[Level, tuple[float, float]]] = {
    "none": {0: (0.0, 1.0)},
    "gzip": {
        0: (2.0, 3.3),
        1: (2.0, 3.9),
        2: (2.0, 3.9),
        3: (5.3, 4.0),
        4: (12.8, 4.2),
        5: (17.7, 4.5),
        6: (26.0, 4.7),
        7: (31.0, 4.8),
        8: (41.5, 4.8),
        9: (42.5, 4.8),
    },
    "zstd": {
        -7: (2.4, 3.1),
        -5: (2.4, 3.3),
        -3: (2.4, 3.4),
        -1: (2.6, 3.7),
        0: (3.6, 4.5),
        1: (2.8, 4.4),
        2: (3.1, 4.4),
        3: (3.6, 4.5),
        4: (4.4, 4.6),
        5: (9.2, 4.6),
        6: (11.8, 4.8),
        7: (13.5, 4.9),
        8: (17.6, 5.0),
        9: (17.9, 5.0),
        10: (23.0, 5.1),
        12: (34.4, 5.3),
        15: (77.5, 5.5),
        17: (171.0, 5.8),
        19: (380.0, 5.8),
    },
}
"""CPU milliseconds a MB (10^6 bytes) of text, and the ratio, by level; zstd 0 is its default, 3."""


MAX_PREFIX_UTILIZATION = 0.5
"""How much of `prefix_rate` the peak may take of a prefix: records do not come evenly."""


@dataclass(frozen=True, slots=True)
class ObjectEstimate:
    """What one invocation writes."""

    per_event: float
    records: float
    """Of one object."""
    text_bytes: float
    """Of one object, before compression; newlines counted."""


@dataclass(frozen=True, slots=True)
class PrefixEstimate:
    """How the writes are spread."""

    puts_per_s: float
    """At the peak, over all prefixes."""
    puts_per_s_per_prefix: float
    """At the peak, of one of `fanout` prefixes."""
    fanout: int
    """As the settings have it."""
    fanout_needed: int
    """The smallest power of two that keeps the peak under half of `prefix_rate`."""


def estimate_objects(
    workload: Workload, settings: Settings, event_records: float
) -> ObjectEstimate:
    """Return what an invocation of so many records writes.

    That is one object a partition, and more where a queue's event is cut.
    """
    partitions = min(float(workload.partitions), event_records)
    records = event_records / partitions
    if workload.source.is_queue:  # a stream's event is never cut
        cut = settings.max_bytes // (workload.record_bytes + 1)
        most = min(cut, settings.max_records or math.inf)
        records /= math.ceil(records / most)
    return ObjectEstimate(event_records / records, records, records * (workload.record_bytes + 1))


def requests_per_object(
    objects: ObjectEstimate, settings: Settings, compression: CompressionEstimate
) -> int:
    """Return the billed requests that one object takes: a PUT, or an upload in parts."""
    body_bytes = objects.text_bytes / compression.ratio
    if body_bytes < settings.multipart_threshold:
        return 1
    return 2 + math.ceil(body_bytes / settings.part_size)


def estimate_prefixes(settings: Settings, puts_per_s: float) -> PrefixEstimate:
    """Spread so many PUTs a second, at the peak."""
    wanted = max(1, math.ceil(puts_per_s / (settings.prefix_rate * MAX_PREFIX_UTILIZATION)))
    needed = 1 << (wanted - 1).bit_length()
    return PrefixEstimate(
        puts_per_s, puts_per_s / settings.fanout, settings.fanout, min(MAX_FANOUT, needed)
    )


@dataclass(frozen=True, slots=True)
class CompressionEstimate:
    """What becomes of a text."""

    ratio: float
    """Bytes of text over bytes of body."""
    cpu_ms_per_mb: float
    measured_records: int = 0
    """Of the sample that the ratio is of; 0 where it is the table's."""

    @property
    def is_measured(self) -> bool:
        """Whether the ratio is of a sample."""
        return self.measured_records > 0


def assume_compression(settings: Settings) -> CompressionEstimate:
    """Return what the table says of a level, or of the next one that is in it."""
    levels = MEASURED_LEVELS[settings.compression]
    known = sorted(levels)
    wanted = settings.compression_level if settings.compression != "none" else 0
    cpu_ms_per_mb, ratio = levels[known[min(bisect_left(known, wanted), len(known) - 1)]]
    return CompressionEstimate(ratio, cpu_ms_per_mb)


@dataclass(frozen=True, slots=True)
class RecordSample:
    """Records of the kind that is to be planned for."""

    records: Sequence[bytes]
    """One at least, without their newlines."""

    @property
    def record_bytes(self) -> float:
        """Of a record, on average."""
        return sum(map(len, self.records)) / len(self.records)

    @property
    def json_growth(self) -> float:
        """Bytes of the records as JSON strings, without their quotes, over their own."""
        import orjson  # noqa: PLC0415  # only where there is a sample

        texts = (record.decode("utf-8", "replace") for record in self.records)
        grown = sum(len(orjson.dumps(text)) - len('""') for text in texts)
        return max(1.0, grown / max(1, sum(map(len, self.records))))

    def measure_compression(self, settings: Settings, object_records: float) -> CompressionEstimate:
        """Compress the sample as objects of so many records, or as one where it has fewer.

        Only whole objects count, where there is one.
        """
        step = max(1, min(len(self.records), round(object_records)))
        whole = len(self.records) // step * step
        codec = Codec(settings.compression, settings.compression_level)
        text_bytes = body_bytes = 0
        for start in range(0, whole, step):
            text = b"".join([record + b"\n" for record in self.records[start : start + step]])
            text_bytes += len(text)
            body_bytes += compressed_bytes(codec, text)
        return CompressionEstimate(
            text_bytes / body_bytes, assume_compression(settings).cpu_ms_per_mb, whole
        )


def compressed_bytes(codec: Codec, text: bytes) -> int:
    """Return the bytes of the body that an object of this text has."""
    members = MemberSplitter()
    full = members.feed(text)
    rest = members.finish()
    return sum(len(body) for body, _, _ in codec.encode([*full, rest] if rest else full))
