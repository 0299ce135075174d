"""Open multipart uploads, which obstore cannot list. boto3 lists them, in threads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from batcher import __version__
from batcher.concurrency import run_in_daemon_thread
from batcher.errors import RejectedError
from batcher.stores.credentials.source import find_region, retry_if_renewed
from batcher.stores.responses import RefusedCredentialsError
from batcher.stores.sdk import add_owner_and_payer, addressing_config, import_boto3
from batcher.stores.upload_pages import list_upload_pages

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.stores.base import OpenUpload
    from batcher.stores.credentials.endpoint import Credentials
    from batcher.stores.credentials.source import CredentialSource

LISTING = "ListMultipartUploads"
"""The name in Amazon's API, for messages."""


# Reads are idempotent, so boto3 may retry them
RETRIES: Mapping[str, str | int] = {"mode": "standard", "total_max_attempts": 5}


PAGE_UPLOADS = 1_000  # Source: Amazon S3 API reference: the most that one listing returns


async def list_uploads(
    settings: Settings,
    prefix: str,
    source: CredentialSource,
    *,
    page_uploads: int = PAGE_UPLOADS,
) -> AsyncGenerator[OpenUpload, None]:
    """Return every multipart upload of the bucket that is open under `prefix`, page by page.

    Args:
        settings: where the bucket is.
        prefix: the start of the uploads' keys.
        source: of the credentials.
        page_uploads: how many to take at a time.

    Raises:
        NotInstalledError: boto3 is not installed.
        BatcherError: as in `ObjectStore.send`.
    """
    connection = _UploadsClient(settings, source, prefix)

    def request_page(parameters: dict[str, Any]) -> Awaitable[dict[str, Any]]:
        return retry_if_renewed(partial(connection.request_page, parameters))

    try:
        pages = list_upload_pages(settings.bucket, prefix, page_uploads, request_page)
        async with aclosing(pages) as uploads:
            async for upload in uploads:
                yield upload
    finally:
        connection.close()


class _UploadsClient:
    """A client of boto3, which is made again for other credentials."""

    def __init__(self, settings: Settings, source: CredentialSource, prefix: str) -> None:
        self._settings = settings
        self._source = source
        self._prefix = prefix
        self._client: Any = None
        self._credentials: Credentials | None = None

    async def request_page(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return one page."""
        source = self._source
        if self._client is None or source.is_due() or source.credentials != self._credentials:
            await source.run(self._connect, LISTING, self._prefix)
        try:
            return await run_in_daemon_thread(partial(_list_page, self._client, parameters))
        except RefusedCredentialsError as error:
            refused = self._credentials
            raise await source.answer_refusal(error, refused, LISTING, self._prefix) from error

    def close(self) -> None:
        """Close the client's connections."""
        if self._client is not None:
            self._client.close()

    def _connect(self) -> None:
        """Make the client. Blocks: it reads files, perhaps the network."""
        import_boto3("listing open uploads")
        _, credentials = self._source.get(LISTING, self._prefix)
        self.close()
        self._client = _make_client(self._settings, self._prefix, credentials)
        self._credentials = credentials


def _make_client(settings: Settings, prefix: str, credentials: Credentials) -> Any:  # noqa: ANN401  # boto3 has no types
    """Return a client. Blocks: it reads files."""
    boto3 = import_boto3("listing open uploads")
    from botocore.config import Config  # noqa: PLC0415  # comes with boto3
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    from batcher.stores.credentials.sdk_provider import make_session  # noqa: PLC0415  # as above

    bucket = settings.bucket
    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries=dict(RETRIES),
        user_agent=f"batcher/{__version__}",
        s3=addressing_config(settings),
    )
    try:
        session = boto3.Session(botocore_session=make_session(find_region(settings)))
        client = session.client(
            "s3",
            config=config,
            endpoint_url=settings.endpoint_url or None,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token or None,
        )
        add_owner_and_payer(client, settings)
    except BotoCoreError as error:
        from batcher.stores.sdk_errors import translate_error  # noqa: PLC0415  # rarely used

        raise translate_error(error, LISTING, bucket, prefix, "S3") from error
    except ValueError as error:  # the SDK cannot parse the endpoint
        context = f"{LISTING} s3://{bucket}/{prefix}"
        msg = f"{context}: {error}: set AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL to http(s)://host[:port]"
        raise RejectedError(msg) from error
    return client


def _list_page(client: Any, parameters: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401  # as above
    """Return one page. Blocks."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    from batcher.stores.sdk_errors import translate_error  # noqa: PLC0415

    try:
        response: dict[str, Any] = client.list_multipart_uploads(**parameters)
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        bucket, prefix = parameters["Bucket"], parameters["Prefix"]
        raise translate_error(error, LISTING, bucket, prefix, client.meta.endpoint_url) from error
    return response
