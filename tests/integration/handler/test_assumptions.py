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
from batcher.reading.findings import Kind
from batcher.stores.memory import MemoryStore
from batcher.tools.verify.report import Report
from batcher.tools.verify.verify import Verify
from support.examples import kinesis_record, message
from support.fakes import failing
from support.handler_harness import DONE, KIND, Environments, answered, data_of, hooked

LOST = RetryableError("the answer was lost")


def event_of(*numbers: int) -> dict[str, object]:
    """Make an event of records with these sequence numbers."""
    records = [kinesis_record(str(n), json.dumps({"n": n, "kind": "a"}).encode()) for n in numbers]
    return {"Records": records}


def numbers_in(store: MemoryStore) -> list[int]:
    """Give the numbers of all records in the store, sorted."""
    return sorted(json.loads(line)["n"] for line in data_of(store))


def findings_in(store: MemoryStore) -> list[Kind]:
    """Give what `batcher verify` finds there."""
    report = Report()
    asyncio.run(Verify(store, "events", report, 2).run(lambda: 0.0, lambda: None))
    return [finding.kind for finding in report.findings]


def test_what_holds_is_found_clean(environments: Environments) -> None:
    """Or the findings below would say nothing."""
    inner, store = hooked()
    handle = environments.make(store)
    store.after = failing(LOST, "put", times=1)
    assert handle(event_of(1, 2, 3), None) == answered("1")
    assert handle(event_of(1, 2), None) == DONE
    assert handle(event_of(3), None) == DONE
    assert numbers_in(inner) == [1, 2, 3]
    assert findings_in(inner) == []


def test_a_checkpoint_that_falls_back_is_seen_as_an_overlap(environments: Environments) -> None:
    """Records that come again from a start that no delivery had are there twice."""
    inner, store = hooked()
    handle = environments.make(store)
    for numbers in ((1, 2, 3), (4, 5, 6), (2, 3, 4)):
        assert handle(event_of(*numbers), None) == DONE
    assert numbers_in(inner) == [1, 2, 2, 3, 3, 4, 4, 5, 6]
    assert set(findings_in(inner)) == {Kind.OVERLAP}


def test_two_mappings_on_one_root_are_seen_as_overlaps(environments: Environments) -> None:
    """Each cuts the stream as it likes, and so names other objects."""
    inner, store = hooked()
    one, other = environments.make(store), environments.make(store)
    for numbers in ((1, 2), (3, 4)):
        assert one(event_of(*numbers), None) == DONE
    for others in ((1,), (2, 3), (4,)):
        assert other(event_of(*others), None) == DONE
    assert len(numbers_in(inner)) > 4
    assert Kind.OVERLAP in findings_in(inner)


@pytest.mark.parametrize("change", [{"fanout": 32}, {"compression": "none"}])
def test_another_name_for_the_same_object_is_seen_as_an_overlap(
    environments: Environments, change: dict[str, object]
) -> None:
    """A deployment between a failure and its retry; salts and suffixes do not hide it."""
    inner, store = hooked()
    store.after = failing(LOST, "put", times=1)
    assert environments.make(store, compression="gzip")(event_of(1, 2), None) == answered("1")
    changed = environments.make(store, **{"compression": "gzip", **change})
    assert changed(event_of(1, 2), None) == DONE
    assert len(inner.objects) == 2
    assert set(findings_in(inner)) == {Kind.OVERLAP}


def test_a_transform_by_chance_writes_twice_and_nothing_shows_it(
    environments: Environments,
) -> None:
    """The record has another partition at its retry; the first one's object has no successor."""
    inner, store = hooked()
    kinds: Iterator[int] = count()

    def by_chance(payload: bytes) -> dict[str, object]:
        return {**json.loads(payload), "kind": str(next(kinds))}

    handle = environments.make(store, transform=by_chance, partition_by=KIND)
    store.after = failing(LOST, "put", times=1)
    assert handle(event_of(1), None) == answered("1")
    assert handle(event_of(1), None) == DONE
    assert numbers_in(inner) == [1, 1]
    assert findings_in(inner) == []


def test_an_answer_that_nobody_reads_loses_what_it_names(environments: Environments) -> None:
    """`partial_response` without ReportBatchItemFailures; as it is by default, it is raised."""
    inner, store = hooked()
    store.before = failing(LOST, "put")
    event = {"Records": [message("1", "1")]}
    assert environments.make(store)(event, None) == answered("1")
    with pytest.raises(RetryableError):
        environments.make(store, partial_response=False)(event, None)
    assert inner.objects == {}
