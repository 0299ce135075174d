"""Template: what a packaged CloudFormation template says of functions and their event sources.

What is tested is what is deployed: handler, settings, time limit, and every parameter of a mapping
are read from here, so that a wrong one is seen to lose records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ACCOUNT, REGION = "000000000000", "us-east-1"
PSEUDO = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws"}
UNTIL_IT_EXPIRES = -1
"""As `MaximumRetryAttempts` or `MaximumRecordAgeInSeconds`: no limit but the stream's own."""
REPORTS = "ReportBatchItemFailures"
FEW = 10
"""More messages in a batch need a window. Source: Lambda API, CreateEventSourceMapping."""

Properties = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A function as it is deployed."""

    name: str
    handler: str
    runtime: str
    timeout_s: int
    memory_mb: int
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue, and what becomes of messages that fail."""

    visibility_s: int
    max_receives: int | None
    """After so many a message is a dead letter; None: never."""


@dataclass(frozen=True, slots=True)
class MappingSpec:
    """An event source mapping, with the defaults that AWS has."""

    is_stream: bool
    batch_size: int
    window_s: int
    reports: bool
    """Whether the function's answer is read at all."""
    bisects: bool
    max_retries: int
    has_destination: bool
    """Whether a stream's batches that are given up are told to somebody."""
    parallelization: int
    request: Properties
    """All of it, as the API takes it."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One function with its event source."""

    function: FunctionSpec
    mapping: MappingSpec
    queue: QueueSpec | None
    """None: it is a stream, or a queue that was there before."""


def read(template: Properties) -> dict[str, Spec]:
    """Return all functions that have an event source, by `sqs` and `kinesis`.

    Raises:
        AssertionError: AWS would refuse the template.
    """
    resources: dict[str, Any] = template["Resources"]
    found = {}
    for properties in _of_type(resources, "AWS::Lambda::EventSourceMapping"):
        function = resources[_target(properties["FunctionName"])]["Properties"]
        mapping = _mapping(properties)
        source = resources.get(_target(properties["EventSourceArn"]), {})
        queue = None if mapping.is_stream or not source else _queue(source["Properties"])
        spec = Spec(_function(template, function), mapping, queue)
        if queue is not None:
            assert queue.visibility_s >= spec.function.timeout_s, "Lambda refuses such a mapping"
        found["kinesis" if mapping.is_stream else "sqs"] = spec
    return found


def _of_type(resources: Mapping[str, Any], kind: str) -> Iterator[Properties]:
    for resource in resources.values():
        if resource["Type"] == kind:
            yield resource["Properties"]


def _target(reference: Any) -> str:  # noqa: ANN401  # JSON
    """Return the resource that a value points to; a plain text points to itself."""
    if isinstance(reference, str):
        return reference
    if "Ref" in reference:
        return str(reference["Ref"])
    return str(reference["Fn::GetAtt"][0])


def _function(template: Properties, properties: Properties) -> FunctionSpec:
    variables = properties.get("Environment", {}).get("Variables", {})
    return FunctionSpec(
        name=str(properties["FunctionName"]),
        handler=properties["Handler"],
        runtime=properties["Runtime"],
        timeout_s=int(properties.get("Timeout", 3)),
        memory_mb=int(properties.get("MemorySize", 128)),
        environ={name: _text(template, value) for name, value in variables.items()},
    )


def _mapping(properties: Properties) -> MappingSpec:
    is_stream = "StartingPosition" in properties
    batch_size = int(properties.get("BatchSize", 100 if is_stream else FEW))
    window_s = int(properties.get("MaximumBatchingWindowInSeconds", 0))
    assert batch_size <= FEW or is_stream or window_s, "a large batch of a queue needs a window"
    destination = properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    return MappingSpec(
        is_stream=is_stream,
        batch_size=batch_size,
        window_s=window_s,
        reports=REPORTS in properties.get("FunctionResponseTypes", []),
        bisects=bool(properties.get("BisectBatchOnFunctionError", False)),
        max_retries=int(properties.get("MaximumRetryAttempts", UNTIL_IT_EXPIRES)),
        has_destination=destination is not None,
        parallelization=int(properties.get("ParallelizationFactor", 1)),
        request=properties,
    )


def _queue(properties: Properties) -> QueueSpec:
    redrive = properties.get("RedrivePolicy")
    visibility_s = int(properties.get("VisibilityTimeout", 30))
    return QueueSpec(visibility_s, int(redrive["maxReceiveCount"]) if redrive else None)


def _text(template: Properties, value: Any) -> str:  # noqa: ANN401  # JSON
    """Return a variable as the function would find it; a resource is its own logical name."""
    if not isinstance(value, Mapping):
        return str(value)
    name = _target(value)
    parameter = template.get("Parameters", {}).get(name)
    if parameter is not None:
        return str(parameter["Default"])
    return PSEUDO.get(name, name)
