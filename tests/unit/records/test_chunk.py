"""Chunk: many records in columns."""

from __future__ import annotations

import pytest

from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, MillisColumn, RangeColumn, take_values
from support.examples import LIBRARY, QUEUE, SHARD, make_chunk, make_chunk_of_text


def full_chunk() -> Chunk:
    """Make a chunk in which every column is there."""
    return make_chunk(
        b"a",
        b"b",
        b"c",
        origin=QUEUE,
        positions=["1", "2", "3"],
        arrivals_s=[3.0, 1.0, 2.0],
        envelopes=[{"n": 1}, {"n": 2}, {"n": 3}],
        sequence_numbers=["10", "20", "30"],
    )


def test_a_column_of_one_value_is_as_long_as_it_says() -> None:
    """Its length costs nothing, and it ends where a list would."""
    column = ConstantColumn("x", 3)
    assert list(column) == ["x", "x", "x"]
    assert column[-1] == "x"
    with pytest.raises(IndexError):
        column[3]


def test_a_slice_of_a_column_of_one_value_is_such_a_column() -> None:
    """Slices count as those of a list do."""
    assert ConstantColumn("x", 5)[1:3] == ConstantColumn("x", 2)
    assert ConstantColumn("x", 5)[4:] == ConstantColumn("x", 1)
    assert len(ConstantColumn("x", 5)[7:9]) == 0


def test_numbered_positions_are_prefix_and_number() -> None:
    """Each position is text; a slice is a shorter column."""
    column = RangeColumn("a.ndjson:", range(1, 4))
    assert list(column) == ["a.ndjson:1", "a.ndjson:2", "a.ndjson:3"]
    assert list(column[1:]) == ["a.ndjson:2", "a.ndjson:3"]
    assert len(column) == 3


def test_numbered_positions_tell_themselves_in_one_line() -> None:
    """A long batch keeps only this of them."""
    assert str(RangeColumn("a.ndjson:", range(1, 5001))) == "a.ndjson:1-5000"
    assert str(RangeColumn("a.ndjson:", range(0))) == "a.ndjson:"


def test_numbered_positions_that_follow_each_other_can_be_joined() -> None:
    """Others cannot."""
    column = RangeColumn("a:", range(1, 3))
    assert column.join(RangeColumn("a:", range(3, 5))) == RangeColumn("a:", range(1, 5))
    assert column.join(RangeColumn("a:", range(4, 5))) is None
    assert column.join(RangeColumn("b:", range(3, 5))) is None


@pytest.mark.parametrize("indices", [[], [1], [2, 0]])
def test_picking_gives_the_values_at_the_indices_in_their_order(indices: list[int]) -> None:
    """Whatever kind the column is, none and one included."""
    plain, same, numbered = ["a", "b", "c"], ConstantColumn("x", 3), RangeColumn("n", range(3))
    assert list(take_values(plain, indices)) == [plain[i] for i in indices]
    assert list(take_values(same, indices)) == ["x"] * len(indices)
    assert list(take_values(numbered, indices)) == [f"n{i}" for i in indices]


def test_taking_records_takes_them_in_every_column() -> None:
    """In the order that was asked for."""
    taken = full_chunk().take([2, 0])
    assert list(taken.payloads) == [b"c", b"a"]
    assert list(taken.positions) == ["3", "1"]
    assert list(taken.arrivals_s) == [2.0, 3.0]
    assert list(taken.envelopes or ()) == [{"n": 3}, {"n": 1}]
    assert list(taken.sequence_numbers or ()) == ["30", "10"]
    assert taken.origin == QUEUE


def test_lines_of_a_text_are_payloads_without_their_newlines() -> None:
    """They are counted and measured without being cut apart, and looked at as any others."""
    chunk = make_chunk_of_text(b"a\n\nbcd\n")
    assert (len(chunk), chunk.total_length, chunk.text) == (3, 4, b"a\n\nbcd\n")
    assert not chunk.is_str
    assert list(chunk.payloads) == [b"a", b"", b"bcd"]
    assert (chunk.payloads[2], chunk.payloads[:2], chunk.lengths) == (
        b"bcd",
        [b"a", b""],
        [1, 0, 3],
    )


def test_lines_that_are_taken_or_cut_out_leave_their_text() -> None:
    """It would have the others in it."""
    chunk = make_chunk_of_text(b"a\nb\nc\n")
    for part in (chunk.take([2, 0]), chunk.take([1]), chunk.slice(1, 3)):
        assert part.text is None
    assert list(chunk.take([2, 0]).payloads) == [b"c", b"a"]
    assert list(chunk.slice(1, 3).payloads) == [b"b", b"c"]


def test_cutting_a_chunk_cuts_every_column() -> None:
    """From the first one on."""
    part = full_chunk().slice(1, 2)
    assert list(part.payloads) == [b"b"]
    assert list(part.positions) == ["2"]
    assert list(part.arrivals_s) == [1.0]
    assert list(part.envelopes or ()) == [{"n": 2}]
    assert list(part.sequence_numbers or ()) == ["20"]


def test_cutting_everything_gives_the_chunk_itself() -> None:
    """Its text stays with it."""
    chunk = full_chunk()
    assert chunk.slice(0, 3) is chunk
    assert chunk.slice(0, 99) is chunk


def test_columns_that_are_not_there_stay_away() -> None:
    """Neither taking nor cutting invents envelopes or sequence numbers."""
    chunk = make_chunk(b"a", b"b")
    for part in (chunk.take([1]), chunk.slice(1, 2)):
        assert part.envelopes is None
        assert part.sequence_numbers is None


def test_a_column_of_milliseconds_gives_seconds() -> None:
    """Of those that are looked at; parts of it are such columns too."""
    column = MillisColumn([1500, 500, 2000])
    assert list(column) == [1.5, 0.5, 2.0]
    assert column[1:] == MillisColumn([500, 2000])
    assert list(take_values(column, [2, 0])) == [2.0, 1.5]
    assert list(take_values(column, [1])) == [0.5]
    chunk = make_chunk(b"1", b"2", b"3", arrivals_s=column)
    assert (chunk.oldest_arrival_s, chunk.newest_arrival_s) == (0.5, 2.0)


def test_a_chunk_knows_how_long_its_payloads_are_together() -> None:
    """Bytes, or characters of text; a part of it has its own."""
    chunk = make_chunk("a", "\u00e9\u00e9")
    assert chunk.total_length == 3
    assert chunk.take([0]).total_length == 1
    assert chunk.slice(1, 2).total_length == 2
    assert make_chunk().total_length == 0


def test_a_chunk_knows_its_earliest_and_latest_arrival() -> None:
    """Whether arrivals differ or all are one."""
    assert (full_chunk().oldest_arrival_s, full_chunk().newest_arrival_s) == (1.0, 3.0)
    chunk = make_chunk(b"a", b"b", arrivals_s=ConstantColumn(7.0, 2))
    assert (chunk.oldest_arrival_s, chunk.newest_arrival_s) == (7.0, 7.0)


def test_only_queues_and_streams_send_the_same_records_again() -> None:
    """A direct invoke is an event too, but its objects are fresh."""
    direct = Origin("direct", NamingScheme.FRESH)
    assert [o.is_redeliverable for o in (QUEUE, SHARD, direct, LIBRARY)] == [
        True,
        True,
        False,
        False,
    ]
    assert [o.is_event for o in (QUEUE, SHARD, direct, LIBRARY)] == [True, True, True, False]
