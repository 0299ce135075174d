"""Requests whose outcome is unknown: the object decides, not the exception."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from batcher.errors import (
    PreconditionFailedError,
    RejectedError,
    RetryableError,
    ThrottledError,
    TooLateError,
    UploadLostError,
)
from batcher.stores.base import ObjectAttributes
from batcher.stores.memory import MemoryStore
from batcher.stores.request import Operation, Request
from batcher.writing.outcome import send_write
from support.fakes import HookedStore, failing

ABOUT = ObjectAttributes("x/y", {"batcher-first": " 7", "batcher-digest": "d", "team": "t"})
FOREIGN = [RuntimeError("x"), KeyError("ETag"), TypeError("x"), OSError("x"), AttributeError("x")]
DENIED = RejectedError("HeadObject: 403")


def put(**chosen: Any) -> Request:  # noqa: ANN401  # as Request takes them
    """Return the request for one object."""
    return Request(Operation.PUT, "a", body=b"body", attributes=ABOUT, **chosen)


async def completion(store: MemoryStore) -> Request:
    """Return the request that completes an upload."""
    upload = await store.create_upload("a", ABOUT, part_bytes=5)
    await upload.put_part(1, b"body")
    return upload.completion()


@pytest.fixture(params=["put", "complete"])
def operation(request: pytest.FixtureRequest) -> str:
    """Try both requests that make an object appear."""
    return request.param  # type: ignore[no-any-return]


async def request_of(operation: str, store: MemoryStore) -> Request:
    """Return the request of an operation."""
    return put() if operation == "put" else await completion(store)


@pytest.mark.parametrize("error", FOREIGN, ids=repr)
async def test_an_object_that_is_there_is_durable_whatever_was_raised(
    error: Exception, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One look, and one line that names the type of the error."""
    inner = MemoryStore()
    store = HookedStore(inner, after=failing(error, operation))
    assert not await send_write(store, await request_of(operation, inner))
    assert store.operations() == [operation, "head"]
    (record,) = caplog.records
    assert record.getMessage().startswith("unknown_outcome ")
    assert type(error).__name__ in record.getMessage()


@pytest.mark.parametrize("error", FOREIGN, ids=repr)
async def test_an_object_that_is_not_there_is_the_error_that_was_raised(
    error: Exception, operation: str
) -> None:
    """The request did not arrive."""
    inner = MemoryStore()
    store = HookedStore(inner, before=failing(error, operation))
    with pytest.raises(type(error)) as caught:
        await send_write(store, await request_of(operation, inner))
    assert caught.value is error
    assert store.operations() == [operation, "head"]


@pytest.mark.parametrize(
    "looking", [DENIED, RetryableError("busy"), ThrottledError("slow"), RuntimeError("patched")]
)
@pytest.mark.parametrize("arrived", [True, False])
async def test_a_look_that_fails_leaves_the_error_of_the_request(
    looking: Exception, operation: str, *, arrived: bool
) -> None:
    """Without s3:ListBucket S3 answers 403 for an object that is not there: nothing is known."""
    lost = RetryableError("no response") if operation == "complete" else RuntimeError("patched")
    sending, failed = failing(lost, operation), failing(looking, "head")

    async def before(call: Any) -> None:  # noqa: ANN401  # a call of the fake
        await failed(call)
        if not arrived:
            await sending(call)

    inner = MemoryStore()
    store = HookedStore(inner, before=before, after=sending)
    with pytest.raises(type(lost)) as caught:
        await send_write(store, await request_of(operation, inner))
    assert caught.value is lost


async def test_another_object_under_the_key_is_not_the_one_that_was_sent(operation: str) -> None:
    """A key shows nothing: its metadata tells the object of an earlier delivery from ours."""
    inner = MemoryStore()
    request = await request_of(operation, inner)
    other = ObjectAttributes("x/y", {"batcher-first": " 7", "batcher-digest": "other"})
    await inner.put("a", b"other", other)
    error = RuntimeError("patched")
    store = HookedStore(inner, before=failing(error, operation))
    with pytest.raises(RuntimeError) as caught:
        await send_write(store, request)
    assert caught.value is error


@pytest.mark.parametrize(
    "error", [RetryableError("x"), UploadLostError("x"), ThrottledError("x"), TooLateError("x")]
)
async def test_a_completion_without_a_response_is_looked_for(error: RetryableError) -> None:
    """An attempt before the last one may have been carried out."""
    inner = MemoryStore()
    request = await completion(inner)
    store = HookedStore(inner, after=failing(error, "complete"))
    assert not await send_write(store, request)
    assert store.operations() == ["complete", "head"]


@pytest.mark.parametrize("error", [DENIED, RetryableError("x"), PreconditionFailedError("x")])
async def test_an_answer_of_the_store_to_a_put_is_no_unknown_outcome(error: Exception) -> None:
    """The store has said it, or retries have found it out. No request more."""
    store = HookedStore(MemoryStore(), before=failing(error, "put"))
    with pytest.raises(type(error)):
        await send_write(store, put())
    assert store.operations() == ["put"]


async def test_success_costs_one_request(operation: str) -> None:
    """The clean path is what it was."""
    inner = MemoryStore()
    store = HookedStore(inner)
    assert await send_write(store, await request_of(operation, inner))
    assert store.operations() == [operation]


async def test_a_cancelled_request_looks_for_nothing() -> None:
    """Who cancels does not wait."""

    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    store = HookedStore(MemoryStore(), before=hang)
    task = asyncio.ensure_future(send_write(store, put()))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert store.operations() == ["put"]
