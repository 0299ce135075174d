"""Deployment: checks of a Lambda function, its mappings, their queues, its role and package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batcher.tools.check.aws import CallFailure
from batcher.tools.check.findings import CheckResult, error, not_checked, warning
from batcher.tools.check.function import (
    evaluate_function,
    evaluate_limits,
    evaluate_settings,
    function_environ,
    usable_environ,
)
from batcher.tools.check.mapping import (
    MappedFunction,
    MappingConfiguration,
    SourceService,
    evaluate_mapping,
    evaluate_queue,
    evaluate_shared_root,
    mapping_label,
    source_service,
)
from batcher.tools.check.package import check_package
from batcher.tools.check.retention import read_retentions
from batcher.tools.check.role import check_role

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.tools.check.aws import AwsClient
    from batcher.tools.check.lifecycle import StreamRetention

_ABSENT_CODES = ("ResourceNotFoundException",)
_ABSENT_QUEUE_CODES = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


@dataclass(slots=True)
class Deployment:
    """A function and its mappings as AWS describes them, before its settings are parsed."""

    name: str
    results: list[CheckResult] = field(default_factory=list)
    configuration: Mapping[str, Any] | None = None
    mappings: Sequence[MappingConfiguration] | None = None
    """All mappings of the function. None if they may not be listed."""
    checked_mappings: Sequence[MappingConfiguration] = ()
    """The mappings to check."""
    retentions: Sequence[StreamRetention] = ()
    """Of the streams of these mappings, once they were checked."""

    @property
    def role(self) -> str:
        """The ARN of the function's role. Empty if it may not be read."""
        return str((self.configuration or {}).get("Role", ""))

    @property
    def environ(self) -> dict[str, str] | None:
        """The usable part of the function's environment. None if it may not be read."""
        return (
            None
            if self.configuration is None
            else usable_environ(function_environ(self.configuration))
        )


async def read_deployment(aws: AwsClient, name: str, mapping_id: str) -> Deployment:
    """Read a function's configuration and its mappings.

    Args:
        aws: makes the calls.
        name: the function's name or ARN; empty: the function of the mapping.
        mapping_id: the UUID of the only mapping to check; empty: all of the function's.
    """
    deployment = Deployment(name)
    if mapping_id:
        await _read_mapping(aws, deployment, mapping_id)
    if not deployment.name:
        return deployment
    configuration = await aws.call(
        "lambda",
        "get_function_configuration",
        "lambda:GetFunctionConfiguration",
        _ABSENT_CODES,
        FunctionName=deployment.name,
    )
    if isinstance(configuration, CallFailure):
        deployment.results.append(configuration.to_result("function", subject=deployment.name))
        if configuration.fatal:
            deployment.results += _leave_out_rest("because no request succeeds")
            return deployment
    elif configuration is None:
        detail = f"the function {deployment.name!r} does not exist in {aws.region('lambda')}"
        deployment.results.append(error("function", detail, "correct the name, or AWS_REGION"))
        deployment.results += _leave_out_rest("because the function does not exist")
        return deployment
    else:
        deployment.configuration = configuration
        deployment.results += evaluate_function(configuration)
        environ = function_environ(configuration)
        deployment.results += evaluate_settings(environ, configuration["FunctionName"])
    await _list_mappings(aws, deployment, single=bool(mapping_id))
    return deployment


def _leave_out_rest(reason: str) -> list[CheckResult]:
    """Return that nothing that belongs to the function was checked."""
    return [not_checked(check, reason) for check in ("role", "mapping", "queue")]


async def _read_mapping(aws: AwsClient, deployment: Deployment, mapping_id: str) -> None:
    mapping = await aws.call(
        "lambda",
        "get_event_source_mapping",
        "lambda:GetEventSourceMapping",
        _ABSENT_CODES,
        UUID=mapping_id,
    )
    if isinstance(mapping, CallFailure):
        deployment.results.append(mapping.to_result("mapping", subject=mapping_id))
    elif mapping is None:
        detail = f"the mapping {mapping_id!r} does not exist in {aws.region('lambda')}"
        deployment.results.append(error("mapping", detail, "correct the UUID, or AWS_REGION"))
    else:
        deployment.checked_mappings = [mapping]
        function_arn = str(mapping.get("FunctionArn", ""))
        if deployment.name and not _is_same_function(function_arn, deployment.name):
            detail = f"it belongs to {function_arn}, not to {deployment.name}"
            fix = "pass the function that the mapping belongs to"
            label = mapping_label(mapping)
            deployment.results.append(error("mapping", detail, fix, subject=label))
        deployment.name = deployment.name or function_arn


def _is_same_function(arn: str, name: str) -> bool:
    """Return whether `name` (a name, a name with an alias, or an ARN) is the function of `arn`."""
    short = arn.partition(":function:")[2]
    return name in {arn, short, short.partition(":")[0], arn.removesuffix(f":{short}")} or (
        name.partition(":function:")[2].partition(":")[0] == short.partition(":")[0] != ""
    )


async def _list_mappings(aws: AwsClient, deployment: Deployment, *, single: bool) -> None:
    mappings: list[MappingConfiguration] = []
    page: dict[str, str] = {}
    while True:
        response = await aws.call(
            "lambda",
            "list_event_source_mappings",
            "lambda:ListEventSourceMappings",
            _ABSENT_CODES,
            FunctionName=deployment.name,
            **page,
        )
        if isinstance(response, CallFailure):
            deployment.results.append(response.to_result("mapping"))
            return
        mappings += (response or {}).get("EventSourceMappings", ())
        marker = (response or {}).get("NextMarker")
        if not marker:
            break
        page = {"Marker": marker}
    deployment.mappings = mappings
    if not single:
        deployment.checked_mappings = mappings
        if not mappings:
            detail = "the function has no event source mapping"
            fix = "create one, or pass the alias that has it: NAME:ALIAS"
            deployment.results.append(warning("mapping", detail, fix))


async def check_deployment(
    aws: AwsClient, deployment: Deployment, settings: Settings
) -> list[CheckResult]:
    """Check function and mappings against the settings, then queues, role and package."""
    configuration = deployment.configuration
    results = [] if configuration is None else evaluate_limits(configuration, settings)
    if not settings.conditional_writes:
        fix = "remove it: an event source delivers records again, which must not replace objects"
        results.append(error("settings", "a function refuses conditional_writes=false", fix))
    timeout_s = None if configuration is None else float(configuration.get("Timeout", 3))
    function = MappedFunction(settings.partial_response, settings.budget_bytes, timeout_s)
    for mapping in deployment.checked_mappings:
        if configuration is None:
            reason = "the function's settings are unknown: partial_response is assumed as set here"
            label = mapping_label(mapping)
            results.append(not_checked("mapping.responses", reason, subject=label))
        results += evaluate_mapping(mapping, function)
        if source_service(mapping) is SourceService.SQS:
            results += await _check_queue(aws, mapping, timeout_s)
    retention_results, deployment.retentions = await read_retentions(
        aws, deployment.checked_mappings
    )
    results += retention_results
    results += evaluate_shared_root(deployment.mappings or ())
    if configuration is not None:
        results += await check_role(aws, configuration, settings)
        results += await check_package(aws, configuration, settings)
    return results


async def _check_queue(
    aws: AwsClient, mapping: MappingConfiguration, timeout_s: float | None
) -> Sequence[CheckResult]:
    subject = mapping_label(mapping)
    _, _, _, _, account, name = str(mapping["EventSourceArn"]).split(":", 5)
    located = await aws.call(
        "sqs",
        "get_queue_url",
        "sqs:GetQueueUrl",
        _ABSENT_QUEUE_CODES,
        QueueName=name,
        QueueOwnerAWSAccountId=account,
    )
    if isinstance(located, CallFailure):
        return [located.to_result("queue", subject=subject)]
    if located is None:
        detail, fix = "the queue does not exist", "create it, then create the mapping again"
        return [error("queue", detail, fix, subject=subject)]
    response = await aws.call(
        "sqs",
        "get_queue_attributes",
        "sqs:GetQueueAttributes",
        QueueUrl=located["QueueUrl"],
        AttributeNames=["All"],
    )
    if not isinstance(response, Mapping):
        return [response.to_result("queue", subject=subject)] if response is not None else []
    return evaluate_queue(response.get("Attributes", {}), mapping, timeout_s)
