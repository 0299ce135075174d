"""Leaving the batcher early: what is dropped is counted, or written first."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from batcher.batcher import Batcher
from batcher.errors import RetryableError
from batcher.stores.memory import MemoryStore
from support.examples import make_settings
from support.fakes import Gate, HookedStore, failing, hanging, lines_in

LEAVING = [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit]


def batcher_of(store: HookedStore, **options: Any) -> Batcher:  # noqa: ANN401
    """Make a batcher whose batches linger for ever, with one partition per kind."""
    settings = make_settings(linger_s=3_600, partition_by="kind={field:kind}", root="events")
    return Batcher(settings, store=store, **options)


def dropped(caplog: pytest.LogCaptureFixture) -> list[tuple[int, int]]:
    """Return the numbers of every warning: dropped records, and those that may be durable."""
    found = [re.findall(r"dropped: (\d+), .*these: (\d+)", text) for text in caplog.messages]
    assert {each.name for each in caplog.records} <= {"batcher"}
    assert all(each.levelno == logging.WARNING for each in caplog.records)
    return [(int(a), int(b)) for each in found for a, b in each]


@pytest.mark.parametrize("kind", [*LEAVING, BaseExceptionGroup])
async def test_what_is_dropped_is_counted(
    store: HookedStore, caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    """Records in open batches, in full ones, and in one that is being sent; not the durable."""
    error = kind("", [KeyboardInterrupt()]) if kind is BaseExceptionGroup else kind()
    with pytest.raises(kind):  # noqa: PT012
        async with batcher_of(store) as batcher:
            await batcher.submit_many([{"kind": "a"}] * 5)
            await batcher.flush()
            store.before = gate = Gate("put")
            await batcher.submit_many([{"kind": "a"}] * 3)
            flushing = asyncio.ensure_future(batcher.flush())
            await gate.reached.wait()
            await batcher.submit_many([{"kind": "b"}] * 7)
            raise error
    assert dropped(caplog) == [(10, 3)]
    assert batcher.budget.held_bytes == 0
    with pytest.raises(RetryableError):
        await flushing


@pytest.mark.parametrize("kind", LEAVING)
async def test_drain_writes_all(
    store: HookedStore,
    inner: MemoryStore,
    caplog: pytest.LogCaptureFixture,
    kind: type[BaseException],
) -> None:
    """Then there is nothing to warn of."""
    with pytest.raises(kind):  # noqa: PT012
        async with batcher_of(store, on_cancel="drain") as batcher:
            await batcher.submit_many([{"kind": "a"}, {"kind": "b"}])
            raise kind
    assert len(lines_in(inner)) == 2
    assert dropped(caplog) == []
    assert store.is_closed


async def test_a_drain_ends_and_counts_the_rest(
    store: HookedStore, inner: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    """What was written in time is durable."""
    store.before = hanging("put", key="kind=b")
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        async with batcher_of(store, on_cancel="drain", drain_timeout_s=0.5) as batcher:
            await batcher.submit_many([{"kind": "a"}] * 2 + [{"kind": "b"}] * 3)
            raise KeyboardInterrupt
    assert len(lines_in(inner)) == 2
    assert dropped(caplog) == [(3, 3)]
    assert batcher.budget.held_bytes == 0


async def test_what_fails_in_a_drain_is_counted(
    store: HookedStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The interrupt is what is raised."""
    store.before = failing(RetryableError("busy"), "put")
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        async with batcher_of(store, on_cancel="drain") as batcher:
            await batcher.submit_many([{"kind": "b"}] * 3)
            raise KeyboardInterrupt
    assert dropped(caplog) == [(3, 0)]
    assert "busy" in caplog.text


@pytest.mark.parametrize("on_cancel", ["abort", "drain"])
async def test_a_second_cancellation_ends_it(
    store: HookedStore, caplog: pytest.LogCaptureFixture, on_cancel: str
) -> None:
    """Of the drain that an ordinary exit or a first cancellation began."""
    gate = store.before = Gate("put")

    async def program() -> None:
        async with batcher_of(store, on_cancel=on_cancel) as batcher:
            await batcher.submit({"kind": "a"})

    task = asyncio.ensure_future(program())
    await gate.reached.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert dropped(caplog) == [(1, 1)]
    assert store.is_closed


async def test_a_timeout_or_a_failed_task_group_around_it_counts(
    store: HookedStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Both leave it by a cancellation."""

    async def program() -> None:
        async with batcher_of(store) as batcher:
            await batcher.submit({"kind": "a"})
            await asyncio.Event().wait()

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise KeyError

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await program()
    with pytest.raises(ExceptionGroup):  # noqa: PT012
        async with asyncio.TaskGroup() as group:
            group.create_task(program())
            group.create_task(fail())
    assert dropped(caplog) == [(1, 0), (1, 0)]


@pytest.mark.parametrize(("on_cancel", "written"), [("abort", 0), ("drain", 1)])
async def test_an_asynchronous_generator_that_is_left(
    store: HookedStore,
    inner: MemoryStore,
    caplog: pytest.LogCaptureFixture,
    on_cancel: str,
    written: int,
) -> None:
    """GeneratorExit ends it, and it may still wait."""

    async def generate() -> AsyncIterator[None]:
        async with batcher_of(store, on_cancel=on_cancel) as batcher:
            await batcher.submit({"kind": "a"})
            yield

    generator = generate()
    await anext(generator)
    await generator.aclose()  # type: ignore[attr-defined]
    assert len(lines_in(inner)) == written
    assert len(dropped(caplog)) == 1 - written


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("on_cancel", "flush"),
        ("on_cancel", None),
        ("drain_timeout_s", 0),
        ("drain_timeout_s", -1),
        ("drain_timeout_s", float("nan")),
        ("drain_timeout_s", float("inf")),
        ("drain_timeout_s", "5"),
        ("drain_timeout_s", True),
    ],
)
def test_another_value_is_refused(store: HookedStore, option: str, value: object) -> None:
    """The error names the option and the value."""
    with pytest.raises(ValueError, match=f"{option}: .*{value!r}"):
        batcher_of(store, **{option: value})


PROGRAM = """
import asyncio, os, signal, sys
from batcher import Batcher, Settings
from batcher.stores.memory import MemoryStore

def make():
    return Batcher(Settings(bucket="bucket", linger_s=3_600), store=MemoryStore())

async def interrupted(signals):
    async with make() as batcher:
        await batcher.submit_many([b"1"] * 12_345)
        for _ in range(signals):
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)

async def forgotten():
    global kept
    kept = make()
    await kept.submit_many([b"1"] * 12_345)

async def in_background():
    global task
    task = asyncio.create_task(interrupted(0))
    await asyncio.sleep(0.2)
"""


@pytest.mark.parametrize(
    "call",
    [
        "asyncio.run(interrupted(1))",
        "asyncio.run(interrupted(2))",
        "asyncio.run(in_background())",
        "asyncio.run(forgotten())",
        "asyncio.new_event_loop().run_until_complete(interrupted(1))",
    ],
)
@pytest.mark.slow
def test_a_program_that_ends_warns_by_default(call: str) -> None:
    """No logging was set up, and the interpreter may be at its end."""
    command = [sys.executable, "-c", PROGRAM + call]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert "12345" in ended.stderr.replace(",", "")
    assert ("records dropped" in ended.stderr) or ("records lost" in ended.stderr)
