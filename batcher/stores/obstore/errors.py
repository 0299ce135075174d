"""obstore's errors, sorted by what the caller does next, in the same way as botocore's.

obstore has classes for some responses only. The text of every error has the status and the body,
but no headers. So the text is parsed, and the class is used if that fails. `AlreadyExistsError`
may be a 412 or a 409, so without its text the outcome is unknown.
"""

from __future__ import annotations

import re

from obstore.exceptions import PreconditionError

from batcher.errors import (
    BatcherError,
    PreconditionFailedError,
    RejectedError,
    RetryableError,
)
from batcher.stores.credentials.endpoint import DEAD_PROXY_ADDRESS, OTHER_ENGINE_HINT
from batcher.stores.obstore.keys import find_prefix_fault, unreadable_key_error
from batcher.stores.proxies import describe_proxy
from batcher.stores.responses import (
    S3ErrorResponse,
    error_from_response,
    not_s3_error,
    redirect_error,
    unreachable_error,
)

_DEBUG_MARKER = "\n\nDebug source:\n"


_STATUS = re.compile(
    r"Error performing [A-Z]+ \S+ in [^\s,]+"
    r"(?:, after \d+ retries, max_retries: \d+, retry_timeout: \S+ )?\s*- "
    r"Server returned non-2xx status code: (\d{3})([^:]*): ?(.*)",
    re.DOTALL,
)


_CODE = re.compile(r"<Code>\s*([^<\s]+)\s*</Code>")


_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")


_HEADER = re.compile(
    r"<(?:Header|HeaderName|MissingHeaderName|HeadersNotSigned|ArgumentName)>([^<]*)<"
)


_INVALID_PATH = re.compile(
    r'Encountered object with invalid path: (?:Error parsing )?Path "(.*?)"'
    r"(?: contained empty path segment|: Encountered illegal)",
    re.DOTALL,
)


_REASON = re.compile(r'(?:message|error): "([^"]+)"')


_CERTIFICATE_FAULT = re.compile(r"InvalidCertificate\((?:\s|Other\(|OtherError\()*(\w+)")


_KIND = re.compile(r"\bkind: (\w+)")


_REDIRECT, _NO_RESPONSE = "Received redirect without LOCATION", "HTTP error"


_NOT_XML = "Got invalid list response"


_NO_ETAG = "ETag Header missing"


_NOT_ASCII = "contained non UTF-8 characters"
"""obstore says so of headers that are UTF-8, too."""


_LISTING = "ListObjectsV2"


_MOVED = 301


_BY_CLASS: tuple[tuple[type[Exception], type[BatcherError]], ...] = (
    (PreconditionError, PreconditionFailedError),
    (ValueError, RejectedError),
)


def translate_error(
    error: BaseException, operation: str, bucket: str, key: str, endpoint: str
) -> BatcherError | KeyError:
    """Return the error to raise. KeyError: HeadObject found no object."""
    context = f"{operation} s3://{bucket}/{key}"
    # Remove the key: it is not from the server, and may contain anything
    text = str(error).replace(f" {key} ", " ").replace(f" {key}: ", ": ")
    message, _, debug = text.rpartition(_DEBUG_MARKER)
    message = message or text
    if response := _parse_response(operation, message):
        return error_from_response(response, context, endpoint)
    if unusable := _unusable_response_error(message, operation, bucket, key, endpoint):
        return unusable
    if _NO_RESPONSE in message:
        return _no_response_error(context, endpoint, message, debug)
    if isinstance(error, FileNotFoundError) and operation == "HeadObject":
        return KeyError(context)
    for kind, error_class in _BY_CLASS:
        if isinstance(error, kind):
            return error_class(f"{context}: {_one_line(message)}")
    return RetryableError(f"{context}: {endpoint}: {_one_line(message)}")


def _unusable_response_error(
    message: str, operation: str, bucket: str, key: str, endpoint: str
) -> BatcherError | None:
    """Return the error for a response with status 200 that obstore cannot use, or None."""
    context = f"{operation} s3://{bucket}/{key}"
    if operation == _LISTING and (found := _INVALID_PATH.search(message)):
        fault = find_prefix_fault(found[1]) or "is not a path"
        return unreadable_key_error(operation, bucket, found[1], fault)
    if _NOT_XML in message:
        reason = _one_line(message.rpartition(_NOT_XML)[2].lstrip(": "))
        return not_s3_error(context, endpoint, reason)
    if _NO_ETAG in message:
        return not_s3_error(context, endpoint, "it has no ETag")
    if _NOT_ASCII in message:
        return RejectedError(
            f"{context}: engine=obstore cannot read metadata outside ASCII; {OTHER_ENGINE_HINT}"
        )
    return None


def _parse_response(operation: str, text: str) -> S3ErrorResponse | None:
    """Return S3's response if the text contains one."""
    if _REDIRECT in text:
        return S3ErrorResponse(operation, _MOVED, "PermanentRedirect")
    found = _STATUS.search(text)
    if found is None:
        return None
    status, reason, body = int(found[1]), found[2], found[3]
    code, message = _CODE.search(body), _MESSAGE.search(body)
    header = _HEADER.search(body)
    return S3ErrorResponse(
        operation,
        status,
        code[1] if code else str(status),
        _one_line(_unescape(message[1])) if message else reason.strip(),
        header=header[1].strip() if header else "",
    )


def _no_response_error(context: str, endpoint: str, message: str, debug: str) -> BatcherError:
    if f"{DEAD_PROXY_ADDRESS}," in debug:
        return redirect_error(context, endpoint)
    place = endpoint + describe_proxy(endpoint)
    return unreachable_error(context, place, _describe_failure(message, debug))


def _describe_failure(message: str, debug: str) -> str:
    """Return why there was no response: the system's reason, or the kind of failure."""
    reasons, kind = _REASON.findall(debug), _KIND.search(debug)
    if reasons:
        return str(reasons[-1])
    if fault := _CERTIFICATE_FAULT.search(debug):
        return f"its certificate is not trusted ({fault[1]})"
    text = _one_line(message.rpartition(": ")[2])
    return f"{text} ({kind[1]})" if kind else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _unescape(text: str) -> str:
    from html import unescape  # noqa: PLC0415  # only needed after a failure

    return unescape(text)
