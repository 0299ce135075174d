"""Advice: each weak point is named once, with a change that fixes it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given

from batcher.settings import Settings
from batcher.tools.plan.advice import collect_advice, collect_notes
from batcher.tools.plan.objects import RecordSample
from batcher.tools.plan.plan import Plan, make_plan
from batcher.tools.plan.workload import SourceType, Workload
from support.examples import make_settings
from support.plan_examples import orders, plan_of, workload_of
from support.plan_strategies import is_possible, workloads
from support.plan_strategies import settings as any_settings


def texts(plan: Plan) -> dict[str, str]:
    """Return what is advised by its kind."""
    return {one.kind: one.text for one in collect_advice(plan)}


def test_a_good_plan_needs_no_advice() -> None:
    """1,000 records of 1 KiB a second, as they come."""
    assert texts(plan_of()) == {}
    assert texts(plan_of(source=SourceType.KINESIS)) == {}


def test_the_advised_window_fixes_small_objects() -> None:
    """The shortest that is enough."""
    plan = plan_of(records_per_s=100, record_bytes=500, window_s=20)
    assert plan.object_bytes < 131_072
    told = texts(plan)["small_objects"]
    assert "raise the window from 20 to " in told
    window_s = int(told.rpartition(" to ")[2].split()[0])
    grown, almost = (
        plan_of(records_per_s=100, record_bytes=500, window_s=one)
        for one in (window_s, window_s - 1)
    )
    assert grown.object_bytes >= 131_072 > almost.object_bytes
    assert "small_objects" not in texts(grown)


def test_advice_on_a_queue_without_a_window_names_one_that_suffices() -> None:
    """Though no more than ten messages come without one."""
    told = texts(plan_of(window_s=0))["small_objects"]
    window_s = int(told.rpartition(" to ")[2].split()[0])
    assert plan_of(window_s=window_s).object_bytes >= 131_072


@pytest.mark.parametrize(
    "values",
    [
        {"records_per_s": 500, "record_bytes": 20},
        {"source": SourceType.KINESIS, "partitions": 40},
        {"source": SourceType.KINESIS, "partitions": 40, "window_s": 1},
    ],
)
def test_no_window_is_advised_if_none_suffices(values: dict[str, Any]) -> None:
    """A full event of tiny records, or of many partitions, makes small objects."""
    told = texts(plan_of(**values))["small_objects"]
    assert "6 MB of JSON" in told
    assert "window" not in told
    assert "max_bytes" not in told
    assert "the library" in told
    assert ("fewer values" in told) == ("partitions" in values)


def test_no_window_is_advised_beyond_the_limit_of_messages_in_flight() -> None:
    """Nor is it lowered to one that makes small objects."""
    values: dict[str, Any] = {"records_per_s": 2_000, "record_bytes": 800, "partitions": 5}
    told = texts(plan_of(**values, window_s=29))
    assert "raise" not in told["small_objects"]
    assert "would exceed the 120,000 messages in flight" in told["small_objects"]
    lowered = texts(plan_of(**values, window_s=35))
    assert "small_objects" not in lowered
    assert "lower the window" not in lowered["in_flight"]
    assert "several queues" in lowered["in_flight"]


@given(workloads(), any_settings())
def test_an_advised_window_suffices_and_has_no_advice_against_it(
    workload: Workload, chosen: Settings
) -> None:
    assume(is_possible(workload, chosen))
    for kind, told in texts(make_plan(workload, chosen)).items():
        found = re.search(r"(?:raise|lower) the window (?:from \d+ )?to (\d+) s", told)
        if found is None or kind not in {"small_objects", "in_flight"}:
            continue
        changed = texts(make_plan(workload.with_window(int(found[1])), chosen))
        assert "small_objects" not in changed
        assert "in_flight" not in changed


@pytest.mark.parametrize(
    ("settings", "values", "told"),
    [
        ({}, {"records_per_s": 0.5}, "raise the window to the maximum of 300 s, and compact"),
        ({}, {"records_per_s": 0.5, "window_s": 300}, "the rate is low: compact"),
        ({}, {"source": SourceType.FIFO}, "10 messages of a FIFO queue"),
        ({}, {"window_s": 0}, "raise the window from 0 to "),
        ({"max_records": 100}, {"pollers": 2}, "raise max_records and max_bytes"),
        ({}, {"partitions": 20}, "partition by fewer values, or compact the objects later"),
        ({}, {"records_per_s": 100, "partitions": 3}, "raise the window from 20 to "),
        ({}, {"records_per_s": 0.5, "partitions": 2}, "partition by fewer values, or compact"),
        (
            {},
            {"records_per_s": 0.5, "source": SourceType.KINESIS, "shards": 3},
            "or use a stream with fewer shards",
        ),
        (
            {"compression": "zstd"},
            {"record_bytes": 20, "source": SourceType.KINESIS, "records_per_s": 9_000},
            "compact the objects later, or write with the library",
        ),
    ],
)
def test_advice_on_small_objects_names_what_makes_them_larger(
    settings: dict[str, Any], values: dict[str, Any], told: str
) -> None:
    """By what it is that keeps them small."""
    assert told in texts(plan_of(settings, **values))["small_objects"]


def test_the_assumed_ratio_does_not_hold_for_tiny_objects() -> None:
    """Without a sample."""
    assert "--sample" in texts(plan_of(records_per_s=1))["assumed_ratio"]


def test_advice_on_a_small_fanout_names_the_one_to_set() -> None:
    """And with it nothing is left to say of it."""
    values = {"records_per_s": 200_000, "source": SourceType.FIFO, "pollers": 1_250}
    plan = plan_of({"fanout": 2}, **values)
    told = texts(plan)["fanout"]
    assert told.endswith(f"set BATCHER_FANOUT={plan.prefixes.fanout_needed}")
    cured = plan_of({"fanout": plan.prefixes.fanout_needed}, **values)
    assert "fanout" not in texts(cured)


def test_a_new_root_cannot_take_more_than_one_partition_takes() -> None:
    """However many salts there are."""
    plan = plan_of(records_per_s=100_000, source=SourceType.FIFO, pollers=1_250)
    assert plan.prefixes.fanout_needed <= plan.prefixes.fanout
    assert "exceed the 3,500 PUT/s of a new root" in texts(plan)["cold_prefix"]
    assert "cold_prefix" not in texts(plan_of())


def test_advice_on_too_few_shards_names_how_many_suffice() -> None:
    """By records, or by bytes."""
    by_records: dict[str, Any] = {"source": SourceType.KINESIS, "records_per_s": 4_000, "peak": 1.0}
    assert "use 4" in texts(plan_of(shards=3, **by_records))["shards"]
    assert "shards" not in texts(plan_of(shards=4, **by_records))
    by_bytes = by_records | {"records_per_s": 100, "record_bytes": 100_000}
    assert "use 10" in texts(plan_of(shards=9, **by_bytes))["shards"]


def test_shards_whose_invocations_cannot_catch_up_are_named() -> None:
    """Even with ten batches side by side."""
    slow = {"compression": "zstd", "compression_level": 19}
    plan = plan_of(slow, source=SourceType.KINESIS, records_per_s=20_000, shards=1)
    assert plan.mapping.parallelization_factor == 10
    assert "would not catch up" in texts(plan)["busy_shards"]


def test_advice_on_messages_in_flight_names_a_window_that_suffices() -> None:
    """A queue gives no more beyond 120,000."""
    plan = plan_of(records_per_s=10_000, window_s=20, peak=1)
    told = texts(plan)["in_flight"]
    assert "lower the window to 11 s" in told
    assert "in_flight" not in texts(plan_of(records_per_s=10_000, window_s=11, peak=1))
    assert "in_flight" in texts(plan_of(records_per_s=10_000, window_s=12, peak=1))


def test_a_rate_beyond_any_window_needs_more_queues() -> None:
    """No window below a second."""
    told = texts(plan_of(records_per_s=1_000_000, window_s=1))
    assert "lower the window" not in told["in_flight"]
    assert "several queues or a Kinesis stream" in told["in_flight"]
    assert "1,250 pollers" in told["pollers"]


def test_a_fifo_queue_with_many_messages_needs_high_throughput() -> None:
    """From 3,000 a second on, at the peak."""
    told = texts(plan_of(records_per_s=1_501, source=SourceType.FIFO))
    assert "turn on high throughput" in told["fifo_rate"]
    assert "fifo_rate" not in texts(plan_of(records_per_s=1_500, source=SourceType.FIFO))


def test_a_known_number_of_pollers_gets_advice_only_if_it_is_too_small() -> None:
    """But where it is not."""
    assert "pollers" not in texts(plan_of(pollers=20, peak=1))
    assert "pollers" in texts(plan_of(pollers=9, peak=1))


def test_more_invocations_at_once_than_an_account_has_are_named() -> None:
    """A thousand, until more is granted."""
    told = texts(plan_of(records_per_s=10_000_000, source=SourceType.KINESIS))
    assert "quota of an account, 1,000" in told["concurrency"]


def test_a_function_that_starts_too_late_is_named() -> None:
    """The largest is chosen, and that is not enough."""
    settings = {"compression": "zstd", "compression_level": 19}
    plan = plan_of(settings, source=SourceType.DYNAMODB, record_bytes=100_000)
    assert plan.function.memory_mb == 1_769
    assert "even with 1,769 MB" in texts(plan)["cold_start"]


@pytest.mark.parametrize(
    ("engine", "advice"),
    [
        ("obstore", "a lower compression level"),
        ("aioboto3", "a lower compression level or engine=obstore"),
    ],
)
def test_the_faster_engine_is_advised_to_those_who_do_not_have_it(engine: str, advice: str) -> None:
    """It is the default."""
    slow = {"compression": "zstd", "compression_level": 19, "engine": engine}
    plan = plan_of(slow, source=SourceType.DYNAMODB, record_bytes=100_000)
    assert texts(plan)["cold_start"].endswith(f"; use {advice}")
    plan = plan_of(slow, source=SourceType.KINESIS, records_per_s=20_000, shards=1)
    assert texts(plan)["busy_shards"].endswith(f"; use {advice}, or more shards")


def test_a_budget_below_an_events_text_is_named() -> None:
    """A stream's event would be refused, a queue's cut."""
    small = {"budget_bytes": 1_000_000}
    assert "rejected as a whole" in texts(plan_of(small, source=SourceType.KINESIS))["budget"]
    assert "cut into more objects" in texts(plan_of(small))["budget"]


@given(workloads(), any_settings())
def test_advice_and_notes_can_be_given_of_any_plan(workload: Workload, chosen: Settings) -> None:
    """Each kind once at most; whole sentences without a missing figure."""
    assume(is_possible(workload, chosen))
    plan = make_plan(workload, chosen)
    given_ = collect_advice(plan)
    assert len({one.kind for one in given_}) == len(given_)
    assert all(one.text and "None" not in one.text and "inf" not in one.text for one in given_)
    assert all(note and "None" not in note for note in collect_notes(plan))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"records_per_s": 200}, "a receive is assumed to return 4,"),
        ({}, "10 concurrent batches are assumed"),
        ({"window_s": 5}, "may wait 20 s"),
        ({"source": SourceType.FIFO}, "as active groups"),
        ({"source": SourceType.KINESIS}, "the same stream for both"),
        ({"source": SourceType.DYNAMODB}, "Firehose cannot read it"),
        ({"record_bytes": 1_030_000}, "Firehose takes records of at most 1,024,000"),
        ({}, "maximum_concurrency=5 limits running invocations"),
        ({"partitions": 2}, "adds $225.56 per month and needs a Glue table"),
        ({"partitions": 2}, "$0.07 per hour of jq"),
        ({}, "list prices in us-east-1 as of 2026-11-23"),
    ],
)
def test_assumptions_are_noted(values: dict[str, Any], told: str) -> None:
    """Where it bears on the plan."""
    assert any(told in note for note in collect_notes(plan_of(**values)))


def test_a_sample_with_fewer_records_than_an_object_gets_a_note() -> None:
    """Its ratio is a little low."""
    few, enough = (
        make_plan(workload_of(), make_settings(), RecordSample(orders(n))) for n in (50, 2_000)
    )
    assert any("the sample has 50 records, an object 2,000" in note for note in collect_notes(few))
    assert not any("the sample has" in note for note in collect_notes(enough))


def test_known_pollers_are_no_assumption() -> None:
    """So nothing is said of them."""
    assert not any("concurrent batches" in note for note in collect_notes(plan_of(pollers=7)))
