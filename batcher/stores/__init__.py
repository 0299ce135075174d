"""Stores: where objects go. A library is imported only for the store that is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from batcher.errors import SettingsError
from batcher.stores.base import (
    MultipartUpload,
    ObjectAttributes,
    ObjectInfo,
    ObjectReader,
    ObjectStore,
)
from batcher.stores.metered import MeteredStore, RequestStats
from batcher.stores.rate_limits.limiter import PrefixLimiters
from batcher.stores.rate_limits.store import RateLimitedStore
from batcher.stores.retrying import RetryingStore

if TYPE_CHECKING:
    from batcher.settings import Settings

__all__ = [
    "MultipartUpload",
    "ObjectAttributes",
    "ObjectInfo",
    "ObjectReader",
    "ObjectStore",
    "limit_concurrency",
    "open_reader",
    "open_store",
]


UNLIMITED_PER_S = 1e9
"""More than any store takes."""


def open_store(
    settings: Settings,
    on_retry: Callable[[], None] | None = None,
    request_stats: RequestStats | None = None,
) -> ObjectStore:
    """Return the store that the settings name; it connects at its first request.

    Args:
        settings: where to write.
        on_retry: called at each request that is sent again.
        requests: where S3's requests are noted; None: nowhere.

    Raises:
        SettingsError: the engine is not installed, or cannot do what the settings say.
    """
    if settings.bucket.startswith("file:"):
        from batcher.stores.file import FileStore, parse_folder_url  # noqa: PLC0415  # lazy

        return limit_concurrency(FileStore(parse_folder_url(settings.bucket)), settings.concurrency)
    most_per_s = settings.prefix_rate / settings.fleet
    paces = PrefixLimiters(most_per_s, settings.concurrency, settings.root, settings.fanout)
    store = _open_s3(settings)
    if request_stats is not None:
        store = MeteredStore(store, request_stats, paces.get_prefix)
    paced = RateLimitedStore(store, paces, settings.concurrency)
    return RetryingStore(paced, on_retry=on_retry)


def limit_concurrency(store: ObjectStore, concurrency: int) -> ObjectStore:
    """Bound the requests in flight to a store that has no rate to be kept.

    One that repeats requests is left as it is: what it waits for must not take a slot.
    """
    if isinstance(store, RetryingStore):
        return store
    return RateLimitedStore(store, PrefixLimiters(UNLIMITED_PER_S, concurrency), concurrency)


def _open_s3(settings: Settings) -> ObjectStore:
    if settings.engine == "obstore":
        return _open_obstore(settings)
    from batcher.stores.s3.store import S3Store  # noqa: PLC0415  # half a second to import

    return S3Store(settings)


def _open_obstore(settings: Settings) -> ObjectStore:
    try:
        from batcher.stores.obstore.store import ObstoreStore  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        fault = "engine: obstore is not installed: pip install 'batcher[fast]'"
        raise SettingsError([fault]) from error
    return ObstoreStore(settings)


def open_reader(settings: Settings) -> ObjectReader:
    """Return what reads back the objects of the store that the settings name; it connects late."""
    if settings.bucket.startswith("file:"):
        from batcher.stores.file import parse_folder_url  # noqa: PLC0415  # lazy
        from batcher.stores.file_reader import FileReader  # noqa: PLC0415

        return FileReader(parse_folder_url(settings.bucket))
    from batcher.stores.s3.reader import S3Reader  # noqa: PLC0415  # half a second to import

    return S3Reader(settings)
