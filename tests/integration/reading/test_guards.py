"""Reading objects back: guards are left out, because they have no records."""

from __future__ import annotations

import gzip

import pytest

from batcher.stores import ObjectAttributes
from integration.reading.read_all import Reading, numbers
from support.sample_bucket import SampleBucket, key_of, put_range, stream_name


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
