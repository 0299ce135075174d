"""Hints follow the message of a refusal: what it names is what is to be changed."""

from __future__ import annotations

import pytest

from batcher.errors import RetryableError
from batcher.stores.denials import find_clock_hint, find_denial_hint, find_header_hint
from batcher.stores.responses import (
    RefusedCredentialsError,
    S3ErrorResponse,
    error_from_response,
)

USER = "User: arn:aws:iam::1:user/u is not authorized to perform:"
OBJECT = "arn:aws:s3:::my-bucket/events/a.ndjson"
KEY = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-1111-2222-3333-444455556666"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            (
                f'{USER} kms:GenerateDataKey on resource: "{KEY}" because no '
                "identity-based policy allows the kms:GenerateDataKey action"
            ),
            ["allow kms:GenerateDataKey", KEY],
        ),
        (
            (
                f"{USER} kms:Decrypt on resource: {KEY} because no "
                "resource-based policy allows the kms:Decrypt action"
            ),
            ["allow kms:Decrypt", KEY],
        ),
        ("The caller lacks kms:GenerateDataKey.", ["allow kms:GenerateDataKey", "`kms_key_id`"]),
        (
            (
                f'{USER} s3:PutObjectTagging on resource: "{OBJECT}" because no '
                "identity-based policy allows the s3:PutObjectTagging action"
            ),
            ["allow s3:PutObjectTagging", OBJECT],
        ),
        (
            (
                f"{USER} s3:PutObject on resource: {OBJECT} because no permissions boundary allows "
                "the s3:PutObject action"
            ),
            ["no permissions boundary allows s3:PutObject"],
        ),
        (
            (
                f"{USER} s3:PutObject on resource: {OBJECT} because no service "
                "control policy allows the s3:PutObject action"
            ),
            ["no service control policy allows s3:PutObject"],
        ),
        ("Access Denied", []),
        ("", []),
    ],
)
def test_a_denial_names_the_action_that_is_to_be_allowed(message: str, expected: list[str]) -> None:
    """And where: on the object, or on the key. Nothing where the message does not say it."""
    hint = find_denial_hint(message)
    assert bool(hint) == bool(expected)
    assert [part for part in expected if part not in hint] == []


@pytest.mark.parametrize(
    "policy",
    [
        "service control policy",
        "resource control policy",
        "resource-based policy",
        "identity-based policy",
        "permissions boundary",
        "session policy",
        "VPC endpoint policy",
    ],
)
@pytest.mark.parametrize("action", ["s3:PutObject", "kms:GenerateDataKey"])
def test_an_explicit_deny_is_a_statement_to_be_changed(policy: str, action: str) -> None:
    """No permission that is added can help against it."""
    article = "an" if policy[0] in "aeiou" else "a"
    message = f'{USER} {action} on resource: "{OBJECT}" with an explicit deny in {article} {policy}'
    for operation in ("PutObject", "HeadObject", "ListObjectsV2", "GetObject"):
        text = str(refused(operation, 403, "AccessDenied", message))
        assert f"a statement of {article} {policy} denies {action}; change that statement" in text
        assert "allow s3:" not in text
        assert "allow kms:" not in text


def refused(
    operation: str, status: int, code: str, message: str, header: str = ""
) -> BaseException:
    """Return the error for this response."""
    response = S3ErrorResponse(operation, status, code, message, header=header)
    return error_from_response(response, f"{operation} s3://b/k", "https://s3.example")


@pytest.mark.parametrize(
    ("header", "message", "expected"),
    [
        ("If-None-Match", "A header you provided implies functionality", "conditional writes"),
        ("", "A header you provided (if-match) is not implemented", "conditional writes"),
        ("x-amz-server-side-encryption", "not supported", "`sse`"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "not supported", "`kms_key_id`"),
        ("x-amz-storage-class", "", "`storage_class`"),
        ("x-amz-tagging", "", "`tags`"),
        ("x-amz-checksum-crc64nvme", "", "checksum"),
        ("x-amz-meta-owner", "", "`metadata`"),
        ("x-amz-acl", "", "the header x-amz-acl comes from `acl`; set, correct or remove it"),
        ("x-amz-grant-read", "", "batcher does not send the header x-amz-grant-read"),
        ("", "the header x-amz-object-lock-mode is missing", "x-amz-object-lock-mode"),
    ],
)
@pytest.mark.parametrize(
    ("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument"), (403, "AccessDenied")]
)
def test_a_header_that_is_named_is_the_hint(
    header: str, message: str, expected: str, status: int, code: str
) -> None:
    """With the setting that it comes from, if batcher sends it."""
    assert expected in find_header_hint(header, message)
    assert expected in str(refused("PutObject", status, code, message, header))


def test_a_header_that_is_not_implemented_and_not_named_is_the_condition() -> None:
    """As of endpoints that lack conditional writes, and say no more."""
    assert "conditional writes" in str(refused("PutObject", 501, "NotImplemented", "no"))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestTimeTooSkewed", "The difference between the request time and the current time"),
        ("RequestExpired", "Request has expired"),
        ("SignatureDoesNotMatch", "Signature expired: 20261130T000000Z is now earlier than"),
        ("SignatureDoesNotMatch", "Signature not yet current: 20261130T000000Z is still later"),
        ("AccessDenied", "Request has expired"),
    ],
)
def test_a_clock_that_is_off_is_told_as_such(code: str, message: str) -> None:
    """It is no fault of the credentials, and other ones would not help."""
    error = refused("PutObject", 403, code, message)
    assert "clock is off" in str(error)
    assert not isinstance(error, RefusedCredentialsError)


def test_a_message_about_something_else_has_no_hint() -> None:
    """Words like those of a hint are no reason for one."""
    assert find_denial_hint("Anonymous access is forbidden for this operation") == ""
    assert find_clock_hint("The provided token has expired") == ""
    assert find_header_hint("", "The request signature we calculated does not match") == ""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("PermanentRedirect", "must be addressed using the specified endpoint"),
        ("AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-1'"),
        (
            "IllegalLocationConstraintException",
            "The ap-east-1 location constraint is incompatible for the region specific endpoint",
        ),
    ],
)
def test_a_bucket_in_another_region_is_told_as_such(code: str, message: str) -> None:
    """S3 has other words for regions that an account opts in to."""
    assert "the bucket is in another region" in str(refused("PutObject", 400, code, message))


@pytest.mark.parametrize(
    "message",
    [
        "a non-empty Access Key (AKID) must be provided in the credential.",
        'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_req',
    ],
)
def test_a_malformed_key_is_no_matter_of_the_region(message: str) -> None:
    """S3 has the same code for both. Other credentials may help."""
    error = refused("PutObject", 400, "AuthorizationHeaderMalformed", message)
    assert isinstance(error, RefusedCredentialsError)
    assert "check the credentials" in str(error)
    assert "region;" not in str(error)


@pytest.mark.parametrize(
    "code", ["BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"]
)
def test_a_body_that_was_damaged_on_its_way_is_sent_again(code: str) -> None:
    """S3 names the checksum that it has compared. It is no reason to look for another endpoint."""
    message = "The provided 'x-amz-content-sha256' header does not match what was computed."
    error = refused("PutObject", 400, code, message)
    assert type(error) is RetryableError
    assert "use one that does" not in str(error)
