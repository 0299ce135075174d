"""Handlers that are closed after the test, and functions that read what they wrote."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from batcher.handler import LambdaHandler, make_handler
from batcher.records.position import sequence_number
from batcher.stores import ObjectStore
from batcher.stores.memory import MemoryObject, MemoryStore
from support.examples import make_settings
from support.fakes import HookedStore

KIND = "kind={field:kind}"
"""A `partition_by` with which each record names its partition."""


class HandlerFactory:
    """Creates handlers, and closes them at the end of the test."""

    def __init__(self) -> None:
        """Start without handlers."""
        self._handlers: list[LambdaHandler] = []

    def make(self, store: ObjectStore, **settings: Any) -> LambdaHandler:  # noqa: ANN401
        """Create a handler that writes to `store`, by default with partial responses."""
        transform = settings.pop("transform", None)
        chosen = make_settings(**{"partial_response": True, "root": "events", **settings})
        return self.keep(make_handler(chosen, transform=transform, store=store))

    def keep(self, handler: LambdaHandler) -> LambdaHandler:
        """Close this handler at the end of the test, too."""
        self._handlers.append(handler)
        return handler

    def close(self) -> None:
        """Close all handlers."""
        for handler in self._handlers:
            handler.close()


def item_failures(*identifiers: str) -> dict[str, list[dict[str, str]]]:
    """Return the partial response with exactly these identifiers."""
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


NO_FAILURES = item_failures()


def text_of(stored: MemoryObject) -> bytes:
    """Return the decompressed text of an object."""
    return gzip.decompress(stored.body)


def lines_of(store: MemoryStore, fragment: str = "") -> list[str]:
    """Return the lines of all objects whose key contains `fragment`, in the order of keys."""
    return [line.decode() for line in store.read_lines(fragment)]


def data_of(store: MemoryStore) -> list[str]:
    """Return the lines of all data objects."""
    keys = [key for key in sorted(store.objects) if "/_quarantine/" not in key]
    return [line for key in keys for line in store.read_text(key).decode().splitlines()]


def quarantine_of(store: MemoryStore) -> list[dict[str, Any]]:
    """Return the parsed lines of all quarantine objects."""
    return [json.loads(line) for line in lines_of(store, "/_quarantine/")]


def snapshot(store: MemoryStore) -> dict[str, tuple[bytes, str, dict[str, str]]]:
    """Return body, content type and metadata of every object, by key."""
    return {
        key: (stored.body, stored.attributes.content_type, dict(stored.info.metadata))
        for key, stored in store.objects.items()
    }


def assert_described(metadata: Mapping[str, str], text: bytes, positions: Sequence[str]) -> None:
    """Check that metadata describes an object with this text, of records at these positions.

    These are full positions.
    """
    assert metadata["batcher-records"] == str(len(positions)) == str(text.count(b"\n"))
    assert metadata["batcher-first"] == sequence_number(positions[0])
    assert metadata["batcher-last"] == sequence_number(positions[-1])
    assert metadata["batcher-digest"] == hashlib.sha256("\n".join(positions).encode()).hexdigest()
    assert metadata["batcher-crc32"] == f"{zlib.crc32(text):08x}"
    assert metadata["batcher-bytes"] == str(len(text))


def hooked() -> tuple[MemoryStore, HookedStore]:
    """Return an empty store, and a `HookedStore` around it."""
    inner = MemoryStore()
    return inner, HookedStore(inner)
