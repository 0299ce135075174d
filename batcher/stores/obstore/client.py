"""ObstoreClient: one obstore client of a bucket, with current credentials and translated errors."""

from __future__ import annotations

import atexit
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct
from obstore.exceptions import BaseError
from obstore.store import S3Store

from batcher import __version__
from batcher.errors import BatcherError, RejectedError, RetryableError, SettingsError
from batcher.limits import MAX_PART_BYTES
from batcher.stores.credentials.endpoint import (
    DEAD_PROXY_ADDRESS,
    OTHER_ENGINE_HINT,
    CredentialProvider,
    Credentials,
    Endpoint,
)
from batcher.stores.credentials.source import CredentialSource

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Credential

    from batcher.settings import Settings

OBSTORE_ERRORS = (BaseError, FileNotFoundError, ValueError)
"""All errors that obstore raises on purpose."""


HEADER_ATTRIBUTES = {
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "storage-class",
}
"""Attributes that obstore sends as headers of their own, so metadata cannot have these names."""


OBSTORE_VARIABLES = (
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_BUCKET_KEY_ENABLED",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_SSE_KMS_KEY_ID",
)
"""Variables that only obstore reads, by itself. Its configuration cannot switch them off."""


_PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY")


_HEADER_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # Source: RFC 9110, 5.6.2


_OTHER_BUCKETS = (
    (re.compile(r"arn:.*\.mrap"), "a multi-region access point"),
    (re.compile(r".*--xa?-s3"), "a directory bucket"),
)
"""Names of buckets whose requests have other hosts and other signatures.

Source: Amazon S3 user guide, "Directory bucket naming rules", "Multi-Region Access Points".
"""


MAX_SINGLE_PUT_BYTES = MAX_PART_BYTES * 9 // 10
"""S3's limit for a PUT is that of a part. Encoding can make a body larger than its text."""


CONNECT_TIMEOUT = "5s"


REQUEST_TIMEOUT = "1h"
"""`RetryingStore` cuts each request much sooner, by its size. obstore's 30 s ignore the size."""


IDLE_TIMEOUT = "12s"
"""As aiohttp's with botocore: an idle connection may be closed by S3, and cost an attempt."""


CHECKSUM_ALGORITHM = "CRC64NVME"
"""S3 verifies it. obstore's alternative, SHA-256, costs 0.6 ms per MiB more."""


NO_RETRIES: RetryConfig = {"max_retries": 0}
"""Only `RetryingStore` retries: with two layers attempts would multiply."""


EXIT_DELAY_S = 0.02
"""How long a process waits at its exit for obstore's threads to give up the interpreter.

A thread that has just delivered a result still needs it for a moment. If the interpreter is gone,
the process aborts: measured in 3 of 40 processes that ended right after a PUT (CPython 3.11).
"""


_obstore_pid: int | None = None
"""The process that has obstore's threads. A fork of it has none of them."""


class _Connection(Struct, frozen=True):
    """A client of obstore, and what it was made with."""

    client: S3Store
    credentials: Credentials
    endpoint: Endpoint


class ObstoreClient:
    """A client for one bucket. It serves one event loop after another.

    Requests run in obstore's own threads. They are frozen and thawed with a Lambda environment, and
    do not survive a fork: in a child, where a request would wait for ever, `call` raises instead.
    """

    def __init__(  # noqa: PLR0913  # how the four kinds of requests differ
        self,
        settings: Settings,
        *,
        retry_config: RetryConfig = NO_RETRIES,
        request_timeout: str = REQUEST_TIMEOUT,
        read_timeout: str | None = None,
        follows_region: bool = True,
        renew_credentials: bool = False,
        source: CredentialSource | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Connect to `settings.bucket` at the first call.

        Args:
            settings: the bucket, and the headers of every object.
            retry_config: how often obstore itself retries a request.
            request_timeout: how long one attempt may take, in obstore's form, such as `60s`.
            read_timeout: how long to wait for the response, and for the next bytes of its body.
            follows_region: whether the sender retries, so that it can be led to another region.
            renew_credentials: ask for credentials before each request of a call, because a call of
                many requests may outlive them. Only for calls that are never cancelled.
            source: of the credentials. None: the client has its own.
            headers: sent with every request, and signed. Not with listings: obstore signs theirs
                without them.

        Raises:
            SettingsError: obstore cannot send a header unchanged, or cannot address the bucket.
        """
        if faults := find_obstore_faults(settings, os.environ):
            raise SettingsError(faults)
        self.bucket: str = settings.bucket
        self._settings = settings
        self._retry_config = retry_config
        self._request_timeout = request_timeout
        self._read_timeout = read_timeout
        self._follows_region = follows_region
        self._renew_credentials = renew_credentials
        self._headers = dict(headers or {})
        if settings.expected_bucket_owner:
            self._headers["x-amz-expected-bucket-owner"] = settings.expected_bucket_owner
        self.source: CredentialSource = source or CredentialSource.from_settings(settings)
        """The source of the credentials."""
        self._connection: _Connection | None = None
        self._connecting = threading.Lock()  # not asyncio's: there may be several event loops

    def close(self) -> None:
        """Close all connections when no request uses them any more."""
        self._connection = None
        self.source.close()

    @asynccontextmanager
    async def call(self, operation: str, key: str) -> AsyncIterator[S3Store]:
        """Return obstore's client for one call, and translate what it raises.

        Raises:
            KeyError: HeadObject found nothing.
            RenewedCredentialsError: S3 refuses the credentials, and new ones are in their place.
        """
        connection = await self._get_connection(operation, key)
        try:
            yield connection.client
        except OBSTORE_ERRORS as error:
            translated = self.translate(error, operation, key)
            if isinstance(translated, RejectedError):
                refused = connection.credentials
                translated = await self.answer_refusal(translated, operation, key, refused)
            raise translated from error

    async def answer_refusal(
        self, error: RejectedError, operation: str, key: str, refused: Credentials | None = None
    ) -> BatcherError:
        """Return what to raise for a refusal, after a look for other credentials, or the region.

        Args:
            error: the refusal.
            operation: of the request, for messages.
            key: as `operation`.
            refused: the credentials of the request. None: the current ones.
        """
        from batcher.stores.responses import RefusedCredentialsError  # noqa: PLC0415  # rarely used

        if isinstance(error, RefusedCredentialsError):
            return await self.source.answer_refusal(error, refused, operation, key)
        if self.source.provider is None:
            return error
        from batcher.stores.obstore.refusals import follow_region  # noqa: PLC0415  # rarely used

        return await follow_region(
            error, self.source.provider, self.bucket, is_retried=self._follows_region
        )

    async def connect(self, operation: str, key: str) -> S3Store:
        """Return obstore's client, with current credentials. Errors name this operation and key.

        Raises:
            RejectedError: credentials or the endpoint are not usable, or the process is a fork.
            RetryableError: the source of credentials does not respond.
        """
        return (await self._get_connection(operation, key)).client

    async def _get_connection(self, operation: str, key: str) -> _Connection:
        """Return a connection with current credentials; see `connect`."""
        if _obstore_pid not in {None, os.getpid()}:
            msg = (
                f"{operation} s3://{self.bucket}/{key}: this process was forked from one that uses "
                f"engine=obstore; spawn it, or {OTHER_ENGINE_HINT}"
            )
            raise RejectedError(msg)
        connection = self._connection
        if connection is None or not self._is_current(connection):
            connect = partial(self._connect, operation, key)
            connection = await self.source.run(connect, operation, key)
        return connection

    def _is_current(self, connection: _Connection) -> bool:
        """Return, without I/O, whether a connection has the current credentials and endpoint."""
        source = self.source
        provider, credentials = source.provider, source.credentials
        if provider is None or credentials is None or source.is_due():
            return False
        return self._is_made_with(connection, credentials, provider.endpoint)

    @staticmethod
    def _is_made_with(
        connection: _Connection, credentials: Credentials, endpoint: Endpoint
    ) -> bool:
        return connection.credentials is credentials and connection.endpoint is endpoint

    def translate(self, error: BaseException, operation: str, key: str) -> BatcherError | KeyError:
        """Return what to raise for an error of obstore. KeyError: HeadObject found nothing."""
        from batcher.stores.obstore.errors import translate_error  # noqa: PLC0415  # rarely used

        translated = translate_error(error, operation, self.bucket, key, self._endpoint_url())
        if owner := self._settings.expected_bucket_owner:
            from batcher.stores.responses import name_expected_owner  # noqa: PLC0415  # rarely used

            return name_expected_owner(translated, owner)
        return translated

    def not_s3_error(self, operation: str, key: str, reason: str) -> RetryableError:
        """Return what to raise for a response that says success, but is not S3's."""
        from batcher.stores.responses import not_s3_error  # noqa: PLC0415  # rarely used

        return not_s3_error(f"{operation} s3://{self.bucket}/{key}", self._endpoint_url(), reason)

    def _endpoint_url(self) -> str:
        """Return the endpoint, for messages."""
        provider = self.source.provider
        return "S3" if provider is None else provider.endpoint.base_url()

    def _connect(self, operation: str, key: str) -> _Connection:
        """Return a connection with current credentials. Blocks: as `CredentialSource.get`."""
        global _obstore_pid  # noqa: PLW0603  # obstore's threads belong to the process, too
        context = f"{operation} s3://{self.bucket}/{key}"
        provider, credentials = self.source.get(operation, key)
        with self._connecting:
            connection = self._connection
            endpoint = provider.endpoint
            endpoint.check_ca_bundle(context)
            if connection is not None and self._is_made_with(connection, credentials, endpoint):
                return connection  # of a concurrent request, or there is nothing new
            if connection is None and endpoint.url:
                from batcher.stores.location import check_endpoint  # noqa: PLC0415  # not in AWS

                check_endpoint(endpoint.url, context)
            try:
                client = self._make_client(provider, credentials)
            except (*OBSTORE_ERRORS, OSError, TypeError) as error:
                reason = str(error).partition("\n")[0]
                msg = f"{context}: engine=obstore cannot be set up: {reason}"
                raise RejectedError(msg) from error
            if _obstore_pid is None:
                atexit.register(time.sleep, EXIT_DELAY_S)
            _obstore_pid = os.getpid()
            self._connection = _Connection(client, credentials, endpoint)
            return self._connection

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
            # TLS protects the body and S3 verifies the CRC: a SHA-256 would be wasted
            "unsigned_payload": is_secure,
            "conditional_put": "etag" if settings.conditional_writes else "disabled",
            # Set, because obstore also reads environment variables for these
            "skip_signature": False,
            "disable_tagging": False,
            "request_payer": bool(settings.request_payer),
            "s3_express": False,
        }
        if settings.sse:
            config["server_side_encryption"] = settings.sse
        if settings.kms_key_id:
            config["sse_kms_key_id"] = settings.kms_key_id
        options: ClientConfig = {
            **_route(provider.endpoint.base_url(), url),
            "allow_http": not is_secure,
            "connect_timeout": CONNECT_TIMEOUT,
            "timeout": self._request_timeout,
            "pool_idle_timeout": IDLE_TIMEOUT,
            "pool_max_idle_per_host": str(settings.concurrency),
            "user_agent": f"batcher/{__version__}",
        }
        if self._headers:
            options["default_headers"] = self._headers
        if self._read_timeout is not None:
            options["read_timeout"] = self._read_timeout
        if bundle := provider.endpoint.ca_bundle:
            options["root_certificate"] = Path(bundle).read_bytes()
        return S3Store(
            config=config,
            client_options=options,
            retry_config=self._retry_config,
            # Not in `config`: obstore would take a missing token from the environment
            credential_provider=self._make_credential_provider(credentials),
        )

    def _make_credential_provider(self, credentials: Credentials) -> Callable[[], S3Credential]:
        """Return what obstore calls for credentials.

        obstore holds a lock while it asks for new ones, and the next request waits for that lock. A
        stream that was cancelled while it waited would keep the lock for ever.
        """
        if not self._renew_credentials:
            return lambda: _to_obstore_credential(credentials)
        return lambda: _to_obstore_credential(
            self.source.get("GetCredentials", "")[1], is_renewed=True
        )


def _to_obstore_credential(credentials: Credentials, *, is_renewed: bool = False) -> S3Credential:
    """Return credentials in obstore's form. Renewed ones are asked for each time."""
    return {
        "access_key_id": credentials.access_key_id,
        "secret_access_key": credentials.secret_access_key,
        "token": credentials.session_token or None,
        "expires_at": datetime.now(UTC) if is_renewed else None,
    }


def _route(endpoint_url: str, url: str) -> ClientConfig:
    """Return the proxy that the environment names, as botocore reads it.

    Without one, obstore follows no redirect to a host other than the endpoint's.

    Args:
        endpoint_url: the endpoint without the bucket.
        url: the endpoint of the bucket.

    Raises:
        ValueError: the proxy cannot be used.
    """
    if any(os.environ.get(name) or os.environ.get(name.lower()) for name in _PROXY_VARIABLES):
        from batcher.stores.proxies import check_proxy, find_proxy  # noqa: PLC0415  # not in Lambda

        if proxy := find_proxy(endpoint_url):
            check_proxy(proxy)
            return {"proxy_url": proxy}
    host = urlsplit(url).hostname or ""
    return {"proxy_url": f"http://{DEAD_PROXY_ADDRESS}", "proxy_excludes": host}


def find_obstore_faults(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Return settings and variables that obstore cannot use, or would ignore, change or add.

    X-Ray's header is not among them: obstore cannot send it, but a function with tracing has no
    setting that asks for it, and works without. docs/how-to/powertools.md says what is lost.
    """
    faults = [
        f"{name}: engine=obstore would take it from the environment; unset it, and set sse"
        for name in OBSTORE_VARIABLES
        if name in environ
    ]

    def refuse(name: str, value: object, why: str) -> None:
        faults.append(f"{name}: {value!r} {why} with engine=obstore; {OTHER_ENGINE_HINT}")

    for pattern, kind in _OTHER_BUCKETS:
        if pattern.fullmatch(settings.bucket):
            refuse("bucket", settings.bucket, f"is {kind}, which cannot be addressed")
            break
    if settings.acl and settings.max_bytes > MAX_SINGLE_PUT_BYTES:
        refuse("max_bytes", settings.max_bytes, "is too much for one PUT, as acl needs it,")
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
