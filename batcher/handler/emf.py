"""Metrics: what one event came to, as one line in CloudWatch's embedded metric format; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct

from batcher.batching.batch import FlushReason
from batcher.stores.metered import Requests
from batcher.writing.stats import Counts

NAMESPACE = "batcher"


DIMENSION = "FunctionName"
"""The only one, called as in the namespace AWS/Lambda: each further value would be billed anew."""


ALWAYS = {
    "batcher_records_total": "Count",
    "batcher_payload_bytes_total": "Bytes",
    "batcher_objects_total": "Count",
    "batcher_object_bytes_total": "Bytes",
    "batcher_put_seconds": "Seconds",
    "batcher_oldest_record_age_seconds": "Seconds",
}
"""Units of the metrics of every line; the last two need an object that was sent."""


WHERE_ANY = {
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


_DEFINITIONS = {name: {"Name": name, "Unit": unit} for name, unit in (ALWAYS | WHERE_ANY).items()}


REASONS = (FlushReason.EVENT, FlushReason.BYTES, FlushReason.RECORDS)
"""Why an event's batches are sealed; the other reasons are a program's."""


MAX_VALUES = 100
"""Of one metric in one line. Source: CloudWatch embedded metric format specification."""


MAX_PREFIXES = 5
"""Named in one line, those with the most throttles."""


Value = float | Sequence[float]


class Invocation(Struct):
    """What is known of one event beside what was counted; filled in as it goes on."""

    began_s: float = 0.0
    """On the event loop's clock."""
    source: str = "unknown"
    records: int = 0
    """That it brought; an id that comes twice counts once."""
    failed: int = 0
    """Of these, what is not durable at its end, and not left out by decision."""
    was_cut: bool = False
    """Whether the deadline ended it."""
    is_cold: bool = False
    """Whether it is the environment's first."""
    seconds: float = 0.0
    error: str = ""
    """The kind of what was raised; empty: nothing was."""


def values(event: Invocation, counts: Counts, requests: Requests) -> dict[str, Value]:
    """Give the event's metrics by name, those left out that have no value."""
    found: dict[str, Value] = {
        "batcher_records_total": counts.records,
        "batcher_payload_bytes_total": counts.bytes_in,
        "batcher_objects_total": counts.objects,
        "batcher_object_bytes_total": counts.bytes_out,
    }
    if requests.puts_s:
        found["batcher_put_seconds"] = spread(requests.puts_s)
    if counts.objects or counts.quarantined:
        found["batcher_oldest_record_age_seconds"] = round(counts.oldest_age_s, 3)
    rare = {
        **{f"batcher_flushes_{reason}_total": counts.flushes[reason] for reason in REASONS},
        "batcher_retries_total": counts.retries,
        "batcher_throttles_total": requests.throttles.total(),
        "batcher_failed_records_total": event.failed,
        "batcher_quarantined_records_total": counts.quarantined,
        "batcher_dropped_records_total": counts.dropped,
        "batcher_left_out_records_total": counts.left_out,
        "batcher_refused_records_total": counts.refused,
        "batcher_deadline_cuts_total": int(event.was_cut),
        "batcher_cold_starts_total": int(event.is_cold),
    }
    return found | {name: value for name, value in rare.items() if value}


def properties(event: Invocation, requests: Requests) -> dict[str, Any]:
    """Give what stands in the line to be searched, and is no metric."""
    found: dict[str, Any] = {
        "source": event.source,
        "event_records": event.records,
        "requests": requests.sent,
        "sent_bytes": requests.sent_bytes,
        "seconds": round(event.seconds, 4),
    }
    if requests.throttles:
        found["throttles_by_prefix"] = dict(requests.throttles.most_common(MAX_PREFIXES))
    if event.error:
        found["error"] = event.error
    return found


def line(found: Mapping[str, Value], beside: Mapping[str, Any], function: str, now_s: float) -> str:
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
        "Metrics": [_DEFINITIONS[name] for name in found],
    }
    about = {"Timestamp": int(now_s * 1000), "CloudWatchMetrics": [directive]}
    return orjson.dumps({"_aws": about, DIMENSION: function, **beside, **found}).decode()


def spread(seconds: Sequence[float]) -> list[float]:
    """Give all values or, of more than one metric may have, as many evenly over their order.

    The least, the greatest and the percentiles stay; how many there were is another figure's.
    """
    rounded = [round(value, 4) for value in seconds]
    if len(rounded) <= MAX_VALUES:
        return rounded
    rounded.sort()
    last = len(rounded) - 1
    return [rounded[number * last // (MAX_VALUES - 1)] for number in range(MAX_VALUES)]
