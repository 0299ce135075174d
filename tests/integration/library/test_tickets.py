"""A ticket's error says exactly which of its records are not durable."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

import orjson
import pytest

from batcher.batcher import Batcher
from batcher.errors import BatcherError, PoisonRecordError, RejectedError, RetryableError
from batcher.stores.memory import MemoryStore
from support.examples import make_settings
from support.fakes import Call, Gate, HookedStore, failing, lines_in, no_hook

BY_KIND = {"partition_by": "kind={field:kind}", "linger_s": 3_600, "root": "events"}


def failing_by_key(errors: dict[str, Exception]) -> Any:  # noqa: ANN401  # a hook
    """Raise the error of the part of the key that is one of `errors`."""

    async def fail(call: Call) -> None:
        for part, error in errors.items():
            if call.operation in {"put", "complete"} and part in call.key:
                raise error

    return fail


def durable_numbers(inner: MemoryStore) -> set[int]:
    """Return the field `n` of every record that is in an object of data."""
    found = (orjson.loads(line) for line in lines_in(inner))
    return {record["n"] for record in found if "n" in record}


@pytest.mark.parametrize("bad", ["quarantine", "drop", "fail"])
@pytest.mark.parametrize("limit", [None, 7])
async def test_failed_and_durable_records_are_told_apart(
    store: HookedStore, inner: MemoryStore, bad: str, limit: int | None
) -> None:
    """Over several chunks, partitions, batches that are cut, and bad records of each setting."""
    store.before = failing_by_key(
        {"kind=b": RetryableError("busy"), "kind=c": RejectedError("no such key")}
    )
    records: list[Any] = [
        {"n": n, "kind": "abcd"[n % 4]} for n in range(20_000 if not limit else 50)
    ]
    records[5] = "{"
    records[len(records) - 2] = b"\xff"
    settings = make_settings(**BY_KIND, on_bad_record=bad, max_records=limit, concurrency=64)
    async with Batcher(settings, store=store) as batcher:
        await batcher.submit_many([{"n": -1, "kind": "a"}] * 3)
        ticket = await batcher.submit_many(iter(records))
        await batcher.submit_many([{"n": -1, "kind": "b"}] * 3)
        waiting = asyncio.ensure_future(wait(ticket))
        await asyncio.sleep(0)
        with suppress(BatcherError):  # of the batches that this ticket has no part in
            await batcher.aclose()
        with pytest.raises(RejectedError, match="no such key") as caught:
            await waiting
    durable = durable_numbers(inner) - {-1}
    rejected = {5, len(records) - 2} if bad == "fail" else set()
    expected = {n for n in range(len(records)) if n % 4 in {1, 2}} - {5, len(records) - 2}
    error = caught.value
    assert error.failed == sorted(expected | rejected)
    assert durable == set(range(len(records))) - expected - {5, len(records) - 2}
    kinds = {receipt.key.partition("kind=")[2][:1] for receipt in error.receipts or ()}
    assert kinds - {""} == {"a", "d"}
    notes = "\n".join(error.__notes__)
    assert "RetryableError: busy" in notes
    assert ("PoisonRecordError" in notes) == (bad == "fail")


async def wait(ticket: Any) -> Any:  # noqa: ANN401  # of one or of many
    """Wait for a ticket."""
    return await ticket


async def test_submitting_the_failed_ones_again_writes_each_record_once(
    store: HookedStore, inner: MemoryStore
) -> None:
    """The use of it."""
    records = [{"n": n, "kind": "ab"[n % 2]} for n in range(1_000)]
    async with Batcher(make_settings(**BY_KIND), store=store) as batcher:
        store.before = failing_by_key({"kind=b": RetryableError("busy")})
        ticket = await batcher.submit_many(records)
        waiting = asyncio.ensure_future(wait(ticket))
        await asyncio.sleep(0)
        await batcher.flush()
        with pytest.raises(RetryableError) as caught:
            await waiting
        store.before = no_hook
        await batcher.submit_many(records[i] for i in caught.value.failed or ())
    assert sorted(orjson.loads(line)["n"] for line in lines_in(inner)) == list(range(1_000))


async def test_each_ticket_of_one_failed_batch_has_its_own_records(store: HookedStore) -> None:
    """They share the cause, and no attribute of the error."""
    async with Batcher(make_settings(linger_s=3_600), store=store) as batcher:
        cause = RetryableError("busy", retry_after_s=7)
        store.before = failing_by_key({"": cause})
        tickets = [await batcher.submit_many([b"1"] * size) for size in (2, 3)]
        one = await batcher.submit(b"1")
        with pytest.raises(RetryableError) as flushed:
            await batcher.flush()
        assert flushed.value.failed is None  # of all that was submitted: no caller can use it
        for ticket, size in zip([*tickets, one], [2, 3, 1], strict=True):
            for _ in range(2):  # it may be awaited twice
                with pytest.raises(RetryableError, match="busy") as caught:
                    await wait(ticket)
                assert caught.value.failed == list(range(size))
                assert caught.value.receipts == []
                assert caught.value.retry_after_s == 7
                assert caught.value is not cause
        assert cause.failed is None


async def test_batches_of_one_partition_are_told_apart(store: HookedStore) -> None:
    """A ticket begins in a batch that had records before, and its chunk is cut several times."""
    settings = make_settings(linger_s=3_600, max_records=10, concurrency=1, on_bad_record="drop")
    store.before = Gate("put", 99)
    async with Batcher(settings, store=store) as batcher:
        await batcher.submit_many([b"1"] * 4)
        gate = store.before = Gate("put")
        ticket = await batcher.submit_many([b"1", b"{", *[b"1"] * 26])  # 6 + 10 + 10 + 1
        await gate.reached.wait()
        fail = failing(RetryableError("busy"), "put", times=1)  # of the second object
        store.before = fail
        gate.open.set()
        with suppress(RetryableError):
            await batcher.flush()
        with pytest.raises(RetryableError) as caught:
            await ticket
    assert caught.value.failed == range(7, 17)
    assert [receipt.records for receipt in caught.value.receipts or ()] == [10, 10, 1]


async def test_tickets_of_tasks_that_submit_at_the_same_time_have_their_own_indices(
    store: HookedStore, inner: MemoryStore
) -> None:
    """Each waits for room between its chunks, while the others submit theirs."""
    rejected = RejectedError("no such key")
    store.before = failing_by_key({"kind=b": rejected, "_quarantine": rejected})
    sizes = [9_000, 12_000, 20_000]

    async def submit(batcher: Batcher, start: int, size: int) -> list[int]:
        records: list[Any] = [
            {"n": n, "kind": "ab"[n % 50 == 0], "x": "y" * 200} for n in range(start, start + size)
        ]
        records[7] = "{"
        ticket = await batcher.submit_many(iter(records))
        with pytest.raises(RejectedError) as caught:
            await ticket
        return [start + index for index in caught.value.failed or ()]

    settings = make_settings(
        **{**BY_KIND, "linger_s": 0.01}, budget_bytes="1MiB", max_bytes="64KiB", max_records=500
    )
    async with Batcher(settings, store=store) as batcher:
        failed = await asyncio.gather(
            *(submit(batcher, sum(sizes[:i]), size) for i, size in enumerate(sizes))
        )
    assert list(chain(*failed)) == sorted(set(range(sum(sizes))) - durable_numbers(inner))


async def test_a_bad_record_alone_is_the_only_one_that_failed(store: HookedStore) -> None:
    """The receipts are of the others."""
    settings = make_settings(linger_s=0, on_bad_record="fail")
    async with Batcher(settings, store=store) as batcher:
        await batcher.submit(b"1")
        with pytest.raises(PoisonRecordError) as caught:
            await (await batcher.submit_many([b"1", b"{", b"2"]))
        assert caught.value.failed == [1]
        assert sum(receipt.records for receipt in caught.value.receipts or ()) == 2
        with pytest.raises(PoisonRecordError) as caught:
            await (await batcher.submit("\ud800"))
        assert caught.value.failed == [0]


@pytest.mark.parametrize("bad", ["quarantine", "fail"])
async def test_bad_records_of_several_kinds_have_their_indices_in_rising_order(
    store: HookedStore, bad: str
) -> None:
    """Text with half a character is found before the others are looked at."""
    store.before = failing_by_key({"_quarantine": RejectedError("no")})
    settings = make_settings(**{**BY_KIND, "linger_s": 0}, on_bad_record=bad)
    half, spoilt, good = "\ud800", "{", {"kind": "a"}
    async with Batcher(settings, store=store) as batcher:
        await batcher.submit_many([good, good])
        ticket = await batcher.submit_many([spoilt, half, good, spoilt, half, half, good, spoilt])
        with pytest.raises((RejectedError, PoisonRecordError)) as caught:
            await ticket
    failed = caught.value.failed
    assert failed == [0, 1, 3, 4, 5, 7]
    assert [index for index in range(8) if index in failed] == [0, 1, 3, 4, 5, 7]
    assert ticket.bad == sorted(ticket.bad, key=lambda record: int(record.position))


@pytest.mark.parametrize(
    "error", [OSError(5, "disk"), UnicodeDecodeError("utf-8", b"x", 0, 1, "y")]
)
async def test_an_error_that_is_not_batchers_has_them_too(
    store: HookedStore, error: Exception
) -> None:
    """A store that somebody else wrote may raise anything. The text of the error stays."""
    async with Batcher(make_settings(linger_s=0), store=store) as batcher:
        store.before = failing_by_key({"": error})
        ticket = await batcher.submit_many([b"1", b"2"])
        with pytest.raises(type(error)) as caught:
            await ticket
    assert str(caught.value) == str(error)
    assert caught.value.failed == [0, 1]  # type: ignore[attr-defined]


class UnpluggedError(Exception):
    """Raised by an iterable."""


@pytest.mark.parametrize("before", [0, 3, 8_192, 20_001])
async def test_what_an_iterable_gave_before_its_error_is_taken(
    store: HookedStore, inner: MemoryStore, before: int
) -> None:
    """And the ticket of it comes with the error."""

    def records() -> Iterator[dict[str, int]]:
        yield from ({"n": n} for n in range(before))
        raise UnpluggedError

    async with Batcher(make_settings(linger_s=3_600), store=store) as batcher:
        await batcher.submit(b"{}")
        with pytest.raises(UnpluggedError) as caught:
            await batcher.submit_many(records())
        await batcher.flush()
        ticket = caught.value.ticket  # type: ignore[attr-defined]
        assert ticket.records == before
        assert sum(receipt.records for receipt in await ticket) == before + bool(before)
    assert durable_numbers(inner) == set(range(before))


async def test_a_record_of_a_wrong_type_comes_with_what_was_taken_before_it(
    store: HookedStore, inner: MemoryStore
) -> None:
    """It and those after it are not taken. The ticket has all before it."""
    records: list[Any] = [{"n": n} for n in range(20_000)]
    records[9_000] = 7
    async with Batcher(make_settings(linger_s=3_600), store=store) as batcher:
        with pytest.raises(TypeError, match="record 9000 of those submitted: a record") as caught:
            await batcher.submit_many(records)
        taken = caught.value.ticket.records  # type: ignore[attr-defined]
    assert taken == 9_000
    assert durable_numbers(inner) == set(range(taken))


async def test_a_cancelled_submit_many_says_what_it_took(
    store: HookedStore, inner: MemoryStore
) -> None:
    """The records after those were not taken, and are never written."""
    gate = Gate("put")
    store.before = gate
    settings = make_settings(budget_bytes="1MiB", max_bytes="1MiB", linger_s=3_600)
    taken: list[int] = []

    async def submit(batcher: Batcher) -> None:
        try:
            await batcher.submit_many({"n": n, "x": "y" * 200} for n in range(40_000))
        except asyncio.CancelledError as error:
            taken.append(error.ticket.records)  # type: ignore[attr-defined]

    async with Batcher(settings, store=store) as batcher:
        task = asyncio.ensure_future(submit(batcher))
        await gate.reached.wait()
        task.cancel()
        await task
        gate.open.set()
    assert 0 < taken[0] < 40_000
    assert durable_numbers(inner) == set(range(taken[0]))


async def test_a_ticket_of_a_million_records_is_small(store: HookedStore) -> None:
    """Nothing is held per record of one partition."""
    async with Batcher(make_settings(linger_s=3_600), store=store) as batcher:
        tracemalloc.start()
        ticket = await batcher.submit_many(b"1" for _ in range(1_000_000))
        store.before = failing_by_key({"": RetryableError("busy")})
        with pytest.raises(RetryableError):
            await batcher.flush()
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        with pytest.raises(RetryableError) as caught:
            await ticket
        assert len(caught.value.failed or ()) == 1_000_000
    assert held < 2_000_000
