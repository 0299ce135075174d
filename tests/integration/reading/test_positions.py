"""Reading objects back: guards are left out, and positions lists decide what is covered."""

from __future__ import annotations

import gzip

import pytest

from batcher.reading.findings import FindingKind
from batcher.stores import ObjectAttributes
from integration.reading.read_all import Reading, numbers
from support.sample_bucket import SampleBucket, key_of, put_listed, put_range, stream_name


async def _put_guard(bucket: SampleBucket, first: int, last: int, of: str, fanout: int) -> str:
    key = key_of(stream_name(first), fanout=fanout)
    fields = {"kind": "guard", "of": of, "first": str(first), "last": str(last)}
    metadata = {f"batcher-{name}": value for name, value in fields.items()}
    await bucket.put(key, gzip.compress(b"", mtime=0), ObjectAttributes(metadata=metadata))
    return key


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("covered", [True, False])
async def test_a_guard_is_not_read_and_hides_nothing(
    sample_bucket: SampleBucket,
    ordered: bool,  # noqa: FBT001  # a parameter of the test
    covered: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Its range is no range of records: not before, within, or after those of other objects."""
    outer = await put_range(sample_bucket, 100, 199)
    after = await put_range(sample_bucket, 200, 210)
    for first, last in [(50, 500), (150, 199), (200, 300), (205, 210)]:
        await _put_guard(sample_bucket, first, last, outer, fanout=64)
    reading = await Reading(sample_bucket).run(ordered=ordered, covered=covered)
    assert sorted(reading.keys) == sorted([outer, after])
    assert sorted(reading.lines) == numbers(range(100, 211))
    assert not reading.findings
    assert not reading.errors


async def test_equal_records_of_other_positions_are_read(sample_bucket: SampleBucket) -> None:
    """Concurrent batches of a shard whose payloads repeat: their texts cannot be told apart."""
    await put_listed(sample_bucket, range(0, 100, 2), "same")
    await put_listed(sample_bucket, range(1, 90, 2), "same")
    reading = await Reading(sample_bucket).run()
    assert len(reading.lines) == 50 + 45
    assert not reading.findings


async def test_positions_within_another_object_are_left_out(sample_bucket: SampleBucket) -> None:
    """Also if they are no consecutive lines of it."""
    outer = await put_listed(sample_bucket, range(100))
    inner = await put_listed(sample_bucket, range(1, 90, 3))
    reading = await Reading(sample_bucket).run()
    assert (reading.keys, reading.keys_of(FindingKind.COVERED)) == ([outer], [inner])
    assert sorted(reading.lines) == numbers(range(100))


async def test_an_object_with_a_list_and_one_without_are_compared_by_text(
    sample_bucket: SampleBucket,
) -> None:
    """The first version wrote one of them."""
    await put_range(sample_bucket, 0, 99)
    inner = await put_listed(sample_bucket, range(10, 20))
    reading = await Reading(sample_bucket).run()
    assert sorted(reading.lines) == numbers(range(100))
    assert reading.keys_of(FindingKind.COVERED) == [inner]
