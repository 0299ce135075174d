"""Example responses of AWS, validated against the service models of botocore."""

from __future__ import annotations

import functools
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

MAPPING_ID = "a1b2c3d4-5678-90ab-cdef-111122223333"
ACCOUNT = "123456789012"
FUNCTION_ARN = f"arn:aws:lambda:us-east-2:{ACCOUNT}:function:events"
QUEUE_ARN = f"arn:aws:sqs:us-east-2:{ACCOUNT}:orders"
STREAM_ARN = f"arn:aws:kinesis:us-east-2:{ACCOUNT}:stream/orders"
TABLE_ARN = f"arn:aws:dynamodb:us-east-2:{ACCOUNT}:table/Orders/stream/2026-11-23T06:48:05.899"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/events-writer"


@functools.cache
def _model(service: str) -> Any:  # noqa: ANN401  # botocore has no types
    return botocore.session.get_session().get_service_model(service)


def make_response(service: str, operation: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` after checking that the operation can respond with them."""
    shape = _model(service).operation_model(operation).output_shape
    report = ParamValidator().validate(values, shape)
    assert not report.has_errors(), report.generate_report()
    return values


def mapping(arn: str = STREAM_ARN, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # as the API
    """Return a correct event source mapping with changes; None removes a field."""
    values: dict[str, Any] = {
        "UUID": MAPPING_ID,
        "BatchSize": 10_000,
        "MaximumBatchingWindowInSeconds": 5,
        "EventSourceArn": arn,
        "FunctionArn": FUNCTION_ARN,
        "State": "Enabled",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    }
    if ":sqs:" not in arn:
        values |= {
            "BisectBatchOnFunctionError": True,
            "MaximumRetryAttempts": -1,
            "MaximumRecordAgeInSeconds": -1,
            "ParallelizationFactor": 1,
            "StartingPosition": "TRIM_HORIZON",
        }
    values = {name: value for name, value in (values | changes).items() if value is not None}
    return make_response("lambda", "GetEventSourceMapping", values)


def function(environ: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a correct function configuration with changes."""
    values: dict[str, Any] = {
        "FunctionName": "events",
        "FunctionArn": FUNCTION_ARN,
        "Runtime": "python3.13",
        "Role": ROLE,
        "Handler": "batcher.handler.handler",
        "Timeout": 60,
        "MemorySize": 1024,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Environment": {
            "Variables": {"BATCHER_BUCKET": "my-bucket"} if environ is None else environ
        },
    }
    return make_response("lambda", "GetFunctionConfiguration", values | changes)


def queue(**changes: str) -> dict[str, Any]:
    """Return the attributes of a correct queue with changes. SQS returns all values as text."""
    values = {
        "VisibilityTimeout": "365",
        "RedrivePolicy": f'{{"deadLetterTargetArn":"{QUEUE_ARN}-dead","maxReceiveCount":"10"}}',
    }
    response = make_response("sqs", "GetQueueAttributes", {"Attributes": values | changes})
    attributes: dict[str, Any] = response["Attributes"]
    return attributes


def lifecycle(*rules: dict[str, Any]) -> dict[str, Any]:
    """Return the lifecycle configuration of a bucket; the default `Status` is Enabled."""
    rules_with_status = [{"Status": "Enabled", **rule} for rule in rules]
    return make_response("s3", "GetBucketLifecycleConfiguration", {"Rules": rules_with_status})


def decisions(**actions: str) -> list[dict[str, Any]]:
    """Return the results of IAM's policy simulator, given decisions by action (`s3_PutObject`)."""
    results = [
        {
            "EvalActionName": action.replace("_", ":"),
            "EvalResourceName": "arn:aws:s3:::my-bucket/events/x",
            "EvalDecision": decision,
        }
        for action, decision in actions.items()
    ]
    response = make_response("iam", "SimulatePrincipalPolicy", {"EvaluationResults": results})
    evaluation_results: list[dict[str, Any]] = response["EvaluationResults"]
    return evaluation_results
