"""Calls to AWS services for the operator tools, and their errors in plain words.

boto3 is imported when a session is made: it belongs to an extra, and is slow to import.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any

from batcher import __version__
from batcher.concurrency import run_in_daemon_thread
from batcher.errors import BatcherError, RejectedError
from batcher.stores.credentials.endpoint import Credentials
from batcher.stores.credentials.source import CredentialSource, find_region
from batcher.stores.denials import CLOCK_HINT, find_clock_hint, find_denial_hint
from batcher.stores.proxies import describe_proxy
from batcher.stores.responses import CREDENTIAL_HINTS, CREDENTIAL_SYNONYMS
from batcher.stores.sdk import add_owner_and_payer, addressing_config, import_boto3

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

    from batcher.settings import Settings


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long a call may take, and how often its request is sent. A tool narrows the defaults."""

    timeout_s: float = 60.0
    """Time for connecting, and for each wait for bytes of the response."""
    attempts: int = 4
    """Requests per call. botocore retries throttling, 5xx and lost connections."""
    total_s: float | None = None
    """Time for the whole call: connecting, retries and the response. None: no limit."""


class AwsErrorKind(Enum):
    """Why a call failed."""

    CONFIGURATION = auto()
    """Nothing was sent: no credentials, no region, a bad endpoint URL."""
    UNREACHABLE = auto()
    """No response: no network, a wrong endpoint, or too slow."""
    CREDENTIALS = auto()
    """AWS does not accept the credentials."""
    DENIED = auto()
    """The credentials lack the permission."""
    UNSUPPORTED = auto()
    """The endpoint does not support the operation. Only services that imitate AWS respond so."""
    OTHER = auto()
    """Any other error response."""


class AwsCallError(BatcherError):
    """A call to an AWS service failed."""

    def __init__(
        self,
        kind: AwsErrorKind,
        reason: str,
        hint: str = "",
        *,
        code: str = "",
        retryable: bool = False,
    ) -> None:
        """Describe the failure.

        Args:
            kind: why the call failed.
            reason: the problem in one line.
            hint: what to do about it; empty if unknown.
            code: the error code of the response; empty if there was no response.
            retryable: whether the same call may succeed later. It may have taken effect already.
        """
        super().__init__(f"{reason}; {hint}" if hint else reason)
        self.kind = kind
        self.reason = reason
        self.hint = hint
        self.code = code
        self.retryable = retryable


class AwsSession:
    """AWS clients of one region, one per service. Each is made at its first call.

    Credentials, region and endpoints come from the environment, as for every AWS SDK, unless a
    service is placed elsewhere.

    boto3 blocks, so each call runs in a thread of its own. A call that is cancelled or has taken
    `CallLimits.total_s` raises at once, but its thread goes on until a response, or until its
    attempts have failed. Its request may still take effect. The threads are daemons: a process ends
    without waiting for them.
    """

    def __init__(
        self,
        region: str | None = None,
        limits: CallLimits | None = None,
        *,
        purpose: str = "this command",
    ) -> None:
        """Import boto3. Nothing is sent yet.

        Args:
            region: where the services are; None or empty: the region of the environment.
            limits: how long calls may take.
            purpose: what the calls are for, for the message if boto3 is not installed.

        Raises:
            NotInstalledError: boto3 is not installed.
        """
        self._region = region or os.environ.get("AWS_REGION") or None
        self._limits = CallLimits() if limits is None else limits
        self._boto3 = import_boto3(purpose)
        self._session: Any = None  # one for all clients, because it caches the services' models
        self._clients: dict[str, Any] = {}
        self._places: dict[str, tuple[str | None, str | None]] = {}
        self._bucket_settings: Settings | None = None
        self._connect_lock = threading.Lock()  # clients may be shared by threads, sessions may not

    async def call(
        self, service: str, operation: str, permission: str, **parameters: object
    ) -> Mapping[str, Any]:
        """Return the response to one call.

        Args:
            service: botocore's name of the service, such as `s3` or `lambda`.
            operation: botocore's method, such as `get_bucket_versioning`.
            permission: the IAM action that the call needs, for the hint if it is denied.
            parameters: those of the operation.

        Raises:
            AwsCallError: there is no response, or it is an error.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # an extra
        from botocore.parsers import ResponseParserError  # noqa: PLC0415

        from batcher.stores.credentials.errors import UNCHECKED_ERRORS  # noqa: PLC0415  # as above

        def send() -> Mapping[str, Any]:
            client = self._connect(service)
            try:
                response: Mapping[str, Any] = getattr(client, operation)(**parameters)
            except ClientError as error:
                if not (_refuses_credentials(error) and self._renew(service, client)):
                    raise
                response = getattr(self._connect(service), operation)(**parameters)
            return response

        try:
            async with asyncio.timeout(self._limits.total_s):
                return await run_in_daemon_thread(send)
        except ClientError as error:
            endpoint = self.endpoint(service)
            raise _error_from_response(error, operation, endpoint, permission) from error
        except (
            OSError,
            BotoCoreError,
            ResponseParserError,
            ValueError,
            *UNCHECKED_ERRORS,
        ) as error:
            describe = partial(self._error_without_response, error, service, operation)
            raise await run_in_daemon_thread(describe) from error

    def place(self, service: str, region: str, endpoint_url: str) -> None:
        """Call a service in this region, and at this endpoint, from its first call on.

        Args:
            service: botocore's name of the service.
            region: empty: that of the session.
            endpoint_url: empty: that of the environment, or Amazon's of the region.
        """
        self._places[service] = (region or None, endpoint_url or None)

    def place_bucket(self, settings: Settings) -> None:
        """Call S3 where and as whom the settings say. If they have a role, STS is called by it."""
        self.place("s3", find_region(settings), settings.endpoint_url)
        self._bucket_settings = settings

    async def aclose(self) -> None:
        """Close all connections."""
        for client in list(self._clients.values()):  # an abandoned call may still add one
            client.close()

    def endpoint(self, service: str) -> str:
        """Return the URL that a service is called at, or its name before its first call."""
        client = self._clients.get(service)
        return service if client is None else str(client.meta.endpoint_url)

    def region(self, service: str) -> str:
        """Return the region that a service is called in. Empty before its first call."""
        client = self._clients.get(service)
        return "" if client is None else str(client.meta.region_name)

    def _connect(self, service: str) -> Any:  # noqa: ANN401  # boto3 has no types
        """Return the client of a service. Blocks: it reads files, perhaps the network."""
        from botocore.config import Config  # noqa: PLC0415  # an extra

        with self._connect_lock:
            if service not in self._clients:
                config = Config(
                    connect_timeout=self._limits.timeout_s,
                    read_timeout=self._limits.timeout_s,
                    retries={"mode": "standard", "total_max_attempts": self._limits.attempts},
                    user_agent=f"batcher/{__version__}",
                )
                self._session = self._session or self._make_session()
                region, endpoint_url = self._places.get(service, (None, None))
                settings = self._bucket_settings if service in {"s3", "sts"} else None
                if settings is not None and service == "s3":
                    config = config.merge(Config(s3=addressing_config(settings)))
                client = self._session.client(
                    service,
                    config=config,
                    region_name=region,
                    endpoint_url=endpoint_url,
                    **_role_credentials(settings),
                )
                if settings is not None and service == "s3":
                    add_owner_and_payer(client, settings)
                self._clients[service] = client
            return self._clients[service]

    def _make_session(self) -> Any:  # noqa: ANN401  # boto3 has no types
        from batcher.stores.credentials.sdk_provider import make_session  # noqa: PLC0415  # an extra

        session = self._boto3.Session(botocore_session=make_session(self._region or ""))
        if (found := session.get_credentials()) is not None:
            _check_credentials(found)
        return session

    def _renew(self, service: str, refused_client: object) -> bool:
        """Look for credentials once more, in a new session. Return whether there are others."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # an extra

        from batcher.stores.credentials.errors import UNCHECKED_ERRORS  # noqa: PLC0415  # as above

        with self._connect_lock:
            if self._clients.get(service) is not refused_client:
                return True  # a concurrent call has found them
            try:
                session = self._make_session()
                sessions = (session, self._session)
                found, refused = [s.get_credentials().get_frozen_credentials() for s in sessions]
            except (
                AwsCallError,
                BotoCoreError,
                ClientError,
                OSError,
                ValueError,
                *UNCHECKED_ERRORS,
            ):
                return False  # none any more, or not whole: the refusal is what is reported
            if found == refused:
                return False
            self._session, self._clients = session, {}
            return True

    def _error_without_response(  # noqa: PLR0911  # one per kind of error
        self, error: Exception, service: str, operation: str
    ) -> AwsCallError:
        from botocore.exceptions import ConnectionError, HTTPClientError  # noqa: A004, PLC0415
        from botocore.parsers import ResponseParserError  # noqa: PLC0415  # an extra

        from batcher.stores.credentials.errors import (  # noqa: PLC0415  # as above
            UNCHECKED_ERRORS,
            describe_credential_error,
            is_of_credentials,
        )
        from batcher.stores.sdk_errors import first_line  # noqa: PLC0415

        endpoint, kind = self.endpoint(service), AwsErrorKind.UNREACHABLE
        check_network = "check the network and AWS_ENDPOINT_URL"
        if isinstance(error, TimeoutError):
            reason = f"{endpoint}: no response within {self._limits.total_s or 0:g} s"
            return AwsCallError(kind, reason, check_network, retryable=True)
        asked = str(getattr(error, "kwargs", {}).get("endpoint_url", ""))
        is_elsewhere = bool(asked) and "://" in endpoint and not asked.startswith(endpoint)
        if is_elsewhere or is_of_credentials(error, operation):
            reason, may_pass = describe_credential_error(error)
            kind = kind if is_elsewhere else AwsErrorKind.CONFIGURATION
            return AwsCallError(kind, reason, retryable=may_pass)
        if isinstance(error, ConnectionError | HTTPClientError):
            reason = f"cannot reach {endpoint}{describe_proxy(endpoint)}: {first_line(error)}"
            return AwsCallError(kind, reason, check_network, retryable=True)
        if isinstance(error, ResponseParserError):
            reason = f"{operation}: {endpoint} sent a response that is not of AWS's API"
            hint = "check AWS_ENDPOINT_URL"
            return AwsCallError(AwsErrorKind.OTHER, reason, hint, retryable=True)
        kind = AwsErrorKind.CONFIGURATION
        # A program or a file that credentials come from, or what it has
        if isinstance(error, (OSError, *UNCHECKED_ERRORS)):
            return AwsCallError(kind, describe_credential_error(error)[0])
        if isinstance(error, ValueError):  # botocore's, for an endpoint URL that it cannot parse
            return AwsCallError(kind, str(error), "set AWS_ENDPOINT_URL to http(s)://host[:port]")
        return AwsCallError(kind, first_line(error))


# The error codes that are handled specially, each with its fix. `{permission}` is
# the IAM action of the call. HEAD responses have no body: their code is the status.
# Source: the "common errors" of the services' API references
_ERROR_CODES: Mapping[str, tuple[AwsErrorKind, str]] = {
    "403": (AwsErrorKind.DENIED, "allow {permission}"),
    "AccessDenied": (AwsErrorKind.DENIED, "allow {permission}"),
    "AccessDeniedException": (AwsErrorKind.DENIED, "allow {permission}"),
    "AuthorizationError": (AwsErrorKind.DENIED, "allow {permission}"),
    "Forbidden": (AwsErrorKind.DENIED, "allow {permission}"),
    **{code: (AwsErrorKind.CREDENTIALS, hint) for code, hint in CREDENTIAL_HINTS.items()},
    **{
        synonym: (AwsErrorKind.CREDENTIALS, CREDENTIAL_HINTS[code])
        for synonym, code in CREDENTIAL_SYNONYMS.items()
    },
    "RequestExpired": (AwsErrorKind.CREDENTIALS, CLOCK_HINT),
    "RequestTimeTooSkewed": (AwsErrorKind.CREDENTIALS, CLOCK_HINT),
    "405": (AwsErrorKind.UNSUPPORTED, ""),
    "501": (AwsErrorKind.UNSUPPORTED, ""),
    "InvalidAction": (AwsErrorKind.UNSUPPORTED, ""),
    "MethodNotAllowed": (AwsErrorKind.UNSUPPORTED, ""),
    "NotImplemented": (AwsErrorKind.UNSUPPORTED, ""),
}

_UNSUPPORTED_STATUSES = {405, 501}
_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500
_THROTTLING_CODES = {"Throttling", "ThrottlingException", "RequestThrottled", "RequestTimeout"}


def _role_credentials(settings: Settings | None) -> dict[str, str]:
    """Return the credentials of the settings' role as boto3 takes them, or nothing. Blocks.

    Raises:
        AwsCallError: the role cannot be assumed.
    """
    if settings is None or not settings.role_arn:
        return {}
    try:
        found = CredentialSource.from_settings(settings).get("AssumeRole", "")[1]
    except BatcherError as error:
        reason = str(error).partition(": ")[2]
        raise AwsCallError(AwsErrorKind.CONFIGURATION, reason) from error
    return {
        "aws_access_key_id": found.access_key_id,
        "aws_secret_access_key": found.secret_access_key,
        "aws_session_token": found.session_token,
    }


def _check_credentials(found: Any) -> None:  # noqa: ANN401  # boto3 has no types
    """Check that requests can be sent with credentials. An error of boto3 would show them.

    Raises:
        AwsCallError: they cannot.
    """
    from batcher.stores.credentials.errors import describe_source  # noqa: PLC0415  # an extra

    frozen = found.get_frozen_credentials()
    credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")
    try:
        credentials.check("cannot get credentials", describe_source(found.method))
    except RejectedError as error:
        raise AwsCallError(AwsErrorKind.CONFIGURATION, str(error)) from None


def _refuses_credentials(error: ClientError) -> bool:
    """Return whether other credentials may be accepted. HEAD responses do not say it."""
    code = error.response.get("Error", {}).get("Code")
    return code in CREDENTIAL_HINTS or code in CREDENTIAL_SYNONYMS


def _error_from_response(
    error: ClientError, operation: str, endpoint: str, permission: str
) -> AwsCallError:
    from batcher.stores.credentials.errors import (  # noqa: PLC0415  # botocore is an extra
        describe_credential_error,
        is_of_credentials,
    )

    if is_of_credentials(error, operation):  # the source of the credentials has answered
        reason, may_pass = describe_credential_error(error)
        return AwsCallError(AwsErrorKind.CREDENTIALS, reason, retryable=may_pass)
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    kind, hint = _ERROR_CODES.get(code, (AwsErrorKind.OTHER, ""))
    hint = hint.format(permission=permission)
    if kind is AwsErrorKind.DENIED:
        hint = find_denial_hint(message) or hint
    hint = find_clock_hint(message) or hint
    if kind is AwsErrorKind.OTHER and status in _UNSUPPORTED_STATUSES:
        kind = AwsErrorKind.UNSUPPORTED
    if kind is AwsErrorKind.UNSUPPORTED:
        reason = f"{endpoint} does not support {operation}"
    else:
        reason = f"{operation}: answered {status} {code}: {message}".rstrip(": ")
    return AwsCallError(
        kind,
        reason,
        hint,
        code=code,
        retryable=status >= _SERVER_ERROR
        or status == _TOO_MANY_REQUESTS
        or code in _THROTTLING_CODES,
    )
