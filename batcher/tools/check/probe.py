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
from batcher.stores.base import About
from batcher.tools.check.findings import Finding, error, not_checked, ok
from batcher.writing.object import DIGEST

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.stores.base import ObjectStore, Stored

_ONCE = "a retry, or a late request of a killed invocation, would overwrite: exactly once is lost"


_OTHER = "use Amazon S3, or an endpoint that honours conditional writes"


T = TypeVar("T")


STEP_S = 10.0
"""The most that one request takes, its repetitions included."""


def key_of_check(root: str, name: str) -> str:
    """Give the key of a dry write."""
    return "/".join(filter(None, [root, QUARANTINE_FOLDER, CHECK_FOLDER, name]))


async def dry_write(store: ObjectStore, key: str, settings: Settings) -> Outcomes:
    """Create, create again, look, replace, replace as it no longer is; then an upload in parts.

    What is sent has the headers of any object of batcher's. At the end there is one object at
    `key`, unless the first request failed, and no open upload, unless that may not be aborted.
    """
    outcomes = Outcomes()
    about = _about(settings, "1")
    outcomes.created = await _step(store.put(key, _body(1), about))
    if isinstance(outcomes.created, BatcherError):
        return outcomes
    outcomes.again = await _step(store.put(key, _body(2), _about(settings, "2")))
    outcomes.seen = await _step(_head(store, key))
    if not isinstance(outcomes.seen, BatcherError):
        etag = outcomes.seen.etag
        about = _about(settings, "3")
        outcomes.replaced = await _step(store.put(key, _body(3), about, replaces=etag))
        if not isinstance(outcomes.replaced, BatcherError):
            about = _about(settings, "4")
            outcomes.stale = await _step(store.put(key, _body(4), about, replaces=etag))
    await _upload(store, key, settings, outcomes)
    return outcomes


async def _upload(store: ObjectStore, key: str, settings: Settings, outcomes: Outcomes) -> None:
    about = _about(settings, "5")
    upload = await _step(store.create_upload(key, about, part_bytes=MIN_PART_BYTES))
    if isinstance(upload, BatcherError):
        outcomes.opened = upload
        return
    sent = await _step(upload.put_part(1, _body(5)))
    if isinstance(sent, BatcherError):
        outcomes.opened = sent
    else:
        outcomes.completed = await _step(upload.complete())
    if outcomes.opened or isinstance(outcomes.completed, BatcherError):
        aborted = await _step(upload.abort(), is_cleanup=True)
        outcomes.aborted = aborted if isinstance(aborted, BatcherError) else True


async def _step(request: Awaitable[T], *, is_cleanup: bool = False) -> T | BatcherError:
    """Give what a request gives, or its error; it ends in time, whatever the endpoint does.

    An abort is not told of the deadline: in an event it would have a fifth of a second.
    """
    until_s = asyncio.get_running_loop().time() + STEP_S
    before = deadline.deadline_s.set(None if is_cleanup else until_s)
    try:
        async with asyncio.timeout_at(until_s):
            return await request
    except BatcherError as error:
        return error
    except TimeoutError:
        return RetryableError(f"no answer within {STEP_S:g} s: check the endpoint")
    finally:
        deadline.deadline_s.reset(before)


async def _head(store: ObjectStore, key: str) -> Stored:
    there = await store.head(key)
    if there is None:
        msg = f"{key}: what was written is not there"
        raise RetryableError(msg)
    return there


def _body(number: int) -> bytes:
    """Give bodies that differ, so that their ETags do."""
    return b'{"batcher":"check","number":%d}\n' % number


def _about(settings: Settings, digest: str) -> About:
    kind = settings.content_type or "application/x-ndjson"
    return About(kind, {**settings.metadata, DIGEST: digest})


@dataclass(slots=True)
class Outcomes:
    """What became of each request: its result, or its error; None: it was not sent."""

    created: Stored | BatcherError | None = None
    again: Stored | BatcherError | None = None
    """The same creation once more."""
    seen: Stored | BatcherError | None = None
    """What HEAD showed after that."""
    replaced: Stored | BatcherError | None = None
    """Replaced as it was seen."""
    stale: Stored | BatcherError | None = None
    """Replaced once more as it had been, which it is no longer."""
    opened: BatcherError | None = None
    """Why no multipart upload could be opened, or its part not be sent."""
    completed: Stored | BatcherError | None = None
    """The upload completed on the key that is taken."""
    aborted: BatcherError | bool | None = None
    """Whether the upload was thrown away."""


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
