"""ObstoreStore: objects in Amazon S3 by obstore, which sends them for a fraction of the cycles."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.store import S3Store

from batcher import __version__
from batcher.errors import RejectedError, SettingsError
from batcher.stores.base import MultipartUpload, ObjectAttributes, ObjectInfo, ObjectStore
from batcher.stores.obstore.credentials import find_provider
from batcher.stores.obstore.endpoint import CredentialProvider, Credentials
from batcher.stores.obstore.errors import OBSTORE_ERRORS, translate_error

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential

    from batcher.settings import Settings

HEADER_ATTRIBUTES = {
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "storage-class",
}
"""Attributes that obstore sends as headers of their own: no metadata can have these names."""


OBSTORE_VARIABLES = (
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_BUCKET_KEY_ENABLED",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_SSE_KMS_KEY_ID",
)
"""What obstore reads by itself, and nobody else; its configuration cannot say "none"."""


_HEADER_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # Source: RFC 9110, 5.6.2


CONNECT_TIMEOUT = "5s"


REQUEST_TIMEOUT = "1h"
"""`RetryingStore` cuts each request much sooner, by its size; obstore's 30 s know no sizes."""


IDLE_TIMEOUT = "12s"
"""As aiohttp's with botocore: a connection that S3 has closed is not worth an attempt."""


CHECKSUM_ALGORITHM = "CRC64NVME"
"""S3 verifies it, as it does SHA-256, obstore's other one, which costs 0.6 ms a MiB more."""


_obstore_pid: int | None = None
"""The process whose threads send for obstore; a fork has none of them."""


class ObstoreStore:
    """Writes objects with a checksum that S3 verifies; connects at its first request.

    Requests run in threads of obstore's own, so a store serves any event loop, one after another.
    The threads are frozen with a Lambda environment, and go on with it. They do not survive a
    fork: a child that would wait for ever is told so. A request whose caller is cancelled is
    dropped with its connection; what S3 has of it by then it may still carry out, and its
    condition keeps that from harm, as with every late request.

    Large objects go up by aioboto3's `S3Store`, imported at the first: obstore completes no
    upload under a condition, aborts none, and repeats no part. See docs/decisions/0004.
    """

    def __init__(self, settings: Settings) -> None:
        """Write to `settings.bucket` with what the settings put on every object.

        Raises:
            SettingsError: something that obstore cannot send as it is.
        """
        if faults := find_obstore_faults(settings, os.environ):
            raise SettingsError(faults)
        self.bucket = settings.bucket
        self._settings = settings
        self._attributes = (
            {"Storage-Class": settings.storage_class} if settings.storage_class else {}
        )
        self._tags = dict(settings.tags) or None
        self._provider: CredentialProvider | None = None
        self._credentials: Credentials | None = None
        self._client: S3Store | None = None
        self._connecting = threading.Lock()  # no event loop's, for there may be another
        self._multipart_store: ObjectStore | None = None

    def __repr__(self) -> str:
        return f"ObstoreStore({self.bucket!r})"

    async def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, if_match: str | None = None
    ) -> ObjectInfo:
        """Store one object; see `ObjectStore.put`."""
        headers = {
            **self._attributes,
            **attributes.metadata,
            "Content-Type": attributes.content_type,
        }
        async with self._call("PutObject", key) as client:
            answer = await obstore.put_async(
                client,
                key,
                body,
                attributes=headers,
                tags=self._tags,
                mode="create" if if_match is None else {"e_tag": if_match},
            )
        return ObjectInfo(answer["e_tag"] or "", len(body), attributes.metadata)

    async def head(self, key: str) -> ObjectInfo | None:
        """Look at an object; see `ObjectStore.head`."""
        try:
            async with self._call("HeadObject", key) as client:
                # Not `head_async`, which leaves the metadata out
                answer = await obstore.get_async(client, key, options={"head": True})
        except KeyError:
            return None
        beside = {
            n: value for n, value in answer.attributes.items() if n.lower() not in HEADER_ATTRIBUTES
        }
        return ObjectInfo(answer.meta["e_tag"] or "", answer.meta["size"], beside)

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, part_bytes: int
    ) -> MultipartUpload:
        """Open a multipart upload, by aioboto3; see `ObjectStore.create_upload`."""
        if self._multipart_store is None:
            self._multipart_store = self._open_multipart_store(key)
        return await self._multipart_store.create_upload(key, attributes, part_bytes=part_bytes)

    def _open_multipart_store(self, key: str) -> ObjectStore:
        """Return the store for uploads in parts, which a package for Lambda may go without."""
        try:
            from batcher.stores.s3.store import S3Store as LargeStore  # noqa: PLC0415  # half a second
        except ModuleNotFoundError as error:
            if error.name != "aioboto3":
                raise
            msg = (
                f"CreateMultipartUpload s3://{self.bucket}/{key}: bodies of multipart_threshold "
                f"({self._settings.multipart_threshold} bytes) and more go up by aioboto3, and "
                "aioboto3 is not installed: raise multipart_threshold (5GiB at most), or install it"
            )
            raise RejectedError(msg) from error
        return LargeStore(self._settings)

    async def aclose(self) -> None:
        """Close all connections: obstore's with the last request that holds them."""
        self._client = self._provider = self._credentials = None
        large, self._multipart_store = self._multipart_store, None
        if large is not None:
            await large.aclose()

    @asynccontextmanager
    async def _call(self, operation: str, key: str) -> AsyncIterator[S3Store]:
        """Return the client for one call, and translate what it raises.

        Raises:
            KeyError: HeadObject found nothing.
        """
        if _obstore_pid not in {None, os.getpid()}:
            msg = (
                f"{operation} s3://{self.bucket}/{key}: this process was forked from one that uses "
                "engine=obstore: spawn it, or use engine=aioboto3"
            )
            raise RejectedError(msg)
        client = self._client
        if client is None or self._provider is None or self._provider.is_refresh_due():
            client = await asyncio.to_thread(self._connect, operation, key)
        try:
            yield client
        except OBSTORE_ERRORS as error:
            access = self._provider
            endpoint = "S3" if access is None else access.endpoint.base_url()
            raise translate_error(error, operation, self.bucket, key, endpoint) from error

    def _connect(self, operation: str, key: str) -> S3Store:
        """Return a client with the credentials in force; takes files, and perhaps the network."""
        global _obstore_pid  # noqa: PLW0603  # obstore's threads are the process's, too
        with self._connecting:
            access = self._provider or find_provider(operation, self.bucket, key)
            if self._provider is None and access.endpoint.url:
                from batcher.stores.location import check_endpoint  # noqa: PLC0415  # not in AWS

                check_endpoint(access.endpoint.url, f"{operation} s3://{self.bucket}/{key}")
            if self._client is not None and not access.is_refresh_due():
                return self._client  # another request was faster
            keys = access.get_credentials(operation, self.bucket, key)
            if self._client is None or keys != self._credentials:
                try:
                    client = self._make_client(access, keys)
                except (*OBSTORE_ERRORS, OSError, TypeError) as error:
                    reason = str(error).partition("\n")[0]
                    where = f"{operation} s3://{self.bucket}/{key}"
                    msg = f"{where}: engine=obstore cannot be set up: {reason}"
                    raise RejectedError(msg) from error
                _obstore_pid = os.getpid()
                self._provider, self._credentials, self._client = access, keys, client
            return self._client

    def _make_client(self, provider: CredentialProvider, credentials: Credentials) -> S3Store:
        settings = self._settings
        url, is_in_host = provider.endpoint.bucket_url(self.bucket)
        is_secure = url.startswith("https:")
        config: S3Config = {
            "bucket": self.bucket,
            "region": provider.endpoint.region,
            "aws_endpoint_url_s3": url,
            "virtual_hosted_style_request": is_in_host,
            "checksum_algorithm": CHECKSUM_ALGORITHM,
            # TLS guards the body on its way and S3 verifies the CRC: no SHA-256 besides
            "unsigned_payload": is_secure,
            "conditional_put": "etag",
            # obstore has variables of its own for these, too
            "skip_signature": False,
            "disable_tagging": False,
            "request_payer": False,
            "s3_express": False,
        }
        if settings.sse:
            config["server_side_encryption"] = settings.sse
        if settings.kms_key_id:
            config["sse_kms_key_id"] = settings.kms_key_id
        options: ClientConfig = {
            "allow_http": not is_secure,
            "connect_timeout": CONNECT_TIMEOUT,
            "timeout": REQUEST_TIMEOUT,
            "pool_idle_timeout": IDLE_TIMEOUT,
            "pool_max_idle_per_host": str(settings.concurrency),
            "user_agent": f"batcher/{__version__}",
        }
        if provider.endpoint.ca_bundle:
            options["root_certificate"] = Path(provider.endpoint.ca_bundle).read_bytes()
        return S3Store(
            config=config,
            client_options=options,
            # `RetryingStore` repeats: two that do would multiply, and count nothing right
            retry_config={"max_retries": 0},
            # Not in `config`, where a missing token is taken from the environment
            credential_provider=lambda: _to_obstore_credential(credentials),
        )


def _to_obstore_credential(credentials: Credentials) -> S3Credential:
    """Return obstore the credentials; when they must be renewed is our business."""
    return {
        "access_key_id": credentials.access_key_id,
        "secret_access_key": credentials.secret_access_key,
        "token": credentials.session_token or None,
        "expires_at": None,
    }


def find_obstore_faults(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Name what obstore would send otherwise than it is set, or not at all."""
    faults = [
        f"{name}: engine=obstore would take it from the environment: unset it, and set sse"
        for name in OBSTORE_VARIABLES
        if name in environ
    ]

    def refuse(name: str, value: str, why: str) -> None:
        faults.append(f"{name}: {value!r} {why} with engine=obstore: use engine=aioboto3")

    if settings.bucket.startswith("arn:") or settings.bucket.endswith("--x-s3"):
        refuse("bucket", settings.bucket, "cannot be addressed")
    for name in settings.metadata:
        if name.lower() in HEADER_ATTRIBUTES:
            refuse("metadata", name, "would become a header of its own")
        elif not _HEADER_TOKEN.fullmatch(name):
            refuse("metadata", name, "cannot be a name")
    for name in ("content_type", "storage_class", "kms_key_id"):
        value = getattr(settings, name)
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            refuse(name, value, "cannot be a header")
    return faults
