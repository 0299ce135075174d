"""An event whose delivery is cancelled at any await leaves no task, no upload, and the budget."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from batcher.errors import RetryableError
from batcher.handler.event_writer import EventWriter
from batcher.settings import Settings
from batcher.sources import Event, read_event
from batcher.stores.memory import MemoryStore
from batcher.stores.retrying import Backoff, RetryingStore
from batcher.writing.budget import Budget
from batcher.writing.pipeline import Pipeline
from integration.cancellation.interleave import run_loop_steps
from support.examples import kinesis_record, make_settings, message
from support.fakes import HookedStore, failing, texts_in, yielding
from support.handler_harness import KIND

BOUND_TURNS = 3_000
BUSY = RetryableError("503 SlowDown")


def stream_event(records: int, size_bytes: int = 10) -> Event:
    """Make an event of a stream, half of it of each kind."""
    noise = random.Random(records).randbytes(size_bytes // 2).hex()  # noqa: S311  # no secret
    bodies = [json.dumps({"kind": "ab"[n % 2], "n": n, "x": noise}) for n in range(records)]
    made = [kinesis_record(str(n + 100), body.encode()) for n, body in enumerate(bodies)]
    return read_event({"Records": made}, 0.0)


def queue_event() -> Event:
    """Make an event of a queue, one message of which is bad."""
    return read_event({"Records": [message("1", "1"), message("2", "bad")]}, 0.0)


def storms(store: HookedStore) -> None:
    """Refuse every third request."""
    numbers = count()

    async def before(call: Any) -> None:  # noqa: ANN401
        await yielding(call)
        if next(numbers) % 3 != 2:
            raise BUSY

    store.before = before


def lost_answers(store: HookedStore) -> None:
    """Let the first answers be lost after the store has acted."""
    store.after = failing(BUSY, "put", times=3)


def nothing_else(store: HookedStore) -> None:
    """Let all requests go through."""


SCENES: dict[str, tuple[Callable[[], Event], Callable[[HookedStore], None], dict[str, Any]]] = {
    "one object": (lambda: stream_event(4), nothing_else, {}),
    "three objects": (lambda: stream_event(4), nothing_else, {"partition_by": KIND}),
    "a queue": (queue_event, nothing_else, {}),
    "storms": (lambda: stream_event(4), storms, {"partition_by": KIND}),
    "lost answers": (lambda: stream_event(4), lost_answers, {"partition_by": KIND}),
    "a large object": (lambda: stream_event(2, 7 * 1024**2), nothing_else, {}),
    "a large object in a storm": (lambda: stream_event(2, 7 * 1024**2), storms, {}),
}


@pytest.fixture
def budgets(monkeypatch: pytest.MonkeyPatch) -> list[Budget]:
    """Return the budgets of all events."""
    made: list[Budget] = []

    def make(limit_bytes: int) -> Budget:
        made.append(Budget(limit_bytes))
        return made[-1]

    monkeypatch.setattr("batcher.handler.event_writer.Budget", make)
    return made


def delivery_to(store: HookedStore, settings: Settings) -> EventWriter:
    """Make what delivers events, retries included, with no waiting between them."""
    retrying = RetryingStore(store, Backoff(base_s=0.0))
    return EventWriter(Pipeline(settings, retrying, threads=1))


async def cut(delivery: EventWriter, event: Event, turn: int) -> bool:
    """Deliver, and cancel after so many turns; give whether it had ended before."""
    task = asyncio.ensure_future(delivery.write(event, None))
    await run_loop_steps(turn)
    was_done = task.done()
    task.cancel()
    await asyncio.wait([task])
    if was_done:
        assert task.result().ledger.unsettled(event.positions) == []
    return was_done


async def clean_delivery(event: Event, settings: Settings) -> tuple[dict[str, bytes], int]:
    """Return what the event becomes where nothing goes wrong, and the requests that it takes."""
    store = HookedStore(inner := MemoryStore())
    await delivery_to(store, settings).write(event, None)
    return texts_in(inner), len(store.calls)


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("is_again", [False, True])
async def test_an_event_that_is_cut_at_any_await_leaves_whole_objects_and_nothing_else(
    budgets: list[Budget], name: str, *, is_again: bool
) -> None:
    """The first time, and where a longer delivery had written all of it: that stays as it is.

    The guard that keeps the rest of the longer one from being written again is empty.
    """
    make_event, hinder, changes = SCENES[name]
    event = make_event()
    settings = make_settings(**changes, compression="none")
    expected, requests = await clean_delivery(event, settings)
    step = 7 if name.startswith("a large") else 1
    for turn in range(0, BOUND_TURNS, step):
        store = HookedStore(inner := MemoryStore(), yielding)
        delivery = delivery_to(store, settings)
        before: dict[str, bytes] = {}
        if is_again and event.source == "kinesis":
            longer = stream_event(6, 10)
            await delivery.write(longer, None)
            before = texts_in(inner)
        store.calls.clear()
        hinder(store)
        was_done = await cut(delivery, event, turn)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left
        assert inner.uploads == {}
        assert all(budget.held_bytes == 0 for budget in budgets)
        found = texts_in(inner)
        assert before.items() <= found.items()
        for key, text in found.items():
            assert text == (before.get(key, b"") if before else expected[key])
        if was_done:
            break
    assert was_done
    assert (before or expected).items() <= texts_in(inner).items()
    assert turn > step
    is_hindered = hinder is not nothing_else or bool(before)
    assert (len(store.calls) > requests) is is_hindered
