"""The pages of a listing of open multipart uploads, whichever SDK asks for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from batcher.errors import RejectedError
from batcher.stores.base import OpenUpload


async def list_upload_pages(
    bucket: str,
    prefix: str,
    page_uploads: int,
    request_page: Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]],
) -> AsyncGenerator[OpenUpload, None]:
    """Return every upload that is open under `prefix`.

    Args:
        bucket: to list.
        prefix: the start of the keys.
        page_uploads: how many uploads to ask for at a time.
        request_page: sends ListMultipartUploads with the given parameters.

    Raises:
        RejectedError: the endpoint repeats a page.
    """
    parameters: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxUploads": page_uploads}
    while True:
        response = await request_page(parameters)
        for found in response.get("Uploads", ()):
            yield OpenUpload(found["Key"], found["Initiated"].timestamp())
        if not response.get("IsTruncated"):
            return
        markers = {name: response.get(f"Next{name}") for name in ("KeyMarker", "UploadIdMarker")}
        if not any(markers.values()) or markers.items() <= parameters.items():
            msg = f"s3://{bucket}: its uploads cannot be listed: no page follows the first"
            raise RejectedError(msg)
        parameters |= {name: marker for name, marker in markers.items() if marker}
