"""batcher: many small records in; few, large, well-named objects in S3 out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batcher.batcher import Batcher
    from batcher.errors import (
        BatcherError,
        DamagedError,
        NotFoundError,
        PoisonRecordError,
        RejectedError,
        RetryableError,
        SettingsError,
        UnknownSourceError,
    )
    from batcher.reading.read_objects import ReadObject, ReadObjects, read_objects
    from batcher.settings import Settings
    from batcher.sync import SyncBatcher, SyncTicket
    from batcher.writing.object import Receipt
    from batcher.writing.ticket import Ticket

__version__ = "0.1.0"


__all__ = [
    "Batcher",
    "BatcherError",
    "DamagedError",
    "NotFoundError",
    "PoisonRecordError",
    "ReadObject",
    "ReadObjects",
    "Receipt",
    "RejectedError",
    "RetryableError",
    "Settings",
    "SettingsError",
    "SyncBatcher",
    "SyncTicket",
    "Ticket",
    "UnknownSourceError",
    "__version__",
    "read_objects",
]


_EXPORT_MODULES = {
    "Batcher": "batcher",
    "ReadObject": "reading.read_objects",
    "ReadObjects": "reading.read_objects",
    "Receipt": "writing.object",
    "Settings": "settings",
    "SyncBatcher": "sync",
    "SyncTicket": "sync",
    "Ticket": "writing.ticket",
    "read_objects": "reading.read_objects",
}


def __getattr__(name: str) -> object:
    """Import what is asked for, so that nothing is imported that an invocation does not need."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415  # lazy by design

    return getattr(import_module(f"batcher.{_EXPORT_MODULES.get(name, 'errors')}"), name)
