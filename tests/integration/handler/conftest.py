"""A store for handlers."""

from __future__ import annotations

import pytest

from batcher.stores.memory import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    """Return an empty store."""
    return MemoryStore()
