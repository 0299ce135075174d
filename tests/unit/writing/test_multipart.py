"""Parts: how one body becomes a legal multipart upload."""

from __future__ import annotations

import pytest

from batcher.limits import MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES
from batcher.writing.multipart import choose_part_bytes

MIB = 1024**2


def test_the_wanted_part_size_stays_while_ten_thousand_suffice() -> None:
    """Also when the last part is exactly full."""
    assert choose_part_bytes(8 * MIB, 1) == 8 * MIB
    assert choose_part_bytes(8 * MIB, 8 * MIB * MAX_PARTS) == 8 * MIB


def test_parts_double_until_ten_thousand_suffice() -> None:
    """One byte more makes them twice as large."""
    assert choose_part_bytes(8 * MIB, 8 * MIB * MAX_PARTS + 1) == 16 * MIB
    assert choose_part_bytes(5 * MIB, 5 * MIB * MAX_PARTS * 3) == 20 * MIB


def test_a_part_below_what_s3_takes_is_refused() -> None:
    """S3 takes less than 5 MiB only as the last part."""
    assert choose_part_bytes(MIN_PART_BYTES, 0) == MIN_PART_BYTES
    with pytest.raises(ValueError, match="a part has at least"):
        choose_part_bytes(MIN_PART_BYTES - 1, 0)


def test_a_body_beyond_ten_thousand_largest_parts_is_refused() -> None:
    """5 GiB a part is the most."""
    assert choose_part_bytes(MAX_PART_BYTES, MAX_PART_BYTES * MAX_PARTS) == MAX_PART_BYTES
    with pytest.raises(ValueError, match="does not fit"):
        choose_part_bytes(MAX_PART_BYTES, MAX_PART_BYTES * MAX_PARTS + 1)
