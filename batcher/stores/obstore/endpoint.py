"""Endpoint of a bucket, and credentials to sign with, as plain values."""

from __future__ import annotations

import re
from typing import Protocol

from msgspec import Struct

from batcher.errors import RejectedError

DEFAULT_REGION = "us-east-1"
_HOST_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
"""Buckets that can be part of a host name under Amazon's certificate: none with a dot."""


class Credentials(Struct, frozen=True):
    """Credentials as they are at a moment."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        return f"Keys({self.access_key_id!r}, …)"  # the others are secrets


class Endpoint(Struct, frozen=True):
    """Where a bucket is."""

    region: str = DEFAULT_REGION
    url: str = ""
    """Empty: Amazon's own."""
    ca_bundle: str = ""
    """A file of certificates to trust beside the system's."""
    addressing_style: str = "auto"
    """`path`, `virtual`, or `auto`: virtual where the endpoint is Amazon's and the name allows."""
    fips: bool = False
    dualstack: bool = False

    def base_url(self) -> str:
        """Return the endpoint without the bucket.

        Raises:
            RejectedError: a region whose endpoint is not known here.
        """
        if self.url:
            return self.url.rstrip("/")
        if "-iso" in self.region:
            msg = f"engine=obstore knows no endpoint of {self.region}: use engine=aioboto3"
            raise RejectedError(msg)
        host = f"s3{'-fips' * self.fips}{'.dualstack' * self.dualstack}.{self.region}"
        return f"https://{host}.amazonaws.com{'.cn' * self.region.startswith('cn-')}"

    def bucket_url(self, bucket: str) -> tuple[str, bool]:
        """Return the URL that keys are appended to, less the bucket where it stands in the path.

        Returns:
            The URL, and whether the bucket is in its host.
        """
        base = self.base_url()
        is_in_host = self.addressing_style == "virtual" or (
            self.addressing_style == "auto"
            and not self.url
            and bool(_HOST_BUCKET.fullmatch(bucket))
        )
        if not is_in_host:
            return base, False
        scheme, _, host = base.partition("://")
        return f"{scheme}://{bucket}.{host}", True


class CredentialProvider(Protocol):
    """What is found out once about place and credentials, and what changes with time."""

    endpoint: Endpoint

    def is_refresh_due(self) -> bool:
        """Return, without I/O, whether `keys` would give others than before."""

    def get_credentials(self, operation: str, bucket: str, key: str) -> Credentials:
        """Return credentials in force; may take files and network, so not for the event loop."""
