"""Reading objects back: covered objects are left out and reported."""

from __future__ import annotations

import pytest

from batcher.errors import NotFoundError
from batcher.reading.findings import FindingKind
from integration.reading.read_all import Reading, numbers
from support.sample_bucket import HOUR, SampleBucket, key_of, put, put_range, stream_name


async def test_an_object_within_the_range_and_text_of_another_is_left_out(
    sample_bucket: SampleBucket,
) -> None:
    """At any place in it. That happens when a checkpoint falls back."""
    outer = await put_range(sample_bucket, 100, 199)
    for first, last in [(100, 149), (120, 130), (150, 199), (199, 199)]:
        await put_range(sample_bucket, first, last, fanout=64 if first == 100 else 16)
    after = await put_range(sample_bucket, 200, 210)
    for ordered in (True, False):
        reading = await Reading(sample_bucket).run(ordered=ordered)
        assert sorted(reading.keys) == sorted([outer, after])
        assert sorted(reading.lines) == numbers(range(100, 211))
        assert len(reading.keys_of(FindingKind.COVERED)) == 4
        assert not reading.keys_of(FindingKind.OVERLAP)
        assert f"all of its records are in {outer};" in reading.findings[0].detail


async def test_covered_includes_covered_objects(sample_bucket: SampleBucket) -> None:
    """Nothing is compared, and each object is opened once."""
    await put_range(sample_bucket, 1, 9)
    await put_range(sample_bucket, 2, 8)
    sample_bucket.requests.clear()
    reading = await Reading(sample_bucket).run(covered=True)
    assert sorted(reading.lines) == numbers(range(1, 10), range(2, 9))
    assert not reading.findings
    assert sample_bucket.count("read") == 2


async def test_consecutive_ranges_cost_no_extra_request(
    sample_bucket: SampleBucket,
) -> None:
    """The end of a range is in the metadata of the opened object."""
    for first in range(0, 200, 10):
        await put_range(sample_bucket, first, first + 9)
    await Reading(sample_bucket).run()
    assert sample_bucket.count("read") == 20


async def test_a_partial_overlap_is_read_and_reported(sample_bucket: SampleBucket) -> None:
    """Otherwise records would be lost."""
    first = await put_range(sample_bucket, 1, 10)
    later = await put_range(sample_bucket, 6, 15)
    reading = await Reading(sample_bucket).run(ordered=True)
    assert reading.lines == [b"%d" % n for n in (*range(1, 11), *range(6, 16))]
    (finding,) = reading.findings
    assert (finding.kind, finding.key) == (FindingKind.OVERLAP, later)
    assert finding.detail == f"6 to 15 overlaps 1 to 10 of {first}; both are read"


async def test_an_object_with_other_records_is_read_although_its_range_is_within_another(
    sample_bucket: SampleBucket,
) -> None:
    """Concurrent batches of a shard, by a parallelization factor: odd and even numbers."""
    for start in (0, 1):
        text = b"".join(b"%d\n" % number for number in range(start, 100 - 10 * start, 2))
        last = 98 if start == 0 else 89
        key = key_of(stream_name(start))
        await put(sample_bucket, key, text, first=str(start), last=str(last))
    reading = await Reading(sample_bucket).run()
    assert sorted(reading.lines) == numbers(range(0, 100, 2), range(1, 90, 2))
    (finding,) = reading.findings
    assert finding.kind is FindingKind.OVERLAP
    assert finding.detail.endswith("; its records differ; both are read")


async def test_overlaps_without_shards_are_not_reported(
    sample_bucket: SampleBucket,
) -> None:
    """DynamoDB keys have no shard. Covered objects are left out all the same."""
    for first, last, text in [
        (1, 9, b"a\nb\nc\n"),
        (2, 8, b"x\n"),
        (3, 7, b"b\nc\n"),
        (5, 12, b"y\n"),
    ]:
        name = f"Orders-2026-11-23T06%3A48%3A05.899-{first:064d}"
        await put(sample_bucket, key_of(name), text, first=str(first), last=str(last))
    reading = await Reading(sample_bucket).run(ordered=True)
    assert reading.lines == [b"a", b"b", b"c", b"x", b"y"]
    assert [finding.kind for finding in reading.findings] == [FindingKind.COVERED]


async def test_other_shards_and_partitions_do_not_overlap(sample_bucket: SampleBucket) -> None:
    """They have other records of the same range."""
    await put_range(sample_bucket, 1, 9)
    await put_range(sample_bucket, 2, 8, "dt=2026-11-23/hour=08")
    await put_range(sample_bucket, 3, 7, f"{HOUR}/customer=a")
    await put(sample_bucket, key_of(stream_name(2, shard=4)), b"2\n3\n", first="2", last="3")
    reading = await Reading(sample_bucket).run()
    assert len(reading.keys) == 4
    assert not reading.findings


@pytest.mark.parametrize("wrong", ["damaged", "gone", "long"])
async def test_a_covering_object_must_be_readable(
    sample_bucket: SampleBucket, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the covered object is the only one with these records."""
    outer = await put_range(sample_bucket, 1, 9)
    inner = await put_range(sample_bucket, 2, 8)
    if wrong == "damaged":
        there = sample_bucket.objects[outer]
        await sample_bucket.put(outer, there.body[:-3], there.attributes, if_match=there.info.etag)
    elif wrong == "long":
        monkeypatch.setattr("batcher.reading.comparison.MAX_COMPARED_BYTES", 16)
    else:
        sample_bucket.error_for = lambda request, attempt: (
            NotFoundError("gone") if request == f"read {outer}" and attempt > 1 else None
        )
    reading = await Reading(sample_bucket).run(ordered=True)
    assert reading.keys == [outer, inner]
    assert reading.lines[-7:] == [b"%d" % n for n in range(2, 9)]
    (finding,) = reading.findings
    assert "cannot be compared" in finding.detail


async def test_the_longest_object_with_the_same_start_is_read(
    sample_bucket: SampleBucket,
) -> None:
    """The fanout was changed before the retry, so the shorter one was not replaced."""
    for fanout, last in [(1, 4), (16, 12), (64, 7), (4, 12)]:
        await put_range(sample_bucket, 1, last, fanout=fanout)
    reading = await Reading(sample_bucket).run()
    assert sorted(reading.lines) == numbers(range(1, 13))
    assert len(reading.keys_of(FindingKind.COVERED)) == 3


async def test_an_object_without_its_end_in_the_metadata_covers_nothing(
    sample_bucket: SampleBucket,
) -> None:
    """A copy without metadata, or an invalid number."""
    for first, last in [(1, "x"), (2, "3"), (5, "")]:
        await put(sample_bucket, key_of(stream_name(first)), b"%d\n" % first, last=last)
    reading = await Reading(sample_bucket).run()
    assert len(reading.keys) == 3
    assert not reading.findings


async def test_a_removed_object_covers_nothing_and_does_not_block_others(
    sample_bucket: SampleBucket,
) -> None:
    """A lifecycle rule removed it between listing and reading."""
    gone = await put_range(sample_bucket, 1, 9)
    await put_range(sample_bucket, 2, 8)
    await put_range(sample_bucket, 3, 7)

    def delete(request: str, _: int) -> None:
        if request == f"read {gone}":
            sample_bucket.objects.pop(gone, None)

    sample_bucket.error_for = delete
    reading = await Reading(sample_bucket).run()
    assert sorted(reading.lines) == numbers(range(2, 9))
    assert isinstance(reading.errors[gone], NotFoundError)
    assert len(reading.keys_of(FindingKind.COVERED)) == 1


async def test_an_object_that_cannot_be_opened_does_not_break_the_chain(
    sample_bucket: SampleBucket,
) -> None:
    """The object after it is still within the one before it."""
    outer = await put_range(sample_bucket, 1, 9)
    gone = await put_range(sample_bucket, 2, 20)
    await put_range(sample_bucket, 3, 7)

    def delete(request: str, _: int) -> None:
        if request == f"read {gone}":
            sample_bucket.objects.pop(gone, None)

    sample_bucket.error_for = delete
    reading = await Reading(sample_bucket).run(ordered=True)
    assert reading.keys == [outer, gone]
    assert reading.lines == [b"%d" % number for number in range(1, 10)]


async def test_a_text_that_begins_within_anothers_line_is_not_in_it(
    sample_bucket: SampleBucket,
) -> None:
    """Whole lines count: `2` is not in `12`; nor is a text that was cut off."""
    await put(sample_bucket, key_of(stream_name(1)), b"12\n34\n", first="1", last="9")
    await put(sample_bucket, key_of(stream_name(2)), b"2\n34\n", first="2", last="3")
    await put(sample_bucket, key_of(stream_name(4)), b"34", first="4", last="4")
    reading = await Reading(sample_bucket).run(ordered=True)
    assert reading.lines == [b"12", b"34", b"2", b"34"]
    assert len(reading.keys_of(FindingKind.OVERLAP)) == 2
