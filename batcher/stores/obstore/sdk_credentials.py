"""Endpoint and credentials from botocore: profiles, files, roles, containers, machines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import botocore.session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's own
    HTTPClientError,
    NoCredentialsError,
)

from batcher.errors import BatcherError, RejectedError, RetryableError
from batcher.stores.obstore.endpoint import DEFAULT_REGION, Credentials, Endpoint
from batcher.stores.sdk_errors import first_line, translate_error

_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500


class SdkCredentialProvider:
    """Finds endpoint and credentials in the same way as every AWS SDK for Python."""

    def __init__(
        self, operation: str, bucket: str, key: str, *, region: str = "", endpoint_url: str = ""
    ) -> None:
        """Search. Raise the errors of `find_provider`."""
        with _translate_errors(operation, bucket, key):
            session = botocore.session.Session()
            # botocore reads AWS_DEFAULT_REGION only
            if chosen := region or os.environ.get("AWS_REGION"):
                session.set_config_variable("region", chosen)
            self.endpoint = _find_endpoint(session, endpoint_url)
            self._sdk_credentials: Any = session.get_credentials()
            if self._sdk_credentials is None:
                raise NoCredentialsError

    def is_refresh_due(self) -> bool:
        """Return whether botocore would renew the credentials, such as those of a role."""
        refresh_needed = getattr(self._sdk_credentials, "refresh_needed", None)
        return refresh_needed is not None and bool(refresh_needed())

    def get_credentials(self, operation: str, bucket: str, key: str) -> Credentials:
        """Return credentials, renewed if necessary; see `CredentialProvider.get_credentials`."""
        with _translate_errors(operation, bucket, key):
            frozen = self._sdk_credentials.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")


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


@contextmanager
def _translate_errors(operation: str, bucket: str, key: str) -> Iterator[None]:
    try:
        yield
    # OSError and ValueError: a program, a file or a URL that the credentials come from
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        raise _translate_error(error, operation, bucket, key) from error


def _translate_error(
    error: Exception, operation: str, bucket: str, key: str
) -> BatcherError | KeyError:
    """Return the error to raise. Responses are of the source of credentials, not of S3."""
    context = f"{operation} s3://{bucket}/{key}: cannot get credentials"
    if isinstance(error, ClientError):
        body = error.response.get("Error", {})
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code, message = str(body.get("Code", "")), str(body.get("Message", ""))
        is_busy = status >= _SERVER_ERROR or status == _TOO_MANY_REQUESTS or "Throttl" in code
        error_class = RetryableError if is_busy else RejectedError
        reason = f"{error.operation_name} answered {status} {code}: {message}".rstrip(": ")
        return error_class(f"{context}: {reason}")
    if isinstance(error, ConnectionError | HTTPClientError):
        return RetryableError(f"{context}: {str(error).rstrip('.')}; check the network")
    if isinstance(error, BotoCoreError):
        return translate_error(error, operation, bucket, key, "S3")
    return RejectedError(f"{context}: {first_line(error)}")
