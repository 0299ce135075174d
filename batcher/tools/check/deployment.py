"""Look at a function: its configuration, its mappings, their queues, and what belongs to it."""

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
from batcher.tools.check.role import check_role

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.tools.check.aws import AwsClient

_ABSENT_CODES = ("ResourceNotFoundException",)


@dataclass(slots=True)
class Deployment:
    """What is known of a function and its mappings before its settings are parsed."""

    name: str
    results: list[CheckResult] = field(default_factory=list)
    configuration: Mapping[str, Any] | None = None
    mappings: Sequence[MappingConfiguration] | None = None
    """All of the function's; None: they may not be listed."""
    checked_mappings: Sequence[MappingConfiguration] = ()
    """Those that are judged."""

    @property
    def environ(self) -> dict[str, str] | None:
        """What of the function's environment can be used; None: it may not be looked at."""
        return (
            None
            if self.configuration is None
            else usable_environ(function_environ(self.configuration))
        )


async def read_deployment(aws: AwsClient, name: str, mapping_id: str) -> Deployment:
    """Read a function's configuration and its mappings.

    Args:
        aws: asks.
        name: the function's name or ARN; empty: the one of the mapping.
        mapping_id: the UUID of the one mapping that is judged; empty: all of the function's.
    """
    looked = Deployment(name)
    if mapping_id:
        await _read_mapping(aws, looked, mapping_id)
    if not looked.name:
        return looked
    found = await aws.call(
        "lambda",
        "get_function_configuration",
        "lambda:GetFunctionConfiguration",
        _ABSENT_CODES,
        FunctionName=looked.name,
    )
    if isinstance(found, CallFailure):
        looked.results.append(found.to_result("function", subject=looked.name))
        if found.fatal:
            return looked
    elif found is None:
        told = f"there is no function {looked.name!r} in {aws.region('lambda')}"
        looked.results.append(error("function", told, "correct the name, or AWS_REGION"))
        return looked
    else:
        looked.configuration = found
        looked.results += evaluate_function(found)
        looked.results += evaluate_settings(function_environ(found), found["FunctionName"])
    await _list_mappings(aws, looked, single=bool(mapping_id))
    return looked


async def _read_mapping(aws: AwsClient, deployment: Deployment, mapping_id: str) -> None:
    found = await aws.call(
        "lambda",
        "get_event_source_mapping",
        "lambda:GetEventSourceMapping",
        _ABSENT_CODES,
        UUID=mapping_id,
    )
    if isinstance(found, CallFailure):
        deployment.results.append(found.to_result("mapping", subject=mapping_id))
    elif found is None:
        told = f"there is no mapping {mapping_id!r} in {aws.region('lambda')}"
        deployment.results.append(error("mapping", told, "correct the UUID, or AWS_REGION"))
    else:
        deployment.checked_mappings = [found]
        its_function = str(found.get("FunctionArn", ""))
        if deployment.name and not _is_same_function(its_function, deployment.name):
            told = f"it is of {its_function}, not of {deployment.name}"
            do = "give the function that it belongs to"
            deployment.results.append(error("mapping", told, do, subject=mapping_label(found)))
        deployment.name = deployment.name or its_function


def _is_same_function(arn: str, name: str) -> bool:
    """Return whether a name, a name with its alias, or an ARN is that of a function's ARN."""
    short = arn.partition(":function:")[2]
    return name in {arn, short, short.partition(":")[0], arn.removesuffix(f":{short}")} or (
        name.partition(":function:")[2].partition(":")[0] == short.partition(":")[0] != ""
    )


async def _list_mappings(aws: AwsClient, deployment: Deployment, *, single: bool) -> None:
    mappings: list[MappingConfiguration] = []
    more: dict[str, str] = {}
    while True:
        found = await aws.call(
            "lambda",
            "list_event_source_mappings",
            "lambda:ListEventSourceMappings",
            _ABSENT_CODES,
            FunctionName=deployment.name,
            **more,
        )
        if isinstance(found, CallFailure):
            deployment.results.append(found.to_result("mapping"))
            return
        mappings += (found or {}).get("EventSourceMappings", ())
        marker = (found or {}).get("NextMarker")
        if not marker:
            break
        more = {"Marker": marker}
    deployment.mappings = mappings
    if not single:
        deployment.checked_mappings = mappings
        if not mappings:
            do = "create an event source mapping, or give its alias: NAME:ALIAS"
            told = "the function has no event source mapping"
            deployment.results.append(warning("mapping", told, do))


async def check_deployment(
    aws: AwsClient, deployment: Deployment, settings: Settings
) -> list[CheckResult]:
    """Judge function and mappings against the settings, and ask what belongs to them."""
    configuration = deployment.configuration
    findings = [] if configuration is None else evaluate_limits(configuration, settings)
    timeout_s = None if configuration is None else float(configuration.get("Timeout", 3))
    reader = MappedFunction(settings.partial_response, settings.budget_bytes, timeout_s)
    for mapping in deployment.checked_mappings:
        if configuration is None:
            why = "the function's settings are not known: partial_response is taken as given here"
            findings.append(not_checked("mapping.responses", why, subject=mapping_label(mapping)))
        findings += evaluate_mapping(mapping, reader)
        if source_service(mapping) is SourceService.SQS:
            findings += await _check_queue(aws, mapping, timeout_s)
    findings += evaluate_shared_root(deployment.mappings or ())
    if configuration is not None:
        findings += await check_role(aws, configuration, settings)
        findings += await check_package(aws, configuration, settings)
    return findings


async def _check_queue(
    aws: AwsClient, mapping: MappingConfiguration, timeout_s: float | None
) -> Sequence[CheckResult]:
    subject = mapping_label(mapping)
    _, _, _, _, account, name = str(mapping["EventSourceArn"]).split(":", 5)
    codes = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
    place = await aws.call(
        "sqs",
        "get_queue_url",
        "sqs:GetQueueUrl",
        codes,
        QueueName=name,
        QueueOwnerAWSAccountId=account,
    )
    if isinstance(place, CallFailure):
        return [place.to_result("queue", subject=subject)]
    if place is None:
        return [
            error(
                "queue", "there is no such queue", "create it, or the mapping anew", subject=subject
            )
        ]
    found = await aws.call(
        "sqs",
        "get_queue_attributes",
        "sqs:GetQueueAttributes",
        QueueUrl=place["QueueUrl"],
        AttributeNames=["All"],
    )
    if not isinstance(found, Mapping):
        return [found.to_result("queue", subject=subject)] if found is not None else []
    return evaluate_queue(found.get("Attributes", {}), mapping, timeout_s)
