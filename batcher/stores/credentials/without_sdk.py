"""Checks whether environment variables are enough where botocore is not installed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from batcher.errors import RejectedError, install_hint

_ROLE_VARIABLES = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables that lead to credentials elsewhere. botocore follows them."""


_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


_FILE_SETTINGS: Mapping[str, Sequence[str]] = {
    "addressing_style": (),
    "ca_bundle": ("AWS_CA_BUNDLE",),
    "endpoint_url": _ENDPOINT_VARIABLES,
    "services": _ENDPOINT_VARIABLES,
    "use_dualstack_endpoint": ("AWS_USE_DUALSTACK_ENDPOINT",),
    "use_fips_endpoint": ("AWS_USE_FIPS_ENDPOINT",),
}
"""Settings of a profile that change where requests go, with the variables that overrule each."""


_SECTION = re.compile(r"\[\s*(.*?)\s*\]")


_SETTING = re.compile(rf"\s*({'|'.join(_FILE_SETTINGS)})\s*=\s*\S")


def check_environment(
    environ: Mapping[str, str],
    files: Sequence[Path],
    context: str,
    *,
    has_region: bool = False,
    has_endpoint: bool = False,
) -> None:
    """Check that the environment has credentials and all that a client needs besides.

    Keys in the environment are used even if AWS files exist: in botocore they beat the keys of the
    default profile, too. The rest of that profile counts as well, such as its region and its
    endpoint. What is there must be repeated in the environment, because a guess could send records
    to another server.

    Args:
        environ: the environment variables.
        files: the AWS files that exist and can be read.
        context: the request, for messages.
        has_region: whether the settings have a region.
        has_endpoint: whether the settings have an endpoint.

    Raises:
        RejectedError: something is missing. The message says what was looked for and found.
    """
    names = " and ".join(map(str, files))
    profile = next((name for name in _ROLE_VARIABLES[:2] if environ.get(name)), "")
    has_key_id = bool(environ.get("AWS_ACCESS_KEY_ID"))
    has_secret = bool(environ.get("AWS_SECRET_ACCESS_KEY"))
    install = f"or install botocore: {install_hint('cli')}"
    if profile or not (has_key_id or has_secret):
        found = [*(name for name in _ROLE_VARIABLES if environ.get(name)), *map(str, files)]
        msg = (
            f"{context}: no credentials: {profile + ' is' if profile else _KEYS + ' are not'} set; "
            "profiles, single sign-on, roles, containers and EC2 need botocore, which is not "
            f"installed (found: {', '.join(found) or 'no AWS file and no other variable'}); "
            f"set {_KEYS}{f' and unset {profile}' if profile else ''}, {install}"
        )
        raise RejectedError(msg)
    if not (has_key_id and has_secret):
        missing = "AWS_SECRET_ACCESS_KEY" if has_key_id else "AWS_ACCESS_KEY_ID"
        msg = f"{context}: incomplete credentials; set {missing} too"
        raise RejectedError(msg)
    has_region = has_region or bool(environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"))
    if files and not has_region:
        msg = (
            f"{context}: no region: AWS_REGION is not set, and {names} may have one, which only "
            f"botocore reads; set AWS_REGION, {install}"
        )
        raise RejectedError(msg)
    for path in files:
        for setting in _find_default_settings(path):
            variables = _FILE_SETTINGS[setting]
            if any(environ.get(name) for name in variables):
                continue
            if has_endpoint and variables is _ENDPOINT_VARIABLES:
                continue
            fix = f"set {variables[0]}" if variables else "remove it"
            msg = (
                f"{context}: {path} has {setting}, which only botocore reads, and it is not "
                f"installed; {fix}, {install}"
            )
            raise RejectedError(msg)


_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def _find_default_settings(path: Path) -> Iterator[str]:
    """Yield the names of `_FILE_SETTINGS` that the default profile of a file sets."""
    section = ""
    for line in path.read_text(errors="replace").splitlines():
        if found := _SECTION.match(line):
            section = found[1]
        elif section in {"default", "profile default"} and (setting := _SETTING.match(line)):
            yield setting[1]
