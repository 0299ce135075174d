"""SDK: OpenTelemetry set up as a service does it, with exporters that drop everything.

Spans go through a `BatchSpanProcessor`, and metrics are collected once per minute: the defaults of
the SDK. What an exporter sends is not batcher's cost.
"""

from __future__ import annotations

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult


class NoSpans(SpanExporter):
    """Drops spans."""

    def export(self, spans: object) -> SpanExportResult:
        """Drop them."""
        del spans
        return SpanExportResult.SUCCESS


class NoMetrics(MetricExporter):
    """Drops metrics."""

    def export(
        self, metrics_data: object, timeout_millis: float = 0, **_: object
    ) -> MetricExportResult:
        """Drop them."""
        del metrics_data, timeout_millis
        return MetricExportResult.SUCCESS

    def shutdown(self, timeout_millis: float = 0, **_: object) -> None:
        """Do nothing."""

    def force_flush(self, timeout_millis: float = 0) -> bool:
        """Do nothing."""
        del timeout_millis
        return True


def make_tracer_provider() -> TracerProvider:
    """Return a provider of tracers."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(NoSpans()))
    return provider


def make_meter_provider() -> MeterProvider:
    """Return a provider of meters."""
    return MeterProvider([PeriodicExportingMetricReader(NoMetrics())])
