"""The order of objects in a catalog, from their keys alone."""

from __future__ import annotations

from batcher.keys.parse import parse_key
from batcher.reading.catalog import CatalogEntry, group_by_first_record
from batcher.reading.times import object_time_s
from batcher.stores.base import ListEntry

HOUR = "dt=2026-11-23/hour=07"


def entry(partition: str, name: str) -> CatalogEntry:
    """Return the entry of an object."""
    key = f"{partition}/{name}.ndjson.gz"
    parsed_key = parse_key(key, "")
    return CatalogEntry(ListEntry(key, 1, "etag", 0.0), parsed_key, object_time_s(parsed_key))


def stream_name(shard: int, number: int) -> str:
    """Return the name of an object of a shard."""
    return f"orders-shardId-{shard:012d}-{number:064d}"


def test_objects_are_sorted_by_hour_then_shard_then_number() -> None:
    """Whatever other partitions there are below the hour."""
    entries = [
        entry(f"{HOUR}/c=z", stream_name(1, 5)),
        entry(f"{HOUR}/c=a", stream_name(1, 7)),
        entry(f"{HOUR}/c=b", stream_name(1, 10)),
        entry(f"{HOUR}/c=a", stream_name(2, 1)),
        entry("dt=2026-11-23/hour=08/c=a", stream_name(1, 1)),
    ]
    mixed = [entries[number] for number in (3, 1, 4, 2, 0)]
    assert sorted(mixed, key=lambda each: each.sort_key) == entries


def test_objects_of_a_partition_with_the_same_first_record_are_a_group() -> None:
    """With another suffix, or under another salt."""
    one = entry(f"{HOUR}/c=a", stream_name(1, 5))
    other = CatalogEntry(
        one.list_entry, parse_key(one.parsed_key.key.replace(".gz", ".zst"), ""), one.time_s
    )
    elsewhere = entry(f"{HOUR}/c=b", stream_name(1, 5))
    assert list(group_by_first_record([one, other, elsewhere])) == [[one, other], [elsewhere]]
