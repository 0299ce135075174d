"""Probe: sends every kind of request that the writer uses once, to a key that readers skip."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from batcher.errors import BatcherError, PreconditionFailedError, RetryableError
from batcher.keys.names import QUARANTINE_FOLDER
from batcher.keys.parse import CHECK_FOLDER
from batcher.limits import MIN_PART_BYTES
from batcher.stores.base import ObjectAttributes, ObjectInfo
from batcher.tools.check.findings import CheckResult, CheckStatus, error, not_checked, ok
from batcher.writing.object import METADATA_DIGEST

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.stores.base import MultipartUpload, ObjectStore

T = TypeVar("T")

REQUEST_TIMEOUT_S = 10.0
"""Time limit of one request, retries included."""

_NOT_EXACTLY_ONCE = (
    "a retry, or a late request of a killed invocation, would overwrite the object, so exactly "
    "once is lost"
)
_USE_OTHER_ENDPOINT = "use Amazon S3, or an endpoint that honours conditional writes"


@dataclass(slots=True)
class ProbeOutcomes:
    """The outcome of each request: its result or its error. None if it was not sent."""

    created: ObjectInfo | BatcherError | None = None
    created_again: ObjectInfo | BatcherError | None = None
    """The same key created a second time, which must be refused by 412."""
    head: ObjectInfo | BatcherError | None = None
    replaced: ObjectInfo | BatcherError | None = None
    """The object replaced, with the ETag that HEAD returned."""
    replaced_stale: ObjectInfo | BatcherError | None = None
    """The object replaced with that ETag once more, which must be refused by 412."""
    upload_error: BatcherError | None = None
    """Why no multipart upload could be created."""
    upload_completed: ObjectInfo | BatcherError | None = None
    """An upload of one part, completed on a key of its own."""
    upload_aborted: BatcherError | bool | None = None
    """True if another upload was aborted."""


PARTS_SUFFIX = "-parts"
"""Added to the probe's key: where its multipart uploads go."""


def probe_key(root: str, name: str) -> str:
    """Return the key of a probe's object."""
    return "/".join(filter(None, [root, QUARANTINE_FOLDER, CHECK_FOLDER, name]))


async def run_probe(store: ObjectStore, key: str, settings: Settings) -> ProbeOutcomes:
    """Send every request that the writer uses, and return their outcomes.

    In order: create, create again (must be 412), HEAD, conditional replace, replace with a stale
    ETag (must be 412), a multipart upload that is completed, and one that is aborted. The requests
    have the headers of any object of batcher's. Afterwards there is an object at `key` and one at
    `key` with `PARTS_SUFFIX`, unless their requests failed.
    """
    outcomes = ProbeOutcomes()
    attributes = _probe_attributes(settings, "1")
    outcomes.created = await _run_request(partial(store.put, key, _probe_body(1), attributes))
    if isinstance(outcomes.created, BatcherError):
        return outcomes
    if settings.conditional_writes:
        outcomes.created_again = await _run_request(
            partial(store.put, key, _probe_body(2), _probe_attributes(settings, "2"))
        )
    outcomes.head = await _run_request(partial(_head_existing, store, key))
    if settings.conditional_writes and not isinstance(outcomes.head, BatcherError):
        etag = outcomes.head.etag
        attributes = _probe_attributes(settings, "3")
        outcomes.replaced = await _run_request(
            partial(store.put, key, _probe_body(3), attributes, if_match=etag)
        )
        if not isinstance(outcomes.replaced, BatcherError):
            attributes = _probe_attributes(settings, "4")
            outcomes.replaced_stale = await _run_request(
                partial(store.put, key, _probe_body(4), attributes, if_match=etag)
            )
    if store.parallel_parts:
        await _probe_upload(store, key, settings, outcomes)
    return outcomes


async def _probe_upload(
    store: ObjectStore, key: str, settings: Settings, outcomes: ProbeOutcomes
) -> None:
    create = partial(
        store.create_upload,
        f"{key}{PARTS_SUFFIX}",
        _probe_attributes(settings, "5"),
        part_bytes=MIN_PART_BYTES,
    )
    upload = await _run_request(create)
    if isinstance(upload, BatcherError):
        outcomes.upload_error = upload
        return
    outcomes.upload_completed = await _run_request(partial(_complete_upload, upload))
    if isinstance(outcomes.upload_completed, ObjectInfo):
        upload = await _run_request(create)
        if isinstance(upload, BatcherError):
            outcomes.upload_aborted = upload
            return
    aborted = await _run_request(partial(_abort_upload, upload))
    outcomes.upload_aborted = aborted if isinstance(aborted, BatcherError) else True


async def _complete_upload(upload: MultipartUpload, *, deadline_s: float) -> ObjectInfo:
    upload.deadline_s = deadline_s
    await upload.put_part(1, _probe_body(5))
    return await upload.complete()


async def _abort_upload(upload: MultipartUpload, *, deadline_s: float) -> None:
    upload.deadline_s = deadline_s
    await upload.abort()


async def _run_request(send: Callable[..., Awaitable[T]]) -> T | BatcherError:
    """Return the result of a request, or its error. It ends within `REQUEST_TIMEOUT_S`."""
    deadline_s = asyncio.get_running_loop().time() + REQUEST_TIMEOUT_S
    try:
        async with asyncio.timeout_at(deadline_s):
            return await send(deadline_s=deadline_s)
    except BatcherError as problem:
        return problem
    except TimeoutError:
        return RetryableError(f"no response within {REQUEST_TIMEOUT_S:g} s; check the endpoint")


async def _head_existing(store: ObjectStore, key: str, *, deadline_s: float) -> ObjectInfo:
    existing = await store.head(key, deadline_s=deadline_s)
    if existing is None:
        msg = f"{key}: the object that was just written does not exist"
        raise RetryableError(msg)
    return existing


def _probe_body(number: int) -> bytes:
    """Return a body per number, so that the ETags differ."""
    return b'{"batcher":"check","number":%d}\n' % number


def _probe_attributes(settings: Settings, digest: str) -> ObjectAttributes:
    content_type = settings.content_type or "application/x-ndjson"
    return ObjectAttributes(content_type, {**settings.metadata, METADATA_DIGEST: digest})


WRITE_CHECKS = (
    "write.create",
    "write.if_none_match",
    "write.head",
    "write.replace",
    "write.if_match",
    "write.parts",
    "write.abort",
    "write.cleanup",
)
"""All checks of a probe."""


_CREATE = ("write.create",)


_PARTS = ("write.parts", "write.abort")


_NEEDS = {
    "write.replace": (*_CREATE, "write.head"),
    "write.if_match": (*_CREATE, "write.head", "write.replace"),
    "write.abort": (*_CREATE, "write.parts"),
}
"""The checks whose requests must have succeeded, in the order of the requests."""


def leave_out_writes(reason: str) -> list[CheckResult]:
    """Return that nothing of a probe was checked."""
    return [not_checked(check, reason) for check in WRITE_CHECKS]


def evaluate_probe(outcomes: ProbeOutcomes) -> Iterator[CheckResult]:
    """Yield a result per request, also for those that were not sent, but none for the cleanup."""
    results = {result.check: result for result in _evaluate_sent(outcomes)}
    failed = [name for name, each in results.items() if each.status is CheckStatus.ERROR]
    for check in WRITE_CHECKS[:-1]:
        needed = next((name for name in _NEEDS.get(check, _CREATE) if name in failed), "")
        if check in results:
            yield results[check]
        elif needed:
            yield not_checked(check, f"because {needed} failed")
        elif check not in _PARTS:  # a store without parts needs none
            yield not_checked(check, "because conditional_writes is false")


def _evaluate_sent(outcomes: ProbeOutcomes) -> Iterator[CheckResult]:
    if isinstance(outcomes.created, BatcherError):
        yield error("write.create", *_split_error(outcomes.created))
        return
    yield ok("write.create", "a new object can be created")
    yield _evaluate_precondition(
        "write.if_none_match",
        outcomes.created_again,
        "If-None-Match",
        "a write to an existing key is refused",
    )
    yield from _evaluate_head(outcomes)
    yield from _evaluate_replace(outcomes)
    yield from _evaluate_upload(outcomes)


def _evaluate_head(outcomes: ProbeOutcomes) -> Iterator[CheckResult]:
    head = outcomes.head
    if isinstance(head, BatcherError):
        problem, fix = _split_error(head)
        yield error("write.head", f"HEAD of an existing object fails: {problem}", fix)
    elif head is not None and METADATA_DIGEST not in head.metadata:
        detail = "HEAD returns no metadata: a retry cannot recognise the object that it wrote"
        yield error("write.head", detail, _USE_OTHER_ENDPOINT)
    elif head is not None:
        yield ok("write.head", "an object can be found, with its metadata")


def _evaluate_replace(outcomes: ProbeOutcomes) -> Iterator[CheckResult]:
    if isinstance(outcomes.replaced, BatcherError):
        problem, fix = _split_error(outcomes.replaced)
        yield error("write.replace", f"replacing an object with If-Match fails: {problem}", fix)
    elif outcomes.replaced is not None:
        yield ok("write.replace", "an existing object can be replaced")
        yield _evaluate_precondition(
            "write.if_match",
            outcomes.replaced_stale,
            "If-Match",
            "a replacement of an outdated version is refused",
        )


def _evaluate_upload(outcomes: ProbeOutcomes) -> Iterator[CheckResult]:
    if outcomes.upload_error is not None:
        yield error("write.parts", *_split_error(outcomes.upload_error))
    elif isinstance(outcomes.upload_completed, BatcherError):
        problem, fix = _split_error(outcomes.upload_completed)
        yield error("write.parts", f"a multipart upload cannot be completed: {problem}", fix)
    elif outcomes.upload_completed is not None:
        yield ok("write.parts", "a large object can be sent in parts")
    if isinstance(outcomes.upload_aborted, BatcherError):
        problem, fix = _split_error(outcomes.upload_aborted)
        fix = fix or "allow s3:AbortMultipartUpload on the root, or parts of failed uploads remain"
        yield error("write.abort", f"a multipart upload cannot be aborted: {problem}", fix)
    elif outcomes.upload_aborted:
        yield ok("write.abort", "sending parts can be aborted")


def _evaluate_precondition(
    check: str, outcome: object, header: str, success_text: str
) -> CheckResult:
    """Evaluate a request that must be refused by 412."""
    if isinstance(outcome, PreconditionFailedError):
        return ok(check, success_text)
    if isinstance(outcome, BatcherError):
        problem, fix = _split_error(outcome)
        return error(check, f"{header}: expected the status 412: {problem}", fix)
    if outcome is None:
        return not_checked(check, "because conditional_writes is false")
    return error(check, f"the endpoint ignores {header}: {_NOT_EXACTLY_ONCE}", _USE_OTHER_ENDPOINT)


def _split_error(failure: BatcherError) -> tuple[str, str]:
    """Return an error as one line, and the fix for it if one is known."""
    text = str(failure).replace("\n", " ")
    if "kms:" in text.lower():
        return text, "allow kms:GenerateDataKey and kms:Decrypt on the key"
    return text, ""
