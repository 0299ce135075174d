"""AssumedRoleProvider: credentials of the role in `role_arn`, which STS gives for those found."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

from batcher import __version__
from batcher.errors import BatcherError
from batcher.stores.credentials.endpoint import Credentials, Endpoint
from batcher.stores.credentials.errors import translated_errors
from batcher.stores.sdk import make_core_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from batcher.stores.credentials.endpoint import CredentialProvider

SESSION_NAME = "batcher"
"""Of the role's sessions, as CloudTrail and the ARN of the caller have it."""


REFRESH_S = 900.0
"""How long before they expire credentials are renewed, at the most: as the SDKs do."""


LIFETIME_SHARE = 0.5
"""The part of their lifetime that credentials are used at least, if they live for minutes only."""


MANDATORY_S = 60.0
"""In this time before they expire credentials are not used any more if STS gives no new ones."""


RETRY_S = 30.0
"""How long credentials that are still valid are used before STS is asked again after a failure."""


CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ATTEMPTS = 2, 3, 2
"""Together less than the time that a request waits for its credentials."""


class AssumedRoleProvider:
    """Assumes a role with the credentials of another provider, and again before they expire.

    `CredentialSource` calls it from one thread at a time, so concurrent requests share a refresh.
    """

    source = "assume-role"

    def __init__(
        self,
        base: CredentialProvider,
        role_arn: str,
        external_id: str,
        asked: dict[str, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Assume the role at the first call.

        Args:
            base: finds the credentials that may assume the role.
            role_arn: the role.
            external_id: what its trust policy asks for; may be empty.
            asked: gets, under `now`, the name of the source that is asked at the moment.
            clock: seconds since 1970. Not monotonic: Lambda stops that one between two events.
        """
        self._base = base
        self._parameters = {"RoleArn": role_arn, "RoleSessionName": SESSION_NAME}
        if external_id:
            self._parameters["ExternalId"] = external_id
        self._asked = asked
        self._clock = clock
        self._credentials: Credentials | None = None
        self._due_s = self._expires_s = 0.0
        self.endpoint: Endpoint = base.endpoint
        """The endpoint of S3."""

    def is_refresh_due(self) -> bool:
        """Return whether the credentials expire soon."""
        return self._clock() >= self._due_s

    def get_credentials(self, operation: str, bucket: str, key: str) -> Credentials:
        """Return credentials of the role; see `CredentialProvider.get_credentials`."""
        if self._credentials is None or self.is_refresh_due():
            try:
                self._assume(operation, bucket, key)
            except BatcherError as error:
                now_s = self._clock()
                if self._credentials is None or now_s >= self._expires_s - MANDATORY_S:
                    msg = f"{error} (role_arn is {self._parameters['RoleArn']})"
                    raise type(error)(msg) from error
                self._due_s = now_s + RETRY_S
        assert self._credentials is not None  # noqa: S101  # set, or an error was raised
        return self._credentials

    def _assume(self, operation: str, bucket: str, key: str) -> None:
        """Ask STS for credentials."""
        caller = self._base.get_credentials(operation, bucket, key)
        self._asked["now"] = self.source
        with translated_errors(f"{operation} s3://{bucket}/{key}", self._asked):
            client = self._make_client(caller)
            try:
                found = client.assume_role(**self._parameters)["Credentials"]
            finally:
                client.close()
            self._credentials = Credentials(
                found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]
            )
            self._expires_s = found["Expiration"].timestamp()
        now_s = self._clock()
        lifetime_s = self._expires_s - now_s
        self._due_s = now_s + max(lifetime_s - REFRESH_S, lifetime_s * LIFETIME_SHARE)

    def _make_client(self, caller: Credentials) -> Any:  # noqa: ANN401  # botocore has no types
        """Return a client of STS in the region of this process, where a VPC has its endpoint."""
        session = make_core_session(botocore.session.Session)
        session.set_config_variable("sts_regional_endpoints", "regional")
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            user_agent=f"batcher/{__version__}",
        )
        return session.create_client(
            "sts",
            region_name=session.get_config_variable("region") or self.endpoint.region,
            config=config,
            aws_access_key_id=caller.access_key_id,
            aws_secret_access_key=caller.secret_access_key,
            aws_session_token=caller.session_token or None,
        )
