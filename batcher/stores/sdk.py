"""boto3, which is an extra: it is imported when something needs it. Sessions of the SDKs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from batcher.errors import NotInstalledError, install_hint

if TYPE_CHECKING:
    from batcher.settings import Settings


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


def add_owner_and_payer(client: Any, settings: Settings) -> None:  # noqa: ANN401  # botocore has no types
    """Let a client of S3 send `expected_bucket_owner` and `request_payer` with every request.

    They are parameters of each operation. Those that botocore sends by itself, such as the
    HeadBucket that follows a redirect, have them, too.
    """
    chosen = {
        "ExpectedBucketOwner": settings.expected_bucket_owner,
        "RequestPayer": settings.request_payer,
    }
    always = {name: value for name, value in chosen.items() if value}

    def add(params: dict[str, Any], model: Any, **_: object) -> None:  # noqa: ANN401  # botocore's
        params |= {n: value for n, value in always.items() if n in model.input_shape.members}

    if always:
        client.meta.events.register_first("before-parameter-build.s3", add)


def addressing_config(settings: Settings) -> dict[str, str]:
    """Return the part of botocore's `s3` configuration that says where buckets are named."""
    style = settings.addressing_style
    return {} if style == "auto" else {"addressing_style": style}


def make_core_session(session_class: Any, region: str = "") -> Any:  # noqa: ANN401  # botocore has no types
    """Return a session of botocore, or of aiobotocore, that reads variables as every other SDK.

    A variable that is empty counts as not set: botocore would take it for a profile or a region
    without a name. And every other SDK reads AWS_REGION, botocore reads AWS_DEFAULT_REGION only.

    Args:
        session_class: botocore's `Session`, or aiobotocore's.
        region: empty: the environment's.
    """
    filled = {}
    for name, (option, variables, default, convert) in session_class.SESSION_VARIABLES.items():
        names = [variables] if isinstance(variables, str) else [*(variables or ())]
        if any(os.environ.get(variable) == "" for variable in names):
            names = [variable for variable in names if os.environ.get(variable)]
            filled[name] = (option, names, default, convert)
    session = session_class(session_vars=filled)
    if chosen := region or os.environ.get("AWS_REGION"):
        session.set_config_variable("region", chosen)
    return session
