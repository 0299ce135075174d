"""The states of a pending batch, from its first record to a caller that knows the outcome."""

from __future__ import annotations

import asyncio

import pytest

from batcher.batching.batch import FlushReason
from batcher.encoding.codec import BLOCK_BYTES
from batcher.errors import RetryableError
from batcher.writing.budget import Budget
from batcher.writing.object import Receipt
from batcher.writing.pending import PendingBatch, PendingState
from support.examples import make_batch, make_chunk

BUDGET_BYTES = 4 * BLOCK_BYTES


def open_batch(payload: bytes = b"1", budget: Budget | None = None) -> PendingBatch:
    """Return an open batch of one record, with its bytes taken from a budget."""
    batch = make_batch(make_chunk(payload))
    batch.seal_reason = None
    budget = Budget(BUDGET_BYTES) if budget is None else budget
    budget.adjust(batch.size_bytes)
    pending = PendingBatch(batch, budget, "name")
    pending.add_held(batch.size_bytes)
    return pending


async def test_a_sealed_batch_is_submitted_once_and_then_durable() -> None:
    pending = open_batch()
    assert (pending.state, pending.is_submitted) == (PendingState.OPEN, False)
    assert pending.idle_bytes == 2
    pending.batch.seal_reason = FlushReason.LINGER
    pending.mark_submitted()
    assert (pending.state, pending.is_submitted) == (PendingState.SUBMITTED, True)
    assert (pending.is_streaming, pending.idle_bytes) == (False, 0)
    pending.succeed(Receipt("key", 1, 2))
    pending.mark_reported()
    assert pending.state is PendingState.DURABLE
    assert (await pending.outcome).key == "key"


async def test_a_streaming_writer_without_text_starves_until_it_is_woken() -> None:
    """Only a starved writer holds bytes that nothing but a seal sets in motion."""
    pending = open_batch()
    pending.start_streaming()
    assert (pending.is_streaming, pending.idle_bytes) == (True, 0)
    texts = asyncio.ensure_future(pending.next_texts())
    await asyncio.sleep(0)
    assert (pending.state, pending.idle_bytes) == (PendingState.STARVED, 2)
    pending.batch.seal_reason = FlushReason.FLUSH
    pending.mark_submitted()
    pending.wake()
    assert (pending.state, pending.idle_bytes) == (PendingState.FINISHING, 0)
    assert b"".join(await texts) == b"1\n"
    assert pending.state is PendingState.FINISHING
    assert pending.is_exhausted


async def test_a_starved_writer_streams_on_when_there_is_enough_text() -> None:
    pending = open_batch()
    pending.start_streaming()
    texts = asyncio.ensure_future(pending.next_texts())
    await asyncio.sleep(0)
    payload = b"x" * BLOCK_BYTES
    pending.batch.add(make_chunk(payload), [payload], len(payload))
    pending.wake()
    assert sum(map(len, await texts)) == 2 + BLOCK_BYTES
    assert pending.state is PendingState.STREAMING


async def test_a_failure_is_reported_to_one_caller_only() -> None:
    """A failed batch needs no submission, and holds nothing any more."""
    pending = open_batch()
    pending.start_streaming()
    pending.fail(RetryableError("S3 is down"))
    assert (pending.state, pending.is_submitted) == (PendingState.FAILED, True)
    assert (pending.idle_bytes, pending.batch.unencoded_bytes) == (0, 0)
    pending.mark_reported()
    assert pending.state is PendingState.REPORTED


async def test_bytes_of_parts_in_flight_are_not_idle() -> None:
    """They leave when the store has answered, with or without a seal."""
    pending = open_batch(b"x" * 99)
    pending.start_streaming()
    pending.in_flight_bytes = 60
    texts = asyncio.ensure_future(pending.next_texts())
    await asyncio.sleep(0)
    assert (pending.state, pending.idle_bytes) == (PendingState.STARVED, 40)
    texts.cancel()


async def test_a_durable_batch_holds_nothing_any_more() -> None:
    """Neither text nor what was encoded of it."""
    budget = Budget(BUDGET_BYTES)
    pending = open_batch(b"x" * 99, budget)
    pending.replace_held(100, 10)
    assert budget.held_bytes == 10
    pending.succeed(Receipt("key", 1, 10))
    assert budget.held_bytes == 0


async def test_a_failed_batch_holds_nothing_and_has_no_backlog_any_more() -> None:
    """Else the budget would wait for an encoder that has ended."""
    budget = Budget(BUDGET_BYTES)
    pending = open_batch(b"x" * BLOCK_BYTES, budget)
    pending.start_streaming()
    pending.wake()
    assert budget.backlog_bytes == budget.held_bytes == BLOCK_BYTES + 1
    pending.fail(RetryableError("S3 is down"))
    assert budget.backlog_bytes == budget.held_bytes == 0


@pytest.mark.parametrize("kind", [RetryableError, ValueError])
async def test_a_failure_holds_no_stack_frames_unless_it_is_a_bug(
    kind: type[Exception],
) -> None:
    """They would keep bodies and requests until the error is raised."""
    pending = open_batch()
    try:
        try:
            await asyncio.open_connection("127.0.0.1", 0)
        except OSError as refused:
            raise kind from refused
    except kind as error:
        pending.fail(error)
        cause = error.__cause__
    failure = pending.outcome.exception()
    assert failure is not None
    assert isinstance(cause, OSError)
    kept = [error.__traceback__ is not None for error in (failure, cause)]
    assert kept == ([False, False] if kind is RetryableError else [True, True])
