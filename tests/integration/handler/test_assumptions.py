"""What lies outside the promise: each shows what happens then, and how somebody sees it.

`docs/guarantees.md` names them; `tests/integration/model/test_stream_assumptions.py` has those
that need an S3
with late writes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import count

import pytest

from batcher.errors import RetryableError
from batcher.reading.findings import FindingKind
from batcher.stores.memory import MemoryStore
from batcher.tools.verify.report import VerifyReport
from batcher.tools.verify.verify import Verifier
from support.examples import kinesis_record, message
from support.fakes import failing
from support.handler_harness import (
    KIND,
    NO_FAILURES,
    HandlerFactory,
    data_of,
    hooked,
    item_failures,
)

LOST = RetryableError("the answer was lost")


def event_of(*numbers: int) -> dict[str, object]:
    """Make an event of records with these sequence numbers."""
    records = [kinesis_record(str(n), json.dumps({"n": n, "kind": "a"}).encode()) for n in numbers]
    return {"Records": records}


def numbers_in(store: MemoryStore) -> list[int]:
    """Return the numbers of all records in the store, sorted."""
    return sorted(json.loads(line)["n"] for line in data_of(store))


def findings_in(store: MemoryStore) -> list[FindingKind]:
    """Return what `batcher verify` finds there."""
    report = VerifyReport()
    asyncio.run(Verifier(store, "events", report, 2).run(lambda: 0.0, lambda: None))
    return [finding.kind for finding in report.findings]


def test_what_holds_is_found_clean(handler_factory: HandlerFactory) -> None:
    """Or the findings below would say nothing."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    store.after = failing(LOST, "put", times=1)
    assert handle(event_of(1, 2, 3), None) == item_failures("1")
    assert handle(event_of(1, 2), None) == NO_FAILURES
    assert handle(event_of(3), None) == NO_FAILURES
    assert numbers_in(inner) == [1, 2, 3]
    assert findings_in(inner) == []


def test_a_checkpoint_that_falls_back_is_seen_as_duplicates(
    handler_factory: HandlerFactory,
) -> None:
    """Records that come again from a start that no delivery had are there twice."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    for numbers in ((1, 2, 3), (4, 5, 6), (2, 3, 4)):
        assert handle(event_of(*numbers), None) == NO_FAILURES
    assert numbers_in(inner) == [1, 2, 2, 3, 3, 4, 4, 5, 6]
    assert set(findings_in(inner)) == {FindingKind.DUPLICATE}


def test_two_mappings_on_one_root_write_once_from_starts_that_both_know(
    handler_factory: HandlerFactory,
) -> None:
    """Each cuts the stream as it likes; a start in the middle of an object writes twice."""
    inner, store = hooked()
    one, other = handler_factory.make(store), handler_factory.make(store)
    for numbers in ((1, 2), (3, 4)):
        assert one(event_of(*numbers), None) == NO_FAILURES
    for others in ((1,), (2, 3), (4,)):
        assert other(event_of(*others), None) == NO_FAILURES
    assert numbers_in(inner) == [1, 2, 3, 4]
    assert findings_in(inner) == []
    assert one(event_of(5, 6, 7), None) == NO_FAILURES
    assert other(event_of(6, 7), None) == NO_FAILURES
    assert numbers_in(inner) == [1, 2, 3, 4, 5, 6, 6, 7, 7]
    assert findings_in(inner) == [FindingKind.DUPLICATE]


@pytest.mark.parametrize("change", [{"fanout": 32}, {"compression": "none"}])
def test_another_name_for_the_same_object_is_seen_as_duplicates(
    handler_factory: HandlerFactory, change: dict[str, object]
) -> None:
    """A deployment between a failure and its retry; salts and suffixes do not hide it."""
    inner, store = hooked()
    store.after = failing(LOST, "put", times=1)
    assert handler_factory.make(store, compression="gzip")(event_of(1, 2), None) == item_failures(
        "1"
    )
    changed = handler_factory.make(store, **{"compression": "gzip", **change})
    assert changed(event_of(1, 2), None) == NO_FAILURES
    assert len(inner.objects) == 2
    assert set(findings_in(inner)) == {FindingKind.DUPLICATE}


def test_a_transform_by_chance_writes_twice_and_nothing_shows_it(
    handler_factory: HandlerFactory,
) -> None:
    """The record has another partition at its retry; the first one's object has no successor."""
    inner, store = hooked()
    kinds: Iterator[int] = count()

    def by_chance(payload: bytes) -> dict[str, object]:
        return {**json.loads(payload), "kind": str(next(kinds))}

    handle = handler_factory.make(store, transform=by_chance, partition_by=KIND)
    store.after = failing(LOST, "put", times=1)
    assert handle(event_of(1), None) == item_failures("1")
    assert handle(event_of(1), None) == NO_FAILURES
    assert numbers_in(inner) == [1, 1]
    assert findings_in(inner) == []


def test_an_answer_that_nobody_reads_loses_what_it_names(handler_factory: HandlerFactory) -> None:
    """`partial_response` without ReportBatchItemFailures; as it is by default, it is raised."""
    inner, store = hooked()
    store.before = failing(LOST, "put")
    event = {"Records": [message("1", "1")]}
    assert handler_factory.make(store)(event, None) == item_failures("1")
    with pytest.raises(RetryableError):
        handler_factory.make(store, partial_response=False)(event, None)
    assert inner.objects == {}
