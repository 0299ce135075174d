"""Dispatcher: every batch gets an outcome, and every worker slot is free again."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from batcher.errors import RetryableError
from batcher.writing.budget import Budget
from batcher.writing.dispatcher import Dispatcher
from batcher.writing.object import Receipt
from batcher.writing.pending import PendingBatch
from batcher.writing.stats import Stats
from batcher.writing.writer import Writer
from support.examples import make_batch, make_chunk


class FakeWriter:
    """Writes nothing, or waits for ever."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.is_stuck = False
        self.writing = 0
        self.most_writing = 0

    async def write(self, pending: PendingBatch, *, inline: bool = False) -> Receipt:
        """See `Writer.write`."""
        del inline
        self.writing += 1
        self.most_writing = max(self.most_writing, self.writing)
        try:
            await asyncio.sleep(3_600 if self.is_stuck else 0)
        finally:
            self.writing -= 1
        if self.error is not None:
            raise self.error
        return Receipt("k", pending.batch.records, 1)


@pytest.fixture
def writer() -> FakeWriter:
    """Return a writer that succeeds."""
    return FakeWriter()


def dispatcher_of(writer: FakeWriter, workers: int = 2) -> Dispatcher:
    """Make a dispatcher."""
    return Dispatcher(cast("Writer", writer), Stats(), workers)


async def submit(dispatcher: Dispatcher, count: int = 1) -> list[PendingBatch]:
    """Submit sealed batches of one record each."""
    pending = [
        PendingBatch(make_batch(make_chunk(b"1")), Budget(1_000), "fresh") for _ in range(count)
    ]
    for each in pending:
        dispatcher.submit(each)
    return pending


@pytest.mark.parametrize("error", [None, RetryableError("no"), ValueError("a bug")])
async def test_a_worker_slot_is_free_again_whatever_became_of_its_batches(
    writer: FakeWriter, error: Exception | None
) -> None:
    """So the next batches are written as fast."""
    dispatcher = dispatcher_of(writer)
    for round_error in (error, error, error, None):
        writer.error = round_error
        pending = await submit(dispatcher, 5)
        async with asyncio.timeout(30):
            await dispatcher.wait(pending)
        await asyncio.sleep(0)
        assert [each.outcome.exception() for each in pending] == [round_error] * 5
    assert writer.most_writing == 2


async def test_a_task_that_is_cancelled_leaves_no_ticket_waiting(writer: FakeWriter) -> None:
    """For example by `asyncio.run`, when a program ends."""
    writer.is_stuck = True
    dispatcher = dispatcher_of(writer)
    (pending,) = await submit(dispatcher)
    await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.wait(others)
    with pytest.raises(RetryableError, match="stopped while it was being sent"):
        pending.outcome.result()


async def test_an_abort_leaves_no_ticket_waiting(writer: FakeWriter) -> None:
    """Neither of batches that are being written, nor of those that wait for a worker."""
    writer.is_stuck = True
    dispatcher = dispatcher_of(writer)
    pending = await submit(dispatcher, 5)
    await asyncio.sleep(0)
    await dispatcher.abort()
    assert [type(each.outcome.exception()) for each in pending] == [RetryableError] * 5
    assert writer.writing == 0
