"""What obstore raises, sorted by what the caller does next: exactly as botocore's errors are.

obstore has a class for some answers and text for the rest; status and body stand in the text of
all of them, headers in none. So the text is read, and the class counts where it cannot be read:
`AlreadyExistsError`, which may be a 412 or a 409, then says only that nothing is known.
"""

from __future__ import annotations

import re

from obstore.exceptions import BaseError, PreconditionError

from batcher.errors import BatcherError, PreconditionFailedError, RejectedError, RetryableError
from batcher.stores.s3.responses import S3ErrorResponse, error_from_response, unreachable_error

OBSTORE_ERRORS = (BaseError, FileNotFoundError, ValueError)
"""All that a call of obstore raises on purpose."""


_DEBUG_MARKER = "\n\nDebug source:\n"


_STATUS = re.compile(
    r"Error performing [A-Z]+ \S+ in \S+ - "
    r"Server returned non-2xx status code: (\d{3})([^:]*): ?(.*)",
    re.DOTALL,
)


_CODE = re.compile(r"<Code>\s*([^<\s]+)\s*</Code>")


_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")


_REASON = re.compile(r'(?:message|error): "([^"]+)"')


_CERTIFICATE_FAULT = re.compile(r"InvalidCertificate\((?:\s|Other\(|OtherError\()*(\w+)")


_KIND = re.compile(r"\bkind: (\w+)")


_REDIRECT, _NO_ANSWER = "Received redirect without LOCATION", "HTTP error"


_MOVED = 301


_BY_CLASS: tuple[tuple[type[Exception], type[BatcherError]], ...] = (
    (PreconditionError, PreconditionFailedError),
    (ValueError, RejectedError),
)


def translate_error(
    error: Exception, operation: str, bucket: str, key: str, endpoint: str
) -> BatcherError | KeyError:
    """Return the error to raise; a KeyError says that HeadObject found nothing."""
    where = f"{operation} s3://{bucket}/{key}"
    # The key is not the server's word, whatever stands in it
    text = str(error).replace(f" {key} ", " ").replace(f" {key}: ", ": ")
    said, _, debug = text.rpartition(_DEBUG_MARKER)
    said = said or text
    if answer := _parse_response(operation, said):
        return error_from_response(answer, where, endpoint)
    if _NO_ANSWER in said:
        return unreachable_error(where, endpoint, _describe_failure(said, debug))
    if isinstance(error, FileNotFoundError) and operation == "HeadObject":
        return KeyError(where)
    for kind, ours in _BY_CLASS:
        if isinstance(error, kind):
            return ours(f"{where}: {_one_line(said)}")
    return RetryableError(f"{where}: {endpoint}: {_one_line(said)}")


def _parse_response(operation: str, text: str) -> S3ErrorResponse | None:
    """Read what S3 answered, where the text tells of an answer."""
    if _REDIRECT in text:
        return S3ErrorResponse(operation, _MOVED, "PermanentRedirect")
    found = _STATUS.search(text)
    if found is None:
        return None
    status, reason, body = int(found[1]), found[2], found[3]
    code, message = _CODE.search(body), _MESSAGE.search(body)
    return S3ErrorResponse(
        operation,
        status,
        code[1] if code else str(status),
        _one_line(_unescape(message[1])) if message else reason.strip(),
    )


def _describe_failure(said: str, debug: str) -> str:
    """Return why no answer came: the system's word for it, or what kind of failure it was."""
    reasons, kind = _REASON.findall(debug), _KIND.search(debug)
    if reasons:
        return str(reasons[-1])
    if distrust := _CERTIFICATE_FAULT.search(debug):
        return f"its certificate is not trusted ({distrust[1]})"
    text = _one_line(said.rpartition(": ")[2])
    return f"{text} ({kind[1]})" if kind else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _unescape(text: str) -> str:
    from html import unescape  # noqa: PLC0415  # where nothing fails, nothing is read

    return unescape(text)
