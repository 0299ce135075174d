"""Output: a plan as a JSON document with stable names, as parameters, and as Serverless YAML."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from batcher.settings import ENV_PREFIX, Settings
from batcher.tools.plan.advice import collect_advice, collect_notes
from batcher.tools.plan.costs import DELIVERY, MONTH_S, SOURCE, STORAGE
from batcher.tools.plan.invocations import shard_count
from batcher.tools.plan.mapping import MappingPlan
from batcher.tools.plan.prices import PRICE_PAGES, PRICES_DATE, PRICES_REGION
from batcher.tools.plan.workload import SourceType

if TYPE_CHECKING:
    from batcher.tools.plan.invocations import InvocationEstimate
    from batcher.tools.plan.plan import Plan

PLACEHOLDER_ARNS = {
    SourceType.SQS: "arn:aws:sqs:REGION:ACCOUNT:QUEUE",
    SourceType.FIFO: "arn:aws:sqs:REGION:ACCOUNT:QUEUE.fifo",
    SourceType.KINESIS: "arn:aws:kinesis:REGION:ACCOUNT:stream/STREAM",
    SourceType.DYNAMODB: "arn:aws:dynamodb:REGION:ACCOUNT:table/TABLE/stream/LABEL",
}

PLACEHOLDER_FAILURE_ARN = "arn:aws:sqs:REGION:ACCOUNT:FAILED"

SIGNIFICANT_DIGITS = 6
"""Significant digits of computed figures. More would be noise."""


def make_document(plan: Plan) -> dict[str, Any]:
    """Return the JSON document of a plan."""
    document = {
        "workload": asdict(plan.workload),
        "event": _event(plan.event),
        "peak_event": _event(plan.peak_event),
        "object": {
            "per_s": plan.objects_per_s,
            "per_event": plan.objects.per_event,
            "records": plan.objects.records,
            "text_bytes": plan.objects.text_bytes,
            "size_bytes": plan.object_bytes,
            "compression": plan.settings.compression,
            "compression_level": plan.settings.compression_level,
            "ratio": plan.compression.ratio,
            "measured_records": plan.compression.measured_records,
        },
        "prefixes": {
            "peak_puts_per_s": plan.prefixes.puts_per_s,
            "peak_puts_per_s_prefix": plan.prefixes.puts_per_s_per_prefix,
            "max_puts_per_s_prefix": plan.settings.prefix_rate,
            "fanout": plan.prefixes.fanout,
            "fanout_needed": plan.prefixes.fanout_needed,
        },
        "lambda": _lambda(plan),
        "event_source": asdict(plan.mapping),
        "environment": make_environment(plan),
        "parameters": make_parameters(plan),
        "dollars_a_month": _dollars(plan),
        "warnings": [
            {"kind": advice.kind, "detail": advice.text} for advice in collect_advice(plan)
        ],
        "notes": collect_notes(plan),
    }
    return {name: _round_floats(value) for name, value in document.items()}


def _event(event: InvocationEstimate) -> dict[str, Any]:
    return {
        "per_s": event.per_s,
        "records": event.records,
        "most_records": event.max_records,
        "json_bytes": event.json_bytes,
        "gather_s": event.batching_s,
        "lanes": event.concurrent_batches,
        "limit": str(event.batch_end),
    }


def _lambda(plan: Plan) -> dict[str, Any]:
    function = plan.function
    return {
        "arch": function.arch,
        "memory_mb": function.memory_mb,
        "timeout_s": function.timeout_s,
        "duration_s": function.duration_s,
        "peak_duration_s": plan.peak_duration_s,
        "cold_s": function.cold_start_s,
        "peak_memory_bytes": function.peak_memory_bytes,
        "concurrency": plan.concurrency,
        "peak_concurrency": plan.peak_concurrency,
        "options": [
            {
                "memory_mb": option.memory_mb,
                "duration_s": option.duration_s,
                "cold_s": option.cold_start_s,
                "invocation_dollars_a_month": option.invocation_dollars
                * plan.event.per_s
                * MONTH_S,
                "is_fit": option.fits,
            }
            for option in plan.function_sizes
        ],
    }


def _dollars(plan: Plan) -> dict[str, Any]:
    costs = plan.costs
    return {
        "batcher": costs.batcher_dollars(),
        "firehose": costs.firehose_dollars(),
        "by_part": {
            part: {"batcher": costs.batcher_dollars(part), "firehose": costs.firehose_dollars(part)}
            for part in (DELIVERY, SOURCE, STORAGE)
        },
        "items": [asdict(item) for item in costs.items],
        "region": PRICES_REGION,
        "dated": PRICES_DATE,
        "prices": dict(PRICE_PAGES),
    }


def _round_floats(value: Any) -> Any:  # noqa: ANN401  # JSON
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, dict):
        return {name: _round_floats(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_round_floats(item) for item in value]
    return value


def make_environment(plan: Plan) -> dict[str, str]:
    """Return the function's environment: settings other than defaults, and the fanout needed."""
    settings = plan.settings
    handled = {"bucket", "root", "partial_response", "fanout"}
    base = {name: getattr(settings, name) for name in ("compression", "budget_bytes")}
    defaults = Settings(bucket=settings.bucket)
    derived = Settings(bucket=settings.bucket, **base)  # other defaults follow from these two
    variables = {"bucket": settings.bucket}
    if settings.root:
        variables["root"] = settings.root
    variables["partial_response"] = "true"
    fanout = max(settings.fanout, plan.prefixes.fanout_needed)
    if fanout != defaults.fanout:
        variables["fanout"] = str(fanout)
    for spec in fields(Settings):
        value = getattr(settings, spec.name)
        expected = getattr(defaults if spec.name in base else derived, spec.name)
        if spec.name not in handled and value != expected:
            variables[spec.name] = json.dumps(value) if isinstance(value, Mapping) else str(value)
    return {ENV_PREFIX + name.upper(): value for name, value in variables.items()}


def make_parameters(plan: Plan) -> dict[str, str]:
    """Return the parameters of `make deploy`: source, function, mapping, and settings."""
    mapping, source = plan.mapping, plan.workload.source
    chosen: dict[str, object] = {}
    if source is SourceType.FIFO:
        chosen |= {"queue": "existing", "queue_arn": PLACEHOLDER_ARNS[source]}
    elif source is SourceType.KINESIS:
        chosen |= {"queue": "off", "stream": "new", "shards": shard_count(plan.workload)}
    elif source is SourceType.DYNAMODB:
        chosen |= {"queue": "off", "table_stream": "existing"}
        chosen["table_stream_arn"] = PLACEHOLDER_ARNS[source]
    chosen |= {
        "memory": plan.function.memory_mb,
        "timeout": plan.function.timeout_s,
        "batch_size": mapping.batch_size,
        "window": mapping.window_s or 0,
        "maximum_concurrency": mapping.maximum_concurrency,
        "parallelization_factor": mapping.parallelization_factor,
    }
    named = {"root": f"{'sqs' if source.is_queue else source}_root"}
    for variable, value in make_environment(plan).items():
        name = variable.removeprefix(ENV_PREFIX).lower()
        if name not in {"bucket", "engine", "partial_response"}:
            chosen[named.get(name, name)] = value
    return {name: str(value) for name, value in chosen.items() if value is not None}


def make_deploy_command(plan: Plan) -> str:
    """Return the command that deploys the plan. Values in capitals must be filled in."""
    parameters = [
        f"--param {shlex.quote(f'{name}={value}')}" for name, value in make_parameters(plan).items()
    ]
    flags = shlex.quote(" ".join(parameters).replace("$", "$$"))  # make's own dollar
    bucket = shlex.quote(plan.settings.bucket)
    engine = "" if plan.settings.engine == "obstore" else f" ENGINE={plan.settings.engine}"
    architecture = "" if plan.function.arch == "arm64" else f" ARCH={plan.function.arch}"
    return f"make deploy BUCKET={bucket}{engine}{architecture} DEPLOY={flags}"


def make_serverless_yaml(plan: Plan) -> str:
    """Return the configuration as YAML. Values in capitals must be filled in."""
    return "\n".join(
        [*_function_lines(plan), *_mapping_lines(plan.mapping), *_queue_lines(plan.mapping)]
    )


def _function_lines(plan: Plan) -> Iterator[str]:
    yield "functions:"
    yield "  deliver:"
    yield "    handler: batcher.handler.handler"
    yield f"    architecture: {plan.function.arch}"
    yield f"    memorySize: {plan.function.memory_mb}"
    yield f"    timeout: {plan.function.timeout_s}"
    yield "    environment:"
    for name, value in make_environment(plan).items():
        yield f"      {name}: {json.dumps(value, ensure_ascii=False)}"
    yield "    events:"


def _mapping_lines(mapping: MappingPlan) -> Iterator[str]:
    is_queue = mapping.source.is_queue
    yield f"      - {'sqs' if is_queue else 'stream'}:"
    if not is_queue:
        yield f"          type: {mapping.source}"
    lines: dict[str, object] = {
        "arn": PLACEHOLDER_ARNS[mapping.source],
        "batchSize": mapping.batch_size,
        ("maximumBatchingWindow" if is_queue else "batchWindow"): mapping.window_s,
        "maximumConcurrency": mapping.maximum_concurrency,
        "parallelizationFactor": mapping.parallelization_factor,
        "bisectBatchOnFunctionError": mapping.bisect_on_error,
        "maximumRetryAttempts": mapping.maximum_retry_attempts,
        "maximumRecordAgeInSeconds": mapping.maximum_record_age_s,
        "startingPosition": mapping.starting_position,
        "functionResponseType": "ReportBatchItemFailures",
    }
    for name, value in lines.items():
        if value is not None:
            text = str(value).lower() if isinstance(value, bool) else value
            yield f"          {name}: {text}"
    if not is_queue:
        yield "          destinations:"
        yield f"            onFailure: {PLACEHOLDER_FAILURE_ARN}"


def _queue_lines(mapping: MappingPlan) -> Iterator[str]:
    if not mapping.source.is_queue:
        return
    yield "resources:"
    yield "  Resources:"
    yield "    Queue:"
    yield "      Type: AWS::SQS::Queue"
    yield "      Properties:"
    if mapping.source is SourceType.FIFO:
        yield "        FifoQueue: true"
    yield f"        VisibilityTimeout: {mapping.visibility_timeout_s}"
    yield "        RedrivePolicy:"
    yield f"          deadLetterTargetArn: {PLACEHOLDER_FAILURE_ARN}"
    yield f"          maxReceiveCount: {mapping.max_receive_count}"
