"""Workloads: read as people write them, every fault at once."""

from __future__ import annotations

from typing import Any

import pytest

from batcher.errors import SettingsError
from batcher.tools.plan.workload import DEFAULT_WINDOW_S, SourceType, Workload
from support.plan_examples import workload_of


def test_a_workload_is_read_from_text() -> None:
    """Sizes as everywhere; what is missing or None has its default."""
    workload = Workload.from_text(
        {
            "records_per_s": "2.5e3",
            "record_bytes": "1KiB",
            "source": "kinesis",
            "window_s": "60",
            "shards": None,
            "partitions": "3",
        }
    )
    assert workload == Workload(
        records_per_s=2_500,
        record_bytes=1_024,
        source=SourceType.KINESIS,
        window_s=60,
        partitions=3,
    )
    assert (workload.peak, workload.arch, workload.shards) == (2.0, "arm64", None)


def test_every_fault_comes_in_one_message() -> None:
    """What cannot be read, what is out of range, and what is missing."""
    with pytest.raises(SettingsError) as caught:
        Workload.from_text(
            {
                "records_per_s": "many",
                "source": "kafka",
                "window_s": "2.5",
                "peak": "nan",
                "partitions": "0",
                "arch": "mips",
            }
        )
    assert caught.value.faults == (
        "records_per_s: expected a number, got 'many'",
        "source: unknown value 'kafka'; choose one of: sqs, fifo, kinesis, dynamodb",
        "window_s: expected a whole number, got '2.5'",
        "peak: expected a number, got 'nan'",
        "record_bytes: required; such as 1KiB, or measure a sample",
        "partitions: 0 is outside 1 to 10,000",
        "arch: unknown value 'mips'; choose one of: x86_64, arm64",
    )


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"records_per_s": 0}, "records_per_s"),
        ({"record_bytes": 0}, "record_bytes"),
        ({"window_s": 301}, "window_s"),
        ({"window_s": -1}, "window_s"),
        ({"peak": 0.5}, "peak"),
        ({"source": SourceType.FIFO, "window_s": 20}, "FIFO queues have no batching window"),
        ({"shards": 2}, "shards: a queue"),
        ({"source": SourceType.KINESIS, "pollers": 2}, "pollers: a kinesis stream has no pollers"),
        ({"record_bytes": 1_048_577}, "put large payloads into S3"),
        ({"retention_days": -1}, "retention_days"),
    ],
)
def test_impossible_values_are_rejected(values: dict[str, Any], fault: str) -> None:
    """Each by its name."""
    with pytest.raises(SettingsError, match=fault):
        workload_of(**values)


def test_a_record_of_megabytes_has_one_fault() -> None:
    """Not one for the range and one for the message."""
    with pytest.raises(SettingsError) as caught:
        workload_of(record_bytes=7_000_000)
    assert len(caught.value.faults) == 1


def test_only_a_fifo_queue_has_no_window_by_default() -> None:
    """Lambda takes none there."""
    needed = {"records_per_s": "1", "record_bytes": "1"}
    windows = [Workload.from_text({**needed, "source": s}).window_s for s in SourceType]
    assert windows == [DEFAULT_WINDOW_S, 0, DEFAULT_WINDOW_S, DEFAULT_WINDOW_S]


@pytest.mark.parametrize(
    ("values", "batch_size"),
    [
        ({}, 10_000),
        ({"window_s": 0}, 10),
        ({"source": SourceType.FIFO}, 10),
        ({"source": SourceType.KINESIS, "window_s": 0}, 10_000),
        ({"source": SourceType.DYNAMODB}, 10_000),
    ],
)
def test_the_batch_size_is_the_largest_that_the_mapping_takes(
    values: dict[str, Any], batch_size: int
) -> None:
    """Ten for FIFO, and for a queue without a window."""
    assert workload_of(**values).batch_size == batch_size
