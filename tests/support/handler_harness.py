"""Harness: handlers whose loops are closed after the test, and a look at what they wrote."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from batcher.handler import LambdaHandler, make_handler
from batcher.stores import ObjectStore
from batcher.stores.memory import MemoryObject, MemoryStore
from support.examples import make_settings
from support.fakes import HookedStore

KIND = "kind={field:kind}"
"""A partition that a test can choose for each record."""


class HandlerFactory:
    """Handlers, each in an environment of its own; Lambda would just end their processes."""

    def __init__(self) -> None:
        """Start with none."""
        self._handlers: list[LambdaHandler] = []

    def make(self, store: ObjectStore, **settings: Any) -> LambdaHandler:  # noqa: ANN401
        """Make a handler that writes to `store`; partial responses unless told otherwise."""
        transform = settings.pop("transform", None)
        chosen = make_settings(**{"partial_response": True, "root": "events", **settings})
        return self.keep(make_handler(chosen, transform=transform, store=store))

    def keep(self, handler: LambdaHandler) -> LambdaHandler:
        """Close this handler too."""
        self._handlers.append(handler)
        return handler

    def close(self) -> None:
        """End all environments."""
        for handler in self._handlers:
            handler.close()


def item_failures(*identifiers: str) -> dict[str, list[dict[str, str]]]:
    """Return the answer that names these, and no others."""
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


NO_FAILURES = item_failures()


def text_of(there: MemoryObject) -> bytes:
    """Return an object's text."""
    return gzip.decompress(there.body)


def lines_of(store: MemoryStore, fragment: str = "") -> list[str]:
    """Return the lines of all objects whose key has `fragment` in it, by key."""
    keys = [key for key in sorted(store.objects) if fragment in key]
    return [line for key in keys for line in text_of(store.objects[key]).decode().splitlines()]


def data_of(store: MemoryStore) -> list[str]:
    """Return the lines of all objects of data."""
    keys = [key for key in sorted(store.objects) if "/_quarantine/" not in key]
    return [line for key in keys for line in text_of(store.objects[key]).decode().splitlines()]


def quarantine_of(store: MemoryStore) -> list[dict[str, Any]]:
    """Return the lines of all quarantine objects, read."""
    return [json.loads(line) for line in lines_of(store, "/_quarantine/")]


def snapshot(store: MemoryStore) -> dict[str, tuple[bytes, str, dict[str, str]]]:
    """Return all there is in a store, to compare."""
    return {
        key: (there.body, there.attributes.content_type, dict(there.info.metadata))
        for key, there in store.objects.items()
    }


def assert_described(metadata: Mapping[str, str], text: bytes, positions: Sequence[str]) -> None:
    """The metadata says what is in the object."""
    assert metadata["batcher-records"] == str(len(positions)) == str(text.count(b"\n"))
    assert metadata["batcher-first"] == positions[0]
    assert metadata["batcher-last"] == positions[-1]
    assert metadata["batcher-digest"] == hashlib.sha256("\n".join(positions).encode()).hexdigest()
    assert metadata["batcher-crc32"] == f"{zlib.crc32(text):08x}"
    assert metadata["batcher-bytes"] == str(len(text))


def hooked() -> tuple[MemoryStore, HookedStore]:
    """Return an empty store, and one around it that a test can step in."""
    inner = MemoryStore()
    return inner, HookedStore(inner)
