"""Program: records of `submit_many`, cut into slices of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from batcher.records.payload import Record, to_payload
from batcher.sources.program import CHUNK_BYTES, CHUNK_RECORDS, STEP_RECORDS, Slicer, make_chunk


def test_text_with_a_lone_surrogate_is_bad_and_what_follows_is_read() -> None:
    """Until a record that is none."""
    records: list[Any] = [b"0", "\ud800", "\udc00", {"n": 3}, "\ud800", 5, b"6"]
    made = make_chunk(records, 10, 0.0)
    assert list(made.chunk.payloads) == [b"0", b'{"n":3}']
    assert list(made.chunk.positions) == ["10", "13"]
    assert [bad.position for bad in made.bad] == ["11", "12", "14"]
    assert [bad.chunk.payloads[0] for bad in made.bad] == ["\ud800", "\udc00", "\ud800"]
    assert isinstance(made.error, TypeError)
    assert make_chunk(records[:5], 10, 0.0).error is None


@pytest.mark.parametrize(
    ("records", "lengths"),
    [
        ([], []),
        ([b"x"] * (CHUNK_RECORDS + 1), [CHUNK_RECORDS, 1]),
        ([b"x" * (CHUNK_BYTES // 4)] * 10, [4, 4, 2]),
        (["x" * (CHUNK_BYTES + 1)] * 3, [1, 1, 1]),
        ([{"a": 1}] * 65, [32, 32, 1]),
        ([b"x", {"a": 1}] * 20, [32, 8]),
        ([b"", ""], [2]),
    ],
)
def test_slices_are_bounded_and_have_each_record_once(
    records: list[Record], lengths: list[int]
) -> None:
    """Each slice is about 1 MiB by the mean size, and the order is kept."""
    slices = list(Slicer().iter_slices(iter(records)))
    assert [len(part) for part in slices] == lengths
    assert [record for part in slices for record in part] == records


@pytest.mark.parametrize("small", [b"x", {"a": "x"}])
def test_large_records_are_not_read_long_before_they_are_submitted(small: Record) -> None:
    """Whether their size is known or only noted after a slice, and if they follow small ones."""
    slicer = Slicer()
    read = 0

    def records() -> Iterator[Record]:
        nonlocal read
        for kind, count in [(small, 20_000), (large, 1_000)]:
            for _ in range(count):
                read += 1
                yield kind

    large = b"x" * CHUNK_BYTES if isinstance(small, bytes) else {"a": "x" * CHUNK_BYTES}
    submitted = 0
    for part in slicer.iter_slices(records()):
        submitted += len(part)
        if submitted > 20_000:
            assert read - submitted < STEP_RECORDS
        if submitted > 20_000 + STEP_RECORDS:
            assert len(part) == 1
            assert read - submitted < 2
        slicer.note_size(len(part), sum(len(to_payload(each)) for each in part))
    assert submitted == read == 21_000
