"""Writing: what the outcomes of a dry write say of the place that objects go to."""

from __future__ import annotations

from collections.abc import Iterator

from batcher.checking.findings import Finding, error, not_checked, ok
from batcher.checking.outcomes import Outcomes
from batcher.errors import BatcherError, PreconditionFailedError
from batcher.receipt import DIGEST

_ONCE = "a retry, or a late request of a killed invocation, would overwrite: exactly once is lost"
_OTHER = "use Amazon S3, or an endpoint that honours conditional writes"


def judge_writing(outcomes: Outcomes) -> Iterator[Finding]:
    """Judge each request; what was not sent, since one before it failed, is not told."""
    if isinstance(outcomes.created, BatcherError):
        yield error("write.create", *_told(outcomes.created))
        return
    yield ok("write.create", "an object is written where there was none")
    yield _refused(
        "write.if_none_match", outcomes.again, "If-None-Match", "a key that is taken is refused"
    )
    yield from _looked(outcomes)
    yield from _replaced(outcomes)
    yield from _uploaded(outcomes)


def _looked(outcomes: Outcomes) -> Iterator[Finding]:
    seen = outcomes.seen
    if isinstance(seen, BatcherError):
        found, do = _told(seen)
        yield error("write.head", f"what a retry met cannot be looked at: {found}", do)
    elif seen is not None and DIGEST not in seen.metadata:
        found = "HEAD shows no metadata of an object"
        yield error("write.head", found, f"its own success looks foreign to a retry: {_OTHER}")
    elif seen is not None:
        yield ok("write.head", "an object is looked at, and its metadata is there")


def _replaced(outcomes: Outcomes) -> Iterator[Finding]:
    if isinstance(outcomes.replaced, BatcherError):
        found, do = _told(outcomes.replaced)
        yield error("write.replace", f"an object cannot be replaced as it was seen: {found}", do)
    elif outcomes.replaced is not None:
        yield ok("write.replace", "an object is replaced as it was seen")
        told = "an object that has changed meanwhile is not replaced"
        yield _refused("write.if_match", outcomes.stale, "If-Match", told)


def _uploaded(outcomes: Outcomes) -> Iterator[Finding]:
    if outcomes.opened is not None:
        yield error("write.parts", *_told(outcomes.opened))
    else:
        told = "an upload in parts is sent, and refused where its key is taken"
        name = "If-None-Match of CompleteMultipartUpload"
        yield _refused("write.parts", outcomes.completed, name, told)
    if isinstance(outcomes.aborted, BatcherError):
        found, do = _told(outcomes.aborted)
        do = do or "allow s3:AbortMultipartUpload on the root, or parts of failed uploads stay"
        yield error("write.abort", f"an upload cannot be aborted: {found}", do)
    elif outcomes.aborted:
        yield ok("write.abort", "an upload is aborted, and its parts are gone")


def _refused(check: str, outcome: object, header: str, told: str) -> Finding:
    """Judge a request that had to be refused by 412."""
    if isinstance(outcome, PreconditionFailedError):
        return ok(check, told)
    if isinstance(outcome, BatcherError):
        found, do = _told(outcome)
        return error(check, f"{header} was not answered by 412: {found}", do)
    if outcome is None:
        return not_checked(check, "it was not sent")
    return error(check, f"the endpoint ignores {header}: {_ONCE}", _OTHER)


def _told(failure: BatcherError) -> tuple[str, str]:
    """Divide what happened from what to do, where the error says both."""
    text = str(failure).replace("\n", " ")
    if "kms:" in text.lower():
        return text, "allow kms:GenerateDataKey and kms:Decrypt on the key"
    return text, ""
