"""Handlers that are closed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from batcher.stores.memory import MemoryStore
from handler.harness import Environments


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch) -> Iterator[Environments]:
    """Give what makes handlers, and close them; none of them may leave a task behind."""
    runners: list[asyncio.Runner] = []
    make_runner = asyncio.Runner

    def recorded_runner() -> asyncio.Runner:
        runners.append(make_runner())
        return runners[-1]

    monkeypatch.setattr(asyncio, "Runner", recorded_runner)
    made = Environments()
    yield made
    left = [task for runner in runners for task in asyncio.all_tasks(runner.get_loop())]
    made.close()
    assert not left, f"tasks are left: {left}"


@pytest.fixture
def store() -> MemoryStore:
    """Give an empty store."""
    return MemoryStore()
