"""Mapping: an event source mapping and its queue, compared with the settings of the function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from batcher.tools.check.findings import CheckResult, error, not_checked, ok, warning
from batcher.tools.plan.mapping import UNLIMITED
from batcher.tools.plan.quotas import (
    MAX_EVENT_BYTES,
    MIN_RECEIVE_COUNT,
    NO_WINDOW_BATCH_SIZE,
    VISIBILITY_TIMEOUT_FACTOR,
)

MappingConfiguration = Mapping[str, Any]
"""The response of GetEventSourceMapping."""

QueueAttributes = Mapping[str, Any]
"""The `Attributes` of a GetQueueAttributes response. All values are text."""

REPORT_BATCH_ITEM_FAILURES = "ReportBatchItemFailures"

_SMALL_BATCH = 100


class SourceService(StrEnum):
    """The service of a mapping's source, as its ARN names it."""

    SQS = "sqs"
    KINESIS = "kinesis"
    DYNAMODB = "dynamodb"


@dataclass(frozen=True, slots=True)
class MappedFunction:
    """The configuration of a function, as far as it matters for its mappings."""

    partial_response: bool
    budget_bytes: int
    timeout_s: float | None
    """None if the function may not be read."""


def source_service(mapping: MappingConfiguration) -> SourceService | None:
    """Return the service of a mapping's source, or None if batcher does not read from it."""
    service = str(mapping.get("EventSourceArn", "")).split(":")[2:3]
    return SourceService(service[0]) if service and service[0] in set(SourceService) else None


def mapping_label(mapping: MappingConfiguration) -> str:
    """Return a short name of a mapping: its source, and the first 8 characters of its UUID."""
    name = source_name(mapping) or "no source"
    return f"{name} ({str(mapping.get('UUID', ''))[:8]})"


def source_name(mapping: MappingConfiguration) -> str:
    """Return the name of the queue or stream, or of the table that the stream belongs to."""
    resource = str(mapping.get("EventSourceArn", "")).split(":", 5)[-1]
    return resource.split("/")[1] if "/" in resource else resource


def evaluate_mapping(mapping: MappingConfiguration, function: MappedFunction) -> list[CheckResult]:
    """Evaluate one mapping; `evaluate_queue` evaluates the attributes of its queue."""
    subject, service = mapping_label(mapping), source_service(mapping)
    if service is None:
        source = mapping.get("EventSourceArn") or "a source without ARN"
        fix = f"use {', '.join(SourceService)}: batcher fails events of others"
        return [error("mapping.source", f"{source} is not supported", fix, subject=subject)]
    results = [
        _evaluate_state(mapping, subject),
        _evaluate_responses(mapping, subject, function, is_stream=service is not SourceService.SQS),
        _evaluate_batch(mapping, subject, service),
    ]
    if service is not SourceService.SQS:
        results += _evaluate_stream(mapping, subject, function)
    return results


def _evaluate_state(mapping: MappingConfiguration, subject: str) -> CheckResult:
    state = str(mapping.get("State", ""))
    result = str(mapping.get("LastProcessingResult", ""))
    if result.startswith("PROBLEM"):
        fix = "check the function's log and its role: events do not reach it, or it fails"
        return error("mapping.state", f"{state}: {result}", fix, subject=subject)
    if state == "Enabled":
        return ok("mapping.state", "enabled", subject=subject)
    fix = "enable it: until then the function gets no records"
    return warning("mapping.state", state or "unknown", fix, subject=subject)


def _evaluate_responses(
    mapping: MappingConfiguration, subject: str, function: MappedFunction, *, is_stream: bool
) -> CheckResult:
    check = "mapping.responses"
    reported = REPORT_BATCH_ITEM_FAILURES in (mapping.get("FunctionResponseTypes") or ())
    if function.partial_response and not reported:
        detail = (
            f"partial_response is on, but the mapping lacks {REPORT_BATCH_ITEM_FAILURES}, so "
            "records are lost: Lambda ignores which of them failed"
        )
        fix = "add it to FunctionResponseTypes, or set partial_response=false"
        return error(check, detail, fix, subject=subject)
    if reported and not function.partial_response:
        redelivered = "the whole batch is redelivered"
        if not is_stream:
            redelivered = "all messages of an event are redelivered, which duplicates written ones"
        detail = (
            f"the mapping has {REPORT_BATCH_ITEM_FAILURES}, but partial_response is off: "
            f"after a failure {redelivered}"
        )
        return warning(check, detail, "set partial_response=true", subject=subject)
    if reported:
        return ok(check, "only records that are not durable are redelivered", subject=subject)
    return ok(check, "a failure fails the whole event, which is redelivered", subject=subject)


def _evaluate_batch(
    mapping: MappingConfiguration, subject: str, service: SourceService
) -> CheckResult:
    check = "mapping.batch"
    size = int(mapping.get("BatchSize") or 0)
    window_s = int(mapping.get("MaximumBatchingWindowInSeconds") or 0)
    detail = f"BatchSize {size}, window {window_s} s"
    is_fifo = source_name(mapping).endswith(".fifo")
    if (
        service is SourceService.SQS
        and size > NO_WINDOW_BATCH_SIZE
        and not window_s
        and not is_fifo
    ):
        fix = f"set a window of 1 s or more: a batch size over {NO_WINDOW_BATCH_SIZE} needs it"
        return error(check, detail, fix, subject=subject)
    if is_fifo:
        return ok(check, f"{detail}: FIFO queues allow 10 at most", subject=subject)
    if size < _SMALL_BATCH or not window_s:
        fix = "raise them: objects will be small and PUTs many (`batcher plan` shows the cost)"
        return warning(check, detail, fix, subject=subject)
    return ok(check, detail, subject=subject)


def _evaluate_stream(
    mapping: MappingConfiguration, subject: str, function: MappedFunction
) -> list[CheckResult]:
    results = _evaluate_retries(mapping, subject)
    if mapping.get("BisectBatchOnFunctionError") is not True:
        detail = "a batch that fails is not split in half"
        fix = "set BisectBatchOnFunctionError: a batch that takes too long would block its shard"
        results.append(warning("mapping.bisect", detail, fix, subject=subject))
    else:
        detail = "a batch that fails is split in half"
        results.append(ok("mapping.bisect", detail, subject=subject))
    parallelization = int(mapping.get("ParallelizationFactor") or 1)
    if parallelization > 1:
        detail = (
            f"{parallelization} concurrent batches per shard: run `batcher verify` with "
            "--allow-overlaps"
        )
        results.append(ok("mapping.parallelization", detail, subject=subject))
    if mapping.get("TumblingWindowInSeconds"):
        detail = "a tumbling window needs a state in the response, which batcher does not return"
        results.append(error("mapping.tumbling", detail, "set it to 0", subject=subject))
    if function.budget_bytes < MAX_EVENT_BYTES:
        detail = f"budget_bytes {function.budget_bytes} is less than an event of 6 MB"
        fix = "raise it: such an event fails before its first PUT, and blocks its shard"
        results.append(error("mapping.budget", detail, fix, subject=subject))
    return results


def _evaluate_retries(mapping: MappingConfiguration, subject: str) -> list[CheckResult]:
    """Check that Lambda retries for ever, as docs/guarantees.md assumes."""
    check = "mapping.retries"
    limits = {
        "MaximumRetryAttempts": mapping.get("MaximumRetryAttempts"),
        "MaximumRecordAgeInSeconds": mapping.get("MaximumRecordAgeInSeconds"),
    }
    limited = {
        name: limit for name, limit in limits.items() if limit is not None and limit != UNLIMITED
    }
    if not limited:
        return [ok(check, "unlimited: no record is dropped", subject=subject)]
    description = ", ".join(f"{name} {limit}" for name, limit in limited.items())
    destination = mapping.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if not destination:
        detail = f"{description}, without an on-failure destination: after that records are lost"
        fix = "set both to -1, or give the mapping an on-failure destination"
        return [error(check, detail, fix, subject=subject)]
    detail = f"{description}: after that Lambda drops records and notifies {destination}"
    fix = "set both to -1: a notification has only positions, readable while the stream keeps them"
    return [warning(check, detail, fix, subject=subject)]


def evaluate_shared_root(mappings: Sequence[MappingConfiguration]) -> list[CheckResult]:
    """Check that no two mappings that write to one root read streams of the same name.

    Of such streams, equal sequence numbers are taken for the same record. Objects of queues are
    named by their messages, so queues may share a root.
    """
    check = "mapping.alone"
    streams = [
        mapping
        for mapping in mappings
        if source_service(mapping) in {SourceService.KINESIS, SourceService.DYNAMODB}
    ]
    results = []
    for name, count in Counter(map(_object_stem, streams)).items():
        if count > 1:
            detail = f"{count} mappings read {name!r}: equal sequence numbers count as one record"
            fix = "give each a function with its own root; see docs/guarantees.md"
            results.append(error(check, detail, fix))
    if not results and mappings:
        count = len(mappings)
        detail = (
            "one mapping of this function writes to this root"
            if count == 1
            else f"{count} mappings of this function, with different sources, write to this root"
        )
        results.append(ok(check, detail))
    return results


def _object_stem(mapping: MappingConfiguration) -> str:
    """Return the start of the names of a stream's objects: its name, without the account."""
    arn = str(mapping.get("EventSourceArn", ""))
    label = (
        arn.partition("/stream/")[2] if source_service(mapping) is SourceService.DYNAMODB else ""
    )
    return f"{source_name(mapping)}/{label}" if label else source_name(mapping)


def evaluate_queue(
    attributes: QueueAttributes, mapping: MappingConfiguration, timeout_s: float | None
) -> Sequence[CheckResult]:
    """Evaluate the attributes of a mapping's queue.

    Args:
        attributes: all attributes of the queue.
        mapping: the mapping that reads the queue.
        timeout_s: the function's timeout; None if it is unknown.
    """
    subject = mapping_label(mapping)
    return [
        _evaluate_visibility(attributes, mapping, timeout_s, subject),
        _evaluate_redrive(attributes, subject),
    ]


def _evaluate_visibility(
    attributes: QueueAttributes,
    mapping: MappingConfiguration,
    timeout_s: float | None,
    subject: str,
) -> CheckResult:
    check = "queue.visibility"
    visibility_s = int(attributes.get("VisibilityTimeout", 30))
    if timeout_s is None:
        reason = f"visibility timeout {visibility_s} s, but the function's timeout is unknown"
        return not_checked(check, reason, subject=subject)
    window_s = int(mapping.get("MaximumBatchingWindowInSeconds") or 0)
    wanted_s = VISIBILITY_TIMEOUT_FACTOR * timeout_s + window_s
    detail = f"visibility timeout {visibility_s} s, function timeout {timeout_s:g} s"
    if visibility_s < timeout_s + window_s:
        fix = f"set it to {wanted_s:g}: messages are redelivered while they are being written"
        return error(check, detail, fix, subject=subject)
    if visibility_s < wanted_s:
        fix = (
            f"set it to {wanted_s:g} ({VISIBILITY_TIMEOUT_FACTOR} timeouts and the window): when "
            "Lambda is throttled, messages are redelivered and come closer to the dead-letter queue"
        )
        return warning(check, detail, fix, subject=subject)
    return ok(check, detail, subject=subject)


def _evaluate_redrive(attributes: QueueAttributes, subject: str) -> CheckResult:
    check = "queue.dead_letters"
    try:
        redrive = orjson.loads(attributes.get("RedrivePolicy") or "{}")
        receives = int(redrive.get("maxReceiveCount", 0))
    except (orjson.JSONDecodeError, ValueError, TypeError) as problem:
        return not_checked(check, f"its RedrivePolicy cannot be read: {problem}", subject=subject)
    target = str(redrive.get("deadLetterTargetArn", "")).rpartition(":")[2]
    if not target:
        fix = (
            f"add a RedrivePolicy with maxReceiveCount {MIN_RECEIVE_COUNT} or more: a message that "
            "always fails is redelivered until its retention ends"
        )
        return warning(check, "no dead-letter queue", fix, subject=subject)
    detail = f"{target} after {receives} receives"
    if receives < MIN_RECEIVE_COUNT:
        fix = (
            f"set {MIN_RECEIVE_COUNT} or more: a short outage of S3 would move good messages there"
        )
        return warning(check, detail, fix, subject=subject)
    return ok(check, detail, subject=subject)
