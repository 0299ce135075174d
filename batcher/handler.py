"""Handler: what AWS Lambda calls; where environment, clients, event loop and deadline meet."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from batcher.counts import Counts
from batcher.delivery import Delivered, Delivery, failure
from batcher.intake import Intake
from batcher.keys import FreshNames
from batcher.settings import Settings
from batcher.sources import Event, read_event
from batcher.stores import ObjectStore, open_store
from batcher.writer import Writer

if TYPE_CHECKING:
    from batcher.check import Transform

ENCODER_THREADS = 1
"""An event of 6 MB is encoded in some 10 ms, and functions of up to 1,769 MB have one core."""


class Context(Protocol):
    """The part of Lambda's context that is used."""

    def get_remaining_time_in_millis(self) -> int:
        """Give the time until the function is killed."""


log = logging.getLogger("batcher")


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
    ) -> None:
        """Set up; see `make_handler`."""
        self._settings = settings
        self._transform = transform
        self._store = store
        self._runner: asyncio.Runner | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._delivery: Delivery | None = None

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
        entered_s = loop.time()
        if self._settings is None:
            self._settings = Settings.from_env(os.environ)
        settings = self._settings
        found = read_event(event, time.time())
        if not found.positions:
            return {"receipts": [], "quarantined": 0} if found.is_direct else _answer([])
        deadline_s = None
        if context is not None:
            left_s = context.get_remaining_time_in_millis() / 1000
            deadline_s = entered_s + left_s - settings.deadline_margin_s
        delivered = loop.run_until_complete(self._deliver(found, settings, deadline_s))
        _report(found, delivered)
        return respond(found, delivered, partial_response=settings.partial_response)

    async def _deliver(
        self, event: Event, settings: Settings, deadline_s: float | None
    ) -> Delivered:
        """Deliver on the loop that the store's connections belong to."""
        if self._delivery is None:
            self._executor = ThreadPoolExecutor(ENCODER_THREADS, "batcher-encode")
            counts = Counts()
            if self._store is None:
                self._store = open_store(settings, counts.retried)
            writer = Writer(self._store, settings, self._executor, ENCODER_THREADS)
            intake = Intake(settings, self._transform)
            names = FreshNames(time.time, _random_bits)
            self._delivery = Delivery(intake, writer, settings, names, counts)
        return await self._delivery.deliver(event, deadline_s)

    def close(self) -> None:
        """Let go of connections, threads and the event loop; for programs that outlive it."""
        if self._runner is not None:
            if self._store is not None:
                self._runner.run(self._store.aclose())
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
) -> Handler:
    """Make a Lambda handler of one's own.

    Args:
        settings: None: read from the environment at the first event.
        transform: gives, for a payload as bytes, a new one (bytes, str or dict), or None to leave
            the record out. Must be deterministic. A record on which it raises is a bad record.
        store: where to write instead of what the settings name.
    """
    return Handler(settings, transform=transform, store=store)


def _report(event: Event, delivered: Delivered) -> None:
    """Log what somebody must look at, a line an object at most, and never a payload."""
    for error in delivered.errors:
        log.error("not_durable source=%s error=%s", event.source, error)
    if delivered.was_cut:
        unsettled = len(delivered.ledger)
        log.error("deadline_cut source=%s unsettled=%d", event.source, unsettled)
    for receipt in delivered.receipts:
        if receipt.quarantined:
            log.warning("quarantined records=%d key=%s", receipt.records, receipt.key)


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


def _answer(identifiers: list[str]) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


handler = make_handler()
"""The handler set up by environment variables alone."""
