"""Handler: what AWS Lambda calls; where environment, clients, event loop and deadline meet."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from batcher.delivery import Delivered, Delivery, failure
from batcher.intake import Intake
from batcher.keys import FreshNames
from batcher.settings import Settings
from batcher.sources import Event, read_event
from batcher.stores import ObjectStore, open_store
from batcher.writer import Writer

if TYPE_CHECKING:
    from batcher.check import Transform

ENCODER_THREADS = 2


class Context(Protocol):
    """The part of Lambda's context that is used."""

    def get_remaining_time_in_millis(self) -> int:
        """Give the time until the function is killed."""


Handler = Callable[[Any, Context | None], dict[str, Any]]


def make_handler(
    settings: Settings | None = None,
    *,
    transform: Transform | None = None,
    store: ObjectStore | None = None,
) -> Handler:
    """Make a Lambda handler; connections and event loop live as long as the environment.

    Args:
        settings: None: read from the environment at the first event.
        transform: gives, for a payload as bytes, a new one (bytes, str or dict), or None to leave
            the record out. Must be deterministic. A record on which it raises is a bad record.
        store: where to write instead of what the settings name.
    """
    environment: list[_Environment] = []

    def handle(event: Any, context: Context | None = None) -> dict[str, Any]:  # noqa: ANN401  # JSON
        """Write the event's records, and answer with what is not durable.

        Raises:
            UnknownSourceError: the event is of no source that batcher reads.
            SettingsError: the environment's settings cannot work.
            RetryableError: records are not durable, and the answer cannot say so.
            RejectedError: the same, and it will not change by itself.
        """
        entered_s = time.monotonic()
        if not environment:
            chosen = Settings.from_env(os.environ) if settings is None else settings
            environment.append(_Environment(chosen, transform, store))
        return environment[0].run(event, context, entered_s)

    return handle


class _Environment:
    """What lives as long as a Lambda environment: one event loop, one store, one thread pool."""

    def __init__(
        self, settings: Settings, transform: Transform | None, store: ObjectStore | None
    ) -> None:
        self._settings = settings
        self._transform = transform
        self._store = store
        self._runner = asyncio.Runner()
        self._delivery: Delivery | None = None

    def run(self, event: object, context: Context | None, entered_s: float) -> dict[str, Any]:
        """Handle one event, within the time that is left."""
        found = read_event(event, time.time())
        if not found.positions:
            return {"receipts": [], "quarantined": 0} if found.is_direct else _answer([])
        deadline_s = None
        if context is not None:
            left_s = context.get_remaining_time_in_millis() / 1000
            deadline_s = entered_s + left_s - self._settings.deadline_margin_s
        delivered = self._runner.run(self._deliver(found, deadline_s))
        return respond(found, delivered, partial_response=self._settings.partial_response)

    async def _deliver(self, event: Event, deadline_s: float | None) -> Delivered:
        """Deliver on the loop that the store's connections belong to."""
        if self._delivery is None:
            executor = ThreadPoolExecutor(ENCODER_THREADS, "batcher-encode")
            store = open_store(self._settings) if self._store is None else self._store
            writer = Writer(store, self._settings, executor)
            intake = Intake(self._settings, self._transform)
            names = FreshNames(time.time, secrets.randbits)
            self._delivery = Delivery(intake, writer, self._settings, names)
        return await self._delivery.deliver(event, deadline_s)


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
