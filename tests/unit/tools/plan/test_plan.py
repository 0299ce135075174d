"""Plans: objects, prefixes and mappings, and what must hold of every plan."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import batcher.tools.plan
from batcher.errors import SettingsError
from batcher.settings import Settings
from batcher.tools.plan.objects import estimate_objects, estimate_prefixes
from batcher.tools.plan.plan import make_plan
from batcher.tools.plan.workload import SourceType, Workload
from support.examples import make_settings
from support.plan_examples import plan_of, workload_of
from support.plan_strategies import is_possible, workloads
from support.plan_strategies import settings as any_settings
from unit.test_layers import IMPURE, PROTOCOLS, PURE, imported, ours

FIRST_CUT_FREE = any_settings(are_events_cut=False)
ROUNDING = 1.02
"""Durations are billed in whole milliseconds: 2 % of 50."""


def test_an_event_is_one_object_a_partition() -> None:
    """As many as its records at most."""
    few = estimate_objects(workload_of(partitions=4), make_settings(), 1_000)
    assert (few.per_event, few.records, few.text_bytes) == (4, 250, 250 * 1_025)
    many = estimate_objects(workload_of(partitions=4), make_settings(), 3)
    assert (many.per_event, many.records) == (3, 1)


def test_a_queues_event_is_cut_by_max_records_and_max_bytes_but_a_streams_is_not() -> None:
    """As the handler cuts it: into whole objects, the last one smaller."""
    by_records, by_bytes = make_settings(max_records=300), make_settings(max_bytes=1_025 * 500)
    assert estimate_objects(workload_of(), by_records, 1_000).per_event == 4
    assert estimate_objects(workload_of(), by_bytes, 1_000).per_event == 2
    assert estimate_objects(workload_of(), by_bytes, 1_001).per_event == 3
    stream = workload_of(source=SourceType.KINESIS)
    assert estimate_objects(stream, by_records, 1_000).per_event == 1


@pytest.mark.parametrize(
    ("puts_per_s", "needed"),
    [
        (0.1, 1),
        (1_750, 1),
        (1_750.0000000000002, 1),
        (1_751, 2),
        (3_500, 2),
        (3_501, 4),
        (28_000, 16),
        (1e12, 65_536),
    ],
)
def test_the_fanout_needed_keeps_the_peak_under_half_of_a_prefix(
    puts_per_s: float, needed: int
) -> None:
    """A power of two; 3,500 PUT/s a prefix, half of it for what comes unevenly."""
    found = estimate_prefixes(make_settings(), puts_per_s)
    assert found.fanout_needed == needed
    assert found.puts_per_s_per_prefix == puts_per_s / 16


def test_capacity_goes_by_the_peak_and_dollars_by_the_average() -> None:
    """Ten times the peak is ten times the PUTs to reckon with, and hardly a dollar."""
    calm, bursty = plan_of(peak=1), plan_of(peak=10)
    assert bursty.prefixes.puts_per_s == pytest.approx(10 * calm.prefixes.puts_per_s)
    assert bursty.peak_concurrency == pytest.approx(10 * calm.peak_concurrency)
    assert bursty.costs.batcher_dollars() == calm.costs.batcher_dollars()
    assert bursty.objects == calm.objects


def test_a_queues_mapping_allows_for_slow_invocations_and_outages() -> None:
    """Six time-outs and the window; an hour of outage before the dead-letter queue."""
    found = plan_of(window_s=30).mapping
    assert (found.batch_size, found.window_s) == (10_000, 30)
    assert found.visibility_timeout_s == 6 * 60 + 30
    assert found.max_receive_count == 10
    assert found.max_receive_count * found.visibility_timeout_s >= 3_600
    assert found.report_batch_item_failures
    assert (found.bisect_on_error, found.parallelization_factor) == (None, None)


@pytest.mark.parametrize(("rate", "cap"), [(1, 5), (20_000, 12), (10_000_000, 1_000)])
def test_concurrency_is_capped_at_twice_the_peak(rate: float, cap: int) -> None:
    """Never below the five batches that Lambda starts with, nor over what can be set."""
    plan = plan_of({"engine": "obstore"}, records_per_s=rate)
    assert plan.mapping.maximum_concurrency == cap
    assert cap in {5, 1_000, math.ceil(2 * plan.peak_concurrency)}


def test_a_streams_mapping_never_gives_up() -> None:
    """Retries do not run out, and failures are halved."""
    found = plan_of(source=SourceType.KINESIS).mapping
    assert (found.maximum_retry_attempts, found.maximum_record_age_s) == (-1, -1)
    assert (found.bisect_on_error, found.parallelization_factor) == (True, 1)
    assert (found.visibility_timeout_s, found.maximum_concurrency) == (None, None)


def test_a_fifo_mapping_has_no_window() -> None:
    """Lambda refuses one."""
    found = plan_of(source=SourceType.FIFO).mapping
    assert (found.batch_size, found.window_s) == (10, None)


def test_shards_that_cannot_keep_up_get_concurrent_batches() -> None:
    """As few as do: an event at the highest level takes longer than its shard fills the next."""
    slow = {"compression": "zstd", "compression_level": 19}
    values = {"source": SourceType.KINESIS, "records_per_s": 4_000, "peak": 1.0, "shards": 1}
    plan = plan_of(slow, **values)
    factor = plan.mapping.parallelization_factor
    assert factor is not None
    assert factor > 1
    assert plan.event.concurrent_batches == factor
    assert plan.utilization <= 0.7 < plan.utilization * factor / (factor - 1)
    assert plan_of({}, **values).mapping.parallelization_factor == 1
    values["records_per_s"] = 2_000
    assert (
        plan_of({}, **values | {"peak": 2.0}).utilization == 2 * plan_of({}, **values).utilization
    )


def test_records_that_can_never_be_delivered_are_rejected_with_all_reasons() -> None:
    """A record beyond an invocation, and beyond an object."""
    with pytest.raises(SettingsError) as caught:
        plan_of({"max_bytes": 1_000_000}, source=SourceType.KINESIS, record_bytes=4_500_000)
    assert len(caught.value.faults) == 2
    assert "an invocation carries 6,000,000" in caught.value.faults[0]
    assert "max_bytes: 1,000,000 is less" in caught.value.faults[1]


@given(workloads(), any_settings())
def test_every_plan_is_within_lambdas_and_s3s_limits(workload: Workload, chosen: Settings) -> None:
    """And its figures agree with each other."""
    assume(is_possible(workload, chosen))
    plan = make_plan(workload, chosen)
    needed, rate = plan.prefixes.fanout_needed, chosen.prefix_rate
    assert needed & (needed - 1) == 0
    assert needed == 65_536 or plan.prefixes.puts_per_s / needed <= rate / 2 * (1 + 1e-8)
    assert needed == 1 or plan.prefixes.puts_per_s / (needed / 2) > rate / 2
    assert math.isclose(plan.objects_per_s * plan.objects.records, workload.records_per_s)
    assert plan.objects.records <= plan.event.records * (1 + 1e-9)
    assert plan.object_bytes <= plan.objects.text_bytes
    assert plan.prefixes.puts_per_s >= plan.objects_per_s * (1 - 1e-9) or chosen.max_records
    mapping = plan.mapping
    assert plan.function.timeout_s <= 900
    if workload.source.is_queue:
        assert 2 <= (mapping.maximum_concurrency or 0) <= 1_000
        assert plan.function.timeout_s < (mapping.visibility_timeout_s or 0) <= 43_200
        assert (mapping.max_receive_count or 0) >= 5
    else:
        assert 1 <= (mapping.parallelization_factor or 0) <= 10
    assert mapping.window_s is None or 0 <= mapping.window_s <= 300
    assert all(item.batcher >= 0 <= item.firehose for item in plan.costs.items)


@given(workloads(), FIRST_CUT_FREE, st.floats(1, 50))
@example(
    workload_of(records_per_s=6, window_s=7, partitions=7), make_settings(prefix_rate=10), 3.0
)  # 5.000000000000001 PUT/s, then 5.0: half of the rate, but for rounding
@settings(max_examples=200)
def test_more_records_are_not_fewer_objects_nor_dollars(
    workload: Workload, chosen: Settings, more: float
) -> None:
    """Of the same mapping: shards, pollers and function are held."""
    assume(is_possible(workload, chosen))
    assume(workload.records_per_s * more <= 1e6)
    values = {"shards": 16} if not workload.source.is_queue else {}
    little, much = (
        make_plan(
            workload_of(
                records_per_s=workload.records_per_s * factor,
                record_bytes=workload.record_bytes,
                source=workload.source,
                window_s=workload.window_s,
                partitions=workload.partitions,
                **values,
            ),
            chosen,
        )
        for factor in (1.0, more)
    )
    assert much.objects_per_s >= little.objects_per_s * (1 - 1e-9)
    assert much.prefixes.fanout_needed >= little.prefixes.fanout_needed
    assert much.costs.firehose_dollars() >= little.costs.firehose_dollars()
    if much.mapping.parallelization_factor == little.mapping.parallelization_factor:
        assert much.costs.batcher_dollars() * ROUNDING >= little.costs.batcher_dollars()


@given(workloads(source=SourceType.SQS), FIRST_CUT_FREE)
def test_a_longer_window_is_not_smaller_objects(workload: Workload, chosen: Settings) -> None:
    """Nor more dollars for PUTs."""
    assume(is_possible(workload, chosen))
    longest = make_plan(workload.with_window(300), chosen)
    plan = make_plan(workload, chosen)
    assert longest.objects.text_bytes >= plan.objects.text_bytes * (1 - 1e-9)
    assert longest.objects_per_s <= plan.objects_per_s * (1 + 1e-9)


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in Path(batcher.tools.plan.__file__).parent.glob("*.py"))
)
def test_planning_is_pure(name: str) -> None:
    """No event loop, no clock, no environment, no client, and nothing that has them."""
    names = imported((Path(batcher.tools.plan.__file__).parent / f"{name}.py").read_text())
    assert not {one.partition(".")[0] for one in names} & IMPURE
    assert ours(names) <= {*PURE, *PROTOCOLS}


@pytest.mark.parametrize("module", ["batcher", "batcher.handler", "batcher.cli.write"])
def test_nothing_that_writes_imports_planning(module: str) -> None:
    """A cold start pays for none of it."""
    script = f"import sys, {module}; print(*[n for n in sys.modules if 'tools.plan' in n])"
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
