"""`batcher check --function` on moto: function, mapping, queue and bucket, judged together."""

from __future__ import annotations

import json
from secrets import token_hex

import pytest

from support.check_command import WRITTEN, check, marks, text_of
from support.moto_deployment import Deployment

pytestmark = pytest.mark.slow

REPORTED = ["ReportBatchItemFailures"]


def test_a_function_and_its_queue_are_checked_together(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way: environment, mapping, queue, bucket, dry write; all faults in one run."""
    deployment.map_queue()
    deployment.set(
        BATCHER_BUCKET=deployment.bucket, BATCHER_ROOT="events", BATCHER_PARTIAL_RESPONSE="true"
    )
    code, found = check(capsys, "--function", deployment.name)
    assert code == 1
    assert marks(found, "error") == {"mapping.responses", "queue.visibility"}
    assert "records are lost" in text_of(found, "mapping.responses")
    assert "set it to 365" in text_of(found, "queue.visibility")
    assert marks(found, "warning") >= {"queue.dead_letters", "bucket.lifecycle", "bucket.policy"}
    assert marks(found, "ok") >= {"settings", "function.timeout", "function.runtime", *WRITTEN}
    assert marks(found, "not_checked") >= {"role", "function.package"}
    assert "123456789012" in text_of(found, "caller")


def test_a_deployment_as_the_guide_recommends_has_no_error(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """ReportBatchItemFailures is kept by the mapping, and met by partial_response."""
    deployment.map_queue(FunctionResponseTypes=REPORTED)
    deployment.set(BATCHER_BUCKET=deployment.bucket, BATCHER_PARTIAL_RESPONSE="true")
    dead = deployment.sqs.create_queue(QueueName=f"{deployment.name}-dead")["QueueUrl"]
    redrive = {"deadLetterTargetArn": deployment.arn_of_queue(dead), "maxReceiveCount": 10}
    attributes = {"VisibilityTimeout": "365", "RedrivePolicy": json.dumps(redrive)}
    deployment.sqs.set_queue_attributes(QueueUrl=deployment.queue, Attributes=attributes)
    code, found = check(capsys, "--function", deployment.name)
    assert (code, marks(found, "error")) == (0, set())
    assert marks(found, "ok") >= {"mapping.responses", "queue.visibility", "queue.dead_letters"}


def test_what_a_bucket_has_is_read_from_it(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is set up as it should be has no warning; versioning asks for one more rule."""
    s3, name = deployment.client("s3"), deployment.bucket
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(
        Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(names, True)
    )
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    only_creates = deny | {
        "Action": "s3:PutObject",
        "Condition": {
            "ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/of-the-function"},
            "Null": {"s3:if-none-match": "true"},
        },
    }
    statement = {"Version": "2012-10-17", "Statement": [deny, only_creates]}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(statement))
    by_default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [by_default]})
    rule = {
        "ID": "uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
    place = f"s3://{name}/events"
    code, found = check(capsys, place, "--no-write")
    assert (code, marks(found, "warning")) == (0, set())
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    _, found = check(capsys, place, "--no-write")
    assert marks(found, "warning") == {"bucket.lifecycle"}
    assert "NoncurrentVersionExpiration" in text_of(found, "bucket.lifecycle")


def test_one_mapping_can_be_chosen_and_finds_its_function(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its UUID alone; the others are not judged."""
    deployment.map_queue(FunctionResponseTypes=REPORTED)
    stream = deployment.map_stream(token_hex(4), MaximumRetryAttempts=3)
    code, found = check(capsys, "--mapping", stream, "--no-write")
    assert (code, marks(found, "error")) == (1, {"mapping.retries"})
    assert "settings" in marks(found, "ok")
    assert "queue.visibility" not in {finding["check"] for finding in found}


def test_faults_of_the_functions_settings_are_findings_beside_the_others(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, not 2: what was given here is right. The bucket is looked at all the same."""
    deployment.set(BATCHER_BUCKET=deployment.bucket, BATCHER_FANOUT="3", BATCHER_BUKET="x")
    code, found = check(capsys, "--function", deployment.name)
    assert code == 1
    told = text_of(found, "settings")
    assert "fanout: 3 is not a power of two" in told
    assert "did you mean BATCHER_BUCKET" in told
    assert marks(found, "ok") >= WRITTEN
    assert "mapping" in marks(found, "warning")


def test_a_function_without_a_bucket_is_judged_as_far_as_it_goes(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its mappings, but no bucket."""
    deployment.map_queue()
    deployment.set(BATCHER_PARTIAL_RESPONSE="true")
    code, found = check(capsys, "--function", deployment.name)
    assert code == 1
    assert marks(found, "error") == {"settings", "mapping.responses", "queue.visibility"}
    assert "bucket" in marks(found, "not_checked")


def test_flags_and_destination_are_tried_on_top_of_the_function(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """A change is judged before it is deployed; another place than the function's is told."""
    deployment.map_queue()
    place = f"s3://{deployment.bucket}/other"
    flags = ["--function", deployment.name, "--partial-response", "true"]
    _, found = check(capsys, place, *flags)
    assert "mapping.responses" in marks(found, "error")
    assert f"writes to s3://{deployment.bucket}/events" in text_of(found, "settings.destination")


def test_two_streams_of_one_function_are_fine(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their objects have other names."""
    name = token_hex(4)
    deployment.map_stream(name)
    deployment.map_stream(f"{name}-2")
    code, found = check(capsys, "--function", deployment.name, "--no-write")
    assert (code, "mapping.alone" in marks(found, "ok")) == (0, True)


@pytest.mark.parametrize("arguments", [["--function", "nobody"], ["--mapping", "nothing"]])
def test_a_missing_function_or_mapping_is_reported(
    deployment: Deployment, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the region in which it was looked for."""
    code, found = check(capsys, f"s3://{deployment.bucket}", *arguments, "--no-write")
    assert code == 1
    assert "us-east-1" in text_of(found, arguments[0][2:])


def test_a_mapping_of_another_function_is_reported(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both are named."""
    uuid = deployment.map_queue()
    flags = ["--mapping", uuid, "--function", "other", "--no-write"]
    code, found = check(capsys, f"s3://{deployment.bucket}", *flags)
    assert code == 1
    assert "not to other" in text_of(found, "mapping")


def test_rules_are_compared_with_the_retention_of_the_stream(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rule that is right for a day of retention is wrong once the stream keeps records longer."""
    s3, kinesis = deployment.client("s3"), deployment.client("kinesis")
    stream = token_hex(4)
    deployment.map_stream(stream)
    deployment.set(BATCHER_BUCKET=deployment.bucket, BATCHER_ROOT="events")
    rule = {
        "ID": "tidy",
        "Status": "Enabled",
        "Filter": {"Prefix": "events/"},
        "Expiration": {"Days": 1},
    }
    s3.put_bucket_lifecycle_configuration(
        Bucket=deployment.bucket, LifecycleConfiguration={"Rules": [rule]}
    )
    code, found = check(capsys, "--function", deployment.name, "--no-write")
    assert (code, marks(found, "error")) == (0, set())
    assert "24 h" in text_of(found, "mapping.retention")
    assert "bucket.if_none_match" in marks(found, "warning")
    kinesis.increase_stream_retention_period(StreamName=stream, RetentionPeriodHours=50)
    code, found = check(capsys, "--function", deployment.name, "--no-write")
    assert (code, marks(found, "error")) == (1, {"bucket.lifecycle"})
    assert "set Days to 3 or more" in text_of(found, "bucket.lifecycle")
    kinesis.delete_stream(StreamName=stream)
    code, found = check(capsys, "--function", deployment.name, "--no-write")
    assert (code, marks(found, "error")) == (1, {"mapping.retention"})
