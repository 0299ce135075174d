"""boto3, which is an extra: it is imported when something needs it."""

from __future__ import annotations

from typing import Any

from batcher.errors import NotInstalledError, install_hint


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
