"""Requests whose outcome is unknown: look for the object before the write counts as failed."""

from __future__ import annotations

import logging

from batcher.errors import BatcherError, RetryableError, shorten
from batcher.stores.base import ObjectInfo, ObjectStore
from batcher.stores.request import Operation, Request

log: logging.Logger = logging.getLogger("batcher")

_OWN_METADATA = "batcher-"


async def send_write(store: ObjectStore, request: Request) -> bool:
    """Send a request that makes an object appear. If its outcome is unknown, look for the object.

    The outcome is unknown after an exception that is neither S3's nor ours: libraries that patch an
    SDK can raise after S3 has carried a request out. It is unknown, too, after a completion without
    a usable response, because a retry of a completion cannot find out.

    Returns:
        Whether the request succeeded. False: it was taken for failed, but its object is there.

    Raises:
        PreconditionFailedError: as `ObjectStore.send`.
        BatcherError: as `ObjectStore.send`. If the object may not be looked at, or is not there,
            the error is that of the request.
        Exception: as the store raised it. The object is not there, or could not be looked at.
    """
    try:
        await store.send(request)
    except BatcherError as error:
        is_unknown = isinstance(error, RetryableError)
        if not (is_unknown and request.operation is Operation.COMPLETE_UPLOAD):
            raise
        if not await _is_durable(store, request):
            raise
        shorten(error)
    except Exception as error:
        if not await _is_durable(store, request):
            raise
        log.warning(
            "unknown_outcome operation=%s key=%s error=%s",
            request.label,
            request.key,
            type(error).__name__,
        )
        shorten(error)
    else:
        return True
    return False


async def _is_durable(store: ObjectStore, request: Request) -> bool:
    """Return whether the object of a request is known to exist.

    A role without s3:ListBucket is answered 403 for an object that does not exist. So an error here
    means that nothing is known.
    """
    try:
        found = await store.head(request.key, deadline_s=request.deadline_s, slots=request.slots)
    except Exception as error:  # noqa: BLE001  # the error of the request says more: it is raised
        shorten(error)
        return False
    return found is not None and has_metadata_of(found, request)


def has_metadata_of(found: ObjectInfo, request: Request) -> bool:
    """Return whether an object that was found is the one that a request was to make.

    Its key alone does not show that: the response may be of something between us and S3.
    """
    sent = request.attributes.metadata
    return all(
        found.metadata.get(name, "").strip() == value.strip()
        for name, value in sent.items()
        if name.startswith(_OWN_METADATA)
    )
