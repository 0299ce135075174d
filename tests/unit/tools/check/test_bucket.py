"""Buckets: what costs money or safety is a warning; what may not be read is no fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.tools.check.aws import Answer, Unknown
from batcher.tools.check.bucket import (
    QUESTIONS,
    judge_bucket,
    judge_encryption,
    judge_lifecycle,
    judge_object_lock,
    judge_place,
    judge_public_access,
    judge_versioning,
)
from batcher.tools.check.bucket_policy import judge_policy
from batcher.tools.check.findings import Finding, Mark
from support.aws_shapes import answer, lifecycle
from support.examples import settings_of

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


def mark_of(found: list[Finding]) -> Mark:
    """Give the mark of the one finding."""
    (one,) = found
    return one.mark


def has_abort(rule: dict[str, Any], root: str = "events") -> bool:
    """Say whether a rule is found to remove incomplete uploads under the root."""
    found = judge_lifecycle(lifecycle({**ABORT, **rule}), root, is_versioned=False)
    assert found[0].mark in {Mark.OK, Mark.WARNING}
    return found[0].mark is Mark.OK


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
    """By tag, by size, or switched off; old rules have their prefix beside the filter."""
    assert has_abort(rule) == is_whole


def test_without_any_rule_uploads_stay() -> None:
    """AWS answers that there is no configuration."""
    found = judge_lifecycle(None, "", is_versioned=False)
    assert mark_of(found) is Mark.WARNING
    assert "AbortIncompleteMultipartUpload" in found[0].do


def test_old_versions_must_be_removed_where_there_are_any() -> None:
    """Two findings where versioning is on."""
    rules = lifecycle({**ABORT, "Filter": {}})
    assert len(judge_lifecycle(rules, "events", is_versioned=False)) == 1
    _, old = judge_lifecycle(rules, "events", is_versioned=True)
    assert old.mark is Mark.WARNING
    _, old = judge_lifecycle(lifecycle({**ABORT, **OLD}), "events", is_versioned=True)
    assert (old.mark, old.found) == (Mark.OK, "old versions are removed after 7 days")


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
def test_a_rule_that_removes_the_records_themselves_is_told(
    prefix: str,
    is_told: bool,  # noqa: FBT001  # a case
) -> None:
    """It may be meant; nobody should learn of it by surprise."""
    expiry = {"ID": "r", "Expiration": {"Days": 30}, "Filter": {"Prefix": prefix}}
    found = judge_lifecycle(lifecycle(expiry), "events", is_versioned=False)
    assert any("removes the records themselves after 30 days" in f.found for f in found) == is_told


def test_markers_that_expire_are_no_records() -> None:
    """ExpiredObjectDeleteMarker has no days."""
    rule = {"Expiration": {"ExpiredObjectDeleteMarker": True}, "Filter": {}}
    assert len(judge_lifecycle(lifecycle(rule), "events", is_versioned=False)) == 1


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    """Give a bucket's policy."""
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return answer("s3", "GetBucketPolicy", {"Policy": text})


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
def test_a_policy_that_refuses_plain_http_is_known(changes: dict[str, Any]) -> None:
    """However it is written."""
    assert mark_of(judge_policy(policy({**DENY, **changes}), "my-bucket", "events")) is Mark.OK


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
def test_a_policy_that_only_looks_like_it_is_not(changes: dict[str, Any]) -> None:
    """One word off, and plain HTTP goes through."""
    assert mark_of(judge_policy(policy({**DENY, **changes}), "my-bucket", "events")) is Mark.WARNING


def test_a_policy_that_lets_everybody_in_is_an_error() -> None:
    """Without a condition; a statement alone need not stand in a list."""
    public = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
    found = judge_policy(policy(DENY, public), "my-bucket", "")
    assert [finding.mark for finding in found] == [Mark.OK, Mark.ERROR]
    assert "anybody may s3:GetObject" in found[1].found
    bound = {**public, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}
    assert mark_of(judge_policy(policy(bound), "my-bucket", "")) is Mark.WARNING
    alone = answer("s3", "GetBucketPolicy", {"Policy": json.dumps({"Statement": DENY})})
    assert mark_of(judge_policy(alone, "my-bucket", "")) is Mark.OK


def test_no_policy_and_one_that_cannot_be_read() -> None:
    """The first refuses nothing; of the second nothing is known."""
    assert mark_of(judge_policy(None, "my-bucket", "")) is Mark.WARNING
    assert mark_of(judge_policy({"Policy": "{"}, "my-bucket", "")) is Mark.NOT_CHECKED


def blocked(**changes: bool) -> dict[str, Any]:
    """Give a public access block with all four set, but for these."""
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    values = dict.fromkeys(names, True) | changes
    return answer("s3", "GetPublicAccessBlock", {"PublicAccessBlockConfiguration": values})


def test_public_access_must_be_blocked_in_all_four_ways() -> None:
    """What is off is named."""
    assert mark_of(judge_public_access(blocked())) is Mark.OK
    (found,) = judge_public_access(blocked(BlockPublicPolicy=False))
    assert (found.mark, found.found) == (Mark.WARNING, "off: BlockPublicPolicy")
    (found,) = judge_public_access(None)
    assert (found.mark, found.found) == (Mark.WARNING, "not blocked")


def encryption(algorithm: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # as the API
    """Give a bucket's default encryption."""
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}, **changes}
    values = {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
    return answer("s3", "GetBucketEncryption", values)


def test_objects_are_encrypted_by_the_bucket_or_by_the_settings() -> None:
    """A KMS key without a bucket key costs a call an object."""
    assert mark_of(judge_encryption(encryption("AES256"), "")) is Mark.OK
    assert mark_of(judge_encryption(None, "")) is Mark.WARNING
    assert mark_of(judge_encryption(None, "aws:kms")) is Mark.OK
    (found,) = judge_encryption(encryption("aws:kms"), "")
    assert (found.mark, "bucket key" in found.do) == (Mark.WARNING, True)
    assert mark_of(judge_encryption(encryption("aws:kms", BucketKeyEnabled=True), "")) is Mark.OK


def test_versions_that_are_kept_by_force_are_told() -> None:
    """Days or years; a lock without a retention keeps nothing by itself."""

    def lock(**retention: object) -> dict[str, Any]:
        rule = {"Rule": {"DefaultRetention": retention}} if retention else {}
        values = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", **rule}}
        return answer("s3", "GetObjectLockConfiguration", values)

    (found,) = judge_object_lock(lock(Mode="COMPLIANCE", Days=30))
    assert (found.mark, found.found[:10]) == (Mark.WARNING, "COMPLIANCE")
    assert "for 30 days" in found.found
    assert "for 2 years" in judge_object_lock(lock(Mode="GOVERNANCE", Years=2))[0].found
    assert mark_of(judge_object_lock(lock())) is Mark.OK
    assert mark_of(judge_object_lock(None)) is Mark.OK


def test_versioning_is_told_and_no_fault() -> None:
    """Enabled, suspended or never set."""
    for status in ({"Status": "Enabled"}, {"Status": "Suspended"}, {}):
        (found,) = judge_versioning(answer("s3", "GetBucketVersioning", status))
        assert (found.mark, found.found[:3] == "on:") == (Mark.OK, "Enabled" in status.values())


@pytest.mark.parametrize(
    ("there", "follows", "mark"),
    [
        ("us-east-2", True, Mark.OK),
        ("us-east-2", False, Mark.OK),
        ("eu-west-1", True, Mark.WARNING),
        ("eu-west-1", False, Mark.ERROR),
        (None, False, Mark.OK),
    ],
)
def test_a_bucket_elsewhere_costs_or_fails(there: str | None, follows: bool, mark: Mark) -> None:  # noqa: FBT001
    """The engine obstore does not follow a bucket into another region."""
    head = answer("s3", "HeadBucket", {} if there is None else {"BucketRegion": there})
    found = judge_place(head, "us-east-2", "https://s3.us-east-2.amazonaws.com", follows=follows)
    assert mark_of(found) is mark


def test_a_region_that_only_the_header_tells_counts() -> None:
    """Older SDKs and answers have it there alone."""
    head = {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": "eu-west-1"}}}
    (found,) = judge_place(head, "us-east-2", "https://s3.amazonaws.com", follows=True)
    assert found.mark is Mark.WARNING
    assert "eu-west-1" in found.found


@pytest.mark.parametrize(
    ("endpoint", "mark"),
    [
        ("http://minio.example:9000", Mark.WARNING),
        ("http://127.0.0.1:9000", Mark.OK),
        ("http://localhost:9000", Mark.OK),
        ("https://minio.example", Mark.OK),
    ],
)
def test_plain_http_beyond_this_machine_is_a_warning(endpoint: str, mark: Mark) -> None:
    """On loopback nobody listens."""
    assert mark_of(judge_place({}, "us-east-1", endpoint, follows=True)) is mark


def test_what_may_not_be_read_is_named_with_its_permission_and_is_no_fault() -> None:
    """Each of the questions, by itself."""
    answers: dict[str, Answer] = {
        question.check: Unknown(f"needs {question.permission}") for question in QUESTIONS
    }
    found = judge_bucket(answers, settings_of())
    assert [finding.check for finding in found] == [question.check for question in QUESTIONS]
    assert {finding.mark for finding in found} == {Mark.NOT_CHECKED}
    assert "needs s3:GetLifecycleConfiguration" in [finding.found for finding in found]


def test_old_versions_are_asked_for_where_versioning_is_on() -> None:
    """The answers are judged together."""
    answers: dict[str, Answer] = {question.check: None for question in QUESTIONS}
    few = len(judge_bucket(answers, settings_of()))
    answers["bucket.versioning"] = {"Status": "Enabled"}
    assert len(judge_bucket(answers, settings_of())) == few + 1
