"""Ranges: objects of one shard and partition whose sequence numbers overlap."""

from __future__ import annotations

import pytest

from batcher.keys.parse import parse_key
from batcher.reading.overlap import SequenceRange, ShardRanges, read_sequence_range


def overlaps(*ranges: tuple[int, int]) -> list[tuple[str, str]]:
    """Return the overlaps of one shard's ranges, each range by its bounds."""
    all_of_them = ShardRanges()
    for first, last in ranges:
        all_of_them.add("s", "p", SequenceRange(first, last, f"{first}-{last}"))
    return [(earlier.key, later.key) for earlier, later in all_of_them.overlaps()]


@pytest.mark.parametrize(
    ("ranges", "overlapping"),
    [
        ([], []),
        ([(1, 5)], []),
        ([(1, 5), (6, 9)], []),
        ([(6, 9), (1, 5)], []),
        ([(1, 5), (5, 9)], [("1-5", "5-9")]),
        ([(5, 9), (1, 5)], [("1-5", "5-9")]),
        ([(1, 9), (3, 4), (6, 7)], [("1-9", "3-4"), ("1-9", "6-7")]),
        ([(1, 9), (3, 4), (10, 11)], [("1-9", "3-4")]),
        ([(1, 3), (2, 9), (8, 12)], [("1-3", "2-9"), ("2-9", "8-12")]),
        ([(1, 1), (1, 1)], [("1-1", "1-1")]),
    ],
)
def test_each_object_that_starts_before_another_ends_is_found(
    ranges: list[tuple[int, int]], overlapping: list[tuple[str, str]]
) -> None:
    """Also after an object that is within another."""
    assert overlaps(*ranges) == overlapping


def test_other_shards_and_partitions_do_not_overlap() -> None:
    """One invocation writes an object of the same range into each of its partitions."""
    ranges = ShardRanges()
    for stem, partition in (("s", "p"), ("s", "q"), ("t", "p")):
        ranges.add(stem, partition, SequenceRange(1, 9, f"{stem}{partition}"))
    assert list(ranges.overlaps()) == []


@pytest.mark.parametrize(("said", "last"), [("9", 9), ("3", 5), ("x", 5), ("", 5), (None, 5)])
def test_a_range_comes_from_the_name_and_the_metadata(said: str | None, last: int) -> None:
    """Without a valid end in the metadata, the end is the start."""
    name = parse_key(f"orders-shardId-000000000003-{5:064d}.ndjson.gz", "")
    metadata = {} if said is None else {"batcher-last": said}
    assert read_sequence_range(name, metadata) == SequenceRange(5, last, name.key)


def test_only_stream_objects_have_a_range() -> None:
    """The number of a queue's object is a time."""
    name = parse_key(f"jobs-1795417200000-{'ab' * 16}.ndjson.gz", "")
    assert read_sequence_range(name, {"batcher-last": "7"}) is None
