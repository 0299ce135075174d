"""Asking AWS: one call, bounded in time, and its answer, or why there is none, in plain words."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aioboto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's own
    HTTPClientError,
)
from botocore.parsers import ResponseParserError

from batcher import __version__
from batcher.stores.s3.errors import LOCAL_HINTS, first_line
from batcher.tools.check.findings import Finding, error, not_checked

ASK_S = 10.0
"""The most that one question takes, the connecting included."""


_DENIED = {"403", "AccessDenied", "AccessDeniedException", "AuthorizationError", "Forbidden"}


_NO_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


_UNKNOWN_CALL = {"405", "501", "InvalidAction", "MethodNotAllowed", "NotImplemented"}


_METHOD_NOT_ALLOWED, _NOT_IMPLEMENTED = 405, 501


class Aws:
    """Asks AWS's services while it is entered; clients are made at their first question."""

    def __init__(self, region: str | None = None) -> None:
        """Ask in `region`; None: the environment's."""
        self._region = region or os.environ.get("AWS_REGION")
        self._session: Any = None  # one for all clients: it keeps what it reads of their models
        self._clients: dict[str, Any] = {}
        self._exits = AsyncExitStack()
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exits.aclose()

    async def ask(
        self,
        service: str,
        operation: str,
        permission: str,
        absent: Collection[str] = (),
        **parameters: object,
    ) -> Answer:
        """Ask one question.

        Args:
            service: as botocore names it: `s3`, `lambda`.
            operation: its method: `get_bucket_versioning`.
            permission: what a caller who is refused must be allowed.
            absent: error codes that say that there is no such thing; the answer is then None.
            parameters: of the operation.
        """
        try:
            async with asyncio.timeout(ASK_S):
                client = await self._client(service)
                answer: Mapping[str, Any] = await getattr(client, operation)(**parameters)
        except ClientError as error:
            return self._refused(error, service, operation, permission, absent)
        except (TimeoutError, ConnectionError, HTTPClientError) as error:
            why = f"no answer within {ASK_S:g} s"
            if not isinstance(error, TimeoutError):
                why = f"cannot be reached: {first_line(error)}"
            hint = "check the network and AWS_ENDPOINT_URL"
            return Unknown(f"{self.endpoint(service)}: {why}", hint, is_fault=True)
        except ResponseParserError:
            return Unknown(f"{self.endpoint(service)} answered {operation} by what is no answer")
        except ValueError as error:  # the SDK's, of an endpoint that it cannot read
            return Unknown(
                str(error), "set AWS_ENDPOINT_URL to http(s)://host[:port]", is_fault=True
            )
        except BotoCoreError as error:
            hints = (hint for kind, hint in LOCAL_HINTS if isinstance(error, kind))
            return Unknown(next(hints, first_line(error)), is_fault=True)
        return answer

    def endpoint(self, service: str) -> str:
        """Say where the questions to a service go, as far as that is known yet."""
        client = self._clients.get(service)
        return service if client is None else str(client.meta.endpoint_url)

    def region_of(self, service: str) -> str:
        """Say in which region a service is asked; empty before its first question."""
        client = self._clients.get(service)
        return "" if client is None else str(client.meta.region_name)

    async def _client(self, service: str) -> Any:  # noqa: ANN401  # aioboto3 has no types
        async with self._connecting:
            if service not in self._clients:
                config = Config(
                    connect_timeout=ASK_S,
                    read_timeout=ASK_S,
                    retries={"mode": "standard", "total_max_attempts": 2},
                    user_agent=f"batcher/{__version__}",
                )
                self._session = self._session or aioboto3.Session(region_name=self._region)
                client = self._session.client(service, config=config)
                self._clients[service] = await self._exits.enter_async_context(client)
        return self._clients[service]

    def _refused(
        self,
        error: ClientError,
        service: str,
        operation: str,
        permission: str,
        absent: Collection[str],
    ) -> Answer:
        said = error.response.get("Error", {})
        code, message = str(said.get("Code", "")), str(said.get("Message", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in absent:
            return None
        if code in _NO_CREDENTIALS:
            hint = "check the credentials in force, and renew them"
            return Unknown(f"{code}: {message}".rstrip(": "), hint, is_fault=True)
        if code in _DENIED:
            return Unknown(f"needs {permission}")
        if code in _UNKNOWN_CALL or status in {_METHOD_NOT_ALLOWED, _NOT_IMPLEMENTED}:
            return Unknown(f"{self.endpoint(service)} does not know {operation}")
        return Unknown(f"{operation} was answered by {status} {code}: {message}".rstrip(": "))


@dataclass(frozen=True, slots=True)
class Unknown:
    """AWS did not say."""

    why: str
    do: str = ""
    is_fault: bool = False
    """Whether nothing else will be answered either: no credentials, no network."""

    def finding(self, check: str, *, subject: str = "") -> Finding:
        """Tell of it: what may not be read is no fault of what is checked."""
        if self.is_fault:
            return error(check, self.why, self.do, subject=subject)
        return not_checked(check, self.why, subject=subject)


Answer = Mapping[str, Any] | Unknown | None
"""The answer as the API gives it; None: there is no such thing."""
