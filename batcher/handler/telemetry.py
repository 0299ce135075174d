"""Telemetry of each event: a line of metrics, labels on log lines, and errors in the log."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from batcher.errors import PoisonRecordError
from batcher.handler import emf, logs
from batcher.handler.emf import InvocationStats
from batcher.handler.event_writer import EventResult, describe_error
from batcher.stores.metered import RequestStats
from batcher.writing.stats import Stats

if TYPE_CHECKING:
    from batcher.sources import Event

MAX_LOGGED_ERRORS = 20
"""Errors of one event that are logged, one line each. Of the others only their number is logged."""


log: logging.Logger = logging.getLogger("batcher")


class Telemetry:
    """Reports on the events of one Lambda environment: call `begin` and `end` for each."""

    def __init__(
        self, environ: Mapping[str, str], write_line: Callable[[str], object] | None = None
    ) -> None:
        """Configure logging if `environ` is Lambda's.

        Args:
            environ: the live environment variables. Lambda changes the trace's for every event.
            write_line: called with each line of metrics. None: write it to standard output, which
                is Lambda's log.
        """
        self._environ = environ
        self._write_line = logs.write_line if write_line is None else write_line
        self._is_cold = True
        self._labels: dict[str, str] = {}
        self.request_stats: RequestStats = RequestStats()
        """The requests of the current event."""
        if "AWS_LAMBDA_FUNCTION_NAME" in environ:
            logs.configure(
                lambda_writes_json=environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
            )

    def begin(self, context: object) -> InvocationStats:
        """Reset for a new event. Lambda's `context` has its request id."""
        self.request_stats.clear()
        self._labels = _make_labels(context, self._environ.get("_X_AMZN_TRACE_ID", ""))
        logs.set_labels(self._labels)
        is_cold, self._is_cold = self._is_cold, False
        return InvocationStats(cold_start=is_cold)

    def end(self, invocation: InvocationStats, stats: Stats) -> None:
        """Write the event's line of metrics. An error here is logged and fails no event."""
        try:
            values = emf.metric_values(invocation, stats, self.request_stats)
            properties = self._labels | emf.search_properties(invocation, self.request_stats)
            function_name = self._environ.get("AWS_LAMBDA_FUNCTION_NAME") or "none"
            self._write_line(emf.emf_line(values, properties, function_name, time.time()))
        except Exception as error:  # noqa: BLE001  # raising would redeliver durable records
            log.warning("metrics_failed error=%s", type(error).__name__)


def log_outcome(event: Event, result: EventResult) -> None:
    """Log what an operator must look at: at most one line per object, and never a payload."""
    rejected = [error for error in result.errors if isinstance(error, PoisonRecordError)]
    others = [error for error in result.errors if not isinstance(error, PoisonRecordError)]
    for reason, records in Counter(error.reason for error in rejected).items():
        first = next(error.position for error in rejected if error.reason == reason)
        # In the log, `refused` means rejected; see `batcher.batching.router`
        line = "refused source=%s reason=%s records=%d first=%s"
        log.error(line, event.source, reason, records, first)
    if result.transform_error:
        line = "transform_failed source=%s records=%d error=%s"
        log.error(line, event.source, sum(map(len, event.chunks)), result.transform_error)
    for error in others[:MAX_LOGGED_ERRORS]:
        log.error("not_durable source=%s error=%s", event.source, describe_error(error))
    if len(others) > MAX_LOGGED_ERRORS:  # counts the errors that have no line
        log.error(
            "not_durable_either source=%s errors=%d", event.source, len(others) - MAX_LOGGED_ERRORS
        )
    if result.timed_out:
        unsettled = len(result.ledger)
        log.error("deadline_cut source=%s unsettled=%d", event.source, unsettled)
    is_debug = log.isEnabledFor(logging.DEBUG)
    for receipt in result.receipts:
        if receipt.quarantined:
            log.warning("quarantined records=%d key=%s", receipt.records, receipt.key)
        elif is_debug:
            line = "batch_written records=%d size_bytes=%d key=%s"
            log.debug(line, receipt.records, receipt.size_bytes, receipt.key)


def _make_labels(context: object, trace: str) -> dict[str, str]:
    """Return the fields of every line of an event: its request id and its trace id."""
    labels = {}
    request_id = getattr(context, "aws_request_id", None)
    if request_id:
        labels["requestId"] = str(request_id)
    for part in trace.split(";"):
        if part.startswith("Root="):
            labels["xray_trace_id"] = part.removeprefix("Root=")
    return labels
