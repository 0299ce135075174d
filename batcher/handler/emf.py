"""Metrics of one event as a line in CloudWatch's embedded metric format (EMF). Pure."""

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
"""The only dimension, named as in AWS/Lambda. CloudWatch bills every further combination."""


REQUIRED_UNITS = {
    "batcher_records_total": "Count",
    "batcher_payload_bytes_total": "Bytes",
    "batcher_objects_total": "Count",
    "batcher_object_bytes_total": "Bytes",
    "batcher_put_seconds": "Seconds",
    "batcher_oldest_record_age_seconds": "Seconds",
}
"""Units of the metrics of every line. The last two are absent if no object was sent."""


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
    "batcher_transform_failures_total": "Count",
    "batcher_deadline_cuts_total": "Count",
    "batcher_cold_starts_total": "Count",
}
"""Units of metrics that are omitted when 0: CloudWatch bills every metric that exists.

`left_out` counts filtered records, and `refused` rejected ones; see `batcher.batching.router`.
"""


_DEFINITIONS = {
    name: {"Name": name, "Unit": unit} for name, unit in (REQUIRED_UNITS | NONZERO_UNITS).items()
}


EVENT_FLUSH_REASONS = (FlushReason.EVENT, FlushReason.BYTES, FlushReason.RECORDS)
"""Why an event's batches are sealed. Other reasons occur in programs only."""


MAX_VALUES = 100
"""Values of one metric in one line. Source: CloudWatch embedded metric format specification."""


MAX_THROTTLED_PREFIXES = 5
"""Prefixes in one line: those with the most throttles."""


MetricValue = float | Sequence[float]


class InvocationStats(Struct):
    """Facts about one event that `Stats` does not count. Filled in while it is handled."""

    began_s: float = 0.0
    """When it began, on the event loop's clock."""
    source: str = "unknown"
    records: int = 0
    """Records in the event. An id that occurs twice counts once."""
    failed: int = 0
    """Records that are neither durable nor filtered nor dropped at its end."""
    timed_out: bool = False
    """Whether the deadline ended it."""
    transform_failed: bool = False
    """Whether every record failed in the transform."""
    cold_start: bool = False
    """Whether it is the first event of the environment."""
    duration_s: float = 0.0
    error_type: str = ""
    """The class of the error that was raised, or empty."""


def metric_values(
    invocation: InvocationStats, stats: Stats, request_stats: RequestStats
) -> dict[str, MetricValue]:
    """Return the event's metrics by name, without those that have no value."""
    values: dict[str, MetricValue] = {
        "batcher_records_total": stats.records,
        "batcher_payload_bytes_total": stats.bytes_in,
        "batcher_objects_total": stats.objects,
        "batcher_object_bytes_total": stats.bytes_out,
    }
    if request_stats.put_durations_s:
        values["batcher_put_seconds"] = sample_values(request_stats.put_durations_s)
    if stats.objects or stats.quarantined:
        values["batcher_oldest_record_age_seconds"] = round(stats.oldest_record_age_s, 3)
    nonzero = {
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
        "batcher_transform_failures_total": int(invocation.transform_failed),
        "batcher_deadline_cuts_total": int(invocation.timed_out),
        "batcher_cold_starts_total": int(invocation.cold_start),
    }
    return values | {name: value for name, value in nonzero.items() if value}


def search_properties(invocation: InvocationStats, request_stats: RequestStats) -> dict[str, Any]:
    """Return fields of the line that are no metrics but can be searched for in the log."""
    properties: dict[str, Any] = {
        "source": invocation.source,
        "event_records": invocation.records,
        "requests": request_stats.attempts,
        "sent_bytes": request_stats.sent_bytes,
        "seconds": round(invocation.duration_s, 4),
    }
    if request_stats.throttles_by_prefix:
        properties["throttles_by_prefix"] = dict(
            request_stats.throttles_by_prefix.most_common(MAX_THROTTLED_PREFIXES)
        )
    if invocation.error_type:
        properties["error"] = invocation.error_type
    return properties


def emf_line(
    metrics: Mapping[str, MetricValue],
    properties: Mapping[str, Any],
    function_name: str,
    now_s: float,
) -> str:
    """Return one line of EMF, without a newline.

    Args:
        metrics: by name, see `metric_values`.
        properties: see `search_properties`.
        function_name: the value of the dimension.
        now_s: when the event ended, in seconds since 1970.
    """
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[DIMENSION]],
        "Metrics": [_DEFINITIONS[name] for name in metrics],
    }
    header = {"Timestamp": int(now_s * 1000), "CloudWatchMetrics": [directive]}
    line = {"_aws": header, DIMENSION: function_name, **properties, **metrics}
    return orjson.dumps(line).decode()


def sample_values(durations_s: Sequence[float]) -> list[float]:
    """Return all values, or at most `MAX_VALUES` of them, evenly spaced in sorted order.

    Minimum, maximum and percentiles are kept. Their number is not; see `requests`.
    """
    rounded = [round(value, 4) for value in durations_s]
    if len(rounded) <= MAX_VALUES:
        return rounded
    rounded.sort()
    last = len(rounded) - 1
    return [rounded[number * last // (MAX_VALUES - 1)] for number in range(MAX_VALUES)]
