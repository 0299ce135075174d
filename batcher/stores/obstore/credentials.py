"""Where S3 is and who asks, as the environment says it: Lambda's way, without botocore.

obstore reads the environment too, but neither profiles nor files, and Amazon's own names for
settings only in part. So nothing is left to it: what is found here is given to it, all of it.
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
    """Access by variables alone."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Take what `is_plain` has found to be enough."""
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
        """Variables don't change."""
        return False

    def get_credentials(self, operation: str, bucket: str, key: str) -> Credentials:
        """See `Access.keys`."""
        del operation, bucket, key
        return self._credentials


def find_provider(operation: str, bucket: str, key: str) -> CredentialProvider:
    """Find out place and credentials; may take files and network, so not for the event loop.

    Raises:
        RejectedError: there are none, or half of them; the message says what to set.
        RetryableError: who should give them does not answer.
    """
    if has_only_environment(os.environ):
        return EnvironmentCredentialProvider(os.environ)
    # Profiles, roles, containers, machines: the SDK's own search, for its tenth of a second
    from batcher.stores.obstore.sdk_credentials import SdkCredentialProvider  # noqa: PLC0415  # lazy

    return SdkCredentialProvider(operation, bucket, key)


def has_only_environment(environ: Mapping[str, str]) -> bool:
    """Return whether the environment decides alone: it has keys, and no file can say otherwise."""
    if not (environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY")):
        return False
    if any(environ.get(name) for name in _PROFILE_VARIABLES):
        return False
    return not any(
        Path(environ.get(name) or usual).expanduser().is_file()
        for name, usual in _AWS_FILES.items()
    )


def _is_true(text: str | None) -> bool:
    return (text or "").strip().lower() == "true"
