"""Pipeline: assembles what turns records into durable objects, for every front door."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from batcher.batching.router import Router
from batcher.keys.names import Uuid7Generator
from batcher.stores import ObjectStore, limit_concurrency, open_store
from batcher.stores.metered import MeteredStore
from batcher.writing.writer import Writer

if TYPE_CHECKING:
    from batcher.batching.validation import Transform
    from batcher.records.payload import JsonDefault
    from batcher.settings import Settings
    from batcher.stores.custom import CustomStore
    from batcher.stores.metered import RequestStats


class Pipeline:
    """A router, a writer with its store and its encoder threads, and a generator of names.

    `Batcher`, the Lambda handler and replay each have one. The caller may share the store.
    """

    def __init__(  # noqa: PLR0913  # all but two are optional and have names
        self,
        settings: Settings,
        store: ObjectStore,
        *,
        threads: int,
        transform: Transform | None = None,
        default: JsonDefault | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Assemble. No thread starts and nothing connects before the first batch is written.

        Args:
            settings: what to write, and where.
            store: where objects are written; see `choose_store`.
            threads: blocks that are encoded at the same time.
            transform: the user's, applied to every record by `router`.
            default: the user's, for values that JSON lacks in what the transform returns.
            wall_clock: seconds since 1970, for names.
        """
        self.settings = settings
        self.store = store
        self.router: Router = Router(settings, transform, default)
        self._executor = ThreadPoolExecutor(threads, "batcher-encode")
        self.writer: Writer = Writer(store, settings, self._executor, threads)
        self.next_uuid: Uuid7Generator = Uuid7Generator(wall_clock, _random_bits)
        """Returns a new UUIDv7 at each call."""

    async def aclose(self) -> None:
        """Close the store, and end the threads. No batch may be pending."""
        await self.store.aclose()
        self.close_threads()

    def close_threads(self) -> None:
        """End the encoder threads, for a store that the caller closes."""
        self._executor.shutdown(wait=False)


def choose_store(
    settings: Settings,
    store: ObjectStore | CustomStore | None,
    on_retry: Callable[[], None],
    request_stats: RequestStats | None = None,
) -> ObjectStore:
    """Open the store that the settings name, or limit the requests to the user's own `store`.

    Args:
        settings: where to write, and how many requests may be in flight.
        store: the user's, or None.
        on_retry: called for every request that is sent again. A user's store retries by itself.
        request_stats: collects the figures of the requests.

    Raises:
        SettingsError: the engine is not installed, or does not support these settings.
    """
    if store is None:
        return open_store(settings, on_retry, request_stats)
    limited = limit_concurrency(store, settings.concurrency)
    return limited if request_stats is None else MeteredStore(limited, request_stats, str)


def _random_bits(bits: int) -> int:
    import secrets  # noqa: PLC0415  # an event's objects are named after their records

    return secrets.randbits(bits)
