"""The kit's stores: a memory that can be looked at, and faults by script."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from batcher import Batcher
from batcher.errors import RejectedError, RetryableError, ThrottledError
from batcher.stores.request import Operation, Request
from batcher.testing import (
    ALWAYS,
    FaultRule,
    FaultyStore,
    MemoryStore,
    ObjectAttributes,
    StoreFault,
    run_deliveries,
    sqs_messages,
)
from batcher.testing.fault_script import FaultScript
from batcher.testing.virtual_loop import virtual_loop
from support.examples import make_settings

Rules = Sequence[FaultRule[StoreFault]]
NO_EFFECT = [StoreFault.OUTAGE, StoreFault.THROTTLED, StoreFault.REFUSED, StoreFault.LATE]


async def put(store: FaultyStore, *keys: str) -> list[str]:
    """Write objects, and return the type of each error, or an empty text."""
    found = []
    for key in keys:
        try:
            await store.put(key, b"{}\n", ObjectAttributes())
        except (RetryableError, RejectedError) as error:
            found.append(type(error).__name__)
        else:
            found.append("")
    return found


def keys_in(store: FaultyStore) -> set[str]:
    """Return the keys of the inner store."""
    assert isinstance(store.inner, MemoryStore)
    return set(store.inner.objects)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
async def test_lines_are_read_by_partition(compression: str) -> None:
    """Decompressed; bad records are in the folders of quarantine."""
    store = MemoryStore()
    settings = make_settings(
        root="events", partition_by="kind={field:kind}", compression=compression
    )
    async with Batcher(settings, store=store) as batcher:
        for text in ('{"kind":"a","n":1}', '{"kind":"b","n":2}', "no json"):
            await batcher.submit(text)
    found = store.lines_by_partition("events")
    assert found["kind=a"] == [b'{"kind":"a","n":1}']
    assert found["kind=b"] == [b'{"kind":"b","n":2}']
    (bad,) = (partition for partition in found if partition.startswith("_quarantine/library/"))
    assert b"no json" in found[bad][0]
    assert store.read_lines("/kind=b/") == [b'{"kind":"b","n":2}']
    assert len(store.read_lines()) == 3
    assert store.lines_by_partition("elsewhere") == {}


def test_an_object_without_text_has_no_lines() -> None:
    """As a guard."""
    store = MemoryStore()
    virtual_loop().run_until_complete(store.put("guard", b"", ObjectAttributes()))
    assert store.read_lines() == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (StoreFault.OUTAGE, RetryableError),
        (StoreFault.THROTTLED, ThrottledError),
        (StoreFault.REFUSED, RejectedError),
        (StoreFault.LATE, RetryableError),
        (StoreFault.RESPONSE_LOST, RetryableError),
    ],
)
async def test_a_fault_raises_and_has_an_effect_or_none(
    fault: StoreFault, error: type[Exception]
) -> None:
    """The effect of a late request comes when the test says so, under the conditions of then."""
    store = FaultyStore([FaultRule("put", fault)])
    with pytest.raises(error, match=f"put a: {fault}"):
        await store.put("a", b"first", ObjectAttributes())
    assert keys_in(store) == (set() if fault in NO_EFFECT else {"a"})
    if fault is StoreFault.LATE:
        await store.put("a", b"second", ObjectAttributes())
        await store.land()
        assert isinstance(store.inner, MemoryStore)
        assert store.inner.objects["a"].body == b"second"
        assert not store.late
    assert (store.requests[0].operation, store.requests[0].fault) == ("put", fault)


def test_slow_and_hanging_requests_take_virtual_time() -> None:
    """A slow one takes effect; one that hangs has none."""
    store = FaultyStore([FaultRule("put", StoreFault.SLOW), FaultRule("put", StoreFault.HANGS)])

    async def program() -> None:
        loop = asyncio.get_running_loop()
        assert await put(store, "a") == [""]
        assert loop.time() == store.slow_s
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60.0):
                await put(store, "b")
        assert loop.time() == store.slow_s + 60.0

    virtual_loop().run_until_complete(program())
    assert keys_in(store) == {"a"}


@pytest.mark.parametrize(
    ("rule", "failed"),
    [
        (FaultRule("put", StoreFault.OUTAGE), [0]),
        (FaultRule("put", StoreFault.OUTAGE, first=2, times=2), [1, 2]),
        (FaultRule("put", StoreFault.OUTAGE, key="/b"), [1]),
        (FaultRule("", StoreFault.OUTAGE, times=ALWAYS), [0, 1, 2, 3]),
        (FaultRule("head", StoreFault.OUTAGE, times=ALWAYS), []),
        (FaultRule("put", StoreFault.OUTAGE, times=ALWAYS, chance=0.5), [2, 3]),
    ],
)
async def test_rules_choose_by_operation_key_and_number(
    rule: FaultRule[StoreFault], failed: list[int]
) -> None:
    """A chance is drawn from the seed."""
    store = FaultyStore([rule], seed=0)
    found = await put(store, "r/a", "r/b", "r/a2", "r/b2")
    if rule.key:
        failed = [1]
    assert [n for n, error in enumerate(found) if error] == failed


def test_a_rule_may_name_its_type() -> None:
    """As annotations do."""
    rule = FaultRule[StoreFault]("put", StoreFault.OUTAGE)
    assert rule == FaultRule("put", StoreFault.OUTAGE)
    assert FaultScript[StoreFault]([rule]).decide("put", "a") is StoreFault.OUTAGE


async def test_rules_that_did_not_apply_are_reported() -> None:
    """A test in which a fault did not happen proves nothing."""
    store = FaultyStore([FaultRule("put", StoreFault.OUTAGE, times=3)])
    await put(store, "a")
    assert store.script.unfired() == ["put outage: 1 of 3"]


async def test_reading_requests_are_never_late() -> None:
    """They change nothing that could take effect later."""
    store = FaultyStore([FaultRule("head", StoreFault.LATE)])
    with pytest.raises(RetryableError):
        await store.send(Request(Operation.HEAD, "a"))
    assert not store.late


def test_a_report_has_the_store_for_further_checks() -> None:
    """For example of the partitions."""
    from batcher.handler import make_handler  # noqa: PLC0415  # of this test alone

    settings = make_settings(root="r", partition_by="kind={field:kind}", partial_response=True)
    report = run_deliveries(
        lambda store: make_handler(settings, store=store), sqs_messages([{"kind": "a"}])
    )
    assert set(report.store.lines_by_partition("r")) == {"kind=a"}
