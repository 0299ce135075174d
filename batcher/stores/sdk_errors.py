"""botocore's errors, sorted by what the caller does next, in one line that says how to fix them."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's own
    HTTPClientError,
    IncompleteReadError,
    NoRegionError,
)
from botocore.parsers import ResponseParserError

from batcher.errors import BatcherError, RejectedError, RetryableError
from batcher.stores.credentials.errors import is_of_credentials, translate_credential_error
from batcher.stores.proxies import describe_proxy
from batcher.stores.responses import (
    S3ErrorResponse,
    error_from_response,
    not_s3_error,
    unreachable_error,
)

_HEADER_FIELDS = (
    "Header",
    "HeaderName",
    "MissingHeaderName",
    "HeadersNotSigned",
    "ArgumentName",
)
"""Where a response names a header."""


_ADDRESS = re.compile(r"<[\w.]+ object at 0x[0-9a-f]+>[:,]? ?")  # urllib3 begins its texts with one


def translate_error(  # noqa: PLR0911  # one per kind of error
    error: ClientError | BotoCoreError | ResponseParserError,
    operation: str,
    bucket: str,
    key: str,
    endpoint: str,
) -> BatcherError | KeyError:
    """Return the error to raise. KeyError: HeadObject found no object."""
    context = f"{operation} s3://{bucket}/{key}"
    if is_of_credentials(error, operation):
        return translate_credential_error(error, context)
    if isinstance(error, ClientError):
        return error_from_response(_parse_response(error, operation), context, endpoint)
    if isinstance(error, ConnectionError | HTTPClientError):
        return unreachable_error(context, endpoint + describe_proxy(endpoint), first_line(error))
    if isinstance(error, ResponseParserError):
        return not_s3_error(context, endpoint, first_line(error))
    if isinstance(error, IncompleteReadError):
        return RetryableError(f"{context}: {endpoint}: the body ended early: {first_line(error)}")
    if isinstance(error, NoRegionError):
        return RejectedError(f"{context}: no region; set AWS_REGION or region")
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
    header = next((str(body[name]) for name in _HEADER_FIELDS if body.get(name)), "")
    return S3ErrorResponse(operation, status, code, message, _retry_after_s(error), header)


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
