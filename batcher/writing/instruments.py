"""Instruments: metrics and spans of OpenTelemetry, for programs that use it.

Only the API package is imported, and only if the program has imported it before. Metrics are the
totals that `Stats` counts anyway. They are read when metrics are collected. Each object that is
written has one span, which is created when its outcome is known.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
from opentelemetry.trace import StatusCode

from batcher.batching.batch import FlushReason
from batcher.errors import BatcherError
from batcher.writing.stats import Stats
from batcher.writing.writer import Writer

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

    from batcher.batching.batch import Batch
    from batcher.batching.router import Routed
    from batcher.settings import Settings
    from batcher.stores import ObjectStore
    from batcher.writing.object import Receipt
    from batcher.writing.pending import PendingBatch

SCOPE = "batcher"
"""The name of the instrumentation scope."""

SPAN_NAME = "write object"
"""The name of every span."""

log: logging.Logger = logging.getLogger("batcher")


class Totals:
    """What the metrics of one meter provider show: totals of all batchers that use it."""

    def __init__(self, meter: Meter) -> None:
        """Create the metrics. `meter` calls back when they are collected, from any thread."""
        self.in_flight: dict[PendingBatch, float] = {}
        """Arrival of the oldest record of each object that is being written."""
        self.reset()
        counter, gauge = meter.create_observable_counter, meter.create_observable_gauge
        counter("batcher.records", [self._records], "{record}", "Records by outcome")
        counter("batcher.objects", [self._objects], "{object}", "Durable objects of data")
        counter("batcher.payload.size", [self._payload_bytes], "By", "Payload of durable records")
        counter("batcher.object.size", [self._object_bytes], "By", "Durable objects of data")
        counter("batcher.flushes", [self._flushes], "{batch}", "Sealed batches by reason")
        counter("batcher.retries", [self._retries], "{request}", "Requests that were retried")
        meter.create_observable_up_down_counter(
            "batcher.in_flight", [self._in_flight], "{object}", "Objects that are being written"
        )
        gauge("batcher.oldest_record.age", [self._age], "s", "Longest time until durable")

    def reset(self) -> None:
        """Begin with nothing, as a forked process does."""
        # A thread that a forked process does not have may hold the one before
        self.lock: threading.Lock = threading.Lock()
        self.stats: Stats = Stats()
        """Totals. The age is the greatest since the last collection."""
        self.failed: Counter[str] = Counter()
        """Records of batches that could not be written, by the class of the error."""
        self.in_flight.clear()

    def _records(self, _: CallbackOptions) -> Iterable[Observation]:
        stats = self.stats
        by_outcome = {
            "durable": stats.records,
            "quarantined": stats.quarantined,
            "dropped": stats.dropped,
            "filtered": stats.filtered,
            "rejected": stats.rejected,
        }
        for outcome, records in by_outcome.items():
            if records or outcome == "durable":
                yield Observation(records, {"batcher.outcome": outcome})
        for error_type, records in list(self.failed.items()):
            attributes = {"batcher.outcome": "failed", "error.type": error_type}
            yield Observation(records, attributes)

    def _objects(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self.stats.objects)]

    def _payload_bytes(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self.stats.bytes_in)]

    def _object_bytes(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self.stats.bytes_out)]

    def _flushes(self, _: CallbackOptions) -> Iterable[Observation]:
        for reason, batches in list(self.stats.flushes.items()):
            yield Observation(batches, {"batcher.flush.reason": reason})

    def _retries(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self.stats.retries)]

    def _in_flight(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(len(self.in_flight))]

    def _age(self, _: CallbackOptions) -> Iterable[Observation]:
        arrivals_s = list(self.in_flight.values())
        with self.lock:
            age_s, self.stats.oldest_record_age_s = self.stats.oldest_record_age_s, 0.0
        if arrivals_s:
            age_s = max(age_s, time.time() - min(arrivals_s))
        return [Observation(age_s)]


class SharedStats(Stats, kw_only=True):
    """Totals of one batcher or event, which are counted in the totals of the metrics as well."""

    totals: Totals

    def count_retry(self) -> None:
        """See `Stats.count_retry`."""
        super().count_retry()
        with self.totals.lock:
            self.totals.stats.count_retry()

    def count_routed(self, routed: Routed) -> None:
        """See `Stats.count_routed`."""
        super().count_routed(routed)
        if routed.excluded or routed.rejected:  # a batcher routes each submitted record by itself
            with self.totals.lock:
                self.totals.stats.count_routed(routed)

    def count_filtered(self, records: int) -> None:
        """See `Stats.count_filtered`."""
        super().count_filtered(records)
        with self.totals.lock:
            self.totals.stats.count_filtered(records)

    def count_flush(self, batch: Batch) -> None:
        """See `Stats.count_flush`."""
        super().count_flush(batch)
        with self.totals.lock:
            self.totals.stats.count_flush(batch)

    def count_written(self, batch: Batch, receipt: Receipt, now_s: float) -> None:
        """See `Stats.count_written`."""
        super().count_written(batch, receipt, now_s)
        with self.totals.lock:
            self.totals.stats.count_written(batch, receipt, now_s)

    def count_failed(self, batch: Batch, error: Exception) -> None:
        """See `Stats.count_failed`."""
        super().count_failed(batch, error)
        with self.totals.lock:
            self.totals.failed[type(error).__qualname__] += batch.records


_TOTALS: WeakKeyDictionary[MeterProvider, Totals] = WeakKeyDictionary()
"""By provider: it takes each metric once, and would ignore those of a second batcher."""

_GLOBAL_TOTALS: list[Totals] = []
"""Of the global provider, which may be set later. Empty until it is used."""

_LOCK = threading.Lock()


def find_totals(provider: MeterProvider | None) -> Totals:
    """Return the totals of a provider, which all its batchers share. None: the global one."""
    current = metrics.get_meter_provider()
    with _LOCK:
        if provider is not None and provider is not current:
            if provider not in _TOTALS:
                _TOTALS[provider] = Totals(provider.get_meter(SCOPE))
            return _TOTALS[provider]
        if not _GLOBAL_TOTALS:
            _GLOBAL_TOTALS.append(_TOTALS.get(current) or Totals(metrics.get_meter(SCOPE)))
        return _GLOBAL_TOTALS[0]


def _reset_all() -> None:
    """Begin with nothing in a forked process: its parent's metrics have what was before."""
    global _LOCK  # noqa: PLW0603  # as in `Totals.reset`
    _LOCK = threading.Lock()
    for totals in {*_TOTALS.values(), *_GLOBAL_TOTALS}:
        totals.reset()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_reset_all)


class Instruments:
    """Records what is written, for one meter provider and one tracer."""

    def __init__(
        self,
        meter_provider: MeterProvider | None,
        tracer_provider: TracerProvider | None,
        *,
        has_callers: bool,
        has_traced_requests: bool,
    ) -> None:
        """Create the instruments.

        Args:
            meter_provider: None: the program's own, which may be set later.
            tracer_provider: the same.
            has_callers: whether objects belong to the caller's span, as those of an event. Objects
                of a batcher have records of many callers, so each begins a trace of its own.
            has_traced_requests: whether other libraries may trace the requests of an object. Its
                span is then current while it is written.
        """
        self.totals: Totals = find_totals(meter_provider)
        self.has_traced_requests = has_traced_requests
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._context = None if has_callers else context.Context()
        self._has_failed = False

    def make_stats(self) -> Stats:
        """Return empty totals. What they count is in the metrics as well."""
        return SharedStats(totals=self.totals)

    def make_writer(
        self, store: ObjectStore, settings: Settings, executor: Executor, threads: int
    ) -> Writer:
        """Return a writer that records each object."""
        return InstrumentedWriter(store, settings, executor, threads, self)

    def start_span(self, start_time_ns: int) -> Span:
        """Start the span of an object. If that fails, it is a span that records nothing."""
        try:
            return self._tracer.start_span(SPAN_NAME, self._context, start_time=start_time_ns)
        except Exception as error:  # noqa: BLE001  # of a processor of the program
            self._log_once(error)
            return trace.INVALID_SPAN

    def end_span(
        self, span: Span, batch: Batch, bucket: str, outcome: Receipt | BaseException
    ) -> None:
        """Describe an object whose outcome is known, and end its span."""
        try:
            if span.is_recording():
                if isinstance(outcome, BaseException):
                    span.set_attributes(_failed_attributes(batch, bucket, outcome))
                    # The messages of others may have payload in them
                    text = str(outcome) if isinstance(outcome, BatcherError) else None
                    span.set_status(StatusCode.ERROR, text)
                else:
                    span.set_attributes(_durable_attributes(batch, bucket, outcome))
            span.end()
        except Exception as error:  # noqa: BLE001  # raising would fail what is durable
            self._log_once(error)

    def _log_once(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            log.warning("opentelemetry_failed error=%s", type(error).__name__)


def _durable_attributes(batch: Batch, bucket: str, receipt: Receipt) -> Mapping[str, str | int]:
    return {
        "aws.s3.bucket": bucket,
        "aws.s3.key": receipt.key,
        "batcher.records": receipt.records,
        "batcher.object.size": receipt.size_bytes,
        "batcher.flush.reason": str(batch.seal_reason),
        "batcher.outcome": "quarantined" if receipt.quarantined else "durable",
    }


def _failed_attributes(batch: Batch, bucket: str, error: BaseException) -> Mapping[str, str | int]:
    return {
        "aws.s3.bucket": bucket,
        "batcher.records": batch.records,
        "batcher.flush.reason": str(batch.seal_reason or FlushReason.FAILURE),
        "batcher.outcome": "failed",
        "error.type": type(error).__qualname__,
    }


class InstrumentedWriter(Writer):
    """A writer that records each object."""

    def __init__(
        self,
        store: ObjectStore,
        settings: Settings,
        executor: Executor,
        threads: int,
        instruments: Instruments,
    ) -> None:
        """Write as `Writer` does, and record by `instruments`."""
        super().__init__(store, settings, executor, threads)
        self._bucket = settings.bucket
        self._instruments = instruments
        self._in_flight = instruments.totals.in_flight

    async def write(self, pending: PendingBatch, *, inline: bool = False) -> Receipt:
        """Write a batch, and record it; see `Writer.write`."""
        instruments, batch = self._instruments, pending.batch
        start_time_ns = time.time_ns()
        self._in_flight[pending] = batch.oldest_arrival_s
        span = None
        if instruments.has_traced_requests:
            span = instruments.start_span(start_time_ns)
            token = context.attach(trace.set_span_in_context(span))
        outcome: Receipt | BaseException
        try:
            outcome = receipt = await super().write(pending, inline=inline)
        except BaseException as error:
            outcome = error
            raise
        finally:
            self._in_flight.pop(pending, None)  # None: this is the copy of a forked process
            if span is None:  # it never has to be made current
                span = instruments.start_span(start_time_ns)
            else:
                context.detach(token)
            instruments.end_span(span, batch, self._bucket, outcome)
            del outcome  # an error has this frame: it would hold itself
        return receipt
