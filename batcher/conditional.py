"""Conditional writes: a key is created, or what may be replaced is replaced; nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from batcher.errors import PreconditionFailedError, RetryableError
from batcher.stores.base import ObjectStore, Stored

Send = Callable[[str | None], Awaitable[Stored]]
"""Writes under the condition that the key is free (None), or has this ETag."""


async def create(send: Send) -> bool:
    """Write a fresh key, which nobody else has.

    Returns:
        Whether this very request made the object; False: an earlier one of ours had, unheard.
    """
    try:
        await send(None)
    except PreconditionFailedError:
        return False
    return True


async def create_or_replace(
    store: ObjectStore, key: str, send: Send, is_ours: Callable[[Stored], bool]
) -> bool:
    """Write a key that an earlier delivery of the same records may have written.

    The first request creates, and costs nothing besides. Only where it is refused we look: what
    is there may be ours, by a request whose answer was lost; another object is of an earlier
    delivery, and is replaced as it was seen, so that a late request of that delivery is refused
    in its turn.

    Returns:
        As `create`.

    Raises:
        RetryableError: somebody changes the key at the same time; or what `send` and a look raise.
    """
    try:
        await send(None)
    except PreconditionFailedError as taken:
        there = await store.head(key)
        if there is None:
            msg = f"{key}: an object that was there is gone; to be sent again"
            raise RetryableError(msg) from taken
        if is_ours(there):
            return False
    else:
        return True
    try:
        await send(there.etag)
    except PreconditionFailedError as changed:
        there = await store.head(key)
        if there is not None and is_ours(there):
            return False  # our replacement had succeeded, unheard
        msg = f"{key}: another writer replaced it at the same time; to be sent again"
        raise RetryableError(msg) from changed
    return True
