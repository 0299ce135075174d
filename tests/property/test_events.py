"""Events: what is settled and what is handed back split them; the order of messages is nothing."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batcher.batching.batch import Batch
from batcher.batching.router import Router
from batcher.handler.event_writer import plan_batches
from batcher.settings import Settings
from batcher.sources import Event, read_event
from batcher.sources.event import Ledger
from batcher.writing.object import object_key, object_name
from support.examples import make_settings, texts_of
from support.strategies import dynamodb_records, fifo_messages, kinesis_records, messages

PARTITIONS = st.sampled_from(["", "h={arrival:%H}", "f={field:f}"])
LIMITS = st.tuples(st.none() | st.integers(1, 4), st.integers(40, 200) | st.just(10**6))


def planned(
    records: Sequence[dict[str, Any]], partition_by: str, limits: tuple[int | None, int]
) -> tuple[Event, list[Batch], Settings]:
    """Plan an event of these records."""
    settings = make_settings(partition_by=partition_by, max_records=limits[0], max_bytes=limits[1])
    event = read_event({"Records": list(records)}, 0.0)
    return event, plan_batches(event, Router(settings), settings)[0], settings


def key(batch: Batch, settings: Settings) -> str:
    """Return the key of a batch."""
    return object_key(batch, object_name(batch, batch.digest(), "fresh"), settings)


def positions_of(batch: Batch) -> list[str]:
    """Return the positions of a batch, in its order."""
    return [position for column in batch.positions for position in column]


@given(messages(), st.randoms(use_true_random=False), PARTITIONS, LIMITS)
def test_the_same_messages_in_any_order_make_the_same_objects(
    records: list[dict[str, Any]],
    random: Random,
    partition_by: str,
    limits: tuple[int | None, int],
) -> None:
    """The same keys, the same digests, the same records in each; so they are written once."""
    other = [*records, *records[:2]]  # some come twice
    random.shuffle(other)
    made = []
    for these in (records, other):
        _, batches, settings = planned(these, partition_by, limits)
        made.append(
            {key(b, settings): (b.digest(), b.size_bytes, sorted(positions_of(b))) for b in batches}
        )
        assert len(made[-1]) == len(batches)
    assert made[0] == made[1]


@given(messages(), PARTITIONS, LIMITS)
def test_the_objects_of_a_queue_hold_each_message_once_within_limits(
    records: list[dict[str, Any]], partition_by: str, limits: tuple[int | None, int]
) -> None:
    """Quarantine included, which has no limits."""
    event, batches, _ = planned(records, partition_by, limits)
    assert sorted(p for b in batches for p in positions_of(b)) == sorted(event.positions)
    for batch in batches:
        assert batch.seal_reason is not None
        assert texts_of(batch).count(b"\n") == batch.records == len(positions_of(batch))
        if not batch.route.is_quarantine:
            assert batch.size_bytes <= limits[1]
            assert batch.records <= (limits[0] or batch.records)
    assert sum(batch.route.is_quarantine for batch in batches) <= 1


@given(fifo_messages(), st.randoms(use_true_random=False), LIMITS)
def test_a_fifo_queue_keeps_its_order(
    records: list[dict[str, Any]],
    random: Random,
    limits: tuple[int | None, int],
) -> None:
    """Within an object and from one to the next, whatever order the event has; same bytes too."""
    numbers = {r["messageId"]: int(r["attributes"]["SequenceNumber"]) for r in records}
    other = list(records)
    random.shuffle(other)
    made = []
    for these in (records, other):
        _, batches, settings = planned(these, "", limits)
        good = [b for b in batches if not b.route.is_quarantine]
        order = [numbers[p] for b in good for p in positions_of(b)]
        assert order == sorted(order)
        made.append([(key(b, settings), texts_of(b)) for b in batches])
    assert made[0] == made[1]


@given(kinesis_records() | dynamodb_records(), PARTITIONS, LIMITS, st.integers(1, 12))
def test_a_stream_makes_one_object_a_partition_named_by_its_first_record(
    records: list[dict[str, Any]], partition_by: str, limits: tuple[int | None, int], fewer: int
) -> None:
    """The same records give the same keys and bytes; those cut at the end replace the same keys."""
    event, batches, settings = planned(records, partition_by, limits)
    routes = [b.route for b in batches]
    assert len(set(routes)) == len(routes)
    assert sorted(p for b in batches for p in positions_of(b)) == sorted(event.positions)
    keys = {b.route: key(b, settings) for b in batches}
    again = planned(records, partition_by, limits)[1]
    assert [(key(b, settings), b.digest(), texts_of(b)) for b in again] == [
        (key(b, settings), b.digest(), texts_of(b)) for b in batches
    ]
    for batch in batches:
        if not batch.route.is_quarantine:
            numbers = [int(p) for p in positions_of(batch)]
            assert numbers == sorted(numbers)
            assert key(batch, settings).endswith(f"-{numbers[0]:064d}.ndjson.gz")
    for batch in planned(records[:fewer], partition_by, limits)[1]:  # bisected: the first half
        assert key(batch, settings) == keys[batch.route]


@given(
    messages() | fifo_messages() | kinesis_records() | dynamodb_records(),
    st.randoms(use_true_random=False),
    LIMITS,
)
def test_settled_and_handed_back_split_the_event(
    records: list[dict[str, Any]],
    random: Random,
    limits: tuple[int | None, int],
) -> None:
    """What is not durable always comes back; what is durable only where its source demands it."""
    event, batches, _ = planned(records, "f={field:f}", limits)
    ledger = Ledger(event.positions)
    assert event.select_failures(ledger, event.positions)
    settled = [b for b in batches if random.random() < 0.5]
    for batch in settled:
        for positions in batch.positions:
            ledger.settle(positions)
    durable = {p for b in settled for p in positions_of(b)}
    unsettled = ledger.unsettled(event.positions)
    assert sorted([*durable, *unsettled]) == sorted(event.positions)
    assert len(ledger) == len(unsettled)
    back = event.select_failures(ledger, event.positions)
    assert len(set(back)) == len(back)
    if event.all_or_nothing:
        assert back == ([event.positions[0]] if unsettled else [])
        return
    assert set(unsettled) <= set(back) <= set(event.positions)
    if event.chunks[0].sequence_numbers is None:
        assert back == unsettled
        return
    groups = {r["messageId"]: r["attributes"]["MessageGroupId"] for r in records}
    for group in set(groups.values()):
        mine = [p for p in event.positions if groups[p] == group]
        first = next((n for n, p in enumerate(mine) if p in unsettled), len(mine))
        assert [p for p in back if groups[p] == group] == mine[first:]


@given(st.lists(st.text(max_size=3), unique=True), st.data())
def test_a_ledger_keeps_what_was_not_settled_in_order(
    positions: list[str], data: st.DataObject
) -> None:
    """And is empty only when all are settled."""
    ledger = Ledger(positions)
    settled = [p for p in positions if data.draw(st.booleans())]
    ledger.settle(settled)
    assert ledger.unsettled(positions) == [p for p in positions if p not in set(settled)]
    assert (len(ledger) == 0) is (len(settled) == len(positions))


@given(messages() | fifo_messages() | kinesis_records(), st.data(), LIMITS)
def test_records_that_share_identities_are_all_written_and_come_back_together(
    records: list[dict[str, Any]], data: st.DataObject, limits: tuple[int | None, int]
) -> None:
    """An identity comes back, once, as long as any of its records is not durable."""
    contents = set()
    for record in records:
        number = data.draw(st.integers(95, 98))
        if "kinesis" in record:
            record["kinesis"]["sequenceNumber"] = str(number)
            contents.add((str(number), record["kinesis"]["data"]))
        else:
            record["messageId"] = str(number)
            contents.add((str(number), record["body"]))
    event, batches, _ = planned(records, "f={field:f}", limits)
    assert len(set(event.positions)) == len(event.positions) == len(contents)
    assert sorted(p for b in batches for p in positions_of(b)) == sorted(event.positions)
    ledger = Ledger(event.positions)
    for batch in data.draw(st.lists(st.sampled_from(batches), unique=True)):
        for positions in batch.positions:
            ledger.settle(positions)
    unsettled = {event.identities.get(p, p) for p in ledger.unsettled(event.positions)}
    back = event.failed_identities(ledger)
    assert len(set(back)) == len(back)
    if event.all_or_nothing:
        assert back == ([event.positions[0]] if unsettled else [])
    elif event.chunks[0].sequence_numbers is None:
        assert set(back) == unsettled
    else:
        assert unsettled <= set(back)
