"""Stores of objects. A library is imported only if its store is used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from batcher.errors import DISTRIBUTION, SettingsError, install_hint
from batcher.settings import connection_settings
from batcher.stores.base import (
    BucketReader,
    MultipartUpload,
    ObjectAttributes,
    ObjectInfo,
    ObjectReader,
    ObjectStore,
)
from batcher.stores.metered import MeteredStore, RequestStats
from batcher.stores.rate_limits.limiter import PrefixLimiters
from batcher.stores.rate_limits.store import RateLimitedStore
from batcher.stores.request import Operation, Request, Response, UploadPart
from batcher.stores.retrying import RetryingStore

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.stores.custom import CustomStore

__all__ = [
    "MultipartUpload",
    "ObjectAttributes",
    "ObjectInfo",
    "ObjectReader",
    "ObjectStore",
    "Operation",
    "Request",
    "Response",
    "UploadPart",
    "limit_concurrency",
    "open_reader",
    "open_store",
]


log: logging.Logger = logging.getLogger("batcher")


ENGINE_MODULES = {
    "aioboto3": {"aioboto3", "aiobotocore", "aiohttp", "botocore"},
    "obstore": {"obstore"},
}
"""What is missing if an engine is not installed."""


OBJECT_SETTINGS = ("conditional_writes", "acl", "sse", "kms_key_id", "storage_class", "tags")
"""Settings of requests and objects that only S3 knows."""


UNLIMITED_PER_S = 1e9
"""More requests per second than any store takes."""


def open_store(
    settings: Settings,
    on_retry: Callable[[], None] | None = None,
    request_stats: RequestStats | None = None,
) -> ObjectStore:
    """Return the store of `settings.bucket`, with all wrappers. It connects at its first request.

    Args:
        settings: where to write, and within which limits.
        on_retry: called before each retry.
        request_stats: receives counts of the requests to S3.

    Raises:
        SettingsError: the engine is not installed, or does not support a setting.
    """
    if settings.bucket.startswith("file:"):
        from batcher.stores.file import FileStore  # noqa: PLC0415  # lazy
        from batcher.stores.location import parse_folder_url  # noqa: PLC0415

        if unused := _find_unused_settings(settings):
            log.warning("settings_unused bucket=%s settings=%s", settings.bucket, ",".join(unused))
        return limit_concurrency(FileStore(parse_folder_url(settings.bucket)), settings.concurrency)
    max_per_s = settings.prefix_rate / settings.fleet
    limiters = PrefixLimiters(max_per_s, settings.concurrency, settings.root, settings.fanout)
    store = _open_s3(settings)
    if request_stats is not None:
        store = MeteredStore(store, request_stats, limiters.get_prefix)
    rate_limited = RateLimitedStore(store, limiters, settings.concurrency)
    return RetryingStore(rate_limited, on_retry=on_retry)


def _find_unused_settings(settings: Settings) -> list[str]:
    """Return the settings with a value that a folder has no use for."""
    defaults = type(settings).__dataclass_fields__
    names = (*connection_settings(), *OBJECT_SETTINGS)
    values = [(name, getattr(settings, name)) for name in names]
    return [name for name, value in values if value not in (defaults[name].default, "", {})]


def limit_concurrency(store: ObjectStore | CustomStore, concurrency: int) -> ObjectStore:
    """Return `store` with at most `concurrency` requests in flight, and no rate limit.

    A store that retries is returned as it is: a request must not hold a slot during its backoff. A
    caller's own store with a method per operation is adapted.
    """
    if not isinstance(store, ObjectStore):
        from batcher.stores.custom import CustomStoreAdapter  # noqa: PLC0415  # lazy

        store = CustomStoreAdapter(store)
    if isinstance(store, RetryingStore):
        return store
    return RateLimitedStore(store, PrefixLimiters(UNLIMITED_PER_S, concurrency), concurrency)


def _open_s3(settings: Settings) -> ObjectStore:
    _require_role_package(settings)
    with _named_if_missing(settings.engine):
        if settings.engine == "obstore":
            from batcher.stores.obstore.store import ObstoreStore  # noqa: PLC0415  # lazy

            return ObstoreStore(settings)
        from batcher.stores.s3.store import S3Store  # noqa: PLC0415  # half a second to import

        return S3Store(settings)


@contextmanager
def _named_if_missing(engine: str) -> Iterator[None]:
    """Turn the failed import of an engine that is not installed into a `SettingsError`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in ENGINE_MODULES[engine]:
            raise
        is_in_base = engine == "obstore"
        hint = f"pip install {DISTRIBUTION}" if is_in_base else install_hint("aioboto3")
        raise SettingsError([f"engine: {engine} is not installed; {hint}"]) from None


def _require_role_package(settings: Settings) -> None:
    """Raise SettingsError before any record is taken, if no role can be assumed."""
    if settings.role_arn:
        try:
            import botocore  # noqa: F401, PLC0415  # lazy, for few programs
        except ModuleNotFoundError:
            hint = install_hint("cli")
            msg = f"role_arn: botocore is not installed, which assumes roles; {hint}"
            raise SettingsError([msg]) from None


def open_reader(settings: Settings) -> ObjectReader:
    """Return a reader of `settings.bucket`. It connects at its first request.

    Raises:
        SettingsError: the engine is not installed, or cannot address the bucket.
    """
    if settings.bucket.startswith("file:"):
        from batcher.stores.file_reader import FileReader  # noqa: PLC0415  # lazy
        from batcher.stores.location import parse_folder_url  # noqa: PLC0415

        return FileReader(parse_folder_url(settings.bucket))
    return open_bucket_reader(settings)


def open_bucket_reader(settings: Settings) -> BucketReader:
    """Return a reader of the S3 bucket `settings.bucket`; see `open_reader`."""
    # obstore does not sign the owner in listings, and S3 refuses what is not signed
    engine = "aioboto3" if settings.expected_bucket_owner else settings.engine
    _require_role_package(settings)
    with _named_if_missing(engine):
        if engine == "obstore":
            from batcher.stores.obstore.reader import ObstoreReader  # noqa: PLC0415  # lazy

            return ObstoreReader(settings)
        from batcher.stores.s3.reader import S3Reader  # noqa: PLC0415  # half a second to import

        return S3Reader(settings)
