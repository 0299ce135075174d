"""Endpoint and credentials from environment variables, as in Lambda, without botocore.

obstore reads the environment too, but no profiles and no files, and not all of Amazon's variables.
So obstore gets everything from here, and finds nothing by itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from batcher.stores.obstore.endpoint import (
    DEFAULT_REGION,
    CredentialProvider,
    Credentials,
    Endpoint,
)

_PROFILE_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


_AWS_FILES = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}


class EnvironmentCredentialProvider:
    """Takes everything from environment variables."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read variables for which `has_only_environment` is true."""
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
        is_ignored = _is_true(environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
        self.endpoint = Endpoint(
            region,
            "" if is_ignored else endpoint,
            environ.get("AWS_CA_BUNDLE") or environ.get("REQUESTS_CA_BUNDLE") or "",
            fips=_is_true(environ.get("AWS_USE_FIPS_ENDPOINT")),
            dualstack=_is_true(environ.get("AWS_USE_DUALSTACK_ENDPOINT")),
        )
        self._credentials = Credentials(
            environ["AWS_ACCESS_KEY_ID"],
            environ["AWS_SECRET_ACCESS_KEY"],
            environ.get("AWS_SESSION_TOKEN", ""),
        )

    def is_refresh_due(self) -> bool:
        """Return False: variables do not change."""
        return False

    def get_credentials(self, operation: str, bucket: str, key: str) -> Credentials:
        """See `CredentialProvider.get_credentials`."""
        del operation, bucket, key
        return self._credentials


def find_provider(operation: str, bucket: str, key: str) -> CredentialProvider:
    """Return a provider of endpoint and credentials. Blocks: it may read files and the network.

    Raises:
        RejectedError: credentials are missing or incomplete; the message says what to set.
        RetryableError: the source of credentials does not respond.
    """
    if has_only_environment(os.environ):
        return EnvironmentCredentialProvider(os.environ)
    # Profiles, roles, containers, machines: botocore's search, whose import takes 0.1 s
    from batcher.stores.obstore.sdk_credentials import SdkCredentialProvider  # noqa: PLC0415  # lazy

    return SdkCredentialProvider(operation, bucket, key)


def has_only_environment(environ: Mapping[str, str]) -> bool:
    """Return whether variables have credentials, and no profile or file can override anything."""
    if not (environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY")):
        return False
    if any(environ.get(name) for name in _PROFILE_VARIABLES):
        return False
    return not any(
        Path(environ.get(name) or default).expanduser().is_file()
        for name, default in _AWS_FILES.items()
    )


def _is_true(text: str | None) -> bool:
    return (text or "").strip().lower() == "true"
