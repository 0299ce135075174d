"""Sizing: the model compared with the figures of the bench, and the choice of memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given

from batcher.settings import MIB, Settings
from batcher.tools.plan.invocations import max_event_records
from batcher.tools.plan.objects import CompressionEstimate, assume_compression
from batcher.tools.plan.sizing import (
    MAX_COLD_START_S,
    MAX_RETRY_S,
    MEMORY_OPTIONS_MB,
    choose_cheapest,
    estimate_load,
    handler_cpu_s,
    list_function_sizes,
    parse_cpu_s,
)
from batcher.tools.plan.workload import SourceType, Workload
from support.examples import make_settings
from support.plan_examples import plan_of, workload_of
from support.plan_strategies import is_possible, settings, workloads

MEASURED = [
    # bench/throughput.py of c20f2ed: CPU us a record, as in the README
    ("sqs", 1_024, 3_263, "obstore", "zstd", 5.27),
    ("sqs", 1_024, 3_263, "aioboto3", "zstd", 5.72),
    ("sqs", 1_024, 3_263, "obstore", "gzip", 4.46),
    ("sqs", 1_024, 3_263, "aioboto3", "gzip", 4.94),
    ("sqs", 200, 5_980, "obstore", "zstd", 2.00),
    ("sqs", 200, 5_980, "aioboto3", "gzip", 2.05),
    ("kinesis", 1_024, 3_313, "obstore", "zstd", 5.42),
    ("kinesis", 1_024, 3_313, "aioboto3", "gzip", 5.11),
    ("sqs", 1_024, 100, "obstore", "gzip", 12.5),
    ("sqs", 1_024, 100, "aioboto3", "gzip", 20.6),
]


@pytest.mark.parametrize("measured", MEASURED, ids=lambda line: "-".join(map(str, line)))
def test_the_model_gives_what_the_bench_measured(
    measured: tuple[str, int, int, str, str, float],
) -> None:
    """Within 6 %: large and small events, both engines, both codecs."""
    source, record_bytes, records, engine, compression, us = measured
    workload = workload_of(record_bytes=record_bytes, source=SourceType(source))
    chosen = make_settings(engine=engine, compression=compression)
    found = handler_cpu_s(workload, chosen, records, assume_compression(chosen)) / records * 1e6
    assert found == pytest.approx(us, rel=0.06)


@pytest.mark.parametrize(
    ("record_bytes", "growth", "records", "us"),
    [(200, 1.14, 5_980, 5.89), (1_024, 1.08, 3_263, 11.56), (20_480, 1.004, 294, 101.3)],
)
def test_the_model_with_parsing_gives_what_the_bench_measured(
    record_bytes: int, growth: float, records: int, us: float
) -> None:
    """Within 30 %; bench/cost.py of c20f2ed, obstore with gzip."""
    workload = workload_of(record_bytes=record_bytes, json_growth=growth)
    chosen = make_settings(engine="obstore")
    handled = handler_cpu_s(workload, chosen, records, assume_compression(chosen))
    found = (parse_cpu_s(workload, records) + handled) / records * 1e6
    assert found == pytest.approx(us, rel=0.3)


def test_64_objects_cost_what_the_bench_measured() -> None:
    """bench/fanout.py of c20f2ed: 569 us an object of 16 KiB by obstore, 1,314 by aioboto3."""
    workload = workload_of(record_bytes=1_023, partitions=64)
    for engine, us in (("obstore", 569), ("aioboto3", 1_314)):
        chosen = make_settings(engine=engine)
        found = handler_cpu_s(workload, chosen, 64 * 16, assume_compression(chosen)) / 64 * 1e6
        assert found == pytest.approx(us, rel=0.1)


def test_half_a_core_takes_twice_the_time_and_waits_no_longer() -> None:
    """1,769 MB are one core; more is not used."""
    one = estimate_load(workload_of(), make_settings(), 3_000, CompressionEstimate(4, 2))
    core = one.duration_s(1_769, "arm64") - one.wait_s
    assert one.duration_s(1_769 // 2, "arm64") - one.wait_s == pytest.approx(2 * core, rel=1e-3)
    assert one.duration_s(3_538, "arm64") == one.duration_s(1_769, "arm64")


def test_waits_for_s3_are_concurrent() -> None:
    """As many as `concurrency` allows."""
    workload = workload_of(partitions=64)
    waits = [
        estimate_load(
            workload, make_settings(concurrency=width), 6_400, CompressionEstimate(4, 2)
        ).wait_s
        for width in (64, 16, 1)
    ]
    assert waits == [pytest.approx(0.05), pytest.approx(0.2), pytest.approx(3.2)]


def test_the_cheapest_function_that_fits_is_chosen() -> None:
    """aioboto3 takes too long to import with 256 MB."""
    quick, slow = plan_of({"engine": "obstore"}), plan_of({"engine": "aioboto3"})
    assert (quick.function.memory_mb, slow.function.memory_mb) == (256, 512)
    assert [option.fits for option in slow.function_sizes] == [False, True, True, True]
    dollars = [option.invocation_dollars for option in slow.function_sizes]
    assert slow.function.invocation_dollars == min(dollars[1:]) > dollars[0]


def test_a_function_is_sized_for_a_full_event_however_few_records_come() -> None:
    """A backlog brings full events."""
    little, much = plan_of(records_per_s=1), plan_of(records_per_s=5_000)
    assert little.function.peak_memory_bytes == much.function.peak_memory_bytes
    assert little.function.cold_start_s == much.function.cold_start_s


def test_the_largest_function_is_chosen_if_none_fits() -> None:
    """And said to be none."""
    plan = plan_of({"compression": "zstd", "compression_level": 19, "engine": "obstore"})
    assert plan.function.memory_mb == 1_769 or plan.function.fits
    unfit = tuple(replace(option, fits=False) for option in plan.function_sizes)
    assert choose_cheapest(unfit) == unfit[-1]


def test_there_is_time_for_all_retries() -> None:
    """And for a cold start, before the answer is due."""
    for plan in (plan_of(), plan_of({"deadline_margin_s": 100})):
        spare_s = plan.function.timeout_s - plan.settings.deadline_margin_s - MAX_RETRY_S
        assert spare_s >= plan.function.cold_start_s


@given(workloads(), settings())
def test_the_chosen_function_holds_a_full_event(workload: Workload, chosen: Settings) -> None:
    """With headroom, its text within the budget that the handler will have, in time."""
    assume(is_possible(workload, chosen))
    compression = assume_compression(chosen)
    full = estimate_load(workload, chosen, max_event_records(workload), compression)
    average = estimate_load(workload, chosen, 1, compression)
    function = choose_cheapest(list_function_sizes(workload, chosen, average, full))
    assert function.memory_mb in MEMORY_OPTIONS_MB
    assert function.timeout_s <= 900
    if function.fits:
        assert function.peak_memory_bytes * 1.5 <= function.memory_mb * MIB
        budget_bytes = Settings.from_env(
            {"BATCHER_BUCKET": "b1b", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb)}
        ).budget_bytes
        assert full.text_bytes <= budget_bytes
        assert function.cold_start_s <= MAX_COLD_START_S < function.timeout_s
