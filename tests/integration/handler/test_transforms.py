"""Errors of transforms and of callers: none of them becomes a bad record that is not one."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from batcher import Batcher
from batcher.errors import PoisonRecordError, RetryableError
from batcher.handler import make_handler
from batcher.stores.memory import MemoryStore
from support.emf_schema import metrics_of
from support.examples import dynamodb_record, kinesis_record, make_settings, message
from support.fakes import Call
from support.handler_harness import (
    NO_FAILURES,
    HandlerFactory,
    data_of,
    hooked,
    quarantine_of,
)

MakeEvent = Callable[..., dict[str, Any]]


def sqs(*bodies: str) -> dict[str, Any]:
    """Create an event of one message per body."""
    return {"Records": [message(f"m{n}", body) for n, body in enumerate(bodies)]}


def kinesis(*bodies: str) -> dict[str, Any]:
    """Create an event of one record per body, with sequence numbers from 100 on."""
    return {"Records": [kinesis_record(str(100 + n), b.encode()) for n, b in enumerate(bodies)]}


def dynamodb(*bodies: str) -> dict[str, Any]:
    """Create an event of one change per body."""
    return {"Records": [dynamodb_record(str(100 + n)) for n, _ in enumerate(bodies)]}


def direct(*bodies: str) -> dict[str, Any]:
    """Create a direct invocation. It has one record."""
    return {"body": bodies[0]}


SOURCES = [sqs, kinesis, dynamodb, direct]


def raising(error: Exception, *, times: int = 10**9) -> Callable[[bytes], bytes]:
    """Return a transform that raises in its first `times` calls."""
    calls = iter(range(times))

    def transform(payload: bytes) -> bytes:
        if next(calls, None) is not None:
            raise error
        return payload

    return transform


@pytest.mark.parametrize("make", SOURCES)
@pytest.mark.parametrize("error", [MemoryError(), RetryableError("the service is busy")])
@pytest.mark.parametrize("on_bad_record", ["quarantine", "drop", "fail"])
def test_an_event_comes_back_whole_if_the_fault_is_not_a_records(
    handler_factory: HandlerFactory,
    store: MemoryStore,
    make: MakeEvent,
    error: Exception,
    on_bad_record: str,
) -> None:
    """Nothing of it is written, quarantined or dropped. The next delivery is written."""
    handle = handler_factory.make(
        store, transform=raising(error, times=1), on_bad_record=on_bad_record
    )
    event = make("1", "2")
    with pytest.raises(type(error)):
        handle(event, None)
    assert store.objects == {}
    handle(event, None)
    assert len(data_of(store)) == (1 if make is direct else 2)
    assert quarantine_of(store) == []


async def test_a_program_gets_the_error_and_its_record_is_not_taken() -> None:
    """What was submitted before it is written."""
    store = MemoryStore()
    settings = make_settings(root="events")
    transform = raising(RetryableError("busy"), times=1)
    async with Batcher(settings, store=store, transform=transform) as batcher:
        with pytest.raises(RetryableError, match="busy"):
            await batcher.submit(b"1")
        ticket = await batcher.submit(b"2")
    assert (await ticket).records == 1
    assert data_of(store) == ["2"]


def test_a_function_that_is_no_transform_is_refused_when_the_handler_is_made() -> None:
    """By a program's batcher, too."""

    async def wait(payload: bytes) -> bytes:
        return payload

    for transform in (wait, lambda payload, source: payload + source):
        with pytest.raises(TypeError, match="transform: "):
            make_handler(transform=transform)  # type: ignore[arg-type]  # what the test is about
        with pytest.raises(TypeError, match="transform: "):
            Batcher(make_settings(), transform=transform)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [sqs, kinesis, dynamodb])
def test_an_event_whose_records_all_fail_in_the_transform_is_one_error(
    handler_factory: HandlerFactory, make: MakeEvent, caplog: pytest.LogCaptureFixture
) -> None:
    """It is quarantined, because raising would block a stream. A line names the first type."""
    errors = iter([ValueError("secret"), KeyError("secret")])
    lines: list[str] = []
    store = MemoryStore()
    handle = handler_factory.keep(
        make_handler(
            make_settings(partial_response=True, root="events"),
            transform=lambda _: raising(next(errors))(b""),
            store=store,
            metrics=lines.append,
        )
    )
    assert handle(make("1", "2"), None) == NO_FAILURES
    assert len(quarantine_of(store)) == 2
    found = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in found] == [
        f"transform_failed source={make.__name__} records=2 error=ValueError"
    ]
    assert metrics_of(lines[0])["batcher_transform_failures_total"] == [1]


@pytest.mark.parametrize("kept", [b"1", b"2"])
@pytest.mark.parametrize("gives", [b"new", None])
def test_an_event_of_which_a_record_passes_is_no_error(
    handler_factory: HandlerFactory,
    caplog: pytest.LogCaptureFixture,
    kept: bytes,
    gives: bytes | None,
) -> None:
    """Also if the transform filters that record. A bad record is not the transform's fault."""

    def transform(payload: bytes) -> bytes | None:
        if payload != kept:
            raise ValueError
        return gives

    lines: list[str] = []
    settings = make_settings(partial_response=True, root="events", format="lines")
    handle = handler_factory.keep(
        make_handler(settings, transform=transform, store=MemoryStore(), metrics=lines.append)
    )
    assert handle(kinesis("1", "2", "1" if kept == b"2" else "2"), None) == NO_FAILURES
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert "batcher_transform_failures_total" not in metrics_of(lines[0])


def test_an_event_whose_records_are_all_bad_otherwise_is_no_error_of_the_transform(
    handler_factory: HandlerFactory, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    """It has returned what it was asked for."""
    handle = handler_factory.make(store, transform=lambda payload: payload)
    assert handle(kinesis("no json", "no json"), None) == NO_FAILURES
    assert len(quarantine_of(store)) == 2
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("on_bad_record", ["drop", "fail"])
def test_an_error_is_logged_whatever_becomes_of_bad_records(
    handler_factory: HandlerFactory, caplog: pytest.LogCaptureFixture, on_bad_record: str
) -> None:
    """Dropping all records of an event is worse than setting them aside."""
    handle = handler_factory.make(
        MemoryStore(),
        transform=raising(ValueError()),
        on_bad_record=on_bad_record,
        partial_response=False,
    )
    if on_bad_record == "fail":
        with pytest.raises(RetryableError) as caught:
            handle(kinesis("1", "2"), None)
        assert isinstance(caught.value.__cause__, PoisonRecordError)
    else:
        assert handle(kinesis("1", "2"), None) == NO_FAILURES
    assert "transform_failed source=kinesis records=2 error=ValueError" in caplog.messages


def test_a_call_in_a_running_loop_is_one_clear_error(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """Before any work: nothing is read, and no coroutine is left behind."""
    handle = handler_factory.make(store)

    async def call() -> object:
        return handle(kinesis("1"), None)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeError, match="inside a running event loop; call it with"):
            asyncio.run(call())
    assert store.objects == {}

    async def call_in_thread() -> object:
        return await asyncio.to_thread(handle, kinesis("1"), None)

    assert asyncio.run(call_in_thread()) == NO_FAILURES
    assert handle(kinesis("2"), None) == NO_FAILURES, "the refused call has left nothing"


def test_a_transform_cannot_call_its_own_handler(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """It runs in the handler's loop."""
    errors: list[str] = []

    def transform(payload: bytes) -> bytes:
        try:
            handle(kinesis("2"), None)
        except RuntimeError as error:
            errors.append(str(error))
        return payload

    handle = handler_factory.make(store, transform=transform)
    assert handle(kinesis("1"), None) == NO_FAILURES
    assert errors[0].startswith("handler: called inside a running event loop")
    assert data_of(store) == ["1"]


def test_calls_from_several_threads_at_once_are_one_clear_error(
    handler_factory: HandlerFactory,
) -> None:
    """The call that came first is not disturbed, and later ones are served by any thread."""
    entered, leave = threading.Event(), threading.Event()
    inner, store = hooked()

    async def wait(_: Call) -> None:
        entered.set()
        await asyncio.to_thread(leave.wait, 60)

    store.before = wait
    handle = handler_factory.make(store)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(handle, kinesis("1"), None)
        assert entered.wait(60)
        others = [threads.submit(handle, kinesis(str(n)), None) for n in range(2, 5)]
        errors = [other.exception() for other in others]
        leave.set()
        assert first.result() == NO_FAILURES
    for error in errors:
        assert type(error) is RuntimeError
        assert str(error).startswith("handler: called from several threads at once; make one")
    assert data_of(inner) == ["1"]
    with ThreadPoolExecutor(1) as threads:
        event = {"Records": [kinesis_record("200", b"2")]}
        assert threads.submit(handle, event, None).result() == NO_FAILURES
    assert sorted(data_of(inner)) == ["1", "2"]


def test_a_handler_is_free_again_after_an_error(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """Whatever was raised."""
    handle = handler_factory.make(store, transform=raising(MemoryError(), times=2))
    for _ in range(2):
        with pytest.raises(MemoryError):
            handle(kinesis("1"), None)
    assert handle(kinesis("1"), None) == NO_FAILURES
