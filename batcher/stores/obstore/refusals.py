"""Refusals: what to do if S3 refuses a request because the bucket is in another region."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from batcher.concurrency import run_in_daemon_thread
from batcher.errors import BatcherError, RejectedError, RetryableError
from batcher.stores.responses import OTHER_REGION_HINT, REDIRECT_HINT

if TYPE_CHECKING:
    from batcher.stores.credentials.endpoint import CredentialProvider


async def follow_region(
    error: RejectedError, provider: CredentialProvider, bucket: str, *, is_retried: bool
) -> BatcherError:
    """Return what to raise for a refusal. If the bucket is in another region, go there.

    Only S3 itself is asked, and only for the region: its endpoint follows from that. A store
    retries there; a reader, which does not, names the region.

    Args:
        error: the refusal.
        provider: of the endpoint. It gets the one of the other region.
        bucket: the name of the bucket.
        is_retried: whether the sender retries.
    """
    text, endpoint = str(error), provider.endpoint
    is_elsewhere = text.endswith((OTHER_REGION_HINT, REDIRECT_HINT))
    if not is_elsewhere or endpoint.url:  # an endpoint that is set is not Amazon's
        return error
    from batcher.stores.obstore.region import find_bucket_region  # noqa: PLC0415  # rarely used

    region = await run_in_daemon_thread(partial(find_bucket_region, endpoint, bucket))
    if region in {"", endpoint.region}:
        return error
    if not is_retried:
        return RejectedError(f"{text} (it is in {region})")
    provider.endpoint = replace(endpoint, region=region)
    return RetryableError(f"{text} (it is in {region}; this process goes there from now on)")
