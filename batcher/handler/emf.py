"""Metrics: what one event came to, as one line in CloudWatch's embedded metric format; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct

from batcher.batching.batch import FlushReason
from batcher.stores.metered import RequestStats
from batcher.writing.stats import Stats

NAMESPACE = "batcher"


DIMENSION = "FunctionName"
"""The only one, called as in the namespace AWS/Lambda: each further value would be billed anew."""


REQUIRED_UNITS = {
    "batcher_records_total": "Count",
    "batcher_payload_bytes_total": "Bytes",
    "batcher_objects_total": "Count",
    "batcher_object_bytes_total": "Bytes",
    "batcher_put_seconds": "Seconds",
    "batcher_oldest_record_age_seconds": "Seconds",
}
"""Units of the metrics of every line; the last two need an object that was sent."""


NONZERO_UNITS = {
    "batcher_flushes_event_total": "Count",
    "batcher_flushes_bytes_total": "Count",
    "batcher_flushes_records_total": "Count",
    "batcher_retries_total": "Count",
    "batcher_throttles_total": "Count",
    "batcher_failed_records_total": "Count",
    "batcher_quarantined_records_total": "Count",
    "batcher_dropped_records_total": "Count",
    "batcher_left_out_records_total": "Count",
    "batcher_refused_records_total": "Count",
    "batcher_deadline_cuts_total": "Count",
    "batcher_cold_starts_total": "Count",
}
"""Units of those that are there only where they are not 0: CloudWatch bills each that exists."""


_DEFINITIONS = {
    name: {"Name": name, "Unit": unit} for name, unit in (REQUIRED_UNITS | NONZERO_UNITS).items()
}


EVENT_FLUSH_REASONS = (FlushReason.EVENT, FlushReason.BYTES, FlushReason.RECORDS)
"""Why an event's batches are sealed; the other reasons are a program's."""


MAX_VALUES = 100
"""Of one metric in one line. Source: CloudWatch embedded metric format specification."""


MAX_THROTTLED_PREFIXES = 5
"""Named in one line, those with the most throttles."""


MetricValue = float | Sequence[float]


class InvocationStats(Struct):
    """What is known of one event beside what was counted; filled in as it goes on."""

    began_s: float = 0.0
    """On the event loop's clock."""
    source: str = "unknown"
    records: int = 0
    """That it brought; an id that comes twice counts once."""
    failed: int = 0
    """Of these, what is not durable at its end, and not left out by decision."""
    timed_out: bool = False
    """Whether the deadline ended it."""
    cold_start: bool = False
    """Whether it is the environment's first."""
    duration_s: float = 0.0
    error_type: str = ""
    """The kind of what was raised; empty: nothing was."""


def metric_values(
    invocation: InvocationStats, stats: Stats, request_stats: RequestStats
) -> dict[str, MetricValue]:
    """Return the event's metrics by name, those left out that have no value."""
    found: dict[str, MetricValue] = {
        "batcher_records_total": stats.records,
        "batcher_payload_bytes_total": stats.bytes_in,
        "batcher_objects_total": stats.objects,
        "batcher_object_bytes_total": stats.bytes_out,
    }
    if request_stats.put_durations_s:
        found["batcher_put_seconds"] = sample_values(request_stats.put_durations_s)
    if stats.objects or stats.quarantined:
        found["batcher_oldest_record_age_seconds"] = round(stats.oldest_record_age_s, 3)
    rare = {
        **{
            f"batcher_flushes_{reason}_total": stats.flushes[reason]
            for reason in EVENT_FLUSH_REASONS
        },
        "batcher_retries_total": stats.retries,
        "batcher_throttles_total": request_stats.throttles_by_prefix.total(),
        "batcher_failed_records_total": invocation.failed,
        "batcher_quarantined_records_total": stats.quarantined,
        "batcher_dropped_records_total": stats.dropped,
        "batcher_left_out_records_total": stats.filtered,
        "batcher_refused_records_total": stats.rejected,
        "batcher_deadline_cuts_total": int(invocation.timed_out),
        "batcher_cold_starts_total": int(invocation.cold_start),
    }
    return found | {name: value for name, value in rare.items() if value}


def search_properties(invocation: InvocationStats, request_stats: RequestStats) -> dict[str, Any]:
    """Return what stands in the line to be searched, and is no metric."""
    found: dict[str, Any] = {
        "source": invocation.source,
        "event_records": invocation.records,
        "requests": request_stats.attempts,
        "sent_bytes": request_stats.sent_bytes,
        "seconds": round(invocation.duration_s, 4),
    }
    if request_stats.throttles_by_prefix:
        found["throttles_by_prefix"] = dict(
            request_stats.throttles_by_prefix.most_common(MAX_THROTTLED_PREFIXES)
        )
    if invocation.error_type:
        found["error"] = invocation.error_type
    return found


def emf_line(
    metrics: Mapping[str, MetricValue],
    properties: Mapping[str, Any],
    function_name: str,
    now_s: float,
) -> str:
    """Write metrics as one line, without its end.

    Args:
        found: metrics by name.
        beside: properties.
        function: whose they are.
        now_s: when the event has ended, in seconds since 1970.
    """
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[DIMENSION]],
        "Metrics": [_DEFINITIONS[name] for name in metrics],
    }
    about = {"Timestamp": int(now_s * 1000), "CloudWatchMetrics": [directive]}
    return orjson.dumps({"_aws": about, DIMENSION: function_name, **properties, **metrics}).decode()


def sample_values(durations_s: Sequence[float]) -> list[float]:
    """Return all values or, of more than one metric may have, as many evenly over their order.

    The least, the greatest and the percentiles stay; how many there were is another figure's.
    """
    rounded = [round(value, 4) for value in durations_s]
    if len(rounded) <= MAX_VALUES:
        return rounded
    rounded.sort()
    last = len(rounded) - 1
    return [rounded[number * last // (MAX_VALUES - 1)] for number in range(MAX_VALUES)]
