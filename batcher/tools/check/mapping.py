"""Mapping: an event source mapping, judged together with the settings of its function."""

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

QueueAttributes = Mapping[str, Any]


REPORT_BATCH_ITEM_FAILURES = "ReportBatchItemFailures"


MappingConfiguration = Mapping[str, Any]
"""A mapping, as GetEventSourceMapping answers."""


_SMALL_BATCH = 100


class SourceService(StrEnum):
    """Where the records of a mapping come from, by its ARN."""

    SQS = "sqs"
    KINESIS = "kinesis"
    DYNAMODB = "dynamodb"


@dataclass(frozen=True, slots=True)
class MappedFunction:
    """What a mapping is judged against: its function, as it is configured."""

    partial_response: bool
    budget_bytes: int
    timeout_s: float | None
    """None: the function may not be looked at."""


def source_service(mapping: MappingConfiguration) -> SourceService | None:
    """Name the service of a mapping's source; None: none that batcher reads."""
    service = str(mapping.get("EventSourceArn", "")).split(":")[2:3]
    return SourceService(service[0]) if service and service[0] in set(SourceService) else None


def mapping_label(mapping: MappingConfiguration) -> str:
    """Name a mapping for people: its source, and as much of its UUID as tells it from others."""
    name = source_name(mapping) or "no source"
    return f"{name} ({str(mapping.get('UUID', ''))[:8]})"


def source_name(mapping: MappingConfiguration) -> str:
    """Return the name of the queue, of the stream, or of the table whose stream it is."""
    last = str(mapping.get("EventSourceArn", "")).split(":", 5)[-1]
    return last.split("/")[1] if "/" in last else last


def evaluate_mapping(mapping: MappingConfiguration, function: MappedFunction) -> list[CheckResult]:
    """Judge one mapping; a queue's own settings are judged by `judge_queue`."""
    subject, service = mapping_label(mapping), source_service(mapping)
    if service is None:
        source = mapping.get("EventSourceArn") or "a source without ARN"
        do = f"each event would raise UnknownSourceError: batcher reads {', '.join(SourceService)}"
        return [error("mapping.source", str(source), do, subject=subject)]
    findings = [
        _evaluate_state(mapping, subject),
        _evaluate_responses(mapping, subject, function, is_stream=service is not SourceService.SQS),
        _evaluate_batch(mapping, subject, service),
    ]
    if service is not SourceService.SQS:
        findings += _evaluate_stream(mapping, subject, function)
    return findings


def _evaluate_state(mapping: MappingConfiguration, subject: str) -> CheckResult:
    state = str(mapping.get("State", ""))
    result = str(mapping.get("LastProcessingResult", ""))
    if result.startswith("PROBLEM"):
        do = "nothing, or not all, comes to the function: see its log and its role"
        return error("mapping.state", f"{state}: {result}", do, subject=subject)
    if state == "Enabled":
        return ok("mapping.state", "enabled", subject=subject)
    do = "no record comes to the function until it is enabled"
    return warning("mapping.state", state or "unknown", do, subject=subject)


def _evaluate_responses(
    mapping: MappingConfiguration, subject: str, function: MappedFunction, *, is_stream: bool
) -> CheckResult:
    is_reported = REPORT_BATCH_ITEM_FAILURES in (mapping.get("FunctionResponseTypes") or ())
    check = "mapping.responses"
    if function.partial_response and not is_reported:
        found = (
            f"partial_response is on, and the mapping has no {REPORT_BATCH_ITEM_FAILURES}: "
            "records are lost"
        )
        do = (
            "Lambda ignores the answer and takes what it names as done: add it to "
            "FunctionResponseTypes, or set partial_response=false"
        )
        return error(check, found, do, subject=subject)
    if is_reported and not function.partial_response:
        back = "all of a batch comes back"
        if not is_stream:
            back = "all messages of an event come back, and those that were written are doubled"
        found = (
            f"the mapping has {REPORT_BATCH_ITEM_FAILURES}, and partial_response is off: "
            f"after a failure {back}"
        )
        return warning(check, found, "set partial_response=true", subject=subject)
    told = "what is not durable is named" if is_reported else "a failure raises: all comes back"
    return ok(check, told, subject=subject)


def _evaluate_batch(
    mapping: MappingConfiguration, subject: str, service: SourceService
) -> CheckResult:
    size = int(mapping.get("BatchSize") or 0)
    window_s = int(mapping.get("MaximumBatchingWindowInSeconds") or 0)
    shown = f"BatchSize {size}, window {window_s} s"
    is_fifo = source_name(mapping).endswith(".fifo")
    if (
        service is SourceService.SQS
        and size > NO_WINDOW_BATCH_SIZE
        and not window_s
        and not is_fifo
    ):
        do = f"over {NO_WINDOW_BATCH_SIZE} needs a window of 1 s or more: set it"
        return error("mapping.batch", shown, do, subject=subject)
    if is_fifo:
        return ok("mapping.batch", f"{shown}: all that FIFO allows is 10", subject=subject)
    if size < _SMALL_BATCH or not window_s:
        do = "objects will be small, and PUTs many: `batcher plan` says what they cost"
        return warning("mapping.batch", shown, do, subject=subject)
    return ok("mapping.batch", shown, subject=subject)


def _evaluate_stream(
    mapping: MappingConfiguration, subject: str, function: MappedFunction
) -> list[CheckResult]:
    findings = _evaluate_retries(mapping, subject)
    if mapping.get("BisectBatchOnFunctionError") is not True:
        do = "a batch that cannot be done in time blocks its shard: set BisectBatchOnFunctionError"
        found = "a batch that fails is not halved"
        findings.append(warning("mapping.bisect", found, do, subject=subject))
    else:
        findings.append(ok("mapping.bisect", "a batch that fails is halved", subject=subject))
    lanes = int(mapping.get("ParallelizationFactor") or 1)
    if lanes > 1:
        note = f"{lanes} batches of a shard side by side: give `batcher verify` --allow-overlaps"
        findings.append(ok("mapping.parallelization", note, subject=subject))
    if mapping.get("TumblingWindowInSeconds"):
        found, do = "a tumbling window expects a state in the answer", "set it to 0"
        findings.append(error("mapping.tumbling", found, do, subject=subject))
    if function.budget_bytes < MAX_EVENT_BYTES:
        found = f"budget_bytes {function.budget_bytes} is less than an event of 6 MB"
        do = "such an event fails before its first PUT, and blocks its shard: raise it"
        findings.append(error("mapping.budget", found, do, subject=subject))
    return findings


def _evaluate_retries(mapping: MappingConfiguration, subject: str) -> list[CheckResult]:
    """Return when Lambda stops trying; docs/guarantees.md assumes that it never does."""
    limits = {
        "MaximumRetryAttempts": mapping.get("MaximumRetryAttempts"),
        "MaximumRecordAgeInSeconds": mapping.get("MaximumRecordAgeInSeconds"),
    }
    given = {n: limit for n, limit in limits.items() if limit is not None and limit != UNLIMITED}
    if not given:
        return [ok("mapping.retries", "without end: nothing is dropped", subject=subject)]
    shown = ", ".join(f"{name} {limit}" for name, limit in given.items())
    destination = mapping.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if not destination:
        found = f"{shown}, and no on-failure destination: records are lost when it is reached"
        do = "set both to -1, or give the mapping a destination"
        return [error("mapping.retries", found, do, subject=subject)]
    found = f"{shown}: then Lambda drops records, and tells {destination}"
    do = "only positions stand there, to be read again while the stream has them: set both to -1"
    return [warning("mapping.retries", found, do, subject=subject)]


def evaluate_shared_root(mappings: Sequence[MappingConfiguration]) -> list[CheckResult]:
    """Judge all mappings that write to one root: streams of one name replace each other's objects.

    Objects of queues are named by their messages, so queues may share a root.
    """
    streams = [
        m for m in mappings if source_service(m) in {SourceService.KINESIS, SourceService.DYNAMODB}
    ]
    findings = []
    for name, count in Counter(map(_object_stem, streams)).items():
        if count > 1:
            found = f"{count} mappings read {name!r}: they replace each other's objects"
            do = "one mapping a root: docs/guarantees.md; give each a function with its own root"
            findings.append(error("mapping.alone", found, do))
    if not findings and mappings:
        count = len(mappings)
        shown = "one mapping" if count == 1 else f"{count} mappings of different sources"
        findings.append(ok("mapping.alone", f"{shown} of this function writes to this root"))
    return findings


def _object_stem(mapping: MappingConfiguration) -> str:
    """Return what the names of a stream's objects start with: its name, not its account."""
    arn = str(mapping.get("EventSourceArn", ""))
    label = (
        arn.partition("/stream/")[2] if source_service(mapping) is SourceService.DYNAMODB else ""
    )
    return f"{source_name(mapping)}/{label}" if label else source_name(mapping)


def evaluate_queue(
    attributes: QueueAttributes, mapping: MappingConfiguration, timeout_s: float | None
) -> Sequence[CheckResult]:
    """Judge what GetQueueAttributes answers (its `Attributes`).

    Args:
        attributes: all of them, as text.
        mapping: the one that reads the queue.
        timeout_s: the function's; None: nobody knows.
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
        why = f"{visibility_s} s; the function's timeout is not known"
        return not_checked(check, why, subject=subject)
    window_s = int(mapping.get("MaximumBatchingWindowInSeconds") or 0)
    wanted_s = VISIBILITY_TIMEOUT_FACTOR * timeout_s + window_s
    shown = f"visibility timeout {visibility_s} s, the function's {timeout_s:g} s"
    if visibility_s < timeout_s + window_s:
        do = f"messages come again while they are being written: set it to {wanted_s:g}"
        return error(check, shown, do, subject=subject)
    if visibility_s < wanted_s:
        do = (
            f"when Lambda is throttled, messages come again and count towards the dead-letter "
            f"queue: set it to {wanted_s:g} ({VISIBILITY_TIMEOUT_FACTOR} timeouts and the window)"
        )
        return warning(check, shown, do, subject=subject)
    return ok(check, shown, subject=subject)


def _evaluate_redrive(attributes: QueueAttributes, subject: str) -> CheckResult:
    check = "queue.dead_letters"
    try:
        redrive = orjson.loads(attributes.get("RedrivePolicy") or "{}")
        receives = int(redrive.get("maxReceiveCount", 0))
    except (orjson.JSONDecodeError, ValueError, TypeError) as problem:
        return not_checked(check, f"its RedrivePolicy cannot be read: {problem}", subject=subject)
    target = str(redrive.get("deadLetterTargetArn", "")).rpartition(":")[2]
    if not target:
        found = "no dead-letter queue"
        do = (
            "a message that always fails comes back until the queue drops it: add a RedrivePolicy "
            f"with maxReceiveCount {MIN_RECEIVE_COUNT} or more"
        )
        return warning(check, found, do, subject=subject)
    shown = f"{target} after {receives} receives"
    if receives < MIN_RECEIVE_COUNT:
        do = f"a short outage of S3 sends good messages there: set {MIN_RECEIVE_COUNT} or more"
        return warning(check, shown, do, subject=subject)
    return ok(check, shown, subject=subject)
