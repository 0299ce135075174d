"""SyncBatcher: threads, waits that end, errors that are short, closing."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from batcher import SyncBatcher, SyncTicket
from batcher.errors import PoisonRecordError, RejectedError, RetryableError
from batcher.stores.memory import MemoryStore
from batcher.writing.object import Receipt
from support.examples import make_settings
from support.fakes import Call, HookedStore, failing, lines_in


class ThreadGate:
    """A hook that holds every call of one operation until `release` is called in any thread."""

    def __init__(self, operation: str) -> None:
        """Hold calls of `operation`."""
        self.operation = operation
        self.reached = threading.Event()
        self._released: Future[None] = Future()

    async def __call__(self, call: Call) -> None:
        """Hold the call if it is one."""
        if call.operation == self.operation:
            self.reached.set()
            await asyncio.shield(asyncio.wrap_future(self._released))

    def release(self) -> None:
        """Let all calls pass."""
        self._released.set_result(None)


@pytest.fixture
def gate(store: HookedStore) -> ThreadGate:
    """Return a gate that holds the PUTs of the store."""
    store.before = gate = ThreadGate("put")
    return gate


@pytest.fixture
def start() -> Iterator[Callable[..., Future[Any]]]:
    """Return a function that calls another in a thread."""
    with ThreadPoolExecutor(40) as pool:
        yield pool.submit


def sync_batcher(store: HookedStore, **settings: Any) -> SyncBatcher:  # noqa: ANN401
    """Return a batcher whose batches linger for ever."""
    return SyncBatcher(make_settings(**{"linger_s": 3_600, **settings}), store=store)


def numbers_in(store: MemoryStore) -> list[int]:
    """Return the field `n` of all durable records, in rising order."""
    return sorted(json.loads(line)["n"] for line in lines_in(store))


def loop_threads() -> list[str]:
    """Return the threads of event loops that run."""
    return [each.name for each in threading.enumerate() if each.name == "batcher-loop"]


def test_one_and_many_records_become_durable(store: HookedStore, inner: MemoryStore) -> None:
    """Tickets are asked inside and after the `with`."""
    with sync_batcher(store) as batcher:
        one: SyncTicket[Receipt] = batcher.submit({"n": 0})
        many: SyncTicket[list[Receipt]] = batcher.submit_many([b'{"n": 1}', '{"n": 2}'])
        assert not one.is_settled
        batcher.flush()
        assert one.is_settled
        last = batcher.submit({"n": 3})
        assert one.result().records == 3
        assert one.result(timeout=0.0).key == many.result()[0].key
    assert last.result().records == 1
    assert last.result(0).records == 1
    assert [one.records, many.records, many.bad] == [1, 2, []]
    assert numbers_in(inner) == [0, 1, 2, 3]
    assert batcher.counts.records == 4
    assert store.is_closed
    assert not loop_threads()


def test_eight_threads_share_one(store: HookedStore, inner: MemoryStore) -> None:
    """Each ticket knows its own records, though the budget lets only few in at a time."""
    settings = {"budget_bytes": 200_000, "max_bytes": 100_000, "on_bad_record": "fail"}
    outcomes: dict[int, tuple[list[int], int]] = {}

    def work(number: int) -> None:
        start_at = number * 10_000
        records: list[Any] = [{"n": n} for n in range(start_at, start_at + 10_000)]
        records[9_000 + number] = b"{"
        many = batcher.submit_many(records)
        ones = [batcher.submit({"n": 80_000 + number * 100 + n}) for n in range(100)]
        batcher.flush()
        with pytest.raises(PoisonRecordError) as caught:
            many.result()
        receipts = {ticket.result(60).key for ticket in ones}
        outcomes[number] = list(caught.value.failed or ()), len(receipts)

    with sync_batcher(store, **settings) as batcher:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert {number: failed for number, (failed, _) in outcomes.items()} == {
        number: [9_000 + number] for number in range(8)
    }
    bad = {number * 10_000 + 9_000 + number for number in range(8)}
    assert numbers_in(inner) == sorted(set(range(80_800)) - bad)


def test_submit_waits_for_room(
    store: HookedStore,
    inner: MemoryStore,
    gate: ThreadGate,
    start: Callable[..., Future[Any]],
) -> None:
    """A thread that waits holds up no other thread's ticket or flush."""
    with sync_batcher(store, budget_bytes=100_000, max_bytes=50_000) as batcher:
        submitted = start(batcher.submit_many, ({"n": n} for n in range(50_000)))
        gate.reached.wait()
        with pytest.raises(TimeoutError):
            submitted.result(0.3)
        gate.release()
        assert submitted.result(60).records == 50_000
    assert numbers_in(inner) == list(range(50_000))


def test_a_result_that_takes_too_long_may_be_asked_again(
    store: HookedStore, gate: ThreadGate
) -> None:
    """The error says so, and the record is not lost."""
    with sync_batcher(store, linger_s=0) as batcher:
        ticket = batcher.submit({"n": 1})
        for _ in range(2):
            with pytest.raises(TimeoutError, match=r"after 0\.01 s; ask the ticket again"):
                ticket.result(timeout=0.01)
        gate.release()
        assert ticket.result().records == 1


@pytest.mark.parametrize("timeout", [float("inf"), 1e12])
def test_a_result_may_be_waited_for_without_end(store: HookedStore, timeout: float) -> None:
    """Longer than the operating system can."""
    with SyncBatcher(make_settings(linger_s=0), store=store) as batcher:
        assert batcher.submit(b"1").result(timeout).records == 1


def test_the_iterable_is_read_in_the_callers_thread(store: HookedStore, inner: MemoryStore) -> None:
    """A generator of a database's rows works only there. Its error comes as it is."""
    readers = set()

    def records() -> Iterator[dict[str, int]]:
        for n in range(20_000):
            readers.add(threading.get_ident())
            yield {"n": n}
        raise LookupError

    with sync_batcher(store) as batcher:
        with pytest.raises(LookupError) as caught:
            batcher.submit_many(records())
        assert caught.value.ticket.records == 20_000  # type: ignore[attr-defined]
        batcher.flush()
        assert caught.value.ticket.result()[0].records == 20_000  # type: ignore[attr-defined]
    assert readers == {threading.get_ident()}
    assert numbers_in(inner) == list(range(20_000))


@pytest.mark.parametrize("record", [7, {"n": object()}, {1: 2, "1": 3}])
def test_what_is_no_record_is_refused_where_it_is_submitted(
    store: HookedStore,
    inner: MemoryStore,
    record: Any,  # noqa: ANN401
) -> None:
    """The batcher goes on."""
    with sync_batcher(store) as batcher:
        with pytest.raises(TypeError):
            batcher.submit(record)
        with pytest.raises(TypeError, match="record 1 of those submitted"):
            batcher.submit_many([{"n": 1}, record])
        with pytest.raises(TypeError, match="not one dict"):
            batcher.submit_many({"n": 1})
        batcher.submit({"n": 2})
    assert numbers_in(inner) == [1, 2]


@pytest.mark.parametrize("ask", ["result", "flush", "close", "after the end"])
def test_an_error_is_short_and_has_one_cause(store: HookedStore, ask: str) -> None:
    """Its traceback has no line of the other thread."""
    refused = RejectedError("PUT refused")
    refused.__cause__ = OSError("the transport")
    refused.__cause__.__cause__ = OSError("below the transport")
    store.before = failing(refused, "put")
    batcher = sync_batcher(store, linger_s=0 if ask == "result" else 3_600)
    ticket = batcher.submit({"n": 1})
    if ask == "after the end":
        with pytest.raises(RejectedError):
            batcher.close()
        ask = "result"
    with pytest.raises(RejectedError, match="PUT refused") as caught:
        getattr(ticket if ask == "result" else batcher, ask)()
    text = "".join(traceback.format_exception(caught.value))
    assert text.count("Traceback (most recent call last)") == 1
    assert "OSError: the transport" in text
    assert "below" not in text
    assert "dispatcher" not in text
    assert len(text.splitlines()) < 25
    if ask == "result":
        assert list(caught.value.failed or ()) == [0]
    batcher.close()


def test_a_failure_that_no_ticket_has_raised_is_raised_at_the_end(store: HookedStore) -> None:
    """Of an error of the program itself it is a note."""
    store.before = failing(RetryableError("busy"), "put")
    with pytest.raises(RetryableError, match="busy"), sync_batcher(store) as batcher:
        batcher.submit({"n": 1})
    with pytest.raises(LookupError) as caught, sync_batcher(store) as batcher:  # noqa: PT012
        batcher.submit({"n": 1})
        raise LookupError
    assert caught.value.__notes__ == ["batcher: busy"]


def test_closing_twice_and_use_after_it(store: HookedStore) -> None:
    """Use is refused. Closing is not."""
    batcher = sync_batcher(store)
    batcher.close()
    batcher.close()
    with batcher:
        pass
    for use in (
        lambda: batcher.submit({"n": 1}),
        lambda: batcher.submit_many([{"n": 1}]),
        lambda: batcher.submit_many([]),
        batcher.flush,
    ):
        with pytest.raises(RuntimeError, match="the batcher is closed"):
            use()
    assert not loop_threads()


def test_one_thread_closes_while_others_wait(
    store: HookedStore, gate: ThreadGate, start: Callable[..., Future[Any]]
) -> None:
    """For room, for a receipt, for a flush, for the same end. None waits for ever."""
    batcher = sync_batcher(store, budget_bytes=100_000, max_bytes=50_000)
    ticket = batcher.submit({"n": 1})
    asked = start(ticket.result)
    flushed = start(batcher.flush)
    gate.reached.wait()
    filling = [start(batcher.submit_many, ({"n": n} for n in range(50_000))) for _ in range(30)]
    with pytest.raises(TimeoutError):
        filling[0].result(0.2)
    closed = [start(batcher.close) for _ in range(3)]
    gate.release()
    assert [each.result(60) for each in closed] == [None] * 3
    assert asked.result(60).records > 0
    assert flushed.result(60) is None
    for each in filling:
        with pytest.raises((RetryableError, RuntimeError), match="closed") as caught:
            each.result(60)
        taken = caught.value.ticket  # type: ignore[attr-defined]
        assert sum(receipt.records for receipt in taken.result()) >= taken.records
    assert ticket.result() == asked.result()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_transform_that_exits_ends_no_thread(
    store: HookedStore, inner: MemoryStore, kind: type[BaseException]
) -> None:
    """Its caller gets what it raised. The others' records are written."""

    def transform(payload: bytes) -> bytes:
        if b"exit" in payload:
            raise kind
        return payload

    with SyncBatcher(make_settings(linger_s=3_600), store=store, transform=transform) as batcher:
        batcher.submit({"n": 1})
        with pytest.raises(kind):
            batcher.submit({"exit": 1})
        batcher.submit({"n": 2})
    assert numbers_in(inner) == [1, 2]


def test_it_does_not_wait_for_itself(store: HookedStore) -> None:
    """A transform that submits would."""

    def transform(payload: bytes) -> bytes:
        with pytest.raises(RuntimeError, match="own event loop"):
            batcher.submit(payload)
        with pytest.raises(RuntimeError, match="own event loop"):
            batcher.close()
        return payload

    with SyncBatcher(make_settings(), store=store, transform=transform) as batcher:
        assert batcher.submit({"n": 1}).records == 1


@pytest.mark.parametrize("options", [{"on_cancel": "wait"}, {"drain_timeout_s": 0}])
def test_wrong_options_are_refused_before_any_thread(options: dict[str, Any]) -> None:
    """By the constructor."""
    with pytest.raises(ValueError, match=next(iter(options))):
        SyncBatcher(make_settings(), **options)
    assert not loop_threads()


def test_nothing_starts_before_the_first_call(store: HookedStore) -> None:
    """One that was never used leaves nothing behind."""
    batcher = sync_batcher(store)
    assert not loop_threads()
    del batcher
    gc.collect()
