"""Mappings and queues: each fault that loses, duplicates or blocks records is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.tools.check.findings import CheckResult, CheckStatus
from batcher.tools.check.mapping import (
    MappedFunction,
    evaluate_mapping,
    evaluate_queue,
    evaluate_shared_root,
    mapping_label,
    source_name,
)
from support.aws_shapes import QUEUE_ARN, STREAM_ARN, TABLE_ARN, mapping, queue

ON = MappedFunction(partial_response=True, budget_bytes=10**8, timeout_s=60)
OFF = MappedFunction(partial_response=False, budget_bytes=10**8, timeout_s=60)


def only(found: list[CheckResult], check: str) -> CheckResult:
    """Return the one finding of a check."""
    (one,) = [finding for finding in found if finding.check == check]
    return one


def marks(found: list[CheckResult]) -> dict[str, CheckStatus]:
    """Return the status of each check with a problem."""
    return {
        finding.check: finding.status for finding in found if finding.status is not CheckStatus.OK
    }


@pytest.mark.parametrize("arn", [QUEUE_ARN, STREAM_ARN, TABLE_ARN, f"{QUEUE_ARN}.fifo"])
def test_a_mapping_as_the_guide_recommends_has_no_problem(arn: str) -> None:
    """Of every source."""
    size = 10 if arn.endswith(".fifo") else 10_000
    assert marks(evaluate_mapping(mapping(arn, BatchSize=size), ON)) == {}


@pytest.mark.parametrize("arn", [QUEUE_ARN, STREAM_ARN])
def test_a_partial_response_that_lambda_ignores_loses_records(arn: str) -> None:
    """partial_response without ReportBatchItemFailures."""
    found = only(evaluate_mapping(mapping(arn, FunctionResponseTypes=[]), ON), "mapping.responses")
    assert found.status is CheckStatus.ERROR
    assert "lost" in found.detail
    assert "FunctionResponseTypes" in found.fix


@pytest.mark.parametrize("types", [None, []])
def test_without_partial_response_on_both_sides_there_is_no_problem(
    types: list[str] | None,
) -> None:
    """The default of the settings."""
    found = only(evaluate_mapping(mapping(FunctionResponseTypes=types), OFF), "mapping.responses")
    assert found.status is CheckStatus.OK


@pytest.mark.parametrize(("arn", "told"), [(QUEUE_ARN, "duplicates"), (STREAM_ARN, "whole batch")])
def test_a_mapping_that_expects_a_partial_response_and_gets_none_is_a_warning(
    arn: str, told: str
) -> None:
    """Nothing is lost, but a queue redelivers records that were written."""
    found = only(evaluate_mapping(mapping(arn), OFF), "mapping.responses")
    assert found.status is CheckStatus.WARNING
    assert told in found.detail


@given(
    st.sampled_from([QUEUE_ARN, STREAM_ARN, TABLE_ARN]),
    st.booleans(),
    st.booleans(),
    st.integers(1, 10_000),
    st.integers(0, 300),
    st.sampled_from(["Enabled", "Disabled", "Updating"]),
)
def test_records_are_lost_only_if_just_the_function_uses_partial_responses(  # noqa: PLR0913, PLR0917  # cases
    arn: str,
    is_partial: bool,  # noqa: FBT001
    is_reported: bool,  # noqa: FBT001
    size: int,
    window_s: int,
    state: str,
) -> None:
    """Whatever else is set."""
    described = mapping(
        arn,
        FunctionResponseTypes=["ReportBatchItemFailures"] if is_reported else [],
        BatchSize=size,
        MaximumBatchingWindowInSeconds=window_s,
        State=state,
    )
    reader = MappedFunction(partial_response=is_partial, budget_bytes=10**8, timeout_s=None)
    found = only(evaluate_mapping(described, reader), "mapping.responses")
    assert (found.status is CheckStatus.ERROR) == (is_partial and not is_reported)
    assert (found.status is CheckStatus.OK) == (is_partial == is_reported)


def test_limited_retries_without_a_destination_lose_records() -> None:
    """And with one they are a warning, for only positions go there."""
    ending: dict[str, Any] = {"MaximumRetryAttempts": 3}
    found = only(evaluate_mapping(mapping(**ending), ON), "mapping.retries")
    assert (found.status, found.detail.partition(",")[0]) == (
        CheckStatus.ERROR,
        "MaximumRetryAttempts 3",
    )
    ending["DestinationConfig"] = {"OnFailure": {"Destination": QUEUE_ARN}}
    found = only(evaluate_mapping(mapping(**ending), ON), "mapping.retries")
    assert found.status is CheckStatus.WARNING
    assert QUEUE_ARN in found.detail


def test_a_limited_record_age_is_as_bad_as_limited_retries() -> None:
    """Both are named; an empty destination is none."""
    described = mapping(
        MaximumRetryAttempts=0, MaximumRecordAgeInSeconds=3_600, DestinationConfig={"OnFailure": {}}
    )
    found = only(evaluate_mapping(described, ON), "mapping.retries")
    assert found.status is CheckStatus.ERROR
    assert found.detail.startswith("MaximumRetryAttempts 0, MaximumRecordAgeInSeconds 3600,")


@pytest.mark.parametrize("limit", [None, -1])
def test_unlimited_retries_have_no_problem(limit: int | None) -> None:
    """-1, or left out."""
    described = mapping(MaximumRetryAttempts=limit, MaximumRecordAgeInSeconds=limit)
    assert only(evaluate_mapping(described, ON), "mapping.retries").status is CheckStatus.OK


@pytest.mark.parametrize(
    ("arn", "changes", "check", "mark"),
    [
        (STREAM_ARN, {"BisectBatchOnFunctionError": False}, "mapping.bisect", CheckStatus.WARNING),
        (STREAM_ARN, {"BisectBatchOnFunctionError": None}, "mapping.bisect", CheckStatus.WARNING),
        (STREAM_ARN, {"TumblingWindowInSeconds": 30}, "mapping.tumbling", CheckStatus.ERROR),
        (STREAM_ARN, {"State": "Disabled"}, "mapping.state", CheckStatus.WARNING),
        (
            STREAM_ARN,
            {"LastProcessingResult": "PROBLEM: Function call failed"},
            "mapping.state",
            CheckStatus.ERROR,
        ),
        (STREAM_ARN, {"MaximumBatchingWindowInSeconds": 0}, "mapping.batch", CheckStatus.WARNING),
        (STREAM_ARN, {"BatchSize": 99}, "mapping.batch", CheckStatus.WARNING),
        (QUEUE_ARN, {"MaximumBatchingWindowInSeconds": 0}, "mapping.batch", CheckStatus.ERROR),
        (
            QUEUE_ARN,
            {"MaximumBatchingWindowInSeconds": None, "BatchSize": 10},
            "mapping.batch",
            CheckStatus.WARNING,
        ),
    ],
)
def test_each_other_fault_is_named_by_itself(
    arn: str, changes: dict[str, Any], check: str, mark: CheckStatus
) -> None:
    """And nothing else is reported."""
    assert marks(evaluate_mapping(mapping(arn, **changes), ON)) == {check: mark}


def test_concurrent_batches_per_shard_are_a_note_for_verify() -> None:
    """A parallelization factor over 1 is allowed."""
    found = only(evaluate_mapping(mapping(ParallelizationFactor=2), ON), "mapping.parallelization")
    assert found.status is CheckStatus.OK
    assert "--allow-overlaps" in found.detail


def test_a_budget_under_one_event_blocks_a_stream() -> None:
    """A queue's event may be cut, a stream's not."""
    small = MappedFunction(partial_response=True, budget_bytes=5_999_999, timeout_s=60)
    assert marks(evaluate_mapping(mapping(), small)) == {"mapping.budget": CheckStatus.ERROR}
    assert marks(evaluate_mapping(mapping(QUEUE_ARN), small)) == {}


@pytest.mark.parametrize(
    "source",
    [
        {"EventSourceArn": "arn:aws:kafka:us-east-2:123456789012:cluster/demo/1"},
        {
            "EventSourceArn": None,
            "SelfManagedEventSource": {
                "Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["a.example:9092"]}
            },
        },
    ],
)
def test_a_source_that_batcher_does_not_read_is_an_error(source: dict[str, Any]) -> None:
    """And nothing else is reported."""
    (found,) = evaluate_mapping(mapping(**source), ON)
    assert (found.check, found.status) == ("mapping.source", CheckStatus.ERROR)


def test_streams_of_one_name_must_not_share_a_root() -> None:
    """Twice the same, and the same name in another account; queues may, and other streams."""
    again = STREAM_ARN.replace("123456789012", "999999999999")
    for other in (STREAM_ARN, again):
        (found,) = evaluate_shared_root([mapping(), mapping(QUEUE_ARN), mapping(other)])
        assert found.status is CheckStatus.ERROR
        assert "'orders'" in found.detail
    fine = [mapping(QUEUE_ARN), mapping(QUEUE_ARN), mapping(f"{STREAM_ARN}-2"), mapping(TABLE_ARN)]
    assert marks(evaluate_shared_root(fine)) == {}
    later = TABLE_ARN.replace("2026-11-23", "2026-11-24")
    assert marks(evaluate_shared_root([mapping(TABLE_ARN), mapping(later)])) == {}
    assert marks(evaluate_shared_root([mapping(TABLE_ARN)] * 2)) == {
        "mapping.alone": CheckStatus.ERROR
    }
    assert evaluate_shared_root([]) == []


def test_a_consumer_of_a_stream_is_that_stream() -> None:
    """Enhanced fan-out has an ARN that goes on."""
    consumer = mapping(f"{STREAM_ARN}/consumer/c:1795417200")
    assert source_name(consumer) == "orders"
    assert marks(evaluate_shared_root([mapping(), consumer])) == {
        "mapping.alone": CheckStatus.ERROR
    }


@pytest.mark.parametrize(
    ("arn", "name"), [(QUEUE_ARN, "orders"), (STREAM_ARN, "orders"), (TABLE_ARN, "Orders")]
)
def test_a_mapping_is_named_by_its_source(arn: str, name: str) -> None:
    """And by the start of its UUID."""
    assert mapping_label(mapping(arn)) == f"{name} (a1b2c3d4)"


@pytest.mark.parametrize(
    ("visibility", "mark"),
    [
        ("64", CheckStatus.ERROR),
        ("65", CheckStatus.WARNING),
        ("364", CheckStatus.WARNING),
        ("365", CheckStatus.OK),
        ("43200", CheckStatus.OK),
    ],
)
def test_messages_must_stay_invisible_while_they_are_written(
    visibility: str, mark: CheckStatus
) -> None:
    """Six timeouts of 60 s and the window of 5 s; less than one doubles records."""
    found = evaluate_queue(queue(VisibilityTimeout=visibility), mapping(QUEUE_ARN), 60)
    assert only(list(found), "queue.visibility").status is mark


def test_without_the_functions_timeout_visibility_is_not_checked() -> None:
    """It is no fault."""
    found = evaluate_queue(queue(), mapping(QUEUE_ARN), None)
    assert only(list(found), "queue.visibility").status is CheckStatus.NOT_CHECKED


@pytest.mark.parametrize(
    ("policy", "mark", "told"),
    [
        ("", CheckStatus.WARNING, "no dead-letter queue"),
        (
            f'{{"deadLetterTargetArn":"{QUEUE_ARN}","maxReceiveCount":4}}',
            CheckStatus.WARNING,
            "after 4",
        ),
        (
            f'{{"deadLetterTargetArn":"{QUEUE_ARN}","maxReceiveCount":"5"}}',
            CheckStatus.OK,
            "orders after 5",
        ),
        ("{", CheckStatus.NOT_CHECKED, "cannot be read"),
        ('{"maxReceiveCount":"x"}', CheckStatus.NOT_CHECKED, "cannot be read"),
    ],
)
def test_a_dead_letter_queue_needs_at_least_five_receives(
    policy: str, mark: CheckStatus, told: str
) -> None:
    """At least five receives."""
    found = only(
        list(evaluate_queue(queue(RedrivePolicy=policy), mapping(QUEUE_ARN), 60)),
        "queue.dead_letters",
    )
    assert found.status is mark
    assert told in found.detail
