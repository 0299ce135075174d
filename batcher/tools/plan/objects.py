"""Objects: number and size per invocation, their compression, and the prefixes they need."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batcher.encoding.codec import encode_text
from batcher.settings import MAX_FANOUT, Settings
from batcher.tools.plan.workload import Workload

CompressionLevel = int

MEASURED_LEVELS: Mapping[str, Mapping[CompressionLevel, tuple[float, float]]] = {
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
"""CPU milliseconds per MB (10^6 bytes) of text, and the ratio, by level. 0 is zstd's default, 3.

The ratios are those of orders and log lines; real data differs by a factor of ten."""

MAX_PREFIX_UTILIZATION = 0.5
"""Highest share of `prefix_rate` that the peak may use of a prefix: records arrive unevenly."""

_ROUNDING = 1e-9
"""Relative excess over a prefix's rate that is a rounding error, not a need for another prefix."""


@dataclass(frozen=True, slots=True)
class ObjectEstimate:
    """The objects of one invocation."""

    per_event: float
    """Objects per invocation."""
    records: float
    """Records per object."""
    text_bytes: float
    """Size of one object before compression, newlines included."""


@dataclass(frozen=True, slots=True)
class CompressionEstimate:
    """The compression of a text."""

    ratio: float
    """Size of the text divided by the size of the body."""
    cpu_ms_per_mb: float
    measured_records: int = 0
    """Number of sample records that the ratio was measured with. 0: taken from the table."""

    @property
    def is_measured(self) -> bool:
        """Whether the ratio was measured with a sample."""
        return self.measured_records > 0


@dataclass(frozen=True, slots=True)
class PrefixEstimate:
    """The rate of PUTs per prefix at the peak."""

    puts_per_s: float
    """PUTs per second over all prefixes."""
    puts_per_s_per_prefix: float
    """PUTs per second to one of `fanout` prefixes."""
    fanout: int
    """The fanout of the settings."""
    fanout_needed: int
    """The smallest power of two that keeps the peak under half of `prefix_rate`."""


def estimate_objects(
    workload: Workload, settings: Settings, event_records: float
) -> ObjectEstimate:
    """Return the objects of an invocation with `event_records` records.

    That is one object per partition, and more if the event of a queue is cut by the limits of a
    batch. The event of a stream is never cut.
    """
    partitions = min(float(workload.partitions), event_records)
    records = event_records / partitions
    if workload.source.is_queue:
        max_by_bytes = settings.max_bytes // (workload.record_bytes + 1)
        max_records = min(max_by_bytes, settings.max_records or math.inf)
        records /= math.ceil(records / max_records)
    return ObjectEstimate(event_records / records, records, records * (workload.record_bytes + 1))


def estimate_prefixes(settings: Settings, puts_per_s: float) -> PrefixEstimate:
    """Return the fanout that `puts_per_s` PUTs per second need at the peak.

    `puts_per_s` is a product of quotients: an excess within rounding does not double the fanout.
    """
    prefix_puts_per_s = settings.prefix_rate * MAX_PREFIX_UTILIZATION
    prefixes = max(1, math.ceil(puts_per_s / prefix_puts_per_s * (1 - _ROUNDING)))
    power_of_two = 1 << (prefixes - 1).bit_length()
    return PrefixEstimate(
        puts_per_s, puts_per_s / settings.fanout, settings.fanout, min(MAX_FANOUT, power_of_two)
    )


def assume_compression(settings: Settings) -> CompressionEstimate:
    """Return the measured values of the settings' level, or of the next higher measured level."""
    measured = MEASURED_LEVELS[settings.compression]
    levels = sorted(measured)
    level = settings.compression_level if settings.compression != "none" else 0
    cpu_ms_per_mb, ratio = measured[levels[min(bisect_left(levels, level), len(levels) - 1)]]
    return CompressionEstimate(ratio, cpu_ms_per_mb)


@dataclass(frozen=True, slots=True)
class RecordSample:
    """Sample records of the workload."""

    records: Sequence[bytes]
    """At least one record, without newlines."""

    @property
    def record_bytes(self) -> float:
        """Average size of a record."""
        return sum(map(len, self.records)) / len(self.records)

    @property
    def json_growth(self) -> float:
        """Size of the records as JSON strings, without their quotes, divided by their own size."""
        import orjson  # noqa: PLC0415  # only needed with a sample

        texts = (record.decode("utf-8", "replace") for record in self.records)
        json_bytes = sum(len(orjson.dumps(text)) - len('""') for text in texts)
        return max(1.0, json_bytes / max(1, sum(map(len, self.records))))

    def measure_compression(self, settings: Settings, object_records: float) -> CompressionEstimate:
        """Compress the sample as objects of `object_records` records, and return the ratio.

        Only full objects count. A sample that is smaller than one object is compressed as one.
        """
        step = max(1, min(len(self.records), round(object_records)))
        measured_records = len(self.records) // step * step
        compression, level = settings.compression, settings.compression_level
        text_bytes = body_bytes = 0
        for start in range(0, measured_records, step):
            text = b"".join([record + b"\n" for record in self.records[start : start + step]])
            text_bytes += len(text)
            body, _ = encode_text(text, compression, level)
            body_bytes += len(body)
        return CompressionEstimate(
            text_bytes / body_bytes, assume_compression(settings).cpu_ms_per_mb, measured_records
        )
