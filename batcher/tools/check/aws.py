"""Calls to AWS for the checks: a response, or the reason why there is none, as a value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from batcher.tools.aws import AwsCallError, AwsErrorKind, AwsSession, CallLimits
from batcher.tools.check.findings import CheckResult, error, not_checked

if TYPE_CHECKING:
    from batcher.settings import Settings

CALL_TIMEOUT_S = 10.0
"""The most that one call takes, connecting included."""
CALL_ATTEMPTS = 2

_FATAL_KINDS = {AwsErrorKind.CONFIGURATION, AwsErrorKind.UNREACHABLE, AwsErrorKind.CREDENTIALS}


class AwsClient:
    """Calls AWS services while it is entered. Each client is made at its first call."""

    def __init__(self, region: str | None = None) -> None:
        """Connect to `region`, or to that of the environment if it is None.

        Raises:
            NotInstalledError: boto3 is not installed.
        """
        limits = CallLimits(CALL_TIMEOUT_S, CALL_ATTEMPTS, total_s=CALL_TIMEOUT_S)
        purpose = "check of a bucket or a function"
        self._session = AwsSession(region, limits, purpose=purpose)
        self.endpoint: Callable[[str], str] = self._session.endpoint
        self.region: Callable[[str], str] = self._session.region
        self.place: Callable[[str, str, str], None] = self._session.place
        self.place_bucket: Callable[[Settings], None] = self._session.place_bucket

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.aclose()

    async def call(
        self,
        service: str,
        operation: str,
        permission: str,
        absent_codes: Collection[str] = (),
        **parameters: object,
    ) -> AwsResponse:
        """Return the response to one call, or why there is none.

        Args:
            service: see `AwsSession.call`, as for the next two.
            operation: botocore's method.
            permission: the IAM action that the call needs.
            absent_codes: error codes for "not found" or "not configured". The response is then
                None.
            parameters: those of the operation.
        """
        try:
            return await self._session.call(service, operation, permission, **parameters)
        except AwsCallError as failed:
            if failed.code and failed.code in absent_codes:
                return None
            if failed.kind is AwsErrorKind.DENIED:
                return CallFailure(f"needs {permission}")
            api_name = operation.title().replace("_", "")  # as in AWS's documentation
            reason = failed.reason.replace(operation, api_name, 1)
            return CallFailure(reason, failed.hint, fatal=failed.kind in _FATAL_KINDS)


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A call without a usable response."""

    reason: str
    fix: str = ""
    fatal: bool = False
    """Whether every other call would fail, too: no credentials, no network."""

    def to_result(self, check: str, *, subject: str = "") -> CheckResult:
        """Return the result of a check whose call failed.

        A missing permission to read is not an error of what is checked.
        """
        if self.fatal:
            return error(check, self.reason, self.fix, subject=subject)
        return not_checked(check, self.reason, subject=subject)


AwsResponse = Mapping[str, Any] | CallFailure | None
"""The response as the API has it. None: not found, or not configured."""
