"""docs/reference/metrics.md, from the code that emits metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from batcher.handler.emf import NONZERO_UNITS, REQUIRED_UNITS
from batcher.writing.instruments import Totals
from generate.markdown import make_table

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

MEANINGS = {
    "batcher_records_total": ("records that are durable in data objects", "falls without cause"),
    "batcher_payload_bytes_total": ("their payload bytes, newlines included", ""),
    "batcher_objects_total": ("data objects written", "few records per object: they cost requests"),
    "batcher_object_bytes_total": ("bytes of these objects, compressed", ""),
    "batcher_put_seconds": (
        "duration of each attempt to send an object or a part, without waiting for a turn",
        "p99 over 1 s",
    ),
    "batcher_oldest_record_age_seconds": (
        "from the arrival of the oldest record at the source until it was durable",
        "grows: the function is too slow",
    ),
    "batcher_flushes_event_total": ("batches that ended with the event", ""),
    "batcher_flushes_bytes_total": ("batches that reached `max_bytes`", ""),
    "batcher_flushes_records_total": ("batches that reached `max_records`", ""),
    "batcher_retries_total": ("requests that were retried", "for minutes"),
    "batcher_throttles_total": ("requests that S3 throttled", "for an hour"),
    "batcher_failed_records_total": (
        "records that were not durable at the end of the event, and are redelivered",
        "not 0 for 15 minutes",
    ),
    "batcher_quarantined_records_total": ("bad records that are durable in quarantine", "not 0"),
    "batcher_dropped_records_total": ("bad records dropped by `on_bad_record=drop`", "not 0"),
    "batcher_left_out_records_total": (
        "records for which the transform returned None",
        "not what you expect",
    ),
    "batcher_refused_records_total": (
        "bad records that `on_bad_record=fail` returned to the source; they are failed, too",
        "not 0: a stream waits",
    ),
    "batcher_transform_failures_total": (
        "events of which every record failed in the transform",
        "not 0",
    ),
    "batcher_deadline_cuts_total": ("events that ended at `deadline_margin_s`", "not 0"),
    "batcher_cold_starts_total": ("first events of an execution environment", ""),
}
"""What each metric counts, and when to look at it."""

ATTRIBUTES = {
    "batcher.records": "`batcher.outcome`; `error.type` of failures",
    "batcher.flushes": "`batcher.flush.reason`",
}
"""Of the metrics of OpenTelemetry that have any."""


def make_emf() -> str:
    """Return the table of the metrics in CloudWatch."""
    rows = []
    for name, unit in (REQUIRED_UNITS | NONZERO_UNITS).items():
        meaning, when = MEANINGS[name]
        rows.append((f"`{name}`", unit, meaning, when))
    return make_table(("metric", "unit", "meaning", "look at it when"), rows)


class _RecordingMeter:
    """Takes down the instruments that are created."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, ...]] = []

    def __getattr__(self, method: str) -> Callable[..., None]:
        """Return a method that creates an instrument."""
        kind = method.removeprefix("create_observable_").replace("up_down_", "up-down ")

        def create(name: str, _: object, unit: str, description: str) -> None:
            attributes = ATTRIBUTES.get(name, "")
            self.rows.append((f"`{name}`", f"{kind}, `{unit}`", description, attributes))

        return create


def make_otel() -> str:
    """Return the table of the metrics of OpenTelemetry."""
    meter: Any = _RecordingMeter()
    Totals(cast("Meter", meter))
    return make_table(("metric", "kind, unit", "meaning", "attributes"), meter.rows)


PARTS: Mapping[str, Callable[[], str]] = {"emf-metrics": make_emf, "otel-metrics": make_otel}
