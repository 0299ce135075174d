"""Open multipart uploads, which obstore cannot list. boto3 lists them, in threads."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from batcher import __version__
from batcher.concurrency import run_in_daemon_thread
from batcher.errors import RejectedError
from batcher.stores.sdk import import_boto3
from batcher.stores.upload_pages import list_upload_pages

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.stores.base import OpenUpload

# Reads are idempotent, so boto3 may retry them
RETRIES = {"mode": "standard", "total_max_attempts": 5}


PAGE_UPLOADS = 1_000  # Source: Amazon S3 API reference: the most that one listing returns


async def list_uploads(
    settings: Settings, prefix: str, *, page_uploads: int = PAGE_UPLOADS
) -> AsyncGenerator[OpenUpload, None]:
    """Return every multipart upload of the bucket that is open under `prefix`, page by page.

    Raises:
        NotInstalledError: boto3 is not installed.
        BatcherError: as in `ObjectStore.send`.
    """
    client = await run_in_daemon_thread(partial(_make_client, settings, prefix))

    async def request_page(parameters: dict[str, Any]) -> dict[str, Any]:
        return await run_in_daemon_thread(partial(_list_page, client, parameters))

    try:
        pages = list_upload_pages(settings.bucket, prefix, page_uploads, request_page)
        async with aclosing(pages) as uploads:
            async for upload in uploads:
                yield upload
    finally:
        client.close()


def _make_client(settings: Settings, prefix: str) -> Any:  # noqa: ANN401  # boto3 has no types
    """Return a client. Blocks: it reads files, perhaps the network."""
    boto3 = import_boto3("listing open uploads")
    from botocore.config import Config  # noqa: PLC0415  # comes with boto3
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    bucket = settings.bucket
    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries=dict(RETRIES),
        user_agent=f"batcher/{__version__}",
    )
    try:
        # Every other SDK reads AWS_REGION; botocore reads AWS_DEFAULT_REGION only
        session = boto3.Session(region_name=settings.region or os.environ.get("AWS_REGION"))
        return session.client("s3", config=config, endpoint_url=settings.endpoint_url or None)
    except BotoCoreError as error:
        from batcher.stores.sdk_errors import translate_error  # noqa: PLC0415  # rarely used

        raise translate_error(error, "ListMultipartUploads", bucket, prefix, "S3") from error
    except ValueError as error:  # the SDK cannot parse the endpoint
        context = f"ListMultipartUploads s3://{bucket}/{prefix}"
        msg = f"{context}: {error}: set AWS_ENDPOINT_URL_S3 to http(s)://host[:port]"
        raise RejectedError(msg) from error


def _list_page(client: Any, parameters: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401  # as above
    """Return one page. Blocks."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    from batcher.stores.sdk_errors import translate_error  # noqa: PLC0415

    try:
        response: dict[str, Any] = client.list_multipart_uploads(**parameters)
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        bucket, prefix = parameters["Bucket"], parameters["Prefix"]
        raise translate_error(
            error, "ListMultipartUploads", bucket, prefix, client.meta.endpoint_url
        ) from error
    return response
