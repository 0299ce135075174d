"""Retention: asks how long the streams of mappings deliver records again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from batcher.tools.check.aws import CallFailure
from batcher.tools.check.findings import CheckResult, error, not_checked, ok
from batcher.tools.check.lifecycle import StreamRetention
from batcher.tools.check.mapping import (
    MappingConfiguration,
    SourceService,
    mapping_label,
    source_service,
)

if TYPE_CHECKING:
    from batcher.tools.check.aws import AwsClient

_CHECK = "mapping.retention"

DYNAMODB_HOURS = 24
"""Source: Amazon DynamoDB Developer Guide, "Change data capture for DynamoDB Streams"."""


async def read_retentions(
    aws: AwsClient, mappings: Iterable[MappingConfiguration]
) -> tuple[list[CheckResult], list[StreamRetention]]:
    """Return the results, and the retention of each stream."""
    results: list[CheckResult] = []
    retentions: list[StreamRetention] = []
    for mapping in mappings:
        service, subject = source_service(mapping), mapping_label(mapping)
        if service is SourceService.DYNAMODB:
            hours: int | None = DYNAMODB_HOURS
            results.append(_kept(DYNAMODB_HOURS, subject))
        elif service is SourceService.KINESIS:
            result, hours = await _read_kinesis(aws, mapping, subject)
            results.append(result)
        else:
            continue
        retentions.append(StreamRetention(subject, str(service), hours))
    return results, retentions


async def _read_kinesis(
    aws: AwsClient, mapping: MappingConfiguration, subject: str
) -> tuple[CheckResult, int | None]:
    arn = str(mapping["EventSourceArn"])
    stream_arn = arn.partition("/consumer/")[0]  # a consumer of enhanced fan-out
    response = await aws.call(
        "kinesis",
        "describe_stream_summary",
        "kinesis:DescribeStreamSummary",
        ("ResourceNotFoundException",),
        StreamARN=stream_arn,
    )
    if isinstance(response, CallFailure):
        return not_checked(_CHECK, response.reason, subject=subject), None
    if response is None:
        detail, fix = "the stream does not exist", "create it, then create the mapping again"
        return error(_CHECK, detail, fix, subject=subject), None
    hours = int(response["StreamDescriptionSummary"]["RetentionPeriodHours"])
    return _kept(hours, subject), hours


def _kept(hours: int, subject: str) -> CheckResult:
    return ok(_CHECK, f"the stream keeps records for {hours} h", subject=subject)
