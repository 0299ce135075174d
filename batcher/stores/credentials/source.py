"""CredentialSource: credentials of a client, which are looked for again once S3 refuses them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from msgspec.structs import replace

from batcher.concurrency import run_in_daemon_thread
from batcher.errors import BatcherError, RejectedError, RetryableError
from batcher.settings import parse_access_point
from batcher.stores.credentials.provider import find_provider

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.stores.credentials.endpoint import CredentialProvider, Credentials
    from batcher.stores.responses import RefusedCredentialsError

T = TypeVar("T")

SEARCH_TIMEOUT_S = 8.0
"""How long a request waits for credentials. It is shorter than the time that a request has for its
response, so that the error names the source that does not respond."""


PAUSE_S = 1.0
"""Requests that are refused within this time share one search that has found nothing new."""


class RenewedCredentialsError(RetryableError):
    """S3 has refused credentials, and other ones are in their place now: try once more."""


async def retry_if_renewed(send: Callable[[], Awaitable[T]]) -> T:
    """Return the result of `send`, which is called a second time if there are new credentials.

    Raises:
        RejectedError: the new ones are refused, too.
    """
    try:
        return await send()
    except RenewedCredentialsError:
        pass
    try:
        return await send()
    except RenewedCredentialsError as error:
        raise RejectedError(str(error)) from error


class CredentialSource:
    """Endpoint and credentials of a bucket's clients. Threads and event loops share it.

    A tool may write new credentials to a file while a process runs. So credentials that S3 refuses
    are looked for once more, from the beginning: variables, files, programs, roles. Concurrent
    requests share that search.
    """

    def __init__(  # noqa: PLR0913  # where the bucket is, and as whom it is used
        self,
        bucket: str,
        *,
        region: str = "",
        endpoint_url: str = "",
        addressing_style: str = "auto",
        role_arn: str = "",
        external_id: str = "",
    ) -> None:
        """Search at the first request.

        Args:
            bucket: where requests go.
            region: see `find_provider`.
            endpoint_url: as `region`.
            addressing_style: see `Endpoint`; `auto`: as the profile says.
            role_arn: the role to assume with the credentials that are found; empty: none.
            external_id: for `role_arn`.
        """
        self._bucket = bucket
        self._region, self._endpoint_url = region, endpoint_url
        self._addressing_style = addressing_style
        self._role_arn, self._external_id = role_arn, external_id
        self._asked: dict[str, str] = {}
        self._lock = threading.Lock()  # not asyncio's: there may be several event loops
        self._searched_s = -PAUSE_S
        self._found_nothing = ""
        self.provider: CredentialProvider | None = None
        """None before the first request."""
        self.credentials: Credentials | None = None
        """The current ones. The same object as long as they are the same."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the source for the bucket of these settings."""
        return cls(
            settings.bucket,
            region=find_region(settings),
            endpoint_url=settings.endpoint_url,
            addressing_style=settings.addressing_style,
            role_arn=settings.role_arn,
            external_id=settings.external_id,
        )

    def close(self) -> None:
        """Forget everything."""
        self.provider = self.credentials = None

    def is_due(self) -> bool:
        """Return, without I/O, whether `get` would search, or renew the credentials of a role."""
        return self.provider is None or self.credentials is None or self.provider.is_refresh_due()

    def get(self, operation: str, key: str) -> tuple[CredentialProvider, Credentials]:
        """Return provider and valid credentials. Blocks: it reads files, perhaps the network.

        Raises: see `find_provider`.
        """
        with self._locked(operation, key):
            provider = self.provider or self._search(operation, key)
            found = self._take(provider, operation, key)
            if self.credentials == found:
                found = self.credentials
            self.provider, self.credentials = provider, found
            return provider, found

    async def run(self, function: Callable[[], T], operation: str, key: str) -> T:
        """Return the result of a function that calls `get` or blocks in its way, in a thread.

        Raises:
            RetryableError: the source of the credentials does not respond.
        """
        try:
            async with asyncio.timeout(SEARCH_TIMEOUT_S):
                return await run_in_daemon_thread(function)
        except TimeoutError as error:
            raise self._no_response_error(operation, key) from error

    async def answer_refusal(
        self, error: RefusedCredentialsError, refused: Credentials | None, operation: str, key: str
    ) -> BatcherError:
        """Return what to raise for credentials that S3 has refused, after a look for other ones.

        Args:
            error: the refusal.
            refused: the credentials that the request was signed with. None: the current ones.
            operation: of the request, for messages.
            key: as `operation`.
        """
        look = partial(self._renew, refused or self.credentials, operation, key)
        problem = await self.run(look, operation, key)
        if not problem:
            return RenewedCredentialsError(str(error))
        # A HEAD has no body that would say whether this is about credentials
        return RejectedError(str(error) if operation == "HeadObject" else f"{error} ({problem})")

    def _renew(self, refused: Credentials | None, operation: str, key: str) -> str:
        """Look for other credentials. Return why there are none, or an empty string. Blocks."""
        with self._locked(operation, key):
            if self.credentials != refused or self.provider is None:
                return ""  # a concurrent request has found them
            if time.monotonic() - self._searched_s < PAUSE_S:
                return self._found_nothing
            try:
                provider = self._search(operation, key)
                found = self._take(provider, operation, key)
            except BatcherError as error:
                text = str(error).removeprefix(f"{operation} s3://{self._bucket}/{key}: ")
                self._searched_s = time.monotonic()
                self._found_nothing = f"there are no others: {text}"
                return self._found_nothing
            if found == refused:
                self._searched_s = time.monotonic()
                self._found_nothing = f"they are from {_describe(provider)}, with no others there"
                return self._found_nothing
            provider.endpoint = self.provider.endpoint  # perhaps in the region that S3 has named
            self.provider, self.credentials = provider, found
            return ""

    def _take(self, provider: CredentialProvider, operation: str, key: str) -> Credentials:
        """Return valid credentials of a provider, with which requests can be sent."""
        found = provider.get_credentials(operation, self._bucket, key)
        if found != self.credentials:
            context = f"{operation} s3://{self._bucket}/{key}"
            provider.endpoint.check_region(context)
            found.check(context, _describe(provider))
        return found

    def _search(self, operation: str, key: str) -> CredentialProvider:
        provider = find_provider(
            operation,
            self._bucket,
            key,
            region=self._region,
            endpoint_url=self._endpoint_url,
            asked=self._asked,
        )
        if self._addressing_style != "auto":
            style = self._addressing_style
            provider.endpoint = replace(provider.endpoint, addressing_style=style)
        if not self._role_arn:
            return provider
        # Imports botocore, without which no store or reader with a role is opened
        from batcher.stores.credentials.assumed_role import AssumedRoleProvider  # noqa: PLC0415

        return AssumedRoleProvider(provider, self._role_arn, self._external_id, self._asked)

    @contextmanager
    def _locked(self, operation: str, key: str) -> Iterator[None]:
        """Hold the lock. A search that does not end must not keep ever more threads."""
        if not self._lock.acquire(timeout=SEARCH_TIMEOUT_S):
            raise self._no_response_error(operation, key)
        try:
            yield
        finally:
            self._lock.release()

    def _no_response_error(self, operation: str, key: str) -> RetryableError:
        context = f"{operation} s3://{self._bucket}/{key}: cannot get credentials"
        asked = self._asked.get("now", "")
        if asked:
            from batcher.stores.credentials.errors import describe_source  # noqa: PLC0415  # botocore

            asked = f"{describe_source(asked)}: "
        return RetryableError(f"{context}: {asked}no response within {SEARCH_TIMEOUT_S:.0f} s")


def find_region(settings: Settings) -> str:
    """Return the region that the settings name: the one in an access point's ARN comes first."""
    point = parse_access_point(settings.bucket)
    return point["region"] if point else settings.region


def _describe(provider: CredentialProvider) -> str:
    if provider.source == "env":
        return "environment variables"
    from batcher.stores.credentials.errors import describe_source  # noqa: PLC0415  # botocore

    return describe_source(provider.source)
