"""Stores: where objects go. A library is imported only for the store that is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from batcher.errors import SettingsError
from batcher.stores.base import About, ObjectReader, ObjectStore, Stored, Upload
from batcher.stores.retrying import RetryingStore

if TYPE_CHECKING:
    from batcher.settings import Settings

__all__ = ["About", "ObjectReader", "ObjectStore", "Stored", "Upload", "open_reader", "open_store"]


def open_store(settings: Settings, on_retry: Callable[[], None] | None = None) -> ObjectStore:
    """Give the store that the settings name; it connects at its first request.

    Args:
        settings: where to write.
        on_retry: called at each request that is sent again.

    Raises:
        SettingsError: the engine is not installed, or cannot do what the settings say.
    """
    if settings.bucket.startswith("file:"):
        from batcher.stores.file import FileStore, folder_of  # noqa: PLC0415  # lazy

        return FileStore(folder_of(settings.bucket))
    if settings.engine == "obstore":
        return RetryingStore(_open_obstore(settings), on_retry=on_retry)
    from batcher.stores.s3 import S3Store  # noqa: PLC0415  # half a second to import

    return RetryingStore(S3Store(settings), on_retry=on_retry)


def _open_obstore(settings: Settings) -> ObjectStore:
    try:
        from batcher.stores.obstore import ObstoreStore  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        fault = "engine: obstore is not installed: pip install 'batcher[fast]'"
        raise SettingsError([fault]) from error
    return ObstoreStore(settings)


def open_reader(settings: Settings) -> ObjectReader:
    """Give what reads back the objects of the store that the settings name; it connects late."""
    if settings.bucket.startswith("file:"):
        from batcher.stores.file import folder_of  # noqa: PLC0415  # lazy
        from batcher.stores.file_reader import FileReader  # noqa: PLC0415

        return FileReader(folder_of(settings.bucket))
    from batcher.stores.s3_reader import S3Reader  # noqa: PLC0415  # half a second to import

    return S3Reader(settings)
