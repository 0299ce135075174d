"""Pipeline: assembles what turns records into durable objects, for every front door."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from batcher.batching.router import Router
from batcher.keys.names import Uuid7Generator
from batcher.stores import ObjectStore, limit_concurrency, open_store
from batcher.stores.metered import MeteredStore
from batcher.writing.stats import Stats
from batcher.writing.writer import Writer

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from batcher.batching.validation import Transform
    from batcher.records.payload import JsonDefault
    from batcher.settings import Settings
    from batcher.stores.custom import CustomStore
    from batcher.stores.metered import RequestStats
    from batcher.writing.instruments import Instruments


log: logging.Logger = logging.getLogger("batcher")


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
        instruments: Instruments | None = None,
    ) -> None:
        """Assemble. No thread starts and nothing connects before the first batch is written.

        Args:
            settings: what to write, and where.
            store: where objects are written; see `choose_store`.
            threads: blocks that are encoded at the same time.
            transform: the user's, applied to every record by `router`.
            default: the user's, for values that JSON lacks in what the transform returns.
            wall_clock: seconds since 1970, for names.
            instruments: record each object; see `find_instruments`.
        """
        self.settings = settings
        self.store = store
        self.router: Router = Router(settings, transform, default)
        self._executor = ThreadPoolExecutor(threads, "batcher-encode")
        self.instruments: Instruments | None = instruments
        self.writer: Writer = Writer(store, settings, self._executor, threads)
        if instruments is not None:
            self.writer = instruments.make_writer(store, settings, self._executor, threads)
        self.next_uuid: Uuid7Generator = Uuid7Generator(wall_clock, _random_bits)
        """Returns a new UUIDv7 at each call."""

    async def aclose(self) -> None:
        """Close the store, and end the threads. No batch may be pending."""
        await self.store.aclose()
        self.close_threads()

    def close_threads(self) -> None:
        """End the encoder threads, for a store that the caller closes."""
        self._executor.shutdown(wait=False)


def find_instruments(
    settings: Settings,
    store: ObjectStore | CustomStore | None,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
    *,
    has_callers: bool,
) -> Instruments | None:
    """Return instruments of OpenTelemetry, or None if the program does not use it.

    The program uses it if it gives a provider or has imported the API, as every SDK and every
    instrumentation does. If not, nothing of it is imported or called.

    Args:
        settings: with `engine`. Nothing traces the requests of obstore.
        store: the user's, whose requests may be traced, or None.
        meter_provider: None: the program's global one.
        tracer_provider: the same.
        has_callers: as for `Instruments`.
    """
    is_given = meter_provider is not None or tracer_provider is not None
    if not is_given and "opentelemetry.trace" not in sys.modules:
        return None
    try:
        from batcher.writing.instruments import Instruments  # noqa: PLC0415  # see above

        return Instruments(
            meter_provider,
            tracer_provider,
            has_callers=has_callers,
            has_traced_requests=store is not None or settings.engine != "obstore",
        )
    except Exception as error:  # an API that is too old, or not complete
        if is_given:
            raise
        log.warning("opentelemetry_failed error=%s", type(error).__name__)
        return None


def make_stats(instruments: Instruments | None) -> Stats:
    """Return empty totals. What they count is in the metrics as well, if there are instruments."""
    return Stats() if instruments is None else instruments.make_stats()


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
