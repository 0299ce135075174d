"""Batches: records of one partition that become one object."""

from __future__ import annotations

import hashlib

from batcher.batching.batch import Batch, BatchLimits, FlushReason, OpenBatches, Route
from batcher.records.columns import RangeColumn
from support.examples import LIBRARY, QUEUE, SHARD, make_batch, make_chunk, texts_of

ROUTE = Route(LIBRARY, "a=1")
OTHER = Route(LIBRARY, "a=2")


def sizes(shares: list[tuple[Batch, int]]) -> list[tuple[int, int]]:
    """Report of each share the batch's records and the bytes it took."""
    return [(batch.records, took) for batch, took in shares]


def test_a_batch_counts_what_it_was_given() -> None:
    """Records, bytes with their newlines, and the earliest arrival."""
    batch = make_batch(make_chunk(b"1", b"22", arrivals_s=[7.0, 3.0]), "a=1")
    assert (batch.records, batch.size_bytes, batch.oldest_arrival_s) == (2, 5, 3.0)
    assert (batch.first_position, batch.last_position) == ("0", "1")
    assert batch.unencoded_bytes == 5


def test_a_batch_shows_what_matters_of_it() -> None:
    """One line, no payload."""
    assert repr(make_batch(make_chunk(b"1"), "a=1")) == (
        "<Batch a=1 records=1 size_bytes=2 sealed=event>"
    )
    assert repr(make_batch(make_chunk(b"1"), sealed=None)).startswith("<Batch - records=1")


def test_text_is_handed_over_oldest_first() -> None:
    """All of it, or pieces until they are enough."""
    batch = Batch(ROUTE, 0.0, 1.0)
    for payload in (b"aaa", b"bbb", b"ccc"):
        batch.add(make_chunk(payload), [payload + b"\n"], 4)
    assert batch.take_texts(1) == [b"aaa\n"]
    assert batch.unencoded_bytes == 8
    assert batch.take_texts(5) == [b"bbb\n", b"ccc\n"]
    assert batch.take_texts() == []
    assert batch.unencoded_bytes == 0
    assert batch.size_bytes == 12


def test_an_events_digest_is_of_its_positions_line_by_line() -> None:
    """In the order of a stream, over all chunks of the batch."""
    batch = Batch(Route(SHARD, ""), 0.0, 1.0)
    batch.add(make_chunk(b"1", origin=SHARD, positions=["9"]), [b"1\n"], 2)
    batch.add(make_chunk(b"2", origin=SHARD, positions=["10"]), [b"2\n"], 2)
    assert batch.digest() == hashlib.sha256(b"9\n10").hexdigest()


def test_the_digest_of_messages_knows_no_order() -> None:
    """The same set of messages is the same object."""
    one, two = (
        make_batch(make_chunk(b"1", b"2", origin=QUEUE, positions=ids))
        for ids in ("ba", ["a", "b"])
    )
    assert one.digest() == two.digest() == hashlib.sha256(b"a\nb").hexdigest()


def test_a_long_batch_keeps_only_the_digest_of_its_positions() -> None:
    """Memory stays flat; numbered positions count by their range."""
    batch = Batch(ROUTE, 0.0, 1.0)
    batch.add(make_chunk(b"1", positions=RangeColumn("f:", range(1, 2))), [b"1\n"], 2)
    batch.add(make_chunk(b"2", b"3", positions=["x", "y"]), [b"2\n3\n"], 4)
    assert batch.positions == []
    assert batch.digest() == hashlib.sha256(b"f:1-1\nx\ny\n").hexdigest()
    assert (batch.first_position, batch.last_position) == ("f:1", "y")


def test_a_file_whose_name_is_no_utf8_has_a_digest() -> None:
    """Linux allows such names, and Python gives them with lone surrogates."""
    assert make_batch(
        make_chunk(b"1", positions=RangeColumn("\udcff.ndjson:", range(1, 2)))
    ).digest()


def test_the_lowest_sequence_number_is_lowest_as_a_number() -> None:
    """9 is below 10; batches of standard queues have none."""
    chunk = make_chunk(b"1", b"2", origin=QUEUE, positions=["a", "b"], sequence_numbers=["10", "9"])
    assert make_batch(chunk).lowest_sequence_number() == "9"
    assert make_batch(make_chunk(b"1", origin=QUEUE)).lowest_sequence_number() is None


def test_records_of_one_route_share_a_batch() -> None:
    """Those of others do not."""
    batches = OpenBatches(BatchLimits())
    (one, _), (same, _), (other, _) = (
        batches.add(route, make_chunk(b"1"), 0.0)[0] for route in (ROUTE, ROUTE, OTHER)
    )
    assert one is same
    assert other is not one
    assert len(batches) == 2
    assert list(batches) == [one, other]


def test_a_full_batch_is_sealed() -> None:
    """By bytes or by records, and the next record opens another."""
    batches = OpenBatches(BatchLimits(max_bytes=4, max_records=3))
    ((first, took),) = batches.add(ROUTE, make_chunk(b"1", b"2"), 0.0)
    assert (first.seal_reason, took) == (FlushReason.BYTES, 4)
    ((second, _),) = batches.add(ROUTE, make_chunk(b"", b"", b""), 0.0)
    assert second is not first
    assert second.seal_reason is FlushReason.RECORDS


def test_a_chunk_is_cut_where_a_batch_is_full() -> None:
    """Nothing is over the limit, nothing is lost, and the order stays."""
    batches = OpenBatches(BatchLimits(max_bytes=5))
    shares = batches.add(ROUTE, make_chunk("a", "b", "cc", "dd", "e"), 0.0)
    made = list(dict.fromkeys(batch for batch, _ in shares))
    assert sizes(shares) == [(2, 4), (2, 0), (1, 3), (1, 0), (2, 5)]
    assert [batch.seal_reason for batch in made] == [FlushReason.BYTES] * 3
    assert [texts_of(batch) for batch in made] == [b"a\nb\n", b"cc\n", b"dd\ne\n"]


def test_a_batch_without_room_for_the_next_record_is_sealed_and_given_with_nothing() -> None:
    """It leaves, and the record goes into the next."""
    batches = OpenBatches(BatchLimits(max_bytes=5))
    ((first, _),) = batches.add(ROUTE, make_chunk(b"aaa"), 0.0)
    (sealed, nothing), (second, took) = batches.add(ROUTE, make_chunk(b"bbb"), 0.0)
    assert (sealed, nothing) == (first, 0)
    assert first.seal_reason is FlushReason.BYTES
    assert (second.records, took) == (1, 4)


def test_a_chunk_is_cut_by_the_number_of_records() -> None:
    """Each batch has at most so many."""
    shares = OpenBatches(BatchLimits(max_records=2)).add(ROUTE, make_chunk(*[b"1"] * 5), 0.0)
    assert sizes(shares) == [(2, 4), (2, 4), (1, 2)]
    assert [b.seal_reason for b, _ in shares] == [FlushReason.RECORDS, FlushReason.RECORDS, None]


def test_a_record_larger_than_a_batch_gets_one_of_its_own() -> None:
    """Alone or among others."""
    batches = OpenBatches(BatchLimits(max_bytes=4))
    assert sizes(batches.add(ROUTE, make_chunk(b"x" * 9), 0.0)) == [(1, 10)]
    shares = batches.add(ROUTE, make_chunk(b"1", b"x" * 9, b"2"), 0.0)
    assert sizes(shares) == [(1, 2), (1, 0), (1, 10), (1, 2)]


def test_the_next_due_batch_is_the_oldest() -> None:
    """Nothing is due while none is open."""
    batches = OpenBatches(BatchLimits(linger_s=5))
    assert batches.next_due_s() == float("inf")
    batches.add(ROUTE, make_chunk(b"1"), 10.0)
    batches.add(OTHER, make_chunk(b"1"), 12.0)
    batches.add(ROUTE, make_chunk(b"1"), 14.0)
    assert batches.next_due_s() == 15.0


def test_batches_leave_when_their_oldest_record_has_lingered() -> None:
    """Not before, and not because of younger records."""
    batches = OpenBatches(BatchLimits(linger_s=5))
    ((one, _),) = batches.add(ROUTE, make_chunk(b"1"), 10.0)
    ((two, _),) = batches.add(OTHER, make_chunk(b"1"), 12.0)
    assert batches.seal_due(14.9) == []
    assert batches.seal_due(15.0) == [one]
    assert one.seal_reason is FlushReason.LINGER
    assert batches.seal_due(99.0) == [two]
    assert len(batches) == 0


def test_no_linger_seals_each_submit() -> None:
    """A time of 0 flushes each."""
    batches = OpenBatches(BatchLimits(linger_s=0))
    ((batch, _),) = batches.add(ROUTE, make_chunk(b"1", b"2"), 10.0)
    assert batch.seal_reason is FlushReason.LINGER


def test_sealing_all_leaves_none_open() -> None:
    """Each with the reason that was given."""
    batches = OpenBatches(BatchLimits())
    batches.add(ROUTE, make_chunk(b"1"), 0.0)
    batches.add(OTHER, make_chunk(b"1"), 0.0)
    assert [b.seal_reason for b in batches.seal_all(FlushReason.DRAIN)] == [FlushReason.DRAIN] * 2
    assert len(batches) == 0
    assert batches.seal_all(FlushReason.DRAIN) == []
