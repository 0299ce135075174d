"""Program: records of `submit_many`, cut into slices of bounded size."""

from __future__ import annotations

import pytest

from batcher.records.payload import Record
from batcher.sources.program import CHUNK_BYTES, CHUNK_RECORDS, iter_slices


@pytest.mark.parametrize(
    ("records", "lengths"),
    [
        ([], []),
        ([b"x"] * (CHUNK_RECORDS + 1), [CHUNK_RECORDS, 1]),
        ([b"x" * (CHUNK_BYTES // 4)] * 10, [4, 4, 2]),
        (["x" * (CHUNK_BYTES + 1)] * 3, [1, 1, 1]),
        ([{"a": 1}] * 2_049, [1_024, 1_024, 1]),
        ([b"", ""], [2]),
    ],
)
def test_slices_are_bounded_and_have_each_record_once(
    records: list[Record], lengths: list[int]
) -> None:
    """Each slice is about 1 MiB by the mean size, and the order is kept."""
    slices = list(iter_slices(iter(records)))
    assert [len(part) for part in slices] == lengths
    assert [record for part in slices for record in part] == records
