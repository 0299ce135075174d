"""Look at a function: its configuration, its mappings, their queues, and what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batcher.tools.check.aws import Unknown
from batcher.tools.check.findings import Finding, error, not_checked, warning
from batcher.tools.check.function import (
    environ_of,
    judge_function,
    judge_limits,
    judge_settings,
    usable,
)
from batcher.tools.check.mapping import (
    Described,
    Reader,
    Service,
    judge_mapping,
    judge_queue,
    judge_together,
    service_of,
    subject_of,
)
from batcher.tools.check.package import look_at_package
from batcher.tools.check.role import look_at_role

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.tools.check.aws import Aws

_ABSENT = ("ResourceNotFoundException",)


@dataclass(slots=True)
class Looked:
    """What is known of a function and its mappings before its settings are parsed."""

    name: str
    findings: list[Finding] = field(default_factory=list)
    configuration: Mapping[str, Any] | None = None
    mappings: Sequence[Described] | None = None
    """All of the function's; None: they may not be listed."""
    chosen: Sequence[Described] = ()
    """Those that are judged."""

    @property
    def environ(self) -> dict[str, str] | None:
        """What of the function's environment can be used; None: it may not be looked at."""
        return None if self.configuration is None else usable(environ_of(self.configuration))


async def read_function(aws: Aws, name: str, mapping_id: str) -> Looked:
    """Read a function's configuration and its mappings.

    Args:
        aws: asks.
        name: the function's name or ARN; empty: the one of the mapping.
        mapping_id: the UUID of the one mapping that is judged; empty: all of the function's.
    """
    looked = Looked(name)
    if mapping_id:
        await _read_mapping(aws, looked, mapping_id)
    if not looked.name:
        return looked
    found = await aws.ask(
        "lambda",
        "get_function_configuration",
        "lambda:GetFunctionConfiguration",
        _ABSENT,
        FunctionName=looked.name,
    )
    if isinstance(found, Unknown):
        looked.findings.append(found.finding("function", subject=looked.name))
        if found.is_fault:
            return looked
    elif found is None:
        told = f"there is no function {looked.name!r} in {aws.region_of('lambda')}"
        looked.findings.append(error("function", told, "correct the name, or AWS_REGION"))
        return looked
    else:
        looked.configuration = found
        looked.findings += judge_function(found)
        looked.findings += judge_settings(environ_of(found), found["FunctionName"])
    await _list_mappings(aws, looked, is_one=bool(mapping_id))
    return looked


async def _read_mapping(aws: Aws, looked: Looked, mapping_id: str) -> None:
    found = await aws.ask(
        "lambda",
        "get_event_source_mapping",
        "lambda:GetEventSourceMapping",
        _ABSENT,
        UUID=mapping_id,
    )
    if isinstance(found, Unknown):
        looked.findings.append(found.finding("mapping", subject=mapping_id))
    elif found is None:
        told = f"there is no mapping {mapping_id!r} in {aws.region_of('lambda')}"
        looked.findings.append(error("mapping", told, "correct the UUID, or AWS_REGION"))
    else:
        looked.chosen = [found]
        its_function = str(found.get("FunctionArn", ""))
        if looked.name and not _is_of(its_function, looked.name):
            told = f"it is of {its_function}, not of {looked.name}"
            do = "give the function that it belongs to"
            looked.findings.append(error("mapping", told, do, subject=subject_of(found)))
        looked.name = looked.name or its_function


def _is_of(arn: str, name: str) -> bool:
    """Say whether a name, a name with its alias, or an ARN is that of a function's ARN."""
    short = arn.partition(":function:")[2]
    return name in {arn, short, short.partition(":")[0], arn.removesuffix(f":{short}")} or (
        name.partition(":function:")[2].partition(":")[0] == short.partition(":")[0] != ""
    )


async def _list_mappings(aws: Aws, looked: Looked, *, is_one: bool) -> None:
    mappings: list[Described] = []
    more: dict[str, str] = {}
    while True:
        found = await aws.ask(
            "lambda",
            "list_event_source_mappings",
            "lambda:ListEventSourceMappings",
            _ABSENT,
            FunctionName=looked.name,
            **more,
        )
        if isinstance(found, Unknown):
            looked.findings.append(found.finding("mapping"))
            return
        mappings += (found or {}).get("EventSourceMappings", ())
        marker = (found or {}).get("NextMarker")
        if not marker:
            break
        more = {"Marker": marker}
    looked.mappings = mappings
    if not is_one:
        looked.chosen = mappings
        if not mappings:
            do = "create an event source mapping, or give its alias: NAME:ALIAS"
            told = "the function has no event source mapping"
            looked.findings.append(warning("mapping", told, do))


async def judge(aws: Aws, looked: Looked, settings: Settings) -> list[Finding]:
    """Judge function and mappings against the settings, and ask what belongs to them."""
    configuration = looked.configuration
    findings = [] if configuration is None else judge_limits(configuration, settings)
    timeout_s = None if configuration is None else float(configuration.get("Timeout", 3))
    reader = Reader(settings.partial_response, settings.budget_bytes, timeout_s)
    for mapping in looked.chosen:
        if configuration is None:
            why = "the function's settings are not known: partial_response is taken as given here"
            findings.append(not_checked("mapping.responses", why, subject=subject_of(mapping)))
        findings += judge_mapping(mapping, reader)
        if service_of(mapping) is Service.SQS:
            findings += await _queue(aws, mapping, timeout_s)
    findings += judge_together(looked.mappings or ())
    if configuration is not None:
        findings += await look_at_role(aws, configuration, settings)
        findings += await look_at_package(aws, configuration, settings)
    return findings


async def _queue(aws: Aws, mapping: Described, timeout_s: float | None) -> Sequence[Finding]:
    subject = subject_of(mapping)
    _, _, _, _, account, name = str(mapping["EventSourceArn"]).split(":", 5)
    codes = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
    place = await aws.ask(
        "sqs",
        "get_queue_url",
        "sqs:GetQueueUrl",
        codes,
        QueueName=name,
        QueueOwnerAWSAccountId=account,
    )
    if isinstance(place, Unknown):
        return [place.finding("queue", subject=subject)]
    if place is None:
        return [
            error(
                "queue", "there is no such queue", "create it, or the mapping anew", subject=subject
            )
        ]
    found = await aws.ask(
        "sqs",
        "get_queue_attributes",
        "sqs:GetQueueAttributes",
        QueueUrl=place["QueueUrl"],
        AttributeNames=["All"],
    )
    if not isinstance(found, Mapping):
        return [found.finding("queue", subject=subject)] if found is not None else []
    return judge_queue(found.get("Attributes", {}), mapping, timeout_s)
