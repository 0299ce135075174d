"""Buckets: extra cost or risk is a warning; what may not be read is not checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.tools.check.aws import AwsResponse, CallFailure
from batcher.tools.check.bucket import (
    BUCKET_CALLS,
    BucketWriter,
    evaluate_bucket,
    evaluate_encryption,
    evaluate_object_lock,
    evaluate_public_access,
    evaluate_region,
    evaluate_versioning,
)
from batcher.tools.check.bucket_policy import evaluate_policy
from batcher.tools.check.findings import CheckResult, CheckStatus
from batcher.tools.check.lifecycle import evaluate_lifecycle
from support.aws_shapes import lifecycle, make_response
from support.examples import make_settings

ABORT: dict[str, Any] = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
OLD: dict[str, Any] = {"NoncurrentVersionExpiration": {"NoncurrentDays": 7}}
EVERYBODY = {"AWS": "*"}
DENY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::my-bucket", "arn:aws:s3:::my-bucket/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


def mark_of(found: list[CheckResult]) -> CheckStatus:
    """Return the mark of the one finding."""
    (one,) = found
    return one.status


def has_abort(rule: dict[str, Any], root: str = "events") -> bool:
    """Return whether a rule is found to remove incomplete uploads under the root."""
    found = evaluate_lifecycle(lifecycle({**ABORT, **rule}), root, versioned=False)
    assert found[0].status in {CheckStatus.OK, CheckStatus.WARNING}
    return found[0].status is CheckStatus.OK


@given(st.text("ab/", max_size=4), st.sampled_from(["", "a", "ab", "a/b"]))
def test_a_rule_reaches_a_root_whose_keys_start_with_its_prefix(prefix: str, root: str) -> None:
    """A longer prefix reaches some objects only, and those of salts not at all."""
    keys = [f"{root}/{rest}".lstrip("/") for rest in ("0/x", "1/x", "zz", "_quarantine/x")]
    assert has_abort({"Filter": {"Prefix": prefix}}, root) == all(
        key.startswith(prefix) for key in keys
    )


@pytest.mark.parametrize(
    ("rule", "is_whole"),
    [
        ({"Filter": {}}, True),
        ({"Prefix": ""}, True),
        ({"Prefix": "events/"}, True),
        ({"Prefix": "other/"}, False),
        ({"Filter": {"And": {"Prefix": "events/"}}}, True),
        ({"Filter": {"And": {"Prefix": "", "Tags": [{"Key": "a", "Value": "b"}]}}}, False),
        ({"Filter": {"Tag": {"Key": "a", "Value": "b"}}}, False),
        ({"Filter": {"ObjectSizeGreaterThan": 1}}, False),
        ({"Status": "Disabled"}, False),
    ],
)
def test_a_rule_with_conditions_does_not_reach_all_uploads(
    rule: dict[str, Any],
    is_whole: bool,  # noqa: FBT001  # a case
) -> None:
    """By tag, by size, or disabled; old rules have a prefix but no filter."""
    assert has_abort(rule) == is_whole


def test_without_any_rule_uploads_stay() -> None:
    """AWS answers that there is no configuration."""
    found = evaluate_lifecycle(None, "", versioned=False)
    assert mark_of(found) is CheckStatus.WARNING
    assert "AbortIncompleteMultipartUpload" in found[0].fix


def test_with_versioning_a_rule_must_remove_old_versions() -> None:
    """Two findings where versioning is on."""
    rules = lifecycle({**ABORT, "Filter": {}})
    assert len(evaluate_lifecycle(rules, "events", versioned=False)) == 1
    _, old = evaluate_lifecycle(rules, "events", versioned=True)
    assert old.status is CheckStatus.WARNING
    _, old = evaluate_lifecycle(lifecycle({**ABORT, **OLD}), "events", versioned=True)
    assert (old.status, old.detail) == (CheckStatus.OK, "old versions are removed after 7 days")


@pytest.mark.parametrize(
    ("prefix", "is_told"),
    [
        ("", True),
        ("events/", True),
        ("events/01", True),
        ("events/_quarantine/", False),
        ("x", False),
    ],
)
def test_a_rule_that_removes_the_records_themselves_is_reported(
    prefix: str,
    is_told: bool,  # noqa: FBT001  # a case
) -> None:
    """It may be intended, but should not be a surprise."""
    expiry = {"ID": "r", "Expiration": {"Days": 30}, "Filter": {"Prefix": prefix}}
    found = evaluate_lifecycle(lifecycle(expiry), "events", versioned=False)
    assert any("removes the records themselves after 30 days" in f.detail for f in found) == is_told


def test_markers_that_expire_are_no_records() -> None:
    """ExpiredObjectDeleteMarker has no days."""
    rule = {"Expiration": {"ExpiredObjectDeleteMarker": True}, "Filter": {}}
    assert len(evaluate_lifecycle(lifecycle(rule), "events", versioned=False)) == 1


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    """Return a bucket's policy."""
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return make_response("s3", "GetBucketPolicy", {"Policy": text})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Principal": EVERYBODY},
        {"Principal": {"AWS": ["*"]}},
        {"Action": ["s3:Put*", "s3:get*"]},
        {"Action": "*"},
        {"Resource": "*"},
        {"Resource": "arn:aws:s3:::my-bucket/events/*"},
        {"Condition": {"Bool": {"aws:SecureTransport": False}}},
        {"Condition": {"bool": {"AWS:securetransport": ["false"]}}},
    ],
)
def test_a_policy_that_denies_plain_http_is_recognised(changes: dict[str, Any]) -> None:
    """In every way to write it."""
    assert (
        mark_of(evaluate_policy(policy({**DENY, **changes}), "my-bucket", "events"))
        is CheckStatus.OK
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
        {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
        {"Action": "s3:GetObject"},
        {"Resource": "arn:aws:s3:::my-bucket"},
        {"Resource": "arn:aws:s3:::my-bucket/other/*"},
        {"Resource": "arn:aws:s3:::[my-bucket]/*"},
        {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "false"}}},
        {"Condition": None},
    ],
)
def test_a_policy_that_only_resembles_it_is_not(changes: dict[str, Any]) -> None:
    """One word off, and plain HTTP goes through."""
    assert (
        mark_of(evaluate_policy(policy({**DENY, **changes}), "my-bucket", "events"))
        is CheckStatus.WARNING
    )


def test_a_policy_that_lets_everybody_in_is_an_error() -> None:
    """Without a condition; a single statement need not be in a list."""
    public = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
    found = evaluate_policy(policy(DENY, public), "my-bucket", "")
    assert [finding.status for finding in found] == [CheckStatus.OK, CheckStatus.ERROR]
    assert "anybody may s3:GetObject" in found[1].detail
    bound = {**public, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}
    assert mark_of(evaluate_policy(policy(bound), "my-bucket", "")) is CheckStatus.WARNING
    alone = make_response("s3", "GetBucketPolicy", {"Policy": json.dumps({"Statement": DENY})})
    assert mark_of(evaluate_policy(alone, "my-bucket", "")) is CheckStatus.OK


def test_no_policy_and_one_that_cannot_be_read() -> None:
    """The first denies nothing; the second cannot be checked."""
    assert mark_of(evaluate_policy(None, "my-bucket", "")) is CheckStatus.WARNING
    assert mark_of(evaluate_policy({"Policy": "{"}, "my-bucket", "")) is CheckStatus.NOT_CHECKED


def blocked(**changes: bool) -> dict[str, Any]:
    """Return a public access block with all four set, but for these."""
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    values = dict.fromkeys(names, True) | changes
    return make_response("s3", "GetPublicAccessBlock", {"PublicAccessBlockConfiguration": values})


def test_public_access_must_be_blocked_in_all_four_ways() -> None:
    """What is off is named."""
    assert mark_of(evaluate_public_access(blocked())) is CheckStatus.OK
    (found,) = evaluate_public_access(blocked(BlockPublicPolicy=False))
    assert (found.status, found.detail) == (CheckStatus.WARNING, "off: BlockPublicPolicy")
    (found,) = evaluate_public_access(None)
    assert (found.status, found.detail) == (CheckStatus.WARNING, "not blocked")


def encryption(algorithm: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # as the API
    """Return a bucket's default encryption."""
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}, **changes}
    values = {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
    return make_response("s3", "GetBucketEncryption", values)


def test_objects_are_encrypted_by_the_bucket_or_by_the_settings() -> None:
    """A KMS key without a bucket key costs a call an object."""
    assert mark_of(evaluate_encryption(encryption("AES256"), "")) is CheckStatus.OK
    assert mark_of(evaluate_encryption(None, "")) is CheckStatus.WARNING
    assert mark_of(evaluate_encryption(None, "aws:kms")) is CheckStatus.OK
    (found,) = evaluate_encryption(encryption("aws:kms"), "")
    assert (found.status, "bucket key" in found.fix) == (CheckStatus.WARNING, True)
    assert (
        mark_of(evaluate_encryption(encryption("aws:kms", BucketKeyEnabled=True), ""))
        is CheckStatus.OK
    )


def test_a_default_retention_is_reported() -> None:
    """Days or years; a lock without a retention keeps nothing by itself."""

    def lock(**retention: object) -> dict[str, Any]:
        rule = {"Rule": {"DefaultRetention": retention}} if retention else {}
        values = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", **rule}}
        return make_response("s3", "GetObjectLockConfiguration", values)

    (found,) = evaluate_object_lock(lock(Mode="COMPLIANCE", Days=30))
    assert (found.status, found.detail[:10]) == (CheckStatus.WARNING, "COMPLIANCE")
    assert "for 30 days" in found.detail
    assert "for 2 years" in evaluate_object_lock(lock(Mode="GOVERNANCE", Years=2))[0].detail
    assert mark_of(evaluate_object_lock(lock())) is CheckStatus.OK
    assert mark_of(evaluate_object_lock(None)) is CheckStatus.OK


def test_versioning_is_reported_and_is_no_problem() -> None:
    """Enabled, suspended or never set."""
    for status in ({"Status": "Enabled"}, {"Status": "Suspended"}, {}):
        (found,) = evaluate_versioning(make_response("s3", "GetBucketVersioning", status))
        assert (found.status, found.detail[:3] == "on:") == (
            CheckStatus.OK,
            "Enabled" in status.values(),
        )


@pytest.mark.parametrize(
    ("there", "follows", "mark"),
    [
        ("us-east-2", True, CheckStatus.OK),
        ("us-east-2", False, CheckStatus.OK),
        ("eu-west-1", True, CheckStatus.WARNING),
        ("eu-west-1", False, CheckStatus.ERROR),
        (None, False, CheckStatus.OK),
    ],
)
def test_a_bucket_elsewhere_costs_or_fails(
    there: str | None,
    follows: bool,  # noqa: FBT001  # a case
    mark: CheckStatus,
) -> None:
    """The engine obstore does not follow a bucket into another region."""
    head = make_response("s3", "HeadBucket", {} if there is None else {"BucketRegion": there})
    found = evaluate_region(
        head, "us-east-2", "https://s3.us-east-2.amazonaws.com", follows_region=follows
    )
    assert mark_of(found) is mark


def test_a_region_that_only_the_header_names_counts() -> None:
    """Older SDKs and answers have it there alone."""
    head = {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": "eu-west-1"}}}
    (found,) = evaluate_region(head, "us-east-2", "https://s3.amazonaws.com", follows_region=True)
    assert found.status is CheckStatus.WARNING
    assert "eu-west-1" in found.detail


@pytest.mark.parametrize(
    ("endpoint", "mark"),
    [
        ("http://minio.example:9000", CheckStatus.WARNING),
        ("http://127.0.0.1:9000", CheckStatus.OK),
        ("http://localhost:9000", CheckStatus.OK),
        ("https://minio.example", CheckStatus.OK),
    ],
)
def test_plain_http_beyond_this_machine_is_a_warning(endpoint: str, mark: CheckStatus) -> None:
    """Loopback traffic cannot be intercepted."""
    assert mark_of(evaluate_region({}, "us-east-1", endpoint, follows_region=True)) is mark


def test_a_denied_call_is_not_checked_and_names_its_permission() -> None:
    """Each of the calls."""
    answers: dict[str, AwsResponse] = {
        question.check: CallFailure(f"needs {question.permission}") for question in BUCKET_CALLS
    }
    found = evaluate_bucket(answers, make_settings(), BucketWriter())
    assert [finding.check for finding in found] == [question.check for question in BUCKET_CALLS]
    assert {finding.status for finding in found} == {CheckStatus.NOT_CHECKED}
    assert "needs s3:GetLifecycleConfiguration" in [finding.detail for finding in found]


def test_old_versions_are_checked_only_with_versioning() -> None:
    """The response about versioning affects the evaluation of the lifecycle."""
    answers: dict[str, AwsResponse] = {question.check: None for question in BUCKET_CALLS}
    few = len(evaluate_bucket(answers, make_settings(), BucketWriter()))
    answers["bucket.versioning"] = {"Status": "Enabled"}
    assert len(evaluate_bucket(answers, make_settings(), BucketWriter())) == few + 1
