"""Outages: one prefix busy, the store away for a while or for good, connections that died."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from batcher.batcher import Batcher
from batcher.errors import RetryableError
from batcher.handler import make_handler
from batcher.stores.obstore import upload
from batcher.writing import multipart as uploading
from support.fakes import FakeContext
from support.fault_bench import SMALL_PUT, TWO_PARTS, FaultBench, UploadShape
from support.fault_script import ALWAYS, SLOW_DOWN, Fault, Rule, slow_down_for
from support.handler_harness import NO_FAILURES, HandlerFactory, item_failures
from support.numbered_events import JSON, numbers, sqs

SHAPES = pytest.mark.parametrize("shape", [SMALL_PUT, TWO_PARTS], ids=str)


@pytest.mark.parametrize("concurrency", [2, 16])
def test_a_busy_prefix_holds_no_other_up(
    fault_bench: FaultBench, handler_factory: HandlerFactory, concurrency: int
) -> None:
    """Only its own messages come back, and when the storm is over they are written too."""
    handle = handler_factory.keep(fault_bench.handler(concurrency=concurrency, **JSON))
    fault_bench.proxy.use_rules(Rule("put", SLOW_DOWN, key="kind=b", times=ALWAYS))
    assert handle(sqs(*"babcb"), None) == item_failures("m0", "m2", "m4")
    assert numbers(fault_bench) == [1, 3]
    assert fault_bench.proxy.count("put", "kind=b") > 2
    assert fault_bench.proxy.unfired() == []
    fault_bench.proxy.use_rules(Rule("put", SLOW_DOWN, key="kind=b", times=3))
    assert handle(sqs(*"babcb"), None) == NO_FAILURES
    assert numbers(fault_bench) == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_a_busy_prefix_takes_no_slot_while_it_waits(
    fault_bench: FaultBench, handler_factory: HandlerFactory
) -> None:
    """More busy objects than requests may be in flight; the one that could go must go."""
    settings = fault_bench.settings(
        partial_response=True, deadline_margin_s=0, concurrency=2, **JSON
    )
    handle = handler_factory.keep(make_handler(settings))  # with the waits that users have
    assert handle(sqs("warm", first=9), None) == NO_FAILURES
    fault_bench.proxy.use_rules(Rule("put", SLOW_DOWN, key="kind=b", times=ALWAYS))
    answer = handle(sqs("b0", "b1", "b2", "b3", "good"), FakeContext(left_ms=4_000))
    assert numbers(fault_bench) == [4, 9]
    assert answer == item_failures("m0", "m1", "m2", "m3")


# obstore tells of an answer its status and body only
SEES_HEADERS = pytest.mark.parametrize("fault_bench", ["aioboto3"], indirect=True)


@SEES_HEADERS
@pytest.mark.parametrize(
    "fault", [slow_down_for("2"), slow_down_for("Mon, 23 Nov 2026 07:00:02 GMT")], ids=["s", "date"]
)
async def test_what_the_store_asks_for_is_waited_in_full(
    fault_bench: FaultBench, fault: Fault
) -> None:
    """Retry-After counts beside our own delay, in seconds and as a date beside the answer's."""
    headers = {"Date": "Mon, 23 Nov 2026 07:00:00 GMT", **fault.headers}
    fault = Fault(fault.name, fault.kind, status=503, code="SlowDown", headers=headers)
    lines = SMALL_PUT.make()
    written = await fault_bench.write(lines, Rule("put", fault))
    fault_bench.assert_durable(written, lines)
    (delay_s,) = fault_bench.sleeps.delays_s
    assert 2.0 <= delay_s <= 2.1  # half of the first ceiling beside it


@pytest.mark.parametrize("fault_bench", ["obstore"], indirect=True)
async def test_an_engine_that_hears_no_headers_waits_by_itself(fault_bench: FaultBench) -> None:
    """What S3 asks for is then our own delay, which grows; nothing is given up for it."""
    lines = SMALL_PUT.make()
    written = await fault_bench.write(lines, Rule("put", slow_down_for("3600"), times=3))
    fault_bench.assert_durable(written, lines)
    assert fault_bench.sleeps.delays_s == sorted(fault_bench.sleeps.delays_s)
    assert len(fault_bench.sleeps.delays_s) == 3


@SEES_HEADERS
async def test_a_store_that_asks_for_more_time_than_there_is_is_given_up(
    fault_bench: FaultBench,
) -> None:
    """Waiting would end after the last attempt; the error is told at once."""
    written = await fault_bench.write(SMALL_PUT.make(), Rule("put", slow_down_for("3600"), times=1))
    assert isinstance(written.error, RetryableError)
    assert written.error.retry_after_s == 3600
    assert fault_bench.sleeps.delays_s == []
    assert fault_bench.proxy.count("put") == 1
    fault_bench.assert_empty()


def away(fault_bench: FaultBench, first: int, last: int) -> Callable[[int], Awaitable[None]]:
    """Let the store be down from one wait to another, counted from 1.

    Waits end in their order. Otherwise, on a busy machine, one part uses up its attempts while
    another part's wait reconnects.
    """
    lock = asyncio.Lock()

    async def follow(number: int) -> None:
        async with lock:
            if number == first:
                await asyncio.to_thread(fault_bench.proxy.disconnect)
            if number == last:
                await asyncio.to_thread(fault_bench.proxy.reconnect)

    return follow


def disconnect_at_part(fault_bench: FaultBench) -> None:
    """Let the store go down when the first part has come."""
    while not fault_bench.proxy.count("part"):
        time.sleep(0.01)
    fault_bench.proxy.disconnect()


@SHAPES
async def test_a_store_that_is_away_for_a_while_is_waited_for(
    fault_bench: FaultBench, shape: UploadShape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first request on nobody answers, and then all is durable, once."""
    fault_bench.proxy.disconnect()
    fault_bench.sleeps.before = away(fault_bench, 0, 4)
    # obstore retries a creation for a moment before we do
    monkeypatch.setattr(upload, "RETRY_S", 0.1)
    lines = shape.make()
    written = await fault_bench.write(lines, **shape.settings)
    fault_bench.assert_durable(written, lines)
    assert len(fault_bench.sleeps.delays_s) >= 4


@pytest.mark.parametrize(
    ("operation", "shape"),
    [("put", SMALL_PUT), ("create", TWO_PARTS), ("part", TWO_PARTS), ("complete", TWO_PARTS)],
    ids=str,
)
async def test_a_store_that_goes_away_in_the_middle_is_waited_for(
    fault_bench: FaultBench, operation: str, shape: UploadShape
) -> None:
    """Connections break, new ones are refused, and the upload goes on where it was."""
    if fault_bench.engine == "obstore" and operation != "put":
        pytest.skip("obstore waits by itself: see the next test")
    fault_bench.sleeps.before = away(fault_bench, 1, 5)
    lines = shape.make()
    written = await fault_bench.write(lines, Rule(operation, SLOW_DOWN), **shape.settings)
    fault_bench.assert_durable(written, lines)
    assert len(fault_bench.sleeps.delays_s) >= 5
    assert fault_bench.proxy.count("create") <= 2


@pytest.mark.parametrize("fault_bench", ["obstore"], indirect=True)
async def test_a_store_that_goes_away_under_an_upload_of_obstore_is_waited_for(
    fault_bench: FaultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Obstore retries the requests of an upload by itself, in real time."""
    monkeypatch.setattr(upload, "RETRY_S", 20.0)

    def go_away() -> None:
        disconnect_at_part(fault_bench)
        time.sleep(0.5)
        fault_bench.proxy.reconnect()

    lines = TWO_PARTS.make()
    written, _ = await asyncio.gather(
        fault_bench.write(lines, Rule("part", SLOW_DOWN)), asyncio.to_thread(go_away)
    )
    fault_bench.assert_durable(written, lines)
    assert fault_bench.proxy.count("create") == 1


@pytest.mark.slow
@SHAPES
async def test_a_store_that_is_away_for_good_is_told(
    fault_bench: FaultBench, shape: UploadShape
) -> None:
    """Everything is handed back; the error names the endpoint and what to look at."""
    fault_bench.proxy.disconnect()
    written = await fault_bench.write(shape.make(), **shape.settings)
    assert isinstance(written.error, RetryableError)
    for word in (
        fault_bench.proxy.url,
        "check the network",
        "AWS_ENDPOINT_URL_S3",
        f"s3://{fault_bench.bucket}/",
    ):
        assert word in str(written.error)
    assert "\n" not in str(written.error)
    fault_bench.assert_empty()


async def test_a_store_that_goes_away_under_an_upload_for_good_is_told(
    fault_bench: FaultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No object is there; the upload, which nobody can reach, is the lifecycle rule's."""
    monkeypatch.setattr(uploading, "MAX_ABORT_S", 0.3)
    written, _ = await asyncio.gather(
        fault_bench.write(TWO_PARTS.make(), Rule("part", SLOW_DOWN)),
        asyncio.to_thread(disconnect_at_part, fault_bench),
    )
    assert isinstance(written.error, RetryableError)
    assert fault_bench.keys() == set()


async def test_connections_that_were_closed_while_idle_cost_nothing(
    fault_bench: FaultBench,
) -> None:
    """S3 closes them after some seconds; the next write just takes new ones."""
    await write_one_by_one(fault_bench, fault_bench.proxy.close_idle_connections)
    assert fault_bench.sleeps.delays_s == []
    assert fault_bench.proxy.count("put") == 3


async def test_connections_that_died_unnoticed_cost_one_wait_each_at_most(
    fault_bench: FaultBench,
) -> None:
    """Lambda freezes a function between events; whether it notices in time is left to chance."""

    def reset() -> None:
        fault_bench.proxy.disconnect()
        fault_bench.proxy.reconnect()

    await write_one_by_one(fault_bench, reset)
    assert len(fault_bench.sleeps.delays_s) <= 2


async def write_one_by_one(fault_bench: FaultBench, meanwhile: Callable[[], None]) -> None:
    """Write three objects, with something between them."""
    settings = fault_bench.settings(linger_s=0)
    lines = SMALL_PUT.make()
    async with Batcher(settings, store=fault_bench.store(settings)) as batcher:
        for line in lines:
            await (await batcher.submit(line))
            await asyncio.to_thread(meanwhile)
    assert sorted(fault_bench.lines()) == sorted(lines)
    assert len(fault_bench.keys()) == 3
