"""A write is cancelled while S3 works on a request: nothing partial is there, and no upload."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from batcher.batcher import Batcher
from support.fault_bench import (
    LARGE_PUT,
    SMALL_PUT,
    TWO_PARTS,
    FaultBench,
    UploadShape,
    shorten_response_timeouts,
)
from support.fault_script import HOLD, LATE_STALL, STALL, Fault, Rule

POLL_S = 0.005
SEEN = [
    (SMALL_PUT, "put"),
    (LARGE_PUT, "put"),
    *((TWO_PARTS, name) for name in ("create", "part", "complete")),
]
HANGING = [
    (shape, name, fault)
    for shape, name in SEEN
    if name != "create"  # only its response has the id by which the upload can be aborted
    for fault in (STALL, LATE_STALL, HOLD)
]


async def cancel_when(
    fault_bench: FaultBench, lines: Sequence[bytes], shape: UploadShape, is_due: Callable[[], bool]
) -> bool:
    """Write lines, and cancel that once `is_due`. Return whether it was cancelled before its end.

    Also checks that the whole budget has been returned, and that no task is left.
    """
    settings = fault_bench.settings(**shape.settings)
    batcher = Batcher(settings, store=fault_bench.store(settings))

    async def program() -> None:
        async with batcher:
            ticket = await batcher.submit_many(lines)
            await batcher.flush()
            await ticket

    running = asyncio.ensure_future(program())
    while not is_due():
        assert not running.done()
        await asyncio.sleep(POLL_S)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled() or running.exception() is None
    assert batcher.budget.held_bytes == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return running.cancelled()


@pytest.mark.parametrize(("shape", "operation"), SEEN, ids=str)
async def test_a_write_is_cancelled_while_a_request_is_on_its_way(
    fault_bench: FaultBench, shape: UploadShape, operation: str
) -> None:
    """Whatever becomes of the request: its object is whole or not there."""
    lines = shape.make()
    fault_bench.proxy.use_rules()
    await cancel_when(fault_bench, lines, shape, lambda: fault_bench.proxy.count(operation) > 0)
    fault_bench.assert_nothing_partial(lines)


@pytest.mark.parametrize(("shape", "operation", "fault"), HANGING, ids=str)
async def test_a_write_is_cancelled_while_a_request_has_no_response(
    fault_bench: FaultBench,
    monkeypatch: pytest.MonkeyPatch,
    shape: UploadShape,
    operation: str,
    fault: Fault,
) -> None:
    """Whether S3 has carried it out, never hears of it, or hears of it when all is over.

    obstore cannot cut a request of an upload before its response timeout, so that must be shorter
    than the most that an abort takes.
    """
    shorten_response_timeouts(monkeypatch)
    lines = shape.make()
    proxy = fault_bench.proxy
    proxy.use_rules(Rule(operation, fault))

    def has_met_fault() -> bool:
        return proxy.count(operation, fault=fault) > 0

    assert await cancel_when(fault_bench, lines, shape, has_met_fault)
    fault_bench.assert_nothing_partial(lines)
    proxy.release()
    fault_bench.assert_nothing_partial(lines)
