"""Output: stable names in JSON, and YAML with the values of the plan."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given

from batcher.settings import Settings
from batcher.tools.plan.output import make_document, make_environment, make_serverless_yaml
from batcher.tools.plan.plan import make_plan
from batcher.tools.plan.workload import SourceType, Workload
from support.output_schema import check_document
from support.plan_examples import plan_of
from support.plan_strategies import is_possible, workloads
from support.plan_strategies import settings as any_settings


def yaml_of(text: str) -> dict[str, str]:
    """Read the leaves of a snippet by their name; each stands once."""
    leaves: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.strip().removeprefix("- ").partition(": ")
        if separator:
            assert name not in leaves
            leaves[name] = value
    return leaves


@pytest.mark.parametrize("source", SourceType)
def test_the_document_is_as_the_schema_says(source: SourceType) -> None:
    """Programs read its names: a name that goes or changes breaks somebody."""
    workload: dict[str, Any] = {"window_s": 0} if source is SourceType.FIFO else {}
    check_document("plan", make_document(plan_of(source=source, retention_days=3, **workload)))


@given(workloads(), any_settings())
def test_a_document_is_json_and_the_same_at_every_run(workload: Workload, chosen: Settings) -> None:
    """Numbers are finite, and rounded to six digits."""
    assume(is_possible(workload, chosen))
    text = json.dumps(make_document(make_plan(workload, chosen)), allow_nan=False)
    assert text == json.dumps(make_document(make_plan(workload, chosen)), allow_nan=False)
    found = json.loads(text)
    total = sum(item["batcher"] for item in found["dollars_a_month"]["items"])
    assert found["dollars_a_month"]["batcher"] == pytest.approx(total, rel=1e-4, abs=1e-9)
    assert found["object"]["size_bytes"] == pytest.approx(
        found["object"]["text_bytes"] / found["object"]["ratio"], rel=1e-4
    )


def test_the_chosen_function_is_one_of_the_options() -> None:
    """And its dollars are those of the bill."""
    found = make_document(plan_of())
    options = {option["memory_mb"]: option for option in found["lambda"]["options"]}
    chosen = options[found["lambda"]["memory_mb"]]
    assert chosen["duration_s"] == found["lambda"]["duration_s"]
    items = {item["name"]: item["batcher"] for item in found["dollars_a_month"]["items"]}
    together = items["Lambda compute"] + items["Lambda requests"]
    assert chosen["invocation_dollars_a_month"] == pytest.approx(together, rel=1e-4)


def test_a_queues_yaml_has_the_values_of_the_plan() -> None:
    """Function, mapping and queue."""
    plan = plan_of({"engine": "aioboto3", "root": "events"}, window_s=40)
    leaves = yaml_of(make_serverless_yaml(plan))
    assert leaves["memorySize"] == "512"
    assert leaves["timeout"] == "60"
    assert leaves["architecture"] == "arm64"
    assert leaves["batchSize"] == "10000"
    assert leaves["maximumBatchingWindow"] == "40"
    assert leaves["maximumConcurrency"] == "5"
    assert leaves["functionResponseType"] == "ReportBatchItemFailures"
    assert leaves["BATCHER_PARTIAL_RESPONSE"] == '"true"'
    assert leaves["BATCHER_ENGINE"] == '"aioboto3"'
    assert leaves["BATCHER_ROOT"] == '"events"'
    assert leaves["VisibilityTimeout"] == "400"
    assert leaves["maxReceiveCount"] == "9"


def test_a_streams_yaml_has_the_values_of_the_plan() -> None:
    """No queue, and the names that streams have."""
    leaves = yaml_of(make_serverless_yaml(plan_of(source=SourceType.KINESIS)))
    assert leaves["type"] == "kinesis"
    assert leaves["batchWindow"] == "20"
    assert leaves["bisectBatchOnFunctionError"] == "true"
    assert leaves["maximumRetryAttempts"] == "-1"
    assert leaves["maximumRecordAgeInSeconds"] == "-1"
    assert leaves["parallelizationFactor"] == "1"
    assert leaves["startingPosition"] == "TRIM_HORIZON"
    assert leaves["onFailure"].startswith("arn:")
    assert not {"maximumConcurrency", "VisibilityTimeout", "maximumBatchingWindow"} & set(leaves)


def test_a_fifo_queues_yaml_has_no_window() -> None:
    """Lambda refuses one; the queue is FIFO, and so is its name."""
    leaves = yaml_of(make_serverless_yaml(plan_of(source=SourceType.FIFO)))
    assert "maximumBatchingWindow" not in leaves
    assert leaves["FifoQueue"] == "true"
    assert leaves["arn"].endswith(".fifo")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"compression": "zstd"},
        {"compression": "zstd", "compression_level": 5, "tags": '{"team": "x"}'},
        {"budget_bytes": 10_000_000, "max_records": 500, "linger_s": 2},
        {"fanout": 64, "partition_by": "", "root": "a/b"},
    ],
)
def test_the_environment_gives_the_settings_that_were_planned_with(
    settings: dict[str, Any],
) -> None:
    """The handler reads the same out of it, and nothing is in it that is a default."""
    plan = plan_of(settings)
    variables = make_environment(plan)
    read = Settings.from_env(variables)
    assert read == Settings(bucket="my-bucket", partial_response=True, **settings)
    assert len(variables) == 2 + len(settings)


def test_the_environment_has_the_fanout_that_is_needed() -> None:
    """Not the one that is too small."""
    plan = plan_of({"fanout": 1}, records_per_s=200_000, source=SourceType.FIFO, pollers=1_250)
    needed = plan.prefixes.fanout_needed
    assert needed > 16
    assert make_environment(plan)["BATCHER_FANOUT"] == str(needed)
    assert "BATCHER_FANOUT" not in make_environment(plan_of())
