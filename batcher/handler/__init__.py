"""Handler: what AWS Lambda calls. Connects environment, clients, event loop and deadline.

`event_writer` writes the records of an event. `response` makes the answer to Lambda from the
result.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from batcher.concurrency import find_running_loop
from batcher.handler.emf import InvocationStats
from batcher.handler.event_writer import EventResult, EventWriter
from batcher.handler.response import failure_response, respond
from batcher.handler.telemetry import Telemetry, log_outcome
from batcher.settings import Settings, require_conditional_writes
from batcher.sources import Event, read_event
from batcher.writing.pipeline import Pipeline, choose_store, find_instruments
from batcher.writing.stats import Stats

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from batcher.batching.validation import Transform
    from batcher.records.payload import JsonDefault
    from batcher.stores import ObjectStore
    from batcher.stores.custom import CustomStore

ENCODER_THREADS = 1
"""An event of 6 MB is encoded in about 10 ms, and functions of up to 1,769 MB have one core."""


class LambdaContext(Protocol):
    """The part of Lambda's context object that batcher uses."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until Lambda kills the function."""


class LambdaHandler(Protocol):
    """What `make_handler` returns: a plain function, as some decorators accept nothing else."""

    def __call__(self, event: Any, context: LambdaContext | None = None) -> dict[str, Any]:  # noqa: ANN401  # JSON
        """See `Handler.__call__`."""

    def close(self) -> None:
        """See `Handler.close`."""


class Handler:
    """A Lambda handler. Call it with one event after another.

    Event loop, connections and threads are created at the first event and live as long as the
    environment. A program that outlives its handler calls `close`.
    """

    def __init__(  # noqa: PLR0913  # all are optional and have names
        self,
        settings: Settings | None = None,
        *,
        transform: Transform | None = None,
        default: JsonDefault | None = None,
        store: ObjectStore | CustomStore | None = None,
        metrics: Callable[[str], object] | None = None,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        """Set up. See `make_handler` for the arguments and errors."""
        if transform is not None:
            from batcher.batching.transform import check_transform  # noqa: PLC0415  # rarely used

            check_transform(transform)
        if default is not None:
            from batcher.batching.transform import check_default  # noqa: PLC0415  # rarely used

            check_default(default)
        if settings is not None:
            require_conditional_writes(settings)
        self._in_use = threading.Lock()
        self._settings = settings
        self._transform = transform
        self._default = default
        self._store = store
        self._metrics = metrics
        self._providers = meter_provider, tracer_provider
        self._runner: asyncio.Runner | None = None
        self._pipeline: Pipeline | None = None
        self._event_writer: EventWriter | None = None
        self._telemetry: Telemetry | None = None
        self._stats = Stats()

    def __call__(self, event: Any, context: LambdaContext | None = None) -> dict[str, Any]:  # noqa: ANN401  # JSON
        """Write the event's records, and return those that are not durable.

        Args:
            event: Lambda's event, parsed from JSON.
            context: Lambda's context, for the remaining time. None: there is no deadline.

        Returns:
            The response that the event's source expects: `batchItemFailures`, or for a direct
            invoke the receipts.

        Raises:
            RuntimeError: it is called inside a running event loop, or while another thread is in
                it. Nothing of the event was read or written.
            MemoryError: the transform raised it. The source redelivers the event.
            UnknownSourceError: batcher cannot read events of this source.
            SettingsError: the environment's settings are invalid.
            RetryableError: records are not durable, and the response cannot report them. The source
                redelivers the event.
            RejectedError: the same, and a retry fails until the cause is fixed.
        """
        _check_no_running_loop()
        if not self._in_use.acquire(blocking=False):
            msg = (
                "handler: called from several threads at once; make one handler per thread with "
                "make_handler, or use Batcher"
            )
            raise RuntimeError(msg)
        try:
            return self._run(event, context)
        finally:
            self._in_use.release()

    def _run(self, event: Any, context: LambdaContext | None) -> dict[str, Any]:  # noqa: ANN401  # JSON
        """See `__call__`. Only one thread runs it at a time."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        # Not Runner.run: installing and removing its handler for Ctrl-C takes 0.1 ms per event
        loop = self._runner.get_loop()
        began_s = loop.time()
        if self._settings is None:
            from_env = Settings.from_env()
            require_conditional_writes(from_env)
            self._settings = from_env
        if self._telemetry is None and (self._metrics or "AWS_LAMBDA_FUNCTION_NAME" in os.environ):
            self._telemetry = Telemetry(os.environ, self._metrics)
        self._stats = Stats()
        invocation = (
            InvocationStats() if self._telemetry is None else self._telemetry.begin(context)
        )
        invocation.began_s = began_s
        try:
            return self._handle(event, context, self._settings, loop, invocation)
        except Exception as error:
            invocation.error_type = type(error).__name__
            raise
        finally:
            if self._telemetry is not None:
                invocation.duration_s = loop.time() - began_s
                self._telemetry.end(invocation, self._stats)

    def _handle(
        self,
        event: Any,  # noqa: ANN401  # JSON
        context: LambdaContext | None,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        invocation: InvocationStats,
    ) -> dict[str, Any]:
        """See `__call__`. Fills in `invocation` for the telemetry."""
        read = read_event(event, time.time())
        invocation.source = read.source
        if not read.positions:
            return {"receipts": [], "quarantined": 0} if read.direct else failure_response([])
        invocation.records = invocation.failed = len(read.positions)
        deadline_s = None
        if context is not None:
            left_s = context.get_remaining_time_in_millis() / 1000
            deadline_s = invocation.began_s + left_s - settings.deadline_margin_s
        try:
            result = loop.run_until_complete(self._write_event(read, settings, deadline_s))
        except KeyboardInterrupt:
            loop.run_until_complete(_cancel_tasks())  # no task may run on in the next event
            raise
        invocation.failed = len(result.ledger)
        invocation.timed_out = result.timed_out
        invocation.transform_failed = bool(result.transform_error)
        log_outcome(read, result)
        return respond(read, result, partial_response=settings.partial_response)

    async def _write_event(
        self, event: Event, settings: Settings, deadline_s: float | None
    ) -> EventResult:
        """Write the event on the loop that the store's connections belong to."""
        if self._event_writer is None:
            request_stats = self._telemetry.request_stats if self._telemetry else None
            instruments = find_instruments(
                settings, self._store, *self._providers, has_callers=True
            )
            store = choose_store(settings, self._store, self._count_retry, request_stats)
            self._pipeline = Pipeline(
                settings,
                store,
                threads=ENCODER_THREADS,
                transform=self._transform,
                default=self._default,
                wall_clock=time.time,
                instruments=instruments,
            )
            self._event_writer = EventWriter(self._pipeline, clock=time.time)
        self._stats = self._event_writer.reset_stats()
        return await self._event_writer.write(event, deadline_s)

    def _count_retry(self) -> None:
        """Count a retry for the current event."""
        self._stats.count_retry()

    def close(self) -> None:
        """Release connections, threads and the event loop, if the program outlives the handler."""
        if self._runner is not None:
            if self._pipeline is not None:
                self._runner.run(self._pipeline.aclose())
            self._runner.close()
        self._runner = self._pipeline = self._event_writer = None


def make_handler(  # noqa: PLR0913  # all are optional and have names
    settings: Settings | None = None,
    *,
    transform: Transform | None = None,
    default: JsonDefault | None = None,
    store: ObjectStore | CustomStore | None = None,
    metrics: Callable[[str], object] | None = None,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
) -> LambdaHandler:
    """Create a Lambda handler, for settings in code, a transform, or decorators of your own.

    Args:
        settings: None: read from the environment at the first event.
        transform: called with each payload as bytes. Returns the new record, as `Batcher.submit`
            takes it, or None to filter it out. It must be deterministic. A record for which it
            raises is a bad record, except for MemoryError and `RetryableError`: then the event
            comes back.
        default: called with each value in a result of `transform` that JSON lacks; see `Batcher`.
        store: where to write instead of the bucket of the settings.
        metrics: called with each event's line of metrics. None: in Lambda the line goes to the
            log, elsewhere there is none.
        meter_provider: of OpenTelemetry. None: the program's global one, if OpenTelemetry was
            imported before the first event.
        tracer_provider: the same.

    Raises:
        TypeError: `transform` or `default` is a coroutine function, or takes another number of
            parameters.
        SettingsError: `conditional_writes` is false.
    """
    instance = Handler(
        settings,
        transform=transform,
        default=default,
        store=store,
        metrics=metrics,
        meter_provider=meter_provider,
        tracer_provider=tracer_provider,
    )

    def handler(event: Any, context: LambdaContext | None = None) -> dict[str, Any]:  # noqa: ANN401  # JSON
        """Write the event's records; see `Handler.__call__`."""
        return instance(event, context)

    handler.close = instance.close  # type: ignore[attr-defined]  # functions may have attributes
    return cast("LambdaHandler", handler)


def _check_no_running_loop() -> None:
    """Raise RuntimeError if this thread runs an event loop, which waits for the handler."""
    if find_running_loop() is None:
        return
    msg = (
        "handler: called inside a running event loop; call it with asyncio.to_thread, or use "
        "Batcher in async code"
    )
    raise RuntimeError(msg)


async def _cancel_tasks() -> None:
    """Cancel all other tasks of this loop, and wait until they have ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others)


handler: LambdaHandler = make_handler()
"""The handler that is configured by environment variables alone."""
