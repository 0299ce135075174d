"""Where S3 is and who asks, as the environment says it: Lambda's way, without botocore.

obstore reads the environment too, but neither profiles nor files, and Amazon's own names for
settings only in part. So nothing is left to it: what is found here is given to it, all of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from batcher.stores.obstore.endpoint import DEFAULT_REGION, Access, Keys, Place

_PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


_FILES = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}


class EnvironmentAccess:
    """Access by variables alone."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Take what `is_plain` has found to be enough."""
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
        is_ignored = _is_true(environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
        self.place = Place(
            region,
            "" if is_ignored else endpoint,
            environ.get("AWS_CA_BUNDLE") or environ.get("REQUESTS_CA_BUNDLE") or "",
            is_fips=_is_true(environ.get("AWS_USE_FIPS_ENDPOINT")),
            is_dualstack=_is_true(environ.get("AWS_USE_DUALSTACK_ENDPOINT")),
        )
        self._keys = Keys(
            environ["AWS_ACCESS_KEY_ID"],
            environ["AWS_SECRET_ACCESS_KEY"],
            environ.get("AWS_SESSION_TOKEN", ""),
        )

    def is_due(self) -> bool:
        """Variables don't change."""
        return False

    def keys(self, operation: str, bucket: str, key: str) -> Keys:
        """See `Access.keys`."""
        del operation, bucket, key
        return self._keys


def find(operation: str, bucket: str, key: str) -> Access:
    """Find out place and credentials; may take files and network, so not for the event loop.

    Raises:
        RejectedError: there are none, or half of them; the message says what to set.
        RetryableError: who should give them does not answer.
    """
    if is_plain(os.environ):
        return EnvironmentAccess(os.environ)
    # Profiles, roles, containers, machines: the SDK's own search, for its tenth of a second
    from batcher.stores.obstore.sdk_credentials import SdkAccess  # noqa: PLC0415  # lazy

    return SdkAccess(operation, bucket, key)


def is_plain(environ: Mapping[str, str]) -> bool:
    """Say whether the environment decides alone: it has keys, and no file can say otherwise."""
    if not (environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY")):
        return False
    if any(environ.get(name) for name in _PROFILES):
        return False
    return not any(
        Path(environ.get(name) or usual).expanduser().is_file() for name, usual in _FILES.items()
    )


def _is_true(text: str | None) -> bool:
    return (text or "").strip().lower() == "true"
