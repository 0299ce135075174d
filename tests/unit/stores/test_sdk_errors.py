"""What S3 says, sorted by what the caller does next."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.parsers import ResponseParserError

from batcher.errors import (
    PreconditionFailedError,
    RejectedError,
    RetryableError,
    ThrottledError,
    UploadLostError,
)
from batcher.stores.responses import RefusedCredentialsError
from batcher.stores.sdk_errors import translate_error

ENDPOINT = "https://s3.example"
DATE = "Mon, 23 Nov 2026 07:00:00 GMT"


def answer(status: int, code: str, **headers: str) -> ClientError:
    """Make an error as botocore makes it of an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ClientError(
        {
            "Error": {"Code": code, "Message": "said"},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": named},
        },
        "PutObject",
    )


def told(error: ClientError, operation: str = "PutObject") -> Exception:
    """Translate it."""
    return translate_error(error, operation, "bucket", "key", ENDPOINT)


@pytest.mark.parametrize(
    ("operation", "status", "code", "kind"),
    [
        ("PutObject", 500, "InternalError", RetryableError),
        ("PutObject", 503, "SlowDown", ThrottledError),
        ("PutObject", 503, "ServiceUnavailable", ThrottledError),
        ("PutObject", 429, "TooManyRequests", ThrottledError),
        ("PutObject", 400, "RequestLimitExceeded", ThrottledError),
        ("PutObject", 504, "GatewayTimeout", RetryableError),
        ("CompleteMultipartUpload", 200, "SlowDown", ThrottledError),
        ("HeadObject", 503, "503", ThrottledError),
        ("PutObject", 400, "RequestTimeout", RetryableError),
        ("PutObject", 400, "BadDigest", RetryableError),
        ("PutObject", 409, "ConditionalRequestConflict", RetryableError),
        ("PutObject", 412, "PreconditionFailed", PreconditionFailedError),
        ("PutObject", 403, "AccessDenied", RejectedError),
        ("PutObject", 403, "RequestTimeTooSkewed", RejectedError),
        ("PutObject", 400, "ExpiredToken", RefusedCredentialsError),
        ("PutObject", 501, "NotImplemented", RejectedError),
        ("UploadPart", 404, "NoSuchUpload", UploadLostError),
        ("CompleteMultipartUpload", 404, "NoSuchUpload", UploadLostError),
        ("CompleteMultipartUpload", 409, "ConditionalRequestConflict", UploadLostError),
        ("CompleteMultipartUpload", 200, "InternalError", RetryableError),
        ("CompleteMultipartUpload", 412, "PreconditionFailed", PreconditionFailedError),
        ("HeadObject", 404, "404", KeyError),
        ("HeadObject", 404, "NoSuchBucket", RejectedError),
    ],
)
def test_an_answer_is_sorted_by_what_to_do_next(
    operation: str, status: int, code: str, kind: type[Exception]
) -> None:
    """Exactly this kind: a lost upload is retryable too, but not request by request."""
    assert type(told(answer(status, code), operation)) is kind


@pytest.mark.parametrize(
    ("code", "move"),
    [
        ("ExpiredToken", "renew them"),
        ("RequestTimeTooSkewed", "clock is off; set it"),
        ("AccessDenied", "allow s3:PutObject"),
        ("NoSuchBucket", "create it"),
    ],
)
def test_a_refusal_says_what_to_do(code: str, move: str) -> None:
    """In one line that names the operation and the object."""
    text = str(told(answer(403, code)))
    assert move in text
    assert text.startswith("PutObject s3://bucket/key: ")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        ({}, None),
        ({"retry_after": "3"}, 3.0),
        ({"retry_after": "Mon, 23 Nov 2026 07:00:30 GMT", "date": DATE}, 30.0),
        ({"retry_after": "Mon, 23 Nov 2026 06:00:00 GMT", "date": DATE}, 0.0),
        ({"retry_after": "Mon, 23 Nov 2026 07:00:30 GMT"}, None),
        ({"retry_after": "soon", "date": DATE}, None),
        ({"retry_after": "-3"}, None),
    ],
)
def test_what_the_store_asks_for_is_read(headers: dict[str, str], expected_s: float | None) -> None:
    """Seconds, or a date, which is compared with the store's own clock, not with ours."""
    error = told(answer(503, "SlowDown", **headers))
    assert isinstance(error, RetryableError)
    assert error.retry_after_s == expected_s


def test_a_refused_look_may_be_at_nothing() -> None:
    """A role that may not list is told 403 of an object that is not there."""
    text = str(told(answer(403, "403"), "HeadObject"))
    assert "allow s3:GetObject" in text
    assert "does not exist" in text


def test_what_is_no_answer_of_s3_may_have_been_cut() -> None:
    """And the endpoint is named, for it may be something else."""
    error = ResponseParserError("Unable to parse response:\ninvalid XML received")
    found = translate_error(error, "ListObjectsV2", "bucket", "", ENDPOINT)
    assert type(found) is RetryableError
    assert ENDPOINT in str(found)
    assert "\n" not in str(found)


def test_a_store_that_cannot_be_reached_may_be_later() -> None:
    """And the endpoint is named, for it may be the wrong one."""
    error = EndpointConnectionError(endpoint_url=ENDPOINT, error="refused")
    found = translate_error(error, "PutObject", "bucket", "key", ENDPOINT)
    assert type(found) is RetryableError
    assert ENDPOINT in str(found)
