"""Endpoint and credentials from botocore: profiles, files, roles, containers, machines."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any, NoReturn

import botocore.session
from botocore.credentials import ProcessProvider
from botocore.exceptions import CredentialRetrievalError, NoCredentialsError

from batcher.stores.credentials.endpoint import DEFAULT_REGION, Credentials, Endpoint
from batcher.stores.credentials.errors import translated_errors
from batcher.stores.sdk import make_core_session

_CONTAINER_VARIABLES = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


PROCESS_TIMEOUT_S = 60.0
"""How long a profile's program may take. botocore would wait for it without end."""


def make_session(region: str = "") -> Any:  # noqa: ANN401  # botocore has no types
    """Return a session of botocore whose search for credentials ends; see `make_core_session`."""
    session = make_core_session(botocore.session.Session, region)
    profile = session.get_config_variable("profile") or "default"
    process = ProcessProvider(profile, lambda: session.full_config, popen=_BoundedProcess)
    chain = session.get_component("credential_provider")
    chain.insert_before(ProcessProvider.METHOD, process)
    if not any(os.environ.get(name) for name in _CONTAINER_VARIABLES):
        chain.remove("container-role")  # for botocore a variable that is empty is set
    return session


class SdkCredentialProvider:
    """Finds endpoint and credentials in the same way as every AWS SDK for Python."""

    def __init__(  # noqa: PLR0913  # the request, for messages, and where the bucket is
        self,
        operation: str,
        bucket: str,
        key: str,
        *,
        region: str = "",
        endpoint_url: str = "",
        asked: dict[str, str] | None = None,
    ) -> None:
        """Search. Raise the errors of `find_provider`.

        Args:
            operation: of the first request, for messages.
            bucket: as `operation`.
            key: as `operation`.
            region: of the bucket; empty: the environment's, or the profile's.
            endpoint_url: of S3, as `region`.
            asked: gets, under `now`, botocore's name of the source that is asked at the moment.
        """
        self._asked: dict[str, str] = {} if asked is None else asked
        with translated_errors(f"{operation} s3://{bucket}/{key}", self._asked):
            session = make_session(region)
            self.endpoint: Endpoint = _find_endpoint(session, endpoint_url)
            self._sdk_credentials: Any = self._search(session)

    def _search(self, session: Any) -> Any:  # noqa: ANN401  # botocore has no types
        """Return what the first source of the chain has.

        Raises:
            NoCredentialsError: no source has credentials.
        """
        chain = session.get_component("credential_provider")
        for source in chain.providers:
            self._asked["now"] = source.METHOD
            found = source.load()
            if found is not None:
                return found
        raise NoCredentialsError

    @property
    def source(self) -> str:
        """Botocore's name of the source of the credentials."""
        return str(self._sdk_credentials.method)

    def is_refresh_due(self) -> bool:
        """Return whether botocore would renew the credentials, such as those of a role."""
        refresh_needed = getattr(self._sdk_credentials, "refresh_needed", None)
        return refresh_needed is not None and bool(refresh_needed())

    def get_credentials(self, operation: str, bucket: str, key: str) -> Credentials:
        """Return credentials, renewed if necessary; see `CredentialProvider.get_credentials`."""
        self._asked["now"] = self.source
        with translated_errors(f"{operation} s3://{bucket}/{key}", self._asked):
            frozen = self._sdk_credentials.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")


class _BoundedProcess(subprocess.Popen[bytes]):
    """The program of a `credential_process`, which is ended if it does not end."""

    def communicate(
        self,
        input: bytes | None = None,  # noqa: A002  # the base's
        timeout: float | None = None,
    ) -> tuple[bytes, bytes]:
        """Return what the program prints.

        Raises:
            CredentialRetrievalError: it does not end, or what it prints is no JSON object.
        """
        try:
            output, errors = super().communicate(input, timeout or PROCESS_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            self.kill()
            self.wait()
            for pipe in filter(None, (self.stdout, self.stderr)):
                pipe.close()
            self._raise(f"it has not ended within {PROCESS_TIMEOUT_S:.0f} s", error)
        if self.returncode == 0:
            try:
                printed = json.loads(output)
            except ValueError as error:
                self._raise("it does not print JSON", error)
            if not isinstance(printed, dict):
                self._raise("it does not print a JSON object")
        elif not errors.strip():
            errors = f"it ended with code {self.returncode}".encode()
        return output, errors

    @staticmethod
    def _raise(reason: str, error: Exception | None = None) -> NoReturn:
        method = ProcessProvider.METHOD
        raise CredentialRetrievalError(provider=method, error_msg=reason) from error


def _find_endpoint(session: Any, endpoint_url: str) -> Endpoint:  # noqa: ANN401  # botocore has no types
    profile = session.get_scoped_config()
    ca_bundle = session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    s3_config = profile.get("s3")
    addressing = s3_config.get("addressing_style") if isinstance(s3_config, dict) else None
    return Endpoint(
        session.get_config_variable("region") or DEFAULT_REGION,
        endpoint_url or _find_endpoint_url(session, profile),
        ca_bundle or "",
        addressing or "auto",
        fips=bool(session.get_config_variable("use_fips_endpoint")),
        dualstack=bool(session.get_config_variable("use_dualstack_endpoint")),
    )


def _find_endpoint_url(session: Any, profile: Mapping[str, Any]) -> str:  # noqa: ANN401  # as above
    """Return the endpoint from variables or files, in botocore's order, or an empty string."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return ""
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    urls = (
        os.environ.get("AWS_ENDPOINT_URL_S3"),
        os.environ.get("AWS_ENDPOINT_URL"),
        services.get("s3", {}).get("endpoint_url"),
        profile.get("endpoint_url"),
    )
    return next(filter(None, urls), "")
