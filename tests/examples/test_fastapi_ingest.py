"""The HTTP service, with its real lifespan, when all is well and when it is not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from batcher.testing import ALWAYS, FaultRule, FaultyStore, MemoryStore, ObjectStore, StoreFault
from examples.modules import load_example

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment of the service."""
    monkeypatch.setenv("BATCHER_BUCKET", "my-bucket")
    monkeypatch.setenv("BATCHER_BUDGET_BYTES", "64KiB")


@asynccontextmanager
async def serve(store: ObjectStore) -> AsyncIterator[httpx.AsyncClient]:
    """Start the service, and end it in order."""
    app = load_example("fastapi_ingest/app.py").create_app(store)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


async def test_an_event_is_durable_when_it_is_answered_with_200() -> None:
    store = MemoryStore()
    async with serve(store) as client:
        response = await client.post("/events", content=b'{"user": 1}')
        assert response.status_code == 200
        assert store.read_text(response.json()["key"]) == b'{"user": 1}\n'


async def test_an_event_answered_with_202_is_durable_when_the_service_has_ended() -> None:
    store = MemoryStore()
    async with serve(store) as client:
        response = await client.post("/events", content=b'{"user": 1}', headers=ASYNC)
        assert response.status_code == 202
    assert store.read_lines("") == [b'{"user": 1}']


@pytest.mark.parametrize("headers", [{}, ASYNC])
async def test_an_event_that_can_never_be_written_is_refused(headers: dict[str, str]) -> None:
    store = MemoryStore()
    async with serve(store) as client:
        response = await client.post("/events", content=b"not JSON", headers=headers)
    assert response.status_code == 422
    assert not store.objects


@pytest.mark.parametrize("headers", [{}, ASYNC])
async def test_a_client_waits_if_there_is_no_room(headers: dict[str, str]) -> None:
    """Two events come at the same time, and memory has room for one of them."""
    store = MemoryStore()
    event = b'{"user": "%s"}' % (b"x" * 40_000)
    async with serve(store) as client:
        posts = [client.post("/events", content=event, headers=headers) for _ in range(2)]
        accepted, refused = sorted(await asyncio.gather(*posts), key=lambda each: each.status_code)
    assert accepted.is_success
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "1"
    assert len(store.read_lines("")) == 1


async def test_a_client_waits_longer_if_s3_is_down(caplog: pytest.LogCaptureFixture) -> None:
    store = FaultyStore([FaultRule("put", StoreFault.OUTAGE, times=ALWAYS)])
    async with serve(store) as client:
        with caplog.at_level(logging.ERROR):
            response = await client.post("/events", content=b'{"user": 1}')
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "10"
            accepted = await client.post("/events", content=b'{"user": 1}', headers=ASYNC)
    assert accepted.status_code == 202
    assert "an accepted event is lost" in caplog.text
