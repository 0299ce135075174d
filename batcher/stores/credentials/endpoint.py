"""Endpoint of a bucket, and credentials to sign with, as plain values."""

from __future__ import annotations

import os
import re
import stat
from errno import EINVAL, EISDIR
from typing import Protocol

from msgspec import Struct

from batcher.errors import RejectedError, install_hint
from batcher.settings import parse_access_point

DEFAULT_REGION = "us-east-1"
NOT_REGULAR = "it is not a regular file"
DEAD_PROXY_ADDRESS = "127.0.0.1:0"
"""Where a redirect to another host leads: nothing can listen there.

obstore follows redirects, and has no setting against it. So its client has this proxy for every
host but the endpoint's.
"""
OTHER_ENGINE_HINT = f"use engine=aioboto3 ({install_hint('aioboto3')})"
"""For what obstore cannot do. The other engine is an extra, and may not be installed."""
_HOST_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
"""Buckets that can be part of a host name. Amazon's certificate covers no names with a dot."""


_REGION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")  # a part of a host name


class Credentials(Struct, frozen=True):
    """Credentials that are valid now."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def check(self, context: str, source: str) -> None:
        """Check that requests can be signed and sent with them.

        Args:
            context: the request, for the message.
            source: where the credentials come from, in words.

        Raises:
            RejectedError: they cannot. The message has nothing of the secret.
        """
        for name, value in (
            ("access key", self.access_key_id),
            ("secret key", self.secret_access_key),
            ("session token", self.session_token or "none"),
        ):
            if not isinstance(value, str):
                fault = "is not a text"
            elif not value:
                fault = "is empty"
            elif value != value.strip():
                fault = "starts or ends with white space"
            elif not value.isprintable():
                fault = "has a line break or another character that cannot be sent"
            else:
                continue
            msg = f"{context}: the {name} from {source} {fault}; correct it there"
            raise RejectedError(msg)

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id!r}, …)"  # the others are secrets


class Endpoint(Struct, frozen=True):
    """How to reach S3."""

    region: str = DEFAULT_REGION
    url: str = ""
    """Empty: Amazon S3."""
    ca_bundle: str = ""
    """A file of certificates to trust in addition to the system's."""
    addressing_style: str = "auto"
    """`path`, `virtual`, or `auto`: virtual if the endpoint is Amazon's and the name allows it."""
    fips: bool = False
    dualstack: bool = False

    def base_url(self) -> str:
        """Return the endpoint without the bucket.

        Raises:
            RejectedError: the endpoint of the region is unknown; use engine=aioboto3.
        """
        if self.url:
            return self.url.rstrip("/")
        if "-iso" in self.region:
            msg = f"engine=obstore knows no endpoint of {self.region}; {OTHER_ENGINE_HINT}"
            raise RejectedError(msg)
        host = f"s3{'-fips' * self.fips}{'.dualstack' * self.dualstack}.{self.region}"
        return f"https://{host}.amazonaws.com{'.cn' * self.region.startswith('cn-')}"

    def check_region(self, context: str) -> None:
        """Check that the region can be part of a host name and of a signature.

        Raises:
            RejectedError: it cannot.
        """
        if not _REGION.fullmatch(self.region):
            msg = (
                f"{context}: {self.region!r} is not the name of a region; correct AWS_REGION, or "
                "region of the profile"
            )
            raise RejectedError(msg)

    def check_ca_bundle(self, context: str) -> None:
        """Check that the file of certificates can be read. Blocks.

        Raises:
            RejectedError: it cannot.
        """
        if not self.ca_bundle:
            return
        try:
            check_readable(self.ca_bundle)
        except OSError as error:
            msg = (
                f"{context}: the certificates in {self.ca_bundle} cannot be read: {error.strerror}"
                "; correct AWS_CA_BUNDLE, or ca_bundle of the profile"
            )
            raise RejectedError(msg) from error

    def bucket_url(self, bucket: str) -> tuple[str, bool]:
        """Return the endpoint's URL, and whether the bucket is part of its host.

        If it is not, the bucket is the first part of the path, which is not in the URL. An access
        point is always part of the host.
        """
        if point := parse_access_point(bucket):
            return self._access_point_url(f"{point['name']}-{point['account']}"), True
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

    def _access_point_url(self, name: str) -> str:
        """Return the URL of an access point.

        Source: Amazon S3 API reference, "Amazon S3 access points endpoints and quotas".
        """
        scheme, _, host = self.base_url().partition("://")
        if not self.url:
            host = host.replace("s3", "s3-accesspoint", 1)
        return f"{scheme}://{name}.{host}"


def check_readable(path: str) -> None:
    """Check that a file can be opened, without a wait for a FIFO.

    Raises:
        OSError: it cannot, or is no regular file.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116  # pathlib is not needed here
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(EINVAL, NOT_REGULAR)
    with open(path, "rb"):  # noqa: PTH123  # as above
        pass


class CredentialProvider(Protocol):
    """The endpoint, which is found once, and credentials, which may change."""

    endpoint: Endpoint

    @property
    def source(self) -> str:
        """Botocore's name of the source of the credentials."""

    def is_refresh_due(self) -> bool:
        """Return, without I/O, whether `get_credentials` would return new ones."""

    def get_credentials(self, operation: str, bucket: str, key: str) -> Credentials:
        """Return valid credentials. Blocks: it may read files and the network."""
