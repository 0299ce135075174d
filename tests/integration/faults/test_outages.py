"""Outages: one prefix busy, the store away for a while or for good, connections that died."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from batcher.batcher import Batcher
from batcher.errors import RetryableError
from batcher.handler import make_handler
from batcher.writing import multipart as uploading
from support.fakes import FakeContext
from support.fault_bench import SMALL_PUT, TWO_PARTS, FaultBench, UploadShape
from support.fault_script import ALWAYS, SLOW_DOWN, Fault, Rule, slow_down_for
from support.handler_harness import NO_FAILURES, HandlerFactory, item_failures
from support.numbered_events import JSON, numbers, sqs

SHAPES = pytest.mark.parametrize("shape", [SMALL_PUT, TWO_PARTS], ids=str)


@pytest.mark.parametrize("concurrency", [2, 16])
def test_a_busy_prefix_holds_no_other_up(
    lab: FaultBench, environments: HandlerFactory, concurrency: int
) -> None:
    """Only its own messages come back, and when the storm is over they are written too."""
    handle = environments.keep(lab.handler(concurrency=concurrency, **JSON))
    lab.proxy.use_rules(Rule("put", SLOW_DOWN, key="kind=b", times=ALWAYS))
    assert handle(sqs(*"babcb"), None) == item_failures("m0", "m2", "m4")
    assert numbers(lab) == [1, 3]
    assert lab.proxy.count("put", "kind=b") > 2
    assert lab.proxy.unfired() == []
    lab.proxy.use_rules(Rule("put", SLOW_DOWN, key="kind=b", times=3))
    assert handle(sqs(*"babcb"), None) == NO_FAILURES
    assert numbers(lab) == [0, 1, 2, 3, 4]


def test_a_busy_prefix_takes_no_slot_while_it_waits(
    lab: FaultBench, environments: HandlerFactory
) -> None:
    """More busy objects than requests may be in flight; the one that could go must go."""
    settings = lab.settings(partial_response=True, deadline_margin_s=0, concurrency=2, **JSON)
    handle = environments.keep(make_handler(settings))  # with the waits that users have
    assert handle(sqs("warm", first=9), None) == NO_FAILURES
    lab.proxy.use_rules(Rule("put", SLOW_DOWN, key="kind=b", times=ALWAYS))
    answer = handle(sqs("b0", "b1", "b2", "b3", "good"), FakeContext(left_ms=4_000))
    assert numbers(lab) == [4, 9]
    assert answer == item_failures("m0", "m1", "m2", "m3")


# obstore tells of an answer its status and body only
HEARS_HEADERS = pytest.mark.parametrize("lab", ["aioboto3"], indirect=True)


@HEARS_HEADERS
@pytest.mark.parametrize(
    "fault", [slow_down_for("2"), slow_down_for("Mon, 23 Nov 2026 07:00:02 GMT")], ids=["s", "date"]
)
async def test_what_the_store_asks_for_is_waited_in_full(lab: FaultBench, fault: Fault) -> None:
    """Retry-After counts beside our own delay, in seconds and as a date beside the answer's."""
    headers = {"Date": "Mon, 23 Nov 2026 07:00:00 GMT", **fault.headers}
    fault = Fault(fault.name, fault.kind, status=503, code="SlowDown", headers=headers)
    lines = SMALL_PUT.make()
    written = await lab.write(lines, Rule("put", fault))
    lab.assert_durable(written, lines)
    (delay_s,) = lab.waits.delays_s
    assert 2.0 <= delay_s <= 2.1  # half of the first ceiling beside it


@pytest.mark.parametrize("lab", ["obstore"], indirect=True)
async def test_an_engine_that_hears_no_headers_waits_by_itself(lab: FaultBench) -> None:
    """What S3 asks for is then our own delay, which grows; nothing is given up for it."""
    lines = SMALL_PUT.make()
    written = await lab.write(lines, Rule("put", slow_down_for("3600"), times=3))
    lab.assert_durable(written, lines)
    assert lab.waits.delays_s == sorted(lab.waits.delays_s)
    assert len(lab.waits.delays_s) == 3


@HEARS_HEADERS
async def test_a_store_that_asks_for_more_time_than_there_is_is_given_up(lab: FaultBench) -> None:
    """Waiting would end after the last attempt; the error is told at once."""
    written = await lab.write(SMALL_PUT.make(), Rule("put", slow_down_for("3600"), times=1))
    assert isinstance(written.error, RetryableError)
    assert written.error.retry_after_s == 3600
    assert lab.waits.delays_s == []
    assert lab.proxy.count("put") == 1
    lab.assert_empty()


def away(lab: FaultBench, first: int, last: int) -> Callable[[int], Awaitable[None]]:
    """Let the store be away from one wait to another, counted from 1."""

    async def follow(number: int) -> None:
        if number == first:
            await asyncio.to_thread(lab.proxy.disconnect)
        if number == last:
            await asyncio.to_thread(lab.proxy.reconnect)

    return follow


@SHAPES
async def test_a_store_that_is_away_for_a_while_is_waited_for(
    lab: FaultBench, shape: UploadShape
) -> None:
    """From the first request on nobody answers, and then all is durable, once."""
    lab.proxy.disconnect()
    lab.waits.before = away(lab, 0, 4)
    lines = shape.make()
    written = await lab.write(lines, **shape.settings)
    lab.assert_durable(written, lines)
    assert len(lab.waits.delays_s) >= 4


@pytest.mark.parametrize(
    ("operation", "shape"),
    [("put", SMALL_PUT), ("create", TWO_PARTS), ("part", TWO_PARTS), ("complete", TWO_PARTS)],
    ids=str,
)
async def test_a_store_that_goes_away_in_the_middle_is_waited_for(
    lab: FaultBench, operation: str, shape: UploadShape
) -> None:
    """Connections break, new ones are refused, and the upload goes on where it was."""
    lab.waits.before = away(lab, 1, 5)
    lines = shape.make()
    written = await lab.write(lines, Rule(operation, SLOW_DOWN), **shape.settings)
    lab.assert_durable(written, lines)
    assert len(lab.waits.delays_s) >= 5
    assert lab.proxy.count("create") <= 2


@SHAPES
async def test_a_store_that_is_away_for_good_is_told(lab: FaultBench, shape: UploadShape) -> None:
    """Everything is handed back; the error names the endpoint and what to look at."""
    lab.proxy.disconnect()
    written = await lab.write(shape.make(), **shape.settings)
    assert isinstance(written.error, RetryableError)
    for word in (lab.proxy.url, "check the network", "AWS_ENDPOINT_URL_S3", f"s3://{lab.bucket}/"):
        assert word in str(written.error)
    assert "\n" not in str(written.error)
    lab.assert_empty()


async def test_a_store_that_goes_away_under_an_upload_for_good_is_told(
    lab: FaultBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No object is there; the upload, which nobody can reach, is the lifecycle rule's."""
    monkeypatch.setattr(uploading, "MAX_ABORT_IN_PROGRAM_S", 0.3)
    lab.waits.before = away(lab, 1, 0)
    written = await lab.write(TWO_PARTS.make(), Rule("part", SLOW_DOWN))
    assert isinstance(written.error, RetryableError)
    assert lab.keys() == set()


async def test_connections_that_were_closed_while_idle_cost_nothing(lab: FaultBench) -> None:
    """S3 closes them after some seconds; the next write just takes new ones."""
    await write_one_by_one(lab, lab.proxy.close_idle_connections)
    assert lab.waits.delays_s == []
    assert lab.proxy.count("put") == 3


async def test_connections_that_died_unnoticed_cost_one_wait_each_at_most(lab: FaultBench) -> None:
    """Lambda freezes a function between events; whether it notices in time is left to chance."""

    def reset() -> None:
        lab.proxy.disconnect()
        lab.proxy.reconnect()

    await write_one_by_one(lab, reset)
    assert len(lab.waits.delays_s) <= 2


async def write_one_by_one(lab: FaultBench, meanwhile: Callable[[], None]) -> None:
    """Write three objects, with something between them."""
    settings = lab.settings(linger_s=0)
    lines = SMALL_PUT.make()
    async with Batcher(settings, store=lab.store(settings)) as batcher:
        for line in lines:
            await (await batcher.submit(line))
            await asyncio.to_thread(meanwhile)
    assert sorted(lab.lines()) == sorted(lines)
    assert len(lab.keys()) == 3
