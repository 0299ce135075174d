"""Compression: the table's ratios, and those of a sample, which are the writer's own."""

from __future__ import annotations

import pytest

from batcher.encoding.codec import encode_text
from batcher.settings import COMPRESSION_LEVELS as SETTINGS_LEVELS
from batcher.tools.plan.objects import (
    MEASURED_LEVELS,
    RecordSample,
    assume_compression,
)
from support.examples import make_settings
from support.plan_examples import orders


@pytest.mark.parametrize("compression", SETTINGS_LEVELS)
def test_every_level_that_can_be_set_has_a_cost_and_a_ratio(compression: str) -> None:
    """And no level is in the table that could not be set."""
    low, _, high = SETTINGS_LEVELS[compression]
    for level in range(low, high + 1):
        found = assume_compression(make_settings(compression=compression, compression_level=level))
        assert found.ratio >= 1
        assert found.cpu_ms_per_mb >= 0
        assert not found.is_measured
    assert (min(MEASURED_LEVELS[compression]), max(MEASURED_LEVELS[compression])) == (low, high)


def test_a_level_that_was_not_measured_costs_what_the_next_one_does() -> None:
    """Never less than the truth."""
    between, measured = (
        assume_compression(make_settings(compression="zstd", compression_level=level))
        for level in (16, 17)
    )
    assert between == measured


def test_no_compression_takes_no_cpu() -> None:
    """Whatever level is set beside it."""
    found = assume_compression(make_settings(compression="none", compression_level=7))
    assert (found.ratio, found.cpu_ms_per_mb) == (1.0, 0.0)


def test_a_sample_is_compressed_as_objects_of_the_planned_size() -> None:
    """Small objects come to a smaller ratio; a rest that is no whole object does not count."""
    records = orders(1_005)
    settings = make_settings(compression="zstd")
    texts = [b"".join(r + b"\n" for r in records[at : at + 100]) for at in range(0, 1_000, 100)]
    expected = sum(map(len, texts)) / sum(len(encode_text(text, "zstd", 1)[0]) for text in texts)
    found = RecordSample(records).measure_compression(settings, 100.2)
    assert found.ratio == expected
    assert found.measured_records == 1_000
    assert RecordSample(records).measure_compression(settings, 3).ratio < 0.6 * found.ratio


def test_a_sample_with_fewer_records_than_an_object_is_one() -> None:
    """All of it, once: what is repeated would compress too well."""
    records = orders(50)
    text = b"".join(record + b"\n" for record in records)
    found = RecordSample(records).measure_compression(make_settings(), 3_000)
    assert found.ratio == len(text) / len(encode_text(text, "gzip", 1)[0])
    assert found.measured_records == 50


def test_a_sample_knows_its_size_and_what_json_makes_of_it() -> None:
    """Quotes, backslashes and control characters grow; what is no UTF-8 does not stop it."""
    sample = RecordSample([b'{"a":1}', b'"\\n"', b"123", b"\xff"])
    assert sample.record_bytes == (7 + 4 + 3 + 1) / 4
    assert sample.json_growth == pytest.approx((7 + 2 + 4 + 3 + 3 + 3) / 15)
    assert RecordSample([b"12", b"3"]).json_growth == 1
