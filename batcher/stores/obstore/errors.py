"""What obstore raises, sorted by what the caller does next: exactly as botocore's errors are.

obstore has a class for some answers and text for the rest; status and body stand in the text of
all of them, headers in none. So the text is read, and the class counts where it cannot be read:
`AlreadyExistsError`, which may be a 412 or a 409, then says only that nothing is known.
"""

from __future__ import annotations

import re

from obstore.exceptions import BaseError, PreconditionError

from batcher.errors import BatcherError, PreconditionFailedError, RejectedError, RetryableError
from batcher.stores.s3.responses import Answer, error_of, unreachable

RAISED = (BaseError, FileNotFoundError, ValueError)
"""All that a call of obstore raises on purpose."""


_DEBUG = "\n\nDebug source:\n"


_STATUS = re.compile(
    r"Error performing [A-Z]+ \S+ in \S+ - "
    r"Server returned non-2xx status code: (\d{3})([^:]*): ?(.*)",
    re.DOTALL,
)


_CODE = re.compile(r"<Code>\s*([^<\s]+)\s*</Code>")


_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")


_WHY = re.compile(r'(?:message|error): "([^"]+)"')


_DISTRUST = re.compile(r"InvalidCertificate\((?:\s|Other\(|OtherError\()*(\w+)")


_KIND = re.compile(r"\bkind: (\w+)")


_REDIRECT, _NO_ANSWER = "Received redirect without LOCATION", "HTTP error"


_MOVED = 301


_BY_CLASS: tuple[tuple[type[Exception], type[BatcherError]], ...] = (
    (PreconditionError, PreconditionFailedError),
    (ValueError, RejectedError),
)


def translate(
    error: Exception, operation: str, bucket: str, key: str, endpoint: str
) -> BatcherError | KeyError:
    """Give the error to raise; a KeyError says that HeadObject found nothing."""
    where = f"{operation} s3://{bucket}/{key}"
    # The key is not the server's word, whatever stands in it
    text = str(error).replace(f" {key} ", " ").replace(f" {key}: ", ": ")
    said, _, debug = text.rpartition(_DEBUG)
    said = said or text
    if answer := _answer(operation, said):
        return error_of(answer, where, endpoint)
    if _NO_ANSWER in said:
        return unreachable(where, endpoint, _why(said, debug))
    if isinstance(error, FileNotFoundError) and operation == "HeadObject":
        return KeyError(where)
    for kind, ours in _BY_CLASS:
        if isinstance(error, kind):
            return ours(f"{where}: {_one_line(said)}")
    return RetryableError(f"{where}: {endpoint}: {_one_line(said)}")


def _answer(operation: str, said: str) -> Answer | None:
    """Read what S3 answered, where the text tells of an answer."""
    if _REDIRECT in said:
        return Answer(operation, _MOVED, "PermanentRedirect")
    found = _STATUS.search(said)
    if found is None:
        return None
    status, reason, body = int(found[1]), found[2], found[3]
    code, message = _CODE.search(body), _MESSAGE.search(body)
    return Answer(
        operation,
        status,
        code[1] if code else str(status),
        _one_line(_unescaped(message[1])) if message else reason.strip(),
    )


def _why(said: str, debug: str) -> str:
    """Say why no answer came: the system's word for it, or what kind of failure it was."""
    reasons, kind = _WHY.findall(debug), _KIND.search(debug)
    if reasons:
        return str(reasons[-1])
    if distrust := _DISTRUST.search(debug):
        return f"its certificate is not trusted ({distrust[1]})"
    text = _one_line(said.rpartition(": ")[2])
    return f"{text} ({kind[1]})" if kind else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _unescaped(text: str) -> str:
    from html import unescape  # noqa: PLC0415  # where nothing fails, nothing is read

    return unescape(text)
