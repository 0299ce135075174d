"""Positions lists of sequence numbers as a shard has them."""

from __future__ import annotations

import random

import pytest

from batcher.records.positions import decode_positions, encode_positions

FIRST = 49574739672520991407984453969876117890616362772224540882
MAX_BYTES_PER_RECORD = 1.6


def shard_numbers(records: int, mean_gap: float, per_s: float, seed: int = 1) -> list[str]:
    """Return sequence numbers in steps of 2^80, of a shard with other partitions between them."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    number, now_s, numbers = FIRST, 0.0, []
    for _ in range(records):
        numbers.append(str(number))
        gap = 1 + (int(chance.expovariate(1 / (mean_gap - 1))) if mean_gap > 1 else 0)
        before_s, now_s = int(now_s), now_s + gap / per_s
        number += (gap << 80) + ((int(now_s) - before_s) << 36)
    return numbers


@pytest.mark.parametrize("records", [300, 3_000, 10_000])
@pytest.mark.parametrize(("mean_gap", "per_s"), [(1, 1000), (4, 1000), (50, 1000), (35, 35)])
def test_a_list_takes_few_bytes_per_record(records: int, mean_gap: float, per_s: float) -> None:
    """Of a full shard, of one partition of many, and of a slow shard."""
    numbers = shard_numbers(records, mean_gap, per_s)
    found = encode_positions(numbers)
    assert found is not None
    assert decode_positions(found) == numbers
    assert len(found) <= MAX_BYTES_PER_RECORD * records


def test_the_same_positions_give_the_same_list() -> None:
    """A redelivery writes the same bytes."""
    numbers = shard_numbers(500, 4, 1000)
    assert encode_positions(numbers) == encode_positions(list(numbers))


def test_a_list_that_would_take_too_much_memory_is_not_written() -> None:
    """One difference decides how wide all of them are."""
    numbers = [str(number) for number in range(9_000)]
    assert encode_positions([*numbers, "1" + "0" * 100]) is not None
    assert encode_positions([*numbers, "1" + "0" * 4_290]) is not None
    assert encode_positions([*numbers, "1" + "0" * 5_000]) is None
