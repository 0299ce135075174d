"""boto3, which is an extra: it is imported when something needs it. Sessions of the SDKs."""

from __future__ import annotations

import os
from typing import Any

from batcher.errors import NotInstalledError, install_hint

_PROFILES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
"""In botocore's order."""


def import_boto3(purpose: str) -> Any:  # noqa: ANN401  # boto3 has no types
    """Return the module.

    Raises:
        NotInstalledError: it is not installed. The message says that `purpose` needs it.
    """
    try:
        import boto3  # type: ignore[import-untyped]  # noqa: PLC0415  # it has no types; an extra
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in {"boto3", "botocore"}:
            raise
        msg = f"{purpose} needs boto3, which is not installed; {install_hint('cli')}"
        raise NotInstalledError(msg) from error
    return boto3


def make_core_session(session_class: Any, region: str = "") -> Any:  # noqa: ANN401  # botocore has no types
    """Return a session of botocore, or of aiobotocore, that reads variables as every other SDK.

    A variable that is empty counts as not set: botocore would look for a profile without a name.
    And every other SDK reads AWS_REGION, botocore reads AWS_DEFAULT_REGION only.

    Args:
        session_class: botocore's `Session`, or aiobotocore's.
        region: empty: the environment's.
    """
    profiles = [name for name in _PROFILES if os.environ.get(name)]
    session = session_class(session_vars={"profile": (None, profiles, None, None)})
    if chosen := region or os.environ.get("AWS_REGION"):
        session.set_config_variable("region", chosen)
    return session
