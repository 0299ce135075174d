"""Reading objects back: each record of a stream is read once, wherever objects share it."""

from __future__ import annotations

import random

import pytest

from batcher.errors import DamagedError, NotFoundError
from batcher.reading import duplicates
from batcher.reading.findings import FindingKind
from batcher.stores.memory import MemoryStore
from batcher.tools.verify.report import VerifyReport
from batcher.tools.verify.verify import Verifier
from integration.reading.read_all import Reading, numbers
from support.sample_bucket import ROOT, SampleBucket, put_listed, put_range

TABLE = "Orders-2026-11-23T06%3A48%3A05.899"


async def _count_duplicates(store: MemoryStore) -> int:
    report = VerifyReport()
    await Verifier(store, ROOT, report, 4).run(lambda: 0.0, lambda: None)
    return report.duplicates


@pytest.mark.parametrize("stem", ["orders-shardId-000000000003", TABLE])
@pytest.mark.parametrize("seed", range(12))
async def test_any_objects_give_each_record_once(
    sample_bucket: SampleBucket, seed: int, stem: str
) -> None:
    """However they lie in each other. `verify` counts as many duplicates as lines are left out."""
    rng = random.Random(seed)  # noqa: S311  # not for secrets
    objects = []
    for first in rng.sample(range(200), 25):
        length = rng.choice([2, 8, 60, 300])
        rest = rng.sample(range(first + 1, first + 1 + length), rng.randint(0, min(length, 40)))
        objects.append([first, *sorted(rest)])
        await put_listed(sample_bucket, objects[-1], stem=stem, fanout=rng.choice([1, 16]))
    everything = sorted({number for each in objects for number in each})
    stored = sum(map(len, objects))
    for ordered in (True, False):
        reading = await Reading(sample_bucket).run(ordered=ordered)
        assert sorted(reading.lines) == sorted(b"%d" % number for number in everything)
        assert not reading.keys_of(FindingKind.OVERLAP)
        sample_bucket.is_closed = False
    assert await _count_duplicates(sample_bucket) == stored - len(everything)
    reading = await Reading(sample_bucket).run(covered=True)
    assert len(reading.lines) == stored


async def test_single_lines_are_left_out_and_counted(sample_bucket: SampleBucket) -> None:
    """Of the object that begins later. The finding names the objects that have them."""
    odd = await put_listed(sample_bucket, range(1, 100, 2))
    even = await put_listed(sample_bucket, range(2, 100, 2))
    later = await put_listed(sample_bucket, [6, 9, 10, 200])
    async with Reading(sample_bucket).objects(ordered=True) as objects:
        seen = [(found.key, found.records, found.duplicates) async for found in objects]
    assert seen == [(odd, 50, 0), (even, 49, 0), (later, 4, 3)]
    reading = await Reading(sample_bucket).run(ordered=True)
    assert reading.lines[-2:] == [b"98", b"200"]
    (finding,) = reading.findings
    assert (finding.kind, finding.key) == (FindingKind.DUPLICATE, later)
    assert finding.detail.startswith(f"3 of its records are left out: they are in {even}, ")


async def test_positions_with_an_index_are_lines_of_their_own(sample_bucket: SampleBucket) -> None:
    """Records that share a sequence number."""
    await put_listed(sample_bucket, ["1", "5", "5/1", "5/2"])
    await put_listed(sample_bucket, ["5/2", "5/3", "6"])
    await put_listed(sample_bucket, ["6", "6/1"])
    reading = await Reading(sample_bucket).run()
    assert sorted(reading.lines) == [b"1", b"5", b"5/1", b"5/2", b"5/3", b"6", b"6/1"]
    assert await _count_duplicates(sample_bucket) == 2


async def test_an_object_may_begin_with_an_index(sample_bucket: SampleBucket) -> None:
    """Its name has the number alone, and `verify` compares both."""
    await put_listed(sample_bucket, ["5/1", "6"])
    assert await _count_duplicates(sample_bucket) == 0


async def test_without_overlap_nothing_more_is_read(sample_bucket: SampleBucket) -> None:
    """An object is opened once, whatever its list says."""
    for first in range(0, 200, 10):
        await put_listed(sample_bucket, range(first, first + 10 - first // 10 % 2))
    await Reading(sample_bucket).run()
    assert sample_bucket.count("read") == 20


async def test_lists_in_the_metadata_cost_no_request(sample_bucket: SampleBucket) -> None:
    """Concurrent batches: an object that overlaps another is opened once more, after comparing."""
    for first in range(5):
        await put_listed(sample_bucket, range(first, 100, 5))
    await Reading(sample_bucket).run()
    assert sample_bucket.count("read") == 1 + 4 * 2


@pytest.mark.parametrize("records", ["6", "2", "", "x"])
async def test_lines_that_cannot_be_matched_with_positions_are_read(
    sample_bucket: SampleBucket, records: str
) -> None:
    """A transform may make several lines of a record. The overlap is reported."""
    await put_listed(sample_bucket, range(10))
    text = b"a\na\nb\nb\nc\nc\n"
    later = await put_listed(sample_bucket, [8, 9, 10], text=text, records=records)
    reading = await Reading(sample_bucket).run()
    assert sorted(reading.lines) == sorted([*numbers(range(10)), *text.split()])
    (finding,) = reading.findings
    assert (finding.kind, finding.key) == (FindingKind.OVERLAP, later)
    assert "its 3 positions cannot be matched with" in finding.detail


async def test_a_number_of_lines_that_the_metadata_hides_is_an_error(
    sample_bucket: SampleBucket,
) -> None:
    """Lines were left out by their number: that is never silent."""
    await put_listed(sample_bucket, range(10))
    later = await put_listed(sample_bucket, [8, 9, 10], text=b"a\nb\nc\nd\n")
    reading = await Reading(sample_bucket).run()
    assert isinstance(reading.errors[later], DamagedError)


@pytest.mark.parametrize("text", [b"0\n1\n2", b"0\n1\n", b"0\n1\n2\n3\n"])
async def test_an_object_that_has_not_all_its_lines_hides_none(
    sample_bucket: SampleBucket, text: bytes
) -> None:
    """What its list names may be missing in it."""
    damaged = await put_listed(sample_bucket, [0, 1, 2], text=text)
    later = await put_listed(sample_bucket, [1, 2, 3])
    third = await put_listed(sample_bucket, [2, 3, 4])
    reading = await Reading(sample_bucket).run(ordered=True)
    assert reading.lines[-4:] == [b"1", b"2", b"3", b"4"]
    assert reading.keys_of(FindingKind.OVERLAP) == [later]
    assert reading.keys_of(FindingKind.DUPLICATE) == [third]
    assert f"2 of its records should be in {damaged}" in reading.findings[0].detail


async def test_a_list_that_does_not_match_its_digest_hides_nothing(
    sample_bucket: SampleBucket,
) -> None:
    """The objects are compared as if it had none."""
    wrong = await put_listed(sample_bucket, range(10), digest="0" * 64)
    later = await put_listed(sample_bucket, [8, 9, 10])
    reading = await Reading(sample_bucket).run(ordered=True)
    assert reading.lines == [b"%d" % number for number in (*range(10), 8, 9, 10)]
    (finding,) = reading.findings
    assert (finding.kind, finding.key) == (FindingKind.OVERLAP, later)
    assert wrong in finding.detail


async def test_shards_of_a_table_that_share_numbers_share_no_records(
    sample_bucket: SampleBucket,
) -> None:
    """Names of a table's objects have no shard, so equal numbers need equal lines."""
    await put_listed(sample_bucket, range(10), "a{}", stem=TABLE)
    await put_listed(sample_bucket, range(3, 13), "b{}", stem=TABLE)
    await put_listed(sample_bucket, range(5, 15), "b{}", stem=TABLE)
    covered = await put_listed(sample_bucket, range(6, 9), "a{}", stem=TABLE)
    reading = await Reading(sample_bucket).run()
    expected = [f"a{n}".encode() for n in range(10)] + [f"b{n}".encode() for n in range(3, 15)]
    assert sorted(reading.lines) == sorted(expected)
    assert reading.keys_of(FindingKind.COVERED) == [covered]
    assert await _count_duplicates(sample_bucket) == 8 + 3


async def test_an_object_without_list_between_others_hides_no_duplicates(
    sample_bucket: SampleBucket,
) -> None:
    """The others are compared by their positions, and with it by text."""
    await put_listed(sample_bucket, range(0, 20, 2))
    without = await put_range(sample_bucket, 5, 9)
    later = await put_listed(sample_bucket, [6, 8, 21, 30])
    reading = await Reading(sample_bucket).run(ordered=True)
    assert reading.lines[-2:] == [b"21", b"30"]
    assert reading.keys_of(FindingKind.DUPLICATE) == [later]
    assert reading.keys_of(FindingKind.OVERLAP) == sorted([without, later])


@pytest.mark.parametrize("width", [1, 700_000, 2_500_000])
async def test_lines_of_any_length_are_left_out_whole(
    sample_bucket: SampleBucket, width: int
) -> None:
    """Blocks of text end anywhere in them. Carriage returns end no line."""
    await put_listed(sample_bucket, range(4), f"{{}}\r{'x' * width}")
    await put_listed(sample_bucket, [1, 3, 4, 5], f"{{}}\r{'x' * width}")
    reading = await Reading(sample_bucket).run(ordered=True)
    assert [line[:2] for line in reading.lines] == [b"%d\r" % number for number in range(6)]
    assert {len(line) for line in reading.lines} == {width + 2}


async def test_too_many_positions_are_not_compared(
    sample_bucket: SampleBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded. All is read, with a finding."""
    monkeypatch.setattr(duplicates, "MAX_HELD_POSITIONS", 12)
    await put_listed(sample_bucket, range(10))
    later = await put_listed(sample_bucket, range(5, 14))
    reading = await Reading(sample_bucket).run()
    assert sorted(reading.lines) == numbers(range(10), range(5, 14))
    assert reading.keys_of(FindingKind.OVERLAP) == [later]


async def test_many_shards_with_duplicates_share_the_memory(
    sample_bucket: SampleBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their positions are read again when they are needed."""
    monkeypatch.setattr("batcher.reading.overlap.MAX_HELD_POSITIONS", 100)
    for shard in range(5):
        for first in range(0, 60, 5):
            stem = f"orders-shardId-{shard:012d}"
            await put_listed(sample_bucket, range(first, first + 12), f"{shard}-{{}}", stem=stem)
    reading = await Reading(sample_bucket).run()
    expected = [f"{shard}-{n}".encode() for shard in range(5) for n in range(67)]
    assert sorted(reading.lines) == sorted(expected)


async def test_an_object_whose_list_cannot_be_read_again_blocks_no_others(
    sample_bucket: SampleBucket,
) -> None:
    """It is read if it comes back, and its error is raised if not. The others are compared."""
    first = await put_listed(sample_bucket, range(9))
    gone = await put_listed(sample_bucket, range(2, 13))
    await put_listed(sample_bucket, range(5, 16))

    def fail(request: str, attempt: int) -> Exception | None:
        return NotFoundError("gone") if request == f"read {gone}" and attempt > 1 else None

    sample_bucket.error_for = fail
    reading = await Reading(sample_bucket).run(ordered=True)
    assert isinstance(reading.errors[gone], NotFoundError)
    assert first in reading.keys
    assert sorted(set(reading.lines)) == sorted(numbers(range(9), range(9, 16)))
