"""botocore's errors, sorted by what the caller does next, in one line that says how to fix them."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's own
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError

from batcher.errors import BatcherError, RejectedError, RetryableError
from batcher.stores.responses import (
    S3ErrorResponse,
    error_from_response,
    not_s3_error,
    unreachable_error,
)

_RETRYABLE_ERRORS: tuple[tuple[type[Exception], str], ...] = (
    (IncompleteReadError, "the body ended early"),
    (CredentialRetrievalError, "credentials are not available"),
)


LOCAL_HINTS: tuple[tuple[type[BotoCoreError], str], ...] = (
    (NoCredentialsError, "no credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret"),
    (PartialCredentialsError, "incomplete credentials; set AWS_SECRET_ACCESS_KEY too"),
    (ProfileNotFound, "AWS_PROFILE names a profile that does not exist; correct it"),
    (NoRegionError, "no region; set AWS_REGION or region"),
    (SSOTokenLoadError, "there is no single sign-on; run `aws sso login`"),
    (UnauthorizedSSOTokenError, "the single sign-on has expired; run `aws sso login`"),
    (TokenRetrievalError, "the single sign-on has expired; run `aws sso login`"),
)
"""Errors before anything is sent, and how to fix them."""


_ADDRESS = re.compile(r"<[\w.]+ object at 0x[0-9a-f]+>[:,]? ?")  # urllib3 begins its texts with one


def translate_error(
    error: ClientError | BotoCoreError | ResponseParserError,
    operation: str,
    bucket: str,
    key: str,
    endpoint: str,
) -> BatcherError | KeyError:
    """Return the error to raise. KeyError: HeadObject found no object."""
    context = f"{operation} s3://{bucket}/{key}"
    if isinstance(error, ClientError):
        return error_from_response(_parse_response(error, operation), context, endpoint)
    if isinstance(error, ConnectionError | HTTPClientError):
        return unreachable_error(context, endpoint, first_line(error))
    if isinstance(error, ResponseParserError):
        return not_s3_error(context, endpoint, first_line(error))
    for kind, problem in _RETRYABLE_ERRORS:
        if isinstance(error, kind):
            return RetryableError(f"{context}: {endpoint}: {problem}: {first_line(error)}")
    for kind, hint in LOCAL_HINTS:
        if isinstance(error, kind):
            return RejectedError(f"{context}: {hint}")
    return RejectedError(f"{context}: {first_line(error)}")


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, without objects' addresses and its full stop."""
    values = getattr(error, "kwargs", {})
    cause = None if "path" in values else values.get("error")  # shorter than botocore's text
    return _ADDRESS.sub("", str(cause or error)).partition("\n")[0].rstrip(".")


def _parse_response(error: ClientError, operation: str) -> S3ErrorResponse:
    body = error.response.get("Error", {})
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    # A proxy's page may be XML, too, without a code
    code, message = str(body.get("Code") or status), str(body.get("Message") or "")
    return S3ErrorResponse(operation, status, code, message, _retry_after_s(error))


def _retry_after_s(error: ClientError) -> float | None:
    """Parse `Retry-After`: seconds, or a date, relative to the date of the response."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    text = headers.get("retry-after", "")
    if text.isdecimal():
        return float(text)
    try:
        delay = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, delay.total_seconds())
