"""Fixtures of the library's tests."""

from __future__ import annotations

import pytest

from batcher.stores.memory import MemoryStore
from support.fakes import HookedStore, yielding


@pytest.fixture
def inner() -> MemoryStore:
    """Return an empty store."""
    return MemoryStore()


@pytest.fixture
def store(inner: MemoryStore) -> HookedStore:
    """Return a store that a test can step in."""
    return HookedStore(inner, yielding, yielding)
