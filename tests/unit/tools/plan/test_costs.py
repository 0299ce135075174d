"""Dollars: each item by hand, once; and the sums."""

from __future__ import annotations

from typing import Any

import pytest

from batcher.tools.plan import prices
from batcher.tools.plan.costs import MONTH_S
from batcher.tools.plan.workload import SourceType
from support.plan_examples import plan_of

HOURS = 730
RECORDS = 1_000 * HOURS * 3_600


def items_of(**values: object) -> dict[str, Any]:
    """Return the items of a plan by name."""
    bill = plan_of({"engine": "obstore"}, **values).costs
    return {item.name: (item.part, item.batcher, item.firehose) for item in bill.items}


def test_a_month_of_sqs_by_hand() -> None:
    """1,000 records of 1 KiB a second, ten pollers, 20 s: 2,000 records an invocation."""
    items = items_of()
    invocations = RECORDS / 2_000
    assert MONTH_S == HOURS * 3_600
    assert items["Lambda requests"] == ("delivery", pytest.approx(invocations * 2e-7), 0)
    sends = RECORDS / 10 * 0.4e-6  # ten of 1 KiB are one request of up to 64 KiB
    assert items["SQS sends"] == ("source", pytest.approx(sends), 0)
    assert items["SQS receives"] == ("source", pytest.approx(sends), 0)
    assert items["SQS deletes"] == ("source", pytest.approx(sends), 0)
    ingested = RECORDS * 5 * 1_024 / 1_024**3 * 0.029
    assert items["Firehose ingestion"] == ("delivery", 0, pytest.approx(ingested))
    part, ours, theirs = items["S3 PUT requests"]
    assert (part, ours) == ("delivery", pytest.approx(invocations * 5e-6))
    assert theirs == pytest.approx(RECORDS * 1_025 / (128 * 1_024**2) * 5e-6)


def test_lambda_is_paid_by_memory_and_time() -> None:
    """GB-seconds at the price of the machine, durations rounded up to a millisecond."""
    plan = plan_of({"engine": "obstore"}, arch="x86_64")
    billed_ms = -(-plan.function.duration_s * 1e3 // 1)
    compute = next(item for item in plan.costs.items if item.name == "Lambda compute")
    gb_s = RECORDS / 2_000 * billed_ms / 1e3 * plan.function.memory_mb / 1_024
    assert compute.batcher == pytest.approx(gb_s * 0.0000166667)
    arm = plan_of({"engine": "obstore"}, arch="arm64").costs.batcher_dollars()
    assert arm < plan.costs.batcher_dollars()


def test_a_stream_is_paid_for_by_both() -> None:
    """Firehose reads the same shards: two for a peak of 2,000 records a second."""
    items = items_of(source=SourceType.KINESIS)
    shards, units = 2 * HOURS * 0.015, RECORDS * 0.014e-6
    assert items["Kinesis shards"] == ("source", pytest.approx(shards), pytest.approx(shards))
    assert items["Kinesis PUT units"] == ("source", pytest.approx(units), pytest.approx(units))


def test_lambda_reads_a_table_for_nothing() -> None:
    """So there is no source to pay."""
    assert not [
        part for part, _, _ in items_of(source=SourceType.DYNAMODB).values() if part == "source"
    ]


def test_a_fifo_queue_is_dearer() -> None:
    """$0.50 a million where a standard queue takes $0.40."""
    assert items_of(source=SourceType.FIFO)["SQS sends"][1] == pytest.approx(
        items_of()["SQS sends"][1] * 1.25
    )


def test_large_messages_are_several_requests() -> None:
    """Each begun 64 KB is one; a request carries 1 MiB, so six of 160 KiB."""
    assert [prices.sqs_batch_records(kib * 1_024) for kib in (1, 160, 1_024)] == [10, 6, 1]
    assert prices.sqs_request_dollars(6 * 160 * 1_024) == pytest.approx(15 * 0.4e-6)
    assert prices.sqs_request_dollars(1_024**2) == pytest.approx(16 * 0.4e-6)
    assert prices.sqs_request_dollars(0) == pytest.approx(0.4e-6)
    items = items_of(record_bytes=160 * 1_024, records_per_s=60, pollers=1)
    assert items["SQS sends"][1] == pytest.approx(RECORDS * 0.06 / 6 * 15 * 0.4e-6)
    assert items["SQS receives"][1] == items["SQS sends"][1]
    assert items["SQS deletes"][1] == pytest.approx(RECORDS * 0.06 / 6 * 0.4e-6)


@pytest.mark.parametrize(("rate", "together"), [(20, 1), (50, 1), (200, 4), (1_000, 10)])
def test_with_little_traffic_a_receive_brings_few_messages(rate: int, together: int) -> None:
    """What came in the tenth of a second since the poller's last one; deletes are ten at once."""
    items = items_of(records_per_s=rate)
    records = rate * MONTH_S
    assert items["SQS receives"][1] == pytest.approx(records / together * 0.4e-6)
    assert items["SQS deletes"][1] == pytest.approx(records / 10 * 0.4e-6)


def test_a_queue_without_messages_is_polled_all_the_same() -> None:
    """Five pollers, a receive each 20 seconds."""
    items = items_of(records_per_s=0.001)
    assert items["SQS receives"][1] == pytest.approx(5 * MONTH_S / 20 * 0.4e-6)
    assert items["SQS deletes"][1] == pytest.approx(0.001 * MONTH_S * 0.4e-6)


def test_firehose_rounds_each_record_up_to_5_kb() -> None:
    """And gets cheaper by the tier."""
    assert [prices.firehose_billed_bytes(size) for size in (1, 5_120, 5_121)] == [
        5_120,
        5_120,
        10_240,
    ]
    tib = 1_024**4
    assert prices.firehose_month_dollars(tib) == pytest.approx(1_024 * 0.029)
    two_tiers = 500 * 1_024 * 0.029 + 100 * 1_024 * 0.025
    assert prices.firehose_month_dollars(600 * tib) == pytest.approx(two_tiers)
    three = (500 * 0.029 + 1_500 * 0.025 + 1_000 * 0.020) * 1_024
    assert prices.firehose_month_dollars(3_000 * tib) == pytest.approx(three)


def test_firehose_writes_every_15_minutes_at_least() -> None:
    """However few records come."""
    puts = items_of(records_per_s=0.01)["S3 PUT requests"][2]
    assert puts == pytest.approx(HOURS * 4 * 5e-6)


def test_firehose_partitioning_is_paid_by_gb_and_object() -> None:
    """Only with partitions: an object of each every 15 minutes, or whenever 128 MiB are full."""
    assert "Firehose partitioning" not in items_of()
    few = items_of(records_per_s=10, partitions=20)
    objects, text_bytes = 20 * HOURS * 4, RECORDS / 100 * 1_025
    assert few["S3 PUT requests"][2] == pytest.approx(objects * 5e-6)
    partitioning = text_bytes / 1_024**3 * 0.020 + objects * 5e-6
    assert few["Firehose partitioning"] == ("delivery", 0, pytest.approx(partitioning))
    assert items_of(partitions=2)["S3 PUT requests"][2] == items_of()["S3 PUT requests"][2]
    assert prices.firehose_conversion_dollars(1_024**4) == pytest.approx(1_024 * 0.018)


def test_storage_is_the_same_for_both_and_only_where_asked_for() -> None:
    """What is kept once the oldest objects begin to go."""
    kept = items_of(retention_days=30)["S3 storage, once full"]
    dollars = 1_000 * 1_025 * 86_400 * 30 / 3.9 / 1_024**3 * 0.023
    assert kept == ("storage", pytest.approx(dollars), pytest.approx(dollars))
    assert "S3 storage, once full" not in items_of()


def test_an_object_of_an_event_is_one_request_whatever_the_threshold() -> None:
    """Only programs and the command line send parts."""
    whole = plan_of(source=SourceType.KINESIS, window_s=300)
    assert whole.object_bytes > 600_000
    cut = plan_of(
        {"multipart_threshold": "500kB", "part_size": "5MiB"},
        source=SourceType.KINESIS,
        window_s=300,
    )
    puts = [
        next(item.batcher for item in plan.costs.items if item.name == "S3 PUT requests")
        for plan in (whole, cut)
    ]
    assert puts[1] == puts[0]


def test_every_object_is_paid_for() -> None:
    """Those of all partitions of an invocation."""
    plan = plan_of(partitions=8)
    puts = next(item.batcher for item in plan.costs.items if item.name == "S3 PUT requests")
    assert plan.objects.per_event == 8
    assert puts == pytest.approx(plan.objects_per_s * MONTH_S * 5e-6)


def test_parts_add_up_to_the_whole() -> None:
    """Delivery, source and storage."""
    bill = plan_of(retention_days=7, source=SourceType.KINESIS).costs
    parts = ("delivery", "source", "storage")
    assert sum(map(bill.batcher_dollars, parts)) == pytest.approx(bill.batcher_dollars())
    assert sum(map(bill.firehose_dollars, parts)) == pytest.approx(bill.firehose_dollars())
    assert bill.batcher_dollars() == pytest.approx(sum(item.batcher for item in bill.items))


def test_a_record_alone_costs_what_the_bench_reckons_with() -> None:
    """Of 1 KiB, a billion times."""
    billion = {
        prices.firehose_dollars: 138.282,
        prices.sqs_dollars: 120.0,
        prices.kinesis_dollars: 14 + 1e6 / 3_600 * 0.015,
    }
    for dollars, expected in billion.items():
        assert dollars(1_024) * 1e9 == pytest.approx(expected, rel=1e-5)
