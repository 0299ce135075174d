"""S3Client: one aioboto3 client, created at the first call, with translated errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import add_expect_header, convert_body_to_file_like_object
from botocore.parsers import ResponseParserError

from batcher import __version__
from batcher.errors import RejectedError, RetryableError
from batcher.stores.credentials.source import CredentialSource, find_region
from batcher.stores.location import check_endpoint
from batcher.stores.responses import RefusedCredentialsError, name_expected_owner
from batcher.stores.s3.credentials import SigningCredentials
from batcher.stores.s3.session import NoRedirectSession, bypass_xray, register_redirect_limits
from batcher.stores.sdk import add_owner_and_payer, addressing_config, make_core_session

if TYPE_CHECKING:
    from batcher.settings import Settings

CONNECT_TIMEOUT_S = 5


READ_TIMEOUT_S = 60


class S3Client:
    """A client for one bucket. It belongs to the event loop of its first call.

    Credentials come from the environment, as in every AWS SDK. So do region and endpoint unless
    the settings have them.
    """

    def __init__(self, settings: Settings, retries: Mapping[str, object]) -> None:
        """Connect at the first call.

        Args:
            settings: the bucket, which errors name, where it is, and the connections in the pool.
            retries: how often the SDK retries, for botocore's `Config`.
        """
        self.bucket: str = settings.bucket
        self._settings = settings
        self._region, self._endpoint_url = find_region(settings), settings.endpoint_url
        self._source = CredentialSource.from_settings(settings)
        self._concurrency = settings.concurrency
        self._retries = retries
        self._exits = AsyncExitStack()
        self._client: Any = None
        self._connecting = asyncio.Lock()

    async def aclose(self) -> None:
        """Close all connections."""
        self._client = None
        await self._exits.aclose()
        self._source.close()

    def not_s3_error(self, operation: str, key: str, reason: str) -> RetryableError:
        """Return what to raise for a response that says success, but is not S3's."""
        from batcher.stores.responses import not_s3_error  # noqa: PLC0415  # rarely used

        endpoint = "S3" if self._client is None else self._client.meta.endpoint_url
        return not_s3_error(f"{operation} s3://{self.bucket}/{key}", endpoint, reason)

    @asynccontextmanager
    async def call(self, operation: str, key: str) -> AsyncIterator[Any]:
        """Return the client for one call, and translate its errors.

        Raises:
            KeyError: HeadObject found no object.
            RenewedCredentialsError: S3 refuses the credentials, and new ones are in their place.
        """
        credentials = self._source.credentials
        try:
            if self._client is None:
                await self._connect(operation, key)
                credentials = self._source.credentials
            bypass_xray(self._client)
            yield self._client
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            endpoint = "S3" if self._client is None else self._client.meta.endpoint_url
            from batcher.stores.sdk_errors import translate_error  # noqa: PLC0415  # rarely used

            translated = translate_error(error, operation, self.bucket, key, endpoint)
            if owner := self._settings.expected_bucket_owner:
                translated = name_expected_owner(translated, owner)
            if isinstance(translated, RefusedCredentialsError):
                translated = await self._source.answer_refusal(
                    translated, credentials, operation, key
                )
            raise translated from error

    def _prepare(self, operation: str, key: str) -> None:
        """Find credentials. Blocks: as `CredentialSource.get`."""
        provider, _ = self._source.get(operation, key)
        provider.endpoint.check_ca_bundle(f"{operation} s3://{self.bucket}/{key}")

    async def _connect(self, operation: str, key: str) -> None:
        """Create the client. Operation and key are for messages."""
        context = f"{operation} s3://{self.bucket}/{key}"
        async with self._connecting:
            if self._client is not None:
                return
            await self._source.run(partial(self._prepare, operation, key), operation, key)
            config = AioConfig(
                http_session_cls=NoRedirectSession,
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                max_pool_connections=self._concurrency,
                retries=dict(self._retries),
                # Measured per PUT: 2 % fewer cycles without validation, 15 % with a fixed agent
                parameter_validation=False,
                user_agent=f"batcher/{__version__}",
                # We compute the checksum ourselves, with a library that is nine times as fast
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3=addressing_config(self._settings),
            )
            try:
                core_session = make_core_session(AioSession, self._region)
                core_session.register_component(
                    "credential_provider", SigningCredentials(self._source)
                )
                session = aioboto3.Session(botocore_session=core_session)
                client_context = session.client(
                    "s3", config=config, endpoint_url=self._endpoint_url or None
                )
                client = await self._exits.enter_async_context(client_context)
            except ValueError as error:  # the SDK cannot parse the endpoint
                msg = f"{context}: {error}: set AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL to http(s)://host[:port]"
                raise RejectedError(msg) from error
            except (AttributeError, LookupError, TypeError) as error:
                # botocore does not check what a profile has, such as `s3 = 5`
                msg = f"{context}: the SDK cannot be set up: {error}; correct the profile"
                raise RejectedError(msg) from error
            check_endpoint(client.meta.endpoint_url, context)
            if client.meta.endpoint_url.startswith("https:"):
                # TLS protects the body and S3 verifies the CRC: a SHA-256 would be wasted
                client.meta.config.s3["payload_signing_enabled"] = False
            events = client.meta.events
            # One round trip less per PUT: `Expect: 100-continue` only helps if bodies are refused
            events.unregister("before-call.s3", add_expect_header)
            # Bytes are sent as they are; `S3Store` makes a file of large ones
            for with_body in ("PutObject", "UploadPart"):
                name = f"before-parameter-build.s3.{with_body}"
                events.unregister(name, convert_body_to_file_like_object)
            # The endpoint rules do not use the key, but are evaluated for each key, which takes a
            # quarter of the cycles of a PUT. There is no public switch. If botocore changes, this
            # has no effect, and PUTs are slower.
            resolver = getattr(client, "_ruleset_resolver", None)
            getattr(resolver, "_param_definitions", {}).pop("Key", None)
            register_redirect_limits(client)
            add_owner_and_payer(client, self._settings)
            self._client = client
