"""Dry write: every request that the writer makes, once, on a key that no reader looks at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

from batcher import deadline
from batcher.checking.outcomes import Outcomes
from batcher.errors import BatcherError, RetryableError
from batcher.keys import QUARANTINE_FOLDER
from batcher.parts import MIN_PART_BYTES
from batcher.reading.names import CHECK_FOLDER
from batcher.receipt import DIGEST
from batcher.stores.base import About

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.stores.base import ObjectStore, Stored

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
