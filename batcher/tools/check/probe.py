"""Dry write: every request that the writer makes, once, on a key that no reader looks at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from batcher import concurrency as deadline
from batcher.errors import BatcherError, PreconditionFailedError, RetryableError
from batcher.keys.names import QUARANTINE_FOLDER
from batcher.keys.parse import CHECK_FOLDER
from batcher.limits import MIN_PART_BYTES
from batcher.stores.base import ObjectAttributes
from batcher.tools.check.findings import CheckResult, error, not_checked, ok
from batcher.writing.object import METADATA_DIGEST

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.stores.base import ObjectInfo, ObjectStore

_NOT_EXACTLY_ONCE = (
    "a retry, or a late request of a killed invocation, would overwrite: exactly once is lost"
)


_USE_OTHER_ENDPOINT = "use Amazon S3, or an endpoint that honours conditional writes"


T = TypeVar("T")


REQUEST_TIMEOUT_S = 10.0
"""The most that one request takes, its repetitions included."""


def probe_key(root: str, name: str) -> str:
    """Return the key of a dry write."""
    return "/".join(filter(None, [root, QUARANTINE_FOLDER, CHECK_FOLDER, name]))


async def run_probe(store: ObjectStore, key: str, settings: Settings) -> ProbeOutcomes:
    """Create, create again, look, replace, replace as it no longer is; then an upload in parts.

    What is sent has the headers of any object of batcher's. At the end there is one object at
    `key`, unless the first request failed, and no open upload, unless that may not be aborted.
    """
    outcomes = ProbeOutcomes()
    about = _probe_attributes(settings, "1")
    outcomes.created = await _run_request(store.put(key, _probe_body(1), about))
    if isinstance(outcomes.created, BatcherError):
        return outcomes
    outcomes.created_again = await _run_request(
        store.put(key, _probe_body(2), _probe_attributes(settings, "2"))
    )
    outcomes.head = await _run_request(_head_existing(store, key))
    if not isinstance(outcomes.head, BatcherError):
        etag = outcomes.head.etag
        about = _probe_attributes(settings, "3")
        outcomes.replaced = await _run_request(store.put(key, _probe_body(3), about, if_match=etag))
        if not isinstance(outcomes.replaced, BatcherError):
            about = _probe_attributes(settings, "4")
            outcomes.replaced_stale = await _run_request(
                store.put(key, _probe_body(4), about, if_match=etag)
            )
    await _probe_upload(store, key, settings, outcomes)
    return outcomes


async def _probe_upload(
    store: ObjectStore, key: str, settings: Settings, outcomes: ProbeOutcomes
) -> None:
    about = _probe_attributes(settings, "5")
    upload = await _run_request(store.create_upload(key, about, part_bytes=MIN_PART_BYTES))
    if isinstance(upload, BatcherError):
        outcomes.upload_error = upload
        return
    sent = await _run_request(upload.put_part(1, _probe_body(5)))
    if isinstance(sent, BatcherError):
        outcomes.upload_error = sent
    else:
        outcomes.upload_completed = await _run_request(upload.complete())
    if outcomes.upload_error or isinstance(outcomes.upload_completed, BatcherError):
        aborted = await _run_request(upload.abort(), cleanup=True)
        outcomes.upload_aborted = aborted if isinstance(aborted, BatcherError) else True


async def _run_request(request: Awaitable[T], *, cleanup: bool = False) -> T | BatcherError:
    """Return what a request gives, or its error; it ends in time, whatever the endpoint does.

    An abort is not told of the deadline: in an event it would have a fifth of a second.
    """
    until_s = asyncio.get_running_loop().time() + REQUEST_TIMEOUT_S
    before = deadline.current_deadline_s.set(None if cleanup else until_s)
    try:
        async with asyncio.timeout_at(until_s):
            return await request
    except BatcherError as error:
        return error
    except TimeoutError:
        return RetryableError(f"no answer within {REQUEST_TIMEOUT_S:g} s: check the endpoint")
    finally:
        deadline.current_deadline_s.reset(before)


async def _head_existing(store: ObjectStore, key: str) -> ObjectInfo:
    there = await store.head(key)
    if there is None:
        msg = f"{key}: what was written is not there"
        raise RetryableError(msg)
    return there


def _probe_body(number: int) -> bytes:
    """Return bodies that differ, so that their ETags do."""
    return b'{"batcher":"check","number":%d}\n' % number


def _probe_attributes(settings: Settings, digest: str) -> ObjectAttributes:
    kind = settings.content_type or "application/x-ndjson"
    return ObjectAttributes(kind, {**settings.metadata, METADATA_DIGEST: digest})


@dataclass(slots=True)
class ProbeOutcomes:
    """What became of each request: its result, or its error; None: it was not sent."""

    created: ObjectInfo | BatcherError | None = None
    created_again: ObjectInfo | BatcherError | None = None
    """The same creation once more."""
    head: ObjectInfo | BatcherError | None = None
    """What HEAD showed after that."""
    replaced: ObjectInfo | BatcherError | None = None
    """Replaced as it was seen."""
    replaced_stale: ObjectInfo | BatcherError | None = None
    """Replaced once more as it had been, which it is no longer."""
    upload_error: BatcherError | None = None
    """Why no multipart upload could be opened, or its part not be sent."""
    upload_completed: ObjectInfo | BatcherError | None = None
    """The upload completed on the key that is taken."""
    upload_aborted: BatcherError | bool | None = None
    """Whether the upload was thrown away."""


def evaluate_probe(outcomes: ProbeOutcomes) -> Iterator[CheckResult]:
    """Judge each request; what was not sent, since one before it failed, is not told."""
    if isinstance(outcomes.created, BatcherError):
        yield error("write.create", *_split_error(outcomes.created))
        return
    yield ok("write.create", "an object is written where there was none")
    yield _evaluate_precondition(
        "write.if_none_match",
        outcomes.created_again,
        "If-None-Match",
        "a key that is taken is refused",
    )
    yield from _evaluate_head(outcomes)
    yield from _evaluate_replace(outcomes)
    yield from _evaluate_upload(outcomes)


def _evaluate_head(outcomes: ProbeOutcomes) -> Iterator[CheckResult]:
    seen = outcomes.head
    if isinstance(seen, BatcherError):
        found, do = _split_error(seen)
        yield error("write.head", f"what a retry met cannot be looked at: {found}", do)
    elif seen is not None and METADATA_DIGEST not in seen.metadata:
        found = "HEAD shows no metadata of an object"
        yield error(
            "write.head", found, f"its own success looks foreign to a retry: {_USE_OTHER_ENDPOINT}"
        )
    elif seen is not None:
        yield ok("write.head", "an object is looked at, and its metadata is there")


def _evaluate_replace(outcomes: ProbeOutcomes) -> Iterator[CheckResult]:
    if isinstance(outcomes.replaced, BatcherError):
        found, do = _split_error(outcomes.replaced)
        yield error("write.replace", f"an object cannot be replaced as it was seen: {found}", do)
    elif outcomes.replaced is not None:
        yield ok("write.replace", "an object is replaced as it was seen")
        told = "an object that has changed meanwhile is not replaced"
        yield _evaluate_precondition("write.if_match", outcomes.replaced_stale, "If-Match", told)


def _evaluate_upload(outcomes: ProbeOutcomes) -> Iterator[CheckResult]:
    if outcomes.upload_error is not None:
        yield error("write.parts", *_split_error(outcomes.upload_error))
    else:
        told = "an upload in parts is sent, and refused where its key is taken"
        name = "If-None-Match of CompleteMultipartUpload"
        yield _evaluate_precondition("write.parts", outcomes.upload_completed, name, told)
    if isinstance(outcomes.upload_aborted, BatcherError):
        found, do = _split_error(outcomes.upload_aborted)
        do = do or "allow s3:AbortMultipartUpload on the root, or parts of failed uploads stay"
        yield error("write.abort", f"an upload cannot be aborted: {found}", do)
    elif outcomes.upload_aborted:
        yield ok("write.abort", "an upload is aborted, and its parts are gone")


def _evaluate_precondition(
    check: str, outcome: object, header: str, success_text: str
) -> CheckResult:
    """Judge a request that had to be refused by 412."""
    if isinstance(outcome, PreconditionFailedError):
        return ok(check, success_text)
    if isinstance(outcome, BatcherError):
        found, do = _split_error(outcome)
        return error(check, f"{header} was not answered by 412: {found}", do)
    if outcome is None:
        return not_checked(check, "it was not sent")
    return error(check, f"the endpoint ignores {header}: {_NOT_EXACTLY_ONCE}", _USE_OTHER_ENDPOINT)


def _split_error(failure: BatcherError) -> tuple[str, str]:
    """Divide what happened from what to do, where the error says both."""
    text = str(failure).replace("\n", " ")
    if "kms:" in text.lower():
        return text, "allow kms:GenerateDataKey and kms:Decrypt on the key"
    return text, ""
