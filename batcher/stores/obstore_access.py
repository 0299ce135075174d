"""Where S3 is and who asks, as the environment says it: Lambda's way, without botocore.

obstore reads the environment too, but neither profiles nor files, and Amazon's own names for
settings only in part. So nothing is left to it: what is found here is given to it, all of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from batcher.errors import RejectedError

DEFAULT_REGION = "us-east-1"
_IN_HOST = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
"""Buckets that can be part of a host name under Amazon's certificate: none with a dot."""
_PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
_FILES = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}


class Keys(Struct, frozen=True):
    """Credentials as they are at a moment."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        return f"Keys({self.access_key_id!r}, …)"  # the others are secrets


class Place(Struct, frozen=True):
    """Where a bucket is."""

    region: str = DEFAULT_REGION
    endpoint: str = ""
    """Empty: Amazon's own."""
    ca_bundle: str = ""
    """A file of certificates to trust beside the system's."""
    addressing: str = "auto"
    """`path`, `virtual`, or `auto`: virtual where the endpoint is Amazon's and the name allows."""
    is_fips: bool = False
    is_dualstack: bool = False

    def base_url(self) -> str:
        """Give the endpoint without the bucket.

        Raises:
            RejectedError: a region whose endpoint is not known here.
        """
        if self.endpoint:
            return self.endpoint.rstrip("/")
        if "-iso" in self.region:
            msg = f"engine=obstore knows no endpoint of {self.region}: use engine=aioboto3"
            raise RejectedError(msg)
        host = f"s3{'-fips' * self.is_fips}{'.dualstack' * self.is_dualstack}.{self.region}"
        return f"https://{host}.amazonaws.com{'.cn' * self.region.startswith('cn-')}"

    def bucket_url(self, bucket: str) -> tuple[str, bool]:
        """Give the URL that keys are appended to, less the bucket where it stands in the path.

        Returns:
            The URL, and whether the bucket is in its host.
        """
        base = self.base_url()
        is_in_host = self.addressing == "virtual" or (
            self.addressing == "auto" and not self.endpoint and bool(_IN_HOST.fullmatch(bucket))
        )
        if not is_in_host:
            return base, False
        scheme, _, host = base.partition("://")
        return f"{scheme}://{bucket}.{host}", True


class Access(Protocol):
    """What is found out once about place and credentials, and what changes with time."""

    place: Place

    def is_due(self) -> bool:
        """Say, without I/O, whether `keys` would give others than before."""

    def keys(self, operation: str, bucket: str, key: str) -> Keys:
        """Give the credentials in force; may take files and network, so not for the event loop."""


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
    from batcher.stores.obstore_sdk import SdkAccess  # noqa: PLC0415  # lazy

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
