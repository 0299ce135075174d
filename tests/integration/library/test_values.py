"""Values that JSON lacks, in records of a batcher and in results of a transform."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from batcher import Batcher, SyncBatcher
from batcher.errors import PoisonRecordError, RetryableError
from batcher.handler import make_handler
from batcher.stores.memory import MemoryStore
from batcher.testing import events
from support.examples import make_settings
from support.fakes import lines_in


@dataclass
class Order:
    """A record."""

    id: uuid.UUID
    total: Decimal


class Click(BaseModel):
    """A record."""

    at: datetime


RECORDS: list[Any] = [
    Order(uuid.UUID(int=1), Decimal("1.10")),
    Click(at=datetime(2026, 11, 23, tzinfo=UTC)),
    {"size": 1j},
]

LINES = [
    b'{"id":"00000000-0000-0000-0000-000000000001","total":1.10}',
    b'{"at":"2026-11-23T00:00:00Z"}',
    b'{"size":"1j"}',
]


async def test_a_batcher_writes_what_json_lacks(inner: MemoryStore) -> None:
    """One record, many, and what a transform returns."""
    async with Batcher(make_settings(), store=inner, default=str) as batcher:
        await batcher.submit(RECORDS[0])
        await batcher.submit_many(RECORDS[1:])
    assert lines_in(inner) == LINES
    results = iter(RECORDS)
    inner = MemoryStore()
    async with Batcher(
        make_settings(), store=inner, transform=lambda _: next(results), default=str
    ) as batcher:
        await batcher.submit_many([b"1", b"2", b"3"])
    assert lines_in(inner) == LINES


def test_a_batcher_of_threads_does_the_same(inner: MemoryStore) -> None:
    """Its `default` is that of `Batcher`."""
    with SyncBatcher(make_settings(), store=inner, default=str) as batcher:
        batcher.submit(RECORDS[0])
        batcher.submit_many(RECORDS[1:])
        with pytest.raises(TypeError, match=r"^a: keys must be str"):
            batcher.submit({"a": {b"k": 1}})
    assert lines_in(inner) == LINES


def test_a_handler_writes_what_json_lacks_in_the_results_of_its_transform() -> None:
    """The detail of a bad record names the field."""
    store = MemoryStore()
    results = iter([*RECORDS, {"a": [{b"k": 1}]}])
    handler = make_handler(
        make_settings(), store=store, transform=lambda _: next(results), default=str
    )
    messages = events.sqs_messages(["1", "2", "3", "4"])
    assert handler(events.event_of(messages)) == {"batchItemFailures": []}
    handler.close()
    found = {line for line in lines_in(store) if b"envelope" not in line}
    assert found == {*LINES}
    (quarantined,) = (line for line in lines_in(store) if b"envelope" in line)
    assert b"a[0]: keys must be str" in quarantined


async def test_the_records_before_one_that_is_none_are_taken(inner: MemoryStore) -> None:
    """Each is converted once. The error has the index, the field, and one cause."""

    def default(value: Any) -> Any:  # noqa: ANN401  # an iterator
        return list(value)

    async with Batcher(make_settings(), store=inner, default=default) as batcher:
        with pytest.raises(TypeError) as caught:
            await batcher.submit_many([{"n": iter([1])}, "\ud800", {"n": {"m": 1j}}, {"n": 2}])
        message = str(caught.value)
        assert message.startswith("record 2 of those submitted: n.m: default raised TypeError: ")
        assert caught.value.__cause__ is not None
        assert caught.value.__cause__.__cause__ is None
        ticket = caught.value.ticket  # type: ignore[attr-defined]
        assert ticket.records == 2
        assert [bad.reason for bad in ticket.bad] == ["not_utf8"]
        await batcher.submit({"n": 3})
    assert [line for line in lines_in(inner) if line.startswith(b'{"n"')] == [
        b'{"n":[1]}',
        b'{"n":3}',
    ]


async def test_nan_names_its_field_in_the_error_of_the_ticket(inner: MemoryStore) -> None:
    """And the records beside it are written."""
    settings = make_settings(on_bad_record="fail")
    async with Batcher(settings, store=inner) as batcher:
        ticket = await batcher.submit_many([{"n": 1}, {"a": [Decimal("NaN")]}, {"n": 2}])
        await batcher.flush()
        with pytest.raises(PoisonRecordError, match=r"a\[0\]: NaN is not JSON") as caught:
            await ticket
    assert caught.value.failed == [1]
    assert lines_in(inner) == [b'{"n":1}', b'{"n":2}']


async def test_a_default_may_ask_for_a_retry(inner: MemoryStore) -> None:
    """As a transform may: the record is not taken, and not bad."""

    def default(_: object) -> object:
        msg = "the service is down"
        raise RetryableError(msg)

    async with Batcher(make_settings(), store=inner, default=default) as batcher:
        with pytest.raises(RetryableError, match="the service is down"):
            await batcher.submit({"a": 1j})
        await batcher.submit({"a": 1})
    assert lines_in(inner) == [b'{"a":1}']


async def _default_coroutine(value: object) -> object:
    return value


@pytest.mark.parametrize("default", [1, "str", _default_coroutine, lambda: None])
@pytest.mark.parametrize("make", [Batcher, SyncBatcher, make_handler])
def test_what_is_no_default_is_refused_at_once(make: Callable[..., object], default: Any) -> None:  # noqa: ANN401
    """Not at the first record that needs it."""
    with pytest.raises(TypeError, match=r"^default: .*; give a "):
        make(make_settings(), default=default)
