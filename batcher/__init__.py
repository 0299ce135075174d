"""batcher: many small records in; few, large, well-named objects in S3 out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batcher.batcher import Batcher
    from batcher.batching.validation import Transform
    from batcher.errors import (
        BatcherError,
        BudgetFullError,
        DamagedError,
        NotFoundError,
        NotInstalledError,
        PoisonRecordError,
        RejectedError,
        RetryableError,
        SettingsError,
        UnknownSourceError,
    )
    from batcher.reading.findings import Finding, FindingKind
    from batcher.reading.read_objects import ReadObject, ReadObjects, read_objects
    from batcher.reading.times import TimeInput
    from batcher.records.bad_record import BadRecord, BadRecordReason
    from batcher.records.payload import JsonDefault, Record
    from batcher.settings import Settings
    from batcher.settings.types import (
        AddressingStyle,
        CannedAcl,
        CompressionName,
        Encryption,
        EngineName,
        FormatName,
        OnBadRecord,
        RequestPayer,
        SettingsOptions,
        SettingsOverrides,
    )
    from batcher.stores.base import ObjectStore
    from batcher.stores.custom import CustomStore, CustomUpload
    from batcher.stores.request import ObjectAttributes, ObjectInfo
    from batcher.sync import SyncBatcher, SyncTicket
    from batcher.writing.early_leave import OnCancel
    from batcher.writing.object import Receipt
    from batcher.writing.stats import Stats
    from batcher.writing.ticket import Ticket

__version__ = "0.1.0"


__all__ = [
    "AddressingStyle",
    "BadRecord",
    "BadRecordReason",
    "Batcher",
    "BatcherError",
    "BudgetFullError",
    "CannedAcl",
    "CompressionName",
    "CustomStore",
    "CustomUpload",
    "DamagedError",
    "Encryption",
    "EngineName",
    "Finding",
    "FindingKind",
    "FormatName",
    "JsonDefault",
    "NotFoundError",
    "NotInstalledError",
    "ObjectAttributes",
    "ObjectInfo",
    "ObjectStore",
    "OnBadRecord",
    "OnCancel",
    "PoisonRecordError",
    "ReadObject",
    "ReadObjects",
    "Receipt",
    "Record",
    "RejectedError",
    "RequestPayer",
    "RetryableError",
    "Settings",
    "SettingsError",
    "SettingsOptions",
    "SettingsOverrides",
    "Stats",
    "SyncBatcher",
    "SyncTicket",
    "Ticket",
    "TimeInput",
    "Transform",
    "UnknownSourceError",
    "__version__",
    "read_objects",
]


_EXPORT_MODULES = {
    "AddressingStyle": "settings.types",
    "CannedAcl": "settings.types",
    "RequestPayer": "settings.types",
    "BadRecord": "records.bad_record",
    "BadRecordReason": "records.bad_record",
    "Batcher": "batcher",
    "CompressionName": "settings.types",
    "CustomStore": "stores.custom",
    "CustomUpload": "stores.custom",
    "Encryption": "settings.types",
    "EngineName": "settings.types",
    "Finding": "reading.findings",
    "FindingKind": "reading.findings",
    "FormatName": "settings.types",
    "JsonDefault": "records.payload",
    "ObjectAttributes": "stores.request",
    "ObjectInfo": "stores.request",
    "ObjectStore": "stores.base",
    "OnBadRecord": "settings.types",
    "OnCancel": "writing.early_leave",
    "ReadObject": "reading.read_objects",
    "ReadObjects": "reading.read_objects",
    "Receipt": "writing.object",
    "Record": "records.payload",
    "Settings": "settings",
    "SettingsOptions": "settings.types",
    "SettingsOverrides": "settings.types",
    "Stats": "writing.stats",
    "SyncBatcher": "sync",
    "SyncTicket": "sync",
    "Ticket": "writing.ticket",
    "TimeInput": "reading.times",
    "Transform": "batching.validation",
    "read_objects": "reading.read_objects",
}


def __getattr__(name: str) -> object:
    """Import what is asked for, so that nothing is imported that an invocation does not need."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415  # lazy by design

    return getattr(import_module(f"batcher.{_EXPORT_MODULES.get(name, 'errors')}"), name)
