"""Endpoint and credentials from environment variables, as in Lambda, without botocore.

obstore reads the environment too, but no profiles and no files, and not all of Amazon's variables.
So obstore gets everything from here, and finds nothing by itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from batcher.errors import RejectedError
from batcher.stores.credentials.endpoint import (
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

    source = "env"

    def __init__(
        self, environ: Mapping[str, str], *, region: str = "", endpoint_url: str = ""
    ) -> None:
        """Read variables for which `has_only_environment` is true. Settings beat them."""
        region = region or find_region(environ) or DEFAULT_REGION
        is_ignored = _is_true(environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
        self.endpoint: Endpoint = Endpoint(
            region,
            endpoint_url or ("" if is_ignored else endpoint),
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


def find_region(environ: Mapping[str, str]) -> str:
    """Return the region that the environment names, or an empty string."""
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""


def find_provider(  # noqa: PLR0913  # the request, for messages, and where the bucket is
    operation: str,
    bucket: str,
    key: str,
    *,
    region: str = "",
    endpoint_url: str = "",
    asked: dict[str, str] | None = None,
) -> CredentialProvider:
    """Return a provider of endpoint and credentials. Blocks: it may read files and the network.

    Where botocore is not installed, everything must be in environment variables.

    Args:
        operation: of the first request, in Amazon's API, for messages.
        bucket: where the request goes.
        key: the key of its object.
        region: of the bucket, if it is not to come from the environment or a profile.
        endpoint_url: of S3, as `region`.
        asked: gets, under `now`, botocore's name of the source that is asked at the moment.

    Raises:
        RejectedError: credentials are missing or incomplete; the message says what to set.
        RetryableError: the source of credentials does not respond.
    """
    if has_only_environment(os.environ):
        return EnvironmentCredentialProvider(os.environ, region=region, endpoint_url=endpoint_url)
    context = f"{operation} s3://{bucket}/{key}"
    files = _find_readable_files(os.environ, context, region)
    # Profiles, roles, containers, machines: botocore's search, whose import takes 0.1 s
    try:
        from batcher.stores.credentials.sdk_provider import SdkCredentialProvider  # noqa: PLC0415  # lazy
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "botocore":
            raise
        from batcher.stores.credentials.without_sdk import check_environment  # noqa: PLC0415  # lazy

        check_environment(
            os.environ, files, context, has_region=bool(region), has_endpoint=bool(endpoint_url)
        )
        return EnvironmentCredentialProvider(os.environ, region=region, endpoint_url=endpoint_url)
    return SdkCredentialProvider(
        operation, bucket, key, region=region, endpoint_url=endpoint_url, asked=asked
    )


def has_only_environment(environ: Mapping[str, str]) -> bool:
    """Return whether variables have credentials, and no profile or file can override anything."""
    return _has_keys(environ) and not _find_files(environ)


def _has_keys(environ: Mapping[str, str]) -> bool:
    """Return whether the environment has credentials, and names no profile."""
    if any(environ.get(name) for name in _PROFILE_VARIABLES):
        return False
    return bool(environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"))


def _find_files(environ: Mapping[str, str]) -> list[Path]:
    """Return the AWS files that exist."""
    files = []
    for name, default in _AWS_FILES.items():
        try:
            path = Path(environ.get(name) or default).expanduser()
            if path.is_file():
                files.append(path)
        except (OSError, RuntimeError):  # no home folder, or no access to it: no file for botocore
            continue
    return files


def _find_readable_files(environ: Mapping[str, str], context: str, region: str) -> list[Path]:
    """Return the AWS files that can be read.

    Raises:
        RejectedError: another one exists, and the environment lacks what it may have. botocore
            would skip it without a word.
    """
    readable = []
    has_region = region or find_region(environ)
    for path in _find_files(environ):
        try:
            path.open("rb").close()
        except OSError as error:
            if not (has_region and _has_keys(environ)):
                msg = f"{context}: {path} cannot be read: {error.strerror}; make it readable"
                raise RejectedError(msg) from error
        else:
            readable.append(path)
    return readable


def _is_true(text: str | None) -> bool:
    return (text or "").strip().lower() == "true"
