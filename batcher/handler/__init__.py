"""Handler: what AWS Lambda calls; where environment, clients, event loop and deadline meet."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, cast

from batcher.batching.router import Intake
from batcher.handler.emf import Invocation
from batcher.handler.event_writer import Delivered, Delivery, failure
from batcher.handler.telemetry import Reporter, log_outcome
from batcher.keys.names import FreshNames
from batcher.settings import Settings
from batcher.sources import Event, read_event
from batcher.stores import ObjectStore, in_slots, open_store
from batcher.stores.metered import MeteredStore
from batcher.writing.stats import Counts
from batcher.writing.writer import Writer

if TYPE_CHECKING:
    from batcher.batching.validation import Transform

ENCODER_THREADS = 1
"""An event of 6 MB is encoded in some 10 ms, and functions of up to 1,769 MB have one core."""


class Context(Protocol):
    """The part of Lambda's context that is used."""

    def get_remaining_time_in_millis(self) -> int:
        """Give the time until the function is killed."""


class LambdaHandler(Protocol):
    """What `make_handler` gives: a plain function, for some decorators take nothing else."""

    def __call__(self, event: Any, context: Context | None = None) -> dict[str, Any]:  # noqa: ANN401  # JSON
        """See `Handler.__call__`."""

    def close(self) -> None:
        """See `Handler.close`."""


class Handler:
    """A Lambda handler: call it with event after event.

    Event loop, connections and threads are made at the first event and live as long as the
    environment; a program that outlives its handler calls `close`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        transform: Transform | None = None,
        store: ObjectStore | None = None,
        metrics: Callable[[str], object] | None = None,
    ) -> None:
        """Set up; see `make_handler`."""
        self._settings = settings
        self._transform = transform
        self._store = store
        self._metrics = metrics
        self._opened: ObjectStore | None = None
        self._runner: asyncio.Runner | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._delivery: Delivery | None = None
        self._reporter: Reporter | None = None
        self._counts = Counts()

    def __call__(self, event: Any, context: Context | None = None) -> dict[str, Any]:  # noqa: ANN401  # JSON
        """Write the event's records, and answer with what is not durable.

        Args:
            event: what Lambda hands over, parsed.
            context: tells the time that is left; None: there is no deadline.

        Raises:
            UnknownSourceError: the event is of no source that batcher reads.
            SettingsError: the environment's settings cannot work.
            RetryableError: records are not durable, and the answer cannot say so.
            RejectedError: the same, and it will not change by itself.
        """
        if self._runner is None:
            self._runner = asyncio.Runner()
        # Not Runner.run: it would set a handler for Ctrl-C and back, 0.1 ms an event, for nobody
        loop = self._runner.get_loop()
        began_s = loop.time()
        if self._settings is None:
            self._settings = Settings.from_env()
        if self._reporter is None and (self._metrics or "AWS_LAMBDA_FUNCTION_NAME" in os.environ):
            self._reporter = Reporter(os.environ, self._metrics)
        self._counts = Counts()
        invocation = Invocation() if self._reporter is None else self._reporter.begin(context)
        invocation.began_s = began_s
        try:
            return self._handle(event, context, self._settings, loop, invocation)
        except Exception as error:
            invocation.error = type(error).__name__
            raise
        finally:
            if self._reporter is not None:
                invocation.seconds = loop.time() - began_s
                self._reporter.end(invocation, self._counts)

    def _handle(
        self,
        event: Any,  # noqa: ANN401  # JSON
        context: Context | None,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        invocation: Invocation,
    ) -> dict[str, Any]:
        """See `__call__`; what is found out on the way is noted on `invocation`."""
        found = read_event(event, time.time())
        invocation.source = found.source
        if not found.positions:
            return {"receipts": [], "quarantined": 0} if found.is_direct else _answer([])
        invocation.records = invocation.failed = len(found.positions)
        deadline_s = None
        if context is not None:
            left_s = context.get_remaining_time_in_millis() / 1000
            deadline_s = invocation.began_s + left_s - settings.deadline_margin_s
        try:
            delivered = loop.run_until_complete(self._deliver(found, settings, deadline_s))
        except KeyboardInterrupt:
            loop.run_until_complete(_end_tasks())  # nothing of it may run in the next event
            raise
        invocation.failed = len(delivered.ledger)
        invocation.was_cut = delivered.was_cut
        log_outcome(found, delivered)
        return respond(found, delivered, partial_response=settings.partial_response)

    async def _deliver(
        self, event: Event, settings: Settings, deadline_s: float | None
    ) -> Delivered:
        """Deliver on the loop that the store's connections belong to."""
        if self._delivery is None:
            self._executor = ThreadPoolExecutor(ENCODER_THREADS, "batcher-encode")
            if self._opened is None:
                self._opened = self._open(settings)
            writer = Writer(self._opened, settings, self._executor, ENCODER_THREADS)
            intake = Intake(settings, self._transform)
            names = FreshNames(time.time, _random_bits)
            self._delivery = Delivery(intake, writer, settings, names, clock=time.time)
        self._delivery.counts = self._counts
        return await self._delivery.deliver(event, deadline_s)

    def _open(self, settings: Settings) -> ObjectStore:
        """Give the store, metered where somebody reads the figures."""
        requests = self._reporter.requests if self._reporter else None
        if self._store is None:
            return open_store(settings, self._retried, requests)
        store = in_slots(self._store, settings.concurrency)
        return store if requests is None else MeteredStore(store, requests, str)

    def _retried(self) -> None:
        """Count a request that is sent again, for the event that is under way."""
        self._counts.retried()

    def close(self) -> None:
        """Let go of connections, threads and the event loop; for programs that outlive it."""
        if self._runner is not None:
            if self._opened is not None:
                self._runner.run(self._opened.aclose())
            self._runner.close()
        if self._executor is not None:
            self._executor.shutdown()
        self._runner = self._executor = self._delivery = None


def _random_bits(bits: int) -> int:
    import secrets  # noqa: PLC0415  # only direct invokes have names by chance

    return secrets.randbits(bits)


def make_handler(
    settings: Settings | None = None,
    *,
    transform: Transform | None = None,
    store: ObjectStore | None = None,
    metrics: Callable[[str], object] | None = None,
) -> LambdaHandler:
    """Make a Lambda handler of one's own, to be decorated as one likes.

    Args:
        settings: None: read from the environment at the first event.
        transform: gives, for a payload as bytes, a new one (bytes, str or dict), or None to leave
            the record out. Must be deterministic. A record on which it raises is a bad record.
        store: where to write instead of what the settings name.
        metrics: takes each event's line of metrics. None: in Lambda it goes to the log, elsewhere
            there is none.
    """
    made = Handler(settings, transform=transform, store=store, metrics=metrics)

    def handler(event: Any, context: Context | None = None) -> dict[str, Any]:  # noqa: ANN401  # JSON
        """Write the event's records; see `Handler`."""
        return made(event, context)

    handler.close = made.close  # type: ignore[attr-defined]  # functions may have attributes
    return cast("LambdaHandler", handler)


def respond(event: Event, delivered: Delivered, *, partial_response: bool) -> dict[str, Any]:
    """Give the answer that the source expects, or raise where only that makes it send again."""
    if len(delivered.ledger):
        # A stream that was cut must be halved by bisect, and only an error makes it so
        only_raising = event.is_direct or (event.is_whole and delivered.was_cut)
        if only_raising or not partial_response:
            raise failure(delivered, len(event.positions))
        return _answer(event.failures(delivered.ledger, event.positions))
    if event.is_direct:
        data = [receipt for receipt in delivered.receipts if not receipt.quarantined]
        return {
            "receipts": [
                {"key": r.key, "records": r.records, "size_bytes": r.size_bytes} for r in data
            ],
            "quarantined": sum(r.records for r in delivered.receipts if r.quarantined),
        }
    return _answer([])


async def _end_tasks() -> None:
    """Cancel what runs on this loop, and wait until it has ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others)


def _answer(identifiers: list[str]) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


handler = make_handler()
"""The handler set up by environment variables alone."""
