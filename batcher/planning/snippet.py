"""Snippet: a plan as a piece of `serverless.yml`, to paste and to fill in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

from batcher.planning.event_source import EventSource
from batcher.planning.workload import Source
from batcher.settings import PREFIX, Settings

if TYPE_CHECKING:
    from batcher.planning.plan import Plan

ARNS = {
    Source.SQS: "arn:aws:sqs:REGION:ACCOUNT:QUEUE",
    Source.FIFO: "arn:aws:sqs:REGION:ACCOUNT:QUEUE.fifo",
    Source.KINESIS: "arn:aws:kinesis:REGION:ACCOUNT:stream/STREAM",
    Source.DYNAMODB: "arn:aws:dynamodb:REGION:ACCOUNT:table/TABLE/stream/LABEL",
}
FAILED_ARN = "arn:aws:sqs:REGION:ACCOUNT:FAILED"


def environment(plan: Plan) -> dict[str, str]:
    """Give the function's variables: what is not a default, and what the plan needs."""
    settings = plan.settings
    kept = {"bucket", "root", "partial_response", "fanout"}
    base = {name: getattr(settings, name) for name in ("compression", "budget_bytes")}
    usual, derived = Settings(bucket=settings.bucket), Settings(bucket=settings.bucket, **base)
    variables = {"bucket": settings.bucket}
    if settings.root:
        variables["root"] = settings.root
    variables["partial_response"] = "true"
    fanout = max(settings.fanout, plan.prefixes.fanout_needed)
    if fanout != usual.fanout:
        variables["fanout"] = str(fanout)
    for spec in fields(Settings):
        value = getattr(settings, spec.name)
        expected = getattr(usual if spec.name in base else derived, spec.name)
        if spec.name not in kept and value != expected:
            variables[spec.name] = json.dumps(value) if isinstance(value, Mapping) else str(value)
    return {PREFIX + name.upper(): value for name, value in variables.items()}


def snippet(plan: Plan) -> str:
    """Give YAML; what stands in capitals is to be filled in."""
    return "\n".join([*_function(plan), *_mapping(plan.event_source), *_queue(plan.event_source)])


def _function(plan: Plan) -> Iterator[str]:
    yield "functions:"
    yield "  deliver:"
    yield "    handler: batcher.handler.handler"
    yield f"    architecture: {plan.function.arch}"
    yield f"    memorySize: {plan.function.memory_mb}"
    yield f"    timeout: {plan.function.timeout_s}"
    yield "    environment:"
    for name, value in environment(plan).items():
        yield f"      {name}: {json.dumps(value, ensure_ascii=False)}"
    yield "    events:"


def _mapping(source: EventSource) -> Iterator[str]:
    is_queue = source.source.is_queue
    yield f"      - {'sqs' if is_queue else 'stream'}:"
    if not is_queue:
        yield f"          type: {source.source}"
    lines: dict[str, object] = {
        "arn": ARNS[source.source],
        "batchSize": source.batch_size,
        ("maximumBatchingWindow" if is_queue else "batchWindow"): source.window_s,
        "maximumConcurrency": source.maximum_concurrency,
        "parallelizationFactor": source.parallelization_factor,
        "bisectBatchOnFunctionError": source.bisect_on_error,
        "maximumRetryAttempts": source.maximum_retry_attempts,
        "maximumRecordAgeInSeconds": source.maximum_record_age_s,
        "startingPosition": source.starting_position,
        "functionResponseType": "ReportBatchItemFailures",
    }
    for name, value in lines.items():
        if value is not None:
            shown = str(value).lower() if isinstance(value, bool) else value
            yield f"          {name}: {shown}"
    if not is_queue:
        yield "          destinations:"
        yield f"            onFailure: {FAILED_ARN}"


def _queue(source: EventSource) -> Iterator[str]:
    if not source.source.is_queue:
        return
    yield "resources:"
    yield "  Resources:"
    yield "    Queue:"
    yield "      Type: AWS::SQS::Queue"
    yield "      Properties:"
    if source.source is Source.FIFO:
        yield "        FifoQueue: true"
    yield f"        VisibilityTimeout: {source.visibility_timeout_s}"
    yield "        RedrivePolicy:"
    yield f"          deadLetterTargetArn: {FAILED_ARN}"
    yield f"          maxReceiveCount: {source.max_receive_count}"
