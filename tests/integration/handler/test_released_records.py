"""An event's records leave memory with the event, whatever happened to it.

A cycle of references, for example an error whose frames hold the error, would keep them until
Python's collector comes by: for several of the largest events. OpenTelemetry is imported, so that
its instruments see each outcome, too.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import opentelemetry.trace as _used  # noqa: F401
import pytest

from batcher.batching.batch import Batch
from batcher.errors import (
    PreconditionFailedError,
    RejectedError,
    RetryableError,
    ThrottledError,
    TooLateError,
)
from batcher.handler import LambdaHandler, make_handler
from batcher.stores.memory import MemoryStore
from batcher.stores.request import Request
from batcher.stores.retrying import Backoff, RetryingStore
from batcher.writing.pending import PendingBatch
from support.examples import make_settings
from support.fakes import Call, FakeContext, HookedStore, hang
from support.handler_harness import KIND, HandlerFactory
from support.numbered_events import kinesis, sqs
from support.stub_s3 import Faults, StubS3

HOLDERS = Batch, PendingBatch, Request
"""What holds the records of an event, or the body that they became."""
Event = dict[str, Any]
FAULTS: dict[str, Callable[[], Exception]] = {
    "busy": lambda: RetryableError("the store is busy"),
    "throttled": lambda: ThrottledError("slow down"),
    "refused": lambda: RejectedError("no such bucket"),
    "too late": lambda: TooLateError("no turn"),
    "taken": lambda: PreconditionFailedError("the key is taken"),
    "a bug": lambda: ValueError("a bug"),
}
each_event = pytest.mark.parametrize(
    "event",
    [kinesis("a"), sqs("a", "b", "bad"), {"kind": "a"}],
    ids=["one object", "several objects", "a direct invoke"],
)


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.freeze()  # what other tests hold does not count
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def held() -> list[str]:
    """Return the types of what still holds records once all threads have let go of their work."""
    for _ in range(100):
        found = [type(each).__name__ for each in gc.get_objects() if isinstance(each, HOLDERS)]
        if not found:
            break
        time.sleep(0.02)  # a worker thread is a moment behind its result
    return found


def handle(
    handler: LambdaHandler,
    event: Event,
    times: int = 1,
    left_ms: int = 60_000,
) -> None:
    """Handle an event that may fail, and drop its answer or error."""
    for _ in range(times):
        with suppress(Exception):  # Lambda gets it, and drops it
            handler(event, FakeContext(left_ms))


def fault(make: Callable[[], Exception], times: int) -> Callable[[Call], Any]:
    """Return a hook that raises a new error for each of the first PUTs."""
    left = times

    async def raise_it(call: Call) -> None:
        nonlocal left
        if call.operation == "put" and left:
            left -= 1
            error = make()  # a cycle, as in the clients of S3: its frames hold it
            raise error

    return raise_it


@each_event
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("times", [1, 10**9])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_store_leaves_nothing(
    handler_factory: HandlerFactory,
    event: Event,
    name: str,
    times: int,
    when: str,
) -> None:
    """It was retried with success or without, before the request or after it."""
    hooked = HookedStore(MemoryStore(), **{when: fault(FAULTS[name], times)})
    store = RetryingStore(hooked, backoff=Backoff(base_s=0.0, max_elapsed_s=0.05))
    handle(handler_factory.make(store, partition_by=KIND), event, 2)
    assert hooked.calls
    assert held() == []


@each_event
def test_a_deadline_leaves_nothing(handler_factory: HandlerFactory, event: Event) -> None:
    """The requests never end."""
    store = HookedStore(MemoryStore(), before=hang)
    handler = handler_factory.make(store, partition_by=KIND, deadline_margin_s=0.1)
    handle(handler, event, left_ms=150)
    assert store.calls
    assert held() == []


@each_event
def test_a_redelivery_leaves_nothing(
    handler_factory: HandlerFactory,
    tmp_path: Path,
    event: Event,
) -> None:
    """A file store finds the names taken."""
    settings = make_settings(bucket=f"file://{tmp_path}", partition_by=KIND)
    handle(handler_factory.keep(make_handler(settings)), event, 3)
    assert held() == []


@each_event
@pytest.mark.parametrize("denies", [(), ("put",)])
@pytest.mark.parametrize("engine", ["obstore", "aioboto3"])
def test_a_response_of_s3_leaves_nothing(
    handler_factory: HandlerFactory,
    monkeypatch: pytest.MonkeyPatch,
    event: Event,
    engine: str,
    denies: tuple[str, ...],
) -> None:
    """412 or 403."""
    with StubS3(Faults(denies=denies)) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        settings = make_settings(engine=engine, partition_by=KIND)
        handle(handler_factory.keep(make_handler(settings)), event, 3)
        assert "put" in server.faults.requests
        assert held() == []
