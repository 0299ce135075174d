"""What `batcher verify` finds by positions lists: duplicates, wrong lists, lost objects."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from batcher.handler import make_handler
from batcher.reading import duplicates
from batcher.stores.file import FileStore
from support.examples import kinesis_record, make_settings
from support.handler_harness import NO_FAILURES
from support.planted_objects import counted, plant_positions, plant_stream, verify

STEP = 2**80
"""Sequence numbers of Kinesis grow by multiples of this."""

PLACES = [("gzip", "body"), ("zstd", "body"), ("gzip", "metadata")]


@pytest.mark.parametrize(("compression", "place"), PLACES)
def test_objects_with_other_records_in_overlapping_ranges_are_clean(
    folder: Path, capsys: pytest.CaptureFixture[str], compression: str, place: str
) -> None:
    """Concurrent batches of a shard: by their ranges they could be duplicates."""
    for start in range(3):
        positions = range((5 + start) * STEP, 500 * STEP, 3 * STEP)
        plant_positions(folder, positions, compression=compression, in_body=place == "body")
    code, report = verify(folder, capsys)
    assert (code, report["findings"], report["duplicates"]) == (0, [], 0)


@pytest.mark.parametrize(("compression", "place"), PLACES)
def test_duplicates_are_counted_by_positions(
    folder: Path, capsys: pytest.CaptureFixture[str], compression: str, place: str
) -> None:
    """Also of an object that is not the one with the highest end, and with --allow-overlaps."""
    odd = plant_positions(
        folder, range(1, 1000, 2), compression=compression, in_body=place == "body"
    )
    even = plant_positions(
        folder, range(2, 900, 2), compression=compression, in_body=place == "body"
    )
    both = plant_positions(folder, [7 * 8, 57, 60, 61, 63], in_body=False)
    for flags in ([], ["--allow-overlaps"]):
        code, report = verify(folder, capsys, *flags)
        assert (code, report["duplicates"]) == (1, 5)
        assert {(found["kind"], found["key"]) for found in report["findings"]} == {
            ("duplicate", both)
        }
        assert sorted(found["detail"] for found in report["findings"]) == sorted(
            [f"3 records of it in {odd}, too", f"2 records of it in {even}, too"]
        )


def test_an_object_without_list_is_compared_by_its_range(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As objects of the first version are. The others are still compared by their positions."""
    plant_positions(folder, range(1, 100, 2))
    plant_positions(folder, range(2, 100, 2))
    later = plant_stream(folder, 50, 60)
    code, report = verify(folder, capsys)
    assert (code, report["duplicates"]) == (1, 0)
    assert [(found["kind"], found["key"]) for found in report["findings"]] == [("overlap", later)]


def test_other_partitions_have_no_duplicates(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One invocation writes an object per partition, whose ranges overlap."""
    for partition in ("p=1", "p=2"):
        plant_positions(folder, range(10), partition=partition)
    code, report = verify(folder, capsys)
    assert (code, report["findings"]) == (0, [])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"listed": [5, 6, 8]}, "the positions list does not match batcher-digest"),
        ({"digest": "0" * 64}, "the positions list does not match batcher-digest"),
        ({"positions": "#"}, "cannot be read: batcher-positions is not base64"),
        ({"positions": "AAAA"}, "the positions list cannot be read: "),
    ],
)
def test_a_wrong_list_is_found(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    expected: str,
) -> None:
    """And its object is compared by its range."""
    key = plant_positions(folder, [5, 6, 7], in_body=False, **changes)
    later = plant_positions(folder, [6, 8])
    code, report = verify(folder, capsys)
    assert (code, counted(report)) == (1, {"bad_positions": 1, "overlap": 1})
    by_kind = {found["kind"]: found for found in report["findings"]}
    assert by_kind["bad_positions"]["key"] == key
    assert expected in by_kind["bad_positions"]["detail"]
    assert by_kind["overlap"]["key"] == later


@pytest.mark.parametrize(("compression", "place"), PLACES)
def test_a_guard_is_no_data_and_no_duplicate(
    folder: Path, capsys: pytest.CaptureFixture[str], compression: str, place: str
) -> None:
    """Its positions are those of its object."""
    key = plant_positions(folder, range(10), compression=compression)
    plant_positions(
        folder, range(4, 10), compression=compression, in_body=place == "body", guard_of=key
    )
    code, report = verify(folder, capsys)
    assert (code, report["findings"]) == (0, [])
    assert (report["objects"], report["records"], report["guards"]) == (1, 10, 1)
    assert report["streams"][0]["objects"] == 1


def test_a_guard_whose_object_is_gone_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A redelivery would count these records as durable."""
    other = plant_positions(folder, range(10))
    key = plant_positions(folder, range(4, 10), guard_of=other.replace("p=1", "p=2"))
    code, report = verify(folder, capsys)
    assert (code, counted(report)) == (1, {"lost_object": 1})
    assert report["findings"][0]["key"] == key
    assert other.replace("p=1", "p=2") in report["findings"][0]["detail"]


def test_a_guard_needs_a_list_and_no_records(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a list it guards nothing."""
    key = plant_positions(folder, range(10))
    path = folder / plant_positions(folder, range(4, 10), guard_of=key)
    plain = folder / plant_positions(
        folder, range(4, 10), guard_of=key, in_body=False, partition="q"
    )
    path.write_bytes(plain.read_bytes())
    code, report = verify(folder, capsys)
    assert (code, counted(report)) == (1, {"bad_positions": 1})
    assert report["findings"][0]["detail"] == "a guard without a positions list"


def test_positions_that_exceed_the_memory_limit_are_compared_by_range(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is behind the current object is dropped first."""
    monkeypatch.setattr(duplicates, "MAX_HELD_POSITIONS", 25)
    for start in range(0, 100, 10):
        plant_positions(folder, range(start, start + 11), partition="p=1")
    for start in range(2):
        plant_positions(folder, range(start, 100, 4), partition="p=2")
    _, report = verify(folder, capsys)
    assert report["duplicates"] == 9
    assert counted(report) == {"duplicate": 9, "overlap": 1}


@pytest.mark.parametrize("seed", range(10))
def test_the_number_of_duplicates_is_exact(
    folder: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    """Any objects, listed anywhere: as many duplicates as records that are there once too often."""
    rng = random.Random(seed)  # noqa: S311  # not for secrets
    objects = {}
    for first in rng.sample(range(200), 30):
        rest = rng.sample(range(first + 1, first + 2 + rng.choice([5, 50, 300])), rng.randint(0, 5))
        objects[first] = [first, *sorted(rest)]
        plant_positions(folder, objects[first], compression=rng.choice(["gzip", "zstd"]))
    copies = Counter(number for positions in objects.values() for number in positions)
    _, report = verify(folder, capsys)
    assert report["duplicates"] == sum(copies.values()) - len(copies)
    assert "overlap" not in counted(report)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("payload", [b'{"n":1}', b"no JSON"])
def test_only_a_redelivery_from_an_unknown_start_leaves_duplicates(
    folder: Path, capsys: pytest.CaptureFixture[str], compression: str, payload: bytes
) -> None:
    """Data and quarantine, in other cuts. Guards have their object, and lists are right."""
    folder.mkdir()
    handle = make_handler(make_settings(bucket=f"file://{folder}", compression=compression))
    many = [number**3 for number in range(1, 700)]
    try:
        for cuts, duplicate_count in [
            ((many, many[:20], many[20:], many[:5], range(10**9, 10**9 + 700)), 0),
            ((many[10:30],), 20),
        ]:
            for cut in cuts:
                records = [kinesis_record(str(number), payload) for number in cut]
                assert handle({"Records": records}, None) == NO_FAILURES
            capsys.readouterr()
            code, report = verify(folder, capsys)
            assert (code, report["duplicates"]) == (int(duplicate_count > 0), duplicate_count)
            assert set(counted(report)) == ({"duplicate"} if duplicate_count else set())
            assert report["guards"] >= 2
            records_count = report["records"] + report["quarantined"]
            assert records_count == 699 + 700 + duplicate_count
    finally:
        handle.close()


def test_records_that_share_a_number_are_compared_with_their_index(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unpacked records of an aggregate: two cuts of one shard, of which one number is doubled."""
    handler = make_handler(make_settings(root=""), store=FileStore(folder))
    try:
        for numbers in ((1, 2, 3), (2,), (3, 4)):
            records = [
                kinesis_record(str(n), b'{"n":%d,"part":%d}' % (n, part))
                for n in numbers
                for part in range(3)
            ]
            assert handler({"Records": records}, None) == NO_FAILURES
    finally:
        handler.close()
    code, report = verify(folder, capsys)
    assert (code, report["duplicates"], counted(report)) == (1, 6, {"duplicate": 2})
