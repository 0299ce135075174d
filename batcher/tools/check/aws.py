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
from batcher.tools.check.findings import CheckResult, error, not_checked

CALL_TIMEOUT_S = 10.0
"""The most that one question takes, the connecting included."""


_DENIED_CODES = {"403", "AccessDenied", "AccessDeniedException", "AuthorizationError", "Forbidden"}


_CREDENTIAL_CODES = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


_UNSUPPORTED_CODES = {"405", "501", "InvalidAction", "MethodNotAllowed", "NotImplemented"}


_METHOD_NOT_ALLOWED, _NOT_IMPLEMENTED = 405, 501


class AwsClient:
    """Asks AWS's services while it is entered; clients are made at their first question."""

    def __init__(self, region: str | None = None) -> None:
        """Ask in `region`; None: the environment's."""
        self._region = region or os.environ.get("AWS_REGION")
        self._session: Any = None  # one for all clients: it keeps what it reads of their models
        self._clients: dict[str, Any] = {}
        self._exit_stack = AsyncExitStack()
        self._connect_lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exit_stack.aclose()

    async def call(
        self,
        service: str,
        operation: str,
        permission: str,
        absent_codes: Collection[str] = (),
        **parameters: object,
    ) -> AwsResponse:
        """Ask one question.

        Args:
            service: as botocore names it: `s3`, `lambda`.
            operation: its method: `get_bucket_versioning`.
            permission: what a caller who is refused must be allowed.
            absent: error codes that say that there is no such thing; the answer is then None.
            parameters: of the operation.
        """
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                client = await self._get_client(service)
                answer: Mapping[str, Any] = await getattr(client, operation)(**parameters)
        except ClientError as error:
            return self._failure_from(error, service, operation, permission, absent_codes)
        except (TimeoutError, ConnectionError, HTTPClientError) as error:
            why = f"no answer within {CALL_TIMEOUT_S:g} s"
            if not isinstance(error, TimeoutError):
                why = f"cannot be reached: {first_line(error)}"
            hint = "check the network and AWS_ENDPOINT_URL"
            return CallFailure(f"{self.endpoint(service)}: {why}", hint, fatal=True)
        except ResponseParserError:
            return CallFailure(
                f"{self.endpoint(service)} answered {operation} by what is no answer"
            )
        except ValueError as error:  # the SDK's, of an endpoint that it cannot read
            return CallFailure(
                str(error), "set AWS_ENDPOINT_URL to http(s)://host[:port]", fatal=True
            )
        except BotoCoreError as error:
            hints = (hint for kind, hint in LOCAL_HINTS if isinstance(error, kind))
            return CallFailure(next(hints, first_line(error)), fatal=True)
        return answer

    def endpoint(self, service: str) -> str:
        """Return where the questions to a service go, as far as that is known yet."""
        client = self._clients.get(service)
        return service if client is None else str(client.meta.endpoint_url)

    def region(self, service: str) -> str:
        """Return in which region a service is asked; empty before its first question."""
        client = self._clients.get(service)
        return "" if client is None else str(client.meta.region_name)

    async def _get_client(self, service: str) -> Any:  # noqa: ANN401  # aioboto3 has no types
        async with self._connect_lock:
            if service not in self._clients:
                config = Config(
                    connect_timeout=CALL_TIMEOUT_S,
                    read_timeout=CALL_TIMEOUT_S,
                    retries={"mode": "standard", "total_max_attempts": 2},
                    user_agent=f"batcher/{__version__}",
                )
                self._session = self._session or aioboto3.Session(region_name=self._region)
                client = self._session.client(service, config=config)
                self._clients[service] = await self._exit_stack.enter_async_context(client)
        return self._clients[service]

    def _failure_from(
        self,
        error: ClientError,
        service: str,
        operation: str,
        permission: str,
        absent_codes: Collection[str],
    ) -> AwsResponse:
        said = error.response.get("Error", {})
        code, message = str(said.get("Code", "")), str(said.get("Message", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in absent_codes:
            return None
        if code in _CREDENTIAL_CODES:
            hint = "check the credentials in force, and renew them"
            return CallFailure(f"{code}: {message}".rstrip(": "), hint, fatal=True)
        if code in _DENIED_CODES:
            return CallFailure(f"needs {permission}")
        if code in _UNSUPPORTED_CODES or status in {_METHOD_NOT_ALLOWED, _NOT_IMPLEMENTED}:
            return CallFailure(f"{self.endpoint(service)} does not know {operation}")
        return CallFailure(f"{operation} was answered by {status} {code}: {message}".rstrip(": "))


@dataclass(frozen=True, slots=True)
class CallFailure:
    """AWS did not say."""

    reason: str
    fix: str = ""
    fatal: bool = False
    """Whether nothing else will be answered either: no credentials, no network."""

    def to_result(self, check: str, *, subject: str = "") -> CheckResult:
        """Report of it: what may not be read is no fault of what is checked."""
        if self.fatal:
            return error(check, self.reason, self.fix, subject=subject)
        return not_checked(check, self.reason, subject=subject)


AwsResponse = Mapping[str, Any] | CallFailure | None
"""The answer as the API gives it; None: there is no such thing."""
