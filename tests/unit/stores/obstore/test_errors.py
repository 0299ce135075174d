"""What obstore raises, sorted by what the caller does next."""

from __future__ import annotations

import pytest
from obstore.exceptions import (
    AlreadyExistsError,
    GenericError,
    InvalidPathError,
    PermissionDeniedError,
    PreconditionError,
)

from batcher.errors import (
    NotFoundError,
    PreconditionFailedError,
    RejectedError,
    RetryableError,
    ThrottledError,
)
from batcher.stores.obstore.errors import translate_error
from batcher.stores.responses import RefusedCredentialsError

ENDPOINT = "https://s3.example"
KEY = "events/0/a.ndjson"
PUT = "PutObject"
UNMET = f"Request precondition failure for path {KEY}: "
BUSY = "Generic S3 error: "
SENDING = "Generic S3 error: Error performing PUT https://x/y in 3ms - "


def answered(status: str, code: str = "", key: str = KEY, message: str = "said") -> str:
    """Return the text that obstore makes of an answer, without what it puts before it."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>" if code else ""
    return (
        f"Error performing PUT https://b.s3.example/{key.replace(' ', '%20')} in 1.2ms - Server "
        f"returned non-2xx status code: {status}: {body}\n\nDebug source:\nGeneric {{ status: 599, "
        'body: "Server returned non-2xx status code: 412 Precondition Failed: " }'
    )


def told(error: Exception, operation: str = PUT, key: str = KEY) -> Exception:
    """Translate it."""
    return translate_error(error, operation, "bucket", key, ENDPOINT)


@pytest.mark.parametrize(
    ("raised", "said", "status", "code", "kind"),
    [
        (GenericError, "Generic S3 error: ", "500 Internal Server Error", "InternalError", 0),
        (GenericError, BUSY, "503 Service Unavailable", "SlowDown", ThrottledError),
        (GenericError, BUSY, "503 Service Unavailable", "", ThrottledError),
        (GenericError, BUSY, "429 Too Many Requests", "TooManyRequests", ThrottledError),
        (GenericError, "Generic S3 error: ", "599 <unknown status code>", "", 0),
        (GenericError, "Generic S3 error: ", "400 Bad Request", "RequestTimeout", 0),
        (GenericError, "Generic S3 error: ", "400 Bad Request", "BadDigest", 0),
        (
            AlreadyExistsError,
            f"Object at location {KEY} already exists: ",
            "409 Conflict",
            "ConditionalRequestConflict",
            RetryableError,
        ),
        (
            AlreadyExistsError,
            f"Object at location {KEY} already exists: {UNMET}",
            "412 Precondition Failed",
            "PreconditionFailed",
            PreconditionFailedError,
        ),
        (
            PreconditionError,
            UNMET,
            "412 Precondition Failed",
            "",
            PreconditionFailedError,
        ),
        (
            PreconditionError,
            UNMET,
            "404 Not Found",
            "NoSuchKey",
            NotFoundError,
        ),
        (
            FileNotFoundError,
            f"Object at location {KEY} not found: ",
            "404 Not Found",
            "NoSuchBucket",
            RejectedError,
        ),
        (
            GenericError,
            "Generic S3 error: ",
            "400 Bad Request",
            "ExpiredToken",
            RefusedCredentialsError,
        ),
        (
            GenericError,
            "Generic S3 error: ",
            "501 Not Implemented",
            "NotImplemented",
            RejectedError,
        ),
        (PermissionDeniedError, "No: ", "403 Forbidden", "AccessDenied", RejectedError),
        (PermissionDeniedError, "No: ", "403 Forbidden", "", RejectedError),
    ],
)
def test_an_answer_is_sorted_by_its_status_and_code(
    raised: type[Exception], said: str, status: str, code: str, kind: type[Exception] | int
) -> None:
    """The class is not enough: 409 and 412 have one, and so have 404 and 412."""
    found = told(raised(said + answered(status, code)))
    assert type(found) is (kind or RetryableError)
    text = str(found)
    assert text.startswith(f"PutObject s3://bucket/{KEY}: ")
    assert f"{ENDPOINT} answered {status[:3]} {code or status[:3]}" in text
    assert "\n" not in text
    assert "Debug" not in text


@pytest.mark.parametrize(
    ("operation", "kind"), [("HeadObject", KeyError), (PUT, RejectedError)], ids=str
)
def test_only_a_look_finds_nothing(operation: str, kind: type[Exception]) -> None:
    """A PUT that is answered 404 has failed."""
    error = FileNotFoundError(f"Object at location {KEY} not found: " + answered("404 Not Found"))
    assert type(told(error, operation)) is kind


def test_a_key_that_reads_like_an_answer_is_none() -> None:
    """What stands in a key is the user's word, and comes first in obstore's text."""
    key = answered("412 Precondition Failed").partition("\n")[0]
    text = f"Object at location {key} already exists: " + answered("409 Conflict", key=key)
    assert type(told(AlreadyExistsError(text), key=key)) is RetryableError


def test_a_message_that_reads_like_an_answer_is_none() -> None:
    """The status comes before what the server tells."""
    text = answered("503 Slow Down", "SlowDown", message=answered("403 Forbidden", "AccessDenied"))
    assert type(told(GenericError(text))) is ThrottledError


def test_a_message_is_read_as_one_line() -> None:
    """XML's entities and newlines don't reach the user."""
    text = answered("503 Slow Down", "SlowDown", message="do\n  &quot;less&quot;")
    assert str(told(GenericError(text))).endswith('answered 503 SlowDown: do "less"')


@pytest.mark.parametrize(
    ("debug", "why"),
    [
        ('kind: Connect, Os { message: "Connection refused" }', "Connection refused"),
        ('kind: Connect, Custom { error: "failed to lookup" }', "failed to lookup"),
        (
            "kind: Connect, Custom { error: InvalidCertificate(\n  UnknownIssuer) }",
            "its certificate is not trusted (UnknownIssuer)",
        ),
        (
            "error: InvalidCertificate(\n Other(\n OtherError(\n CaUsedAsEndEntity)))",
            "its certificate is not trusted (CaUsedAsEndEntity)",
        ),
        ("kind: Timeout, source: TimedOut", "error sending request (Timeout)"),
    ],
)
def test_a_request_without_an_answer_may_succeed_later(debug: str, why: str) -> None:
    """The endpoint is named, for it may be the wrong one, and why."""
    text = f"{SENDING}HTTP error: error sending request"
    found = told(GenericError(f"{text}\n\nDebug source:\n{debug}"))
    assert type(found) is RetryableError
    assert f"cannot reach {ENDPOINT}: {why}; check the network and AWS_ENDPOINT_URL_S3" in str(
        found
    )


def test_a_redirect_means_another_region() -> None:
    """Amazon's redirects name no place to go to, so obstore does not show them."""
    found = told(GenericError(f"{SENDING}Received redirect without LOCATION, this normally"))
    assert type(found) is RejectedError
    assert "set AWS_REGION" in str(found)


@pytest.mark.parametrize(
    ("error", "operation", "kind"),
    [
        # It may be a 409, after which nothing is there: to call it a 412 would lose records
        (AlreadyExistsError("new words"), PUT, RetryableError),
        (PreconditionError("new words"), PUT, PreconditionFailedError),
        (GenericError("new words"), PUT, RetryableError),
        (FileNotFoundError("new words"), "HeadObject", KeyError),
        (FileNotFoundError("new words"), PUT, RetryableError),
        (ValueError("Could not parse path"), PUT, RejectedError),
    ],
)
def test_a_text_that_cannot_be_read_is_sorted_by_its_class(
    error: Exception, operation: str, kind: type[Exception]
) -> None:
    """Another obstore may say it otherwise: never a success that is none, and never None."""
    assert type(told(error, operation)) is kind


LISTING = "Generic S3 error: Error performing list request: "
INVALID = "Encountered object with invalid path: "


@pytest.mark.parametrize(
    ("text", "key", "fault"),
    [
        (f'{INVALID}Path "a//b" contained empty path segment', "a//b", "has an empty part"),
        (
            f'{INVALID}Error parsing Path "a/./b": Encountered illegal character sequence "."',
            "a/./b",
            "has a part '.' or '..'",
        ),
        (
            f'{INVALID}Error parsing Path "a\nb": Encountered illegal character sequence "\n"',
            "a\\nb",
            "has a control character",
        ),
        (f'{INVALID}Path "a" contained empty path segment', "a", "is not a path"),
    ],
)
def test_a_key_that_is_no_path_is_named(text: str, key: str, fault: str) -> None:
    """In one line, with the engine that can read it."""
    found = told(InvalidPathError(text), "ListObjectsV2")
    assert type(found) is RejectedError
    assert str(found) == (
        f"ListObjectsV2 s3://bucket: engine=obstore cannot read the key '{key}', which {fault}; "
        "use engine=aioboto3 (pip install 's3-batcher[aioboto3]')"
    )


def test_a_response_that_is_not_from_s3_may_be_another_next_time() -> None:
    """Such as a page of a proxy. The endpoint may be the wrong one."""
    found = told(
        GenericError("Generic S3 error: Got invalid list response: x\n y"), "ListObjectsV2"
    )
    assert type(found) is RetryableError
    assert str(found).endswith(
        "not from S3 (check AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or endpoint_url): x y"
    )


def test_metadata_that_obstore_cannot_decode_is_refused() -> None:
    """A retry does not help, the other engine does."""
    text = 'Generic S3 error: Metadata value for ""x-amz-meta-a"" contained non UTF-8 characters'
    found = told(GenericError(text), "GetObject")
    assert type(found) is RejectedError
    assert "use engine=aioboto3 (pip install" in str(found)


def test_an_answer_after_retries_is_read() -> None:
    """The text then tells how many there were."""
    text = answered("503 Slow Down", "SlowDown").replace(
        " in 1.2ms - ", " in 1.2s, after 4 retries, max_retries: 4, retry_timeout: 180s  - "
    )
    found = told(GenericError(LISTING + text), "ListObjectsV2")
    assert type(found) is ThrottledError
    assert f"{ENDPOINT} answered 503 SlowDown: said" in str(found)
