"""Package: what a function's zip file has in it, from its last bytes alone."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp

from batcher.tools.check.findings import CheckResult, error, not_checked, ok, warning

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.tools.check.aws import AwsClient

FETCH_TIMEOUT_S = 10.0


_ABSENT_CODES = ("ResourceNotFoundException",)


_PARTIAL_CONTENT = 206


ZIP_TAIL_BYTES = 4 * 1024**2
"""A zip file's list of names stands at its end, some 100 bytes a file."""


_CHECK = "function.package"


_REQUIREMENTS_ZIP = ".requirements.zip"


def read_zip_names(tail: bytes) -> list[str] | None:
    """Read the names in a zip file from its end; None: the list does not lie whole in there."""
    try:
        with zipfile.ZipFile(io.BytesIO(tail)) as file:
            return file.namelist()
    except (zipfile.BadZipFile, ValueError):
        return None


def evaluate_package(
    names: Collection[str], settings: Settings, handler: str, *, has_layers: bool
) -> list[CheckResult]:
    """See that batcher, and the engine that the settings choose, are in the package.

    Args:
        names: of all files in it.
        settings: choose the engine.
        handler: `module.function`, as the function is configured.
        has_layers: whether more may lie in layers, which are not looked into.
    """
    if any(name.endswith(_REQUIREMENTS_ZIP) for name in names):
        return [
            not_checked(
                _CHECK, f"its libraries are in a zip file of their own, {_REQUIREMENTS_ZIP}"
            )
        ]
    folders = {name.partition("/")[0] for name in names}
    wanted = {"batcher", settings.engine} if handler.startswith("batcher.") else {settings.engine}
    missing = sorted(wanted - folders)
    if missing and has_layers:
        return [not_checked(_CHECK, f"{' and '.join(missing)} may be in a layer")]
    if missing:
        found = f"{' and '.join(missing)} not in the package (engine={settings.engine})"
        return [error(_CHECK, found, "each event fails at its import: package it, with its engine")]
    if not any(name.startswith(f"{settings.engine}/") and name.endswith(".pyc") for name in names):
        do = "a cold start compiles everything, a second of it: package .pyc files"
        return [warning(_CHECK, f"{settings.engine} is there, without .pyc files", do)]
    return [ok(_CHECK, f"{settings.engine} is there, with .pyc files")]


async def check_package(
    aws: AwsClient, configuration: Mapping[str, Any], settings: Settings
) -> list[CheckResult]:
    """See that package has what it needs; that it can run stands in the same answer."""
    check = "function.package"
    if configuration.get("PackageType") == "Image":
        return []
    found = await aws.call(
        "lambda",
        "get_function",
        "lambda:GetFunction",
        _ABSENT_CODES,
        FunctionName=configuration["FunctionArn"],
    )
    if not isinstance(found, Mapping):
        return [found.to_result(check)] if found is not None else []
    findings = []
    if found.get("Concurrency", {}).get("ReservedConcurrentExecutions") == 0:
        told, do = "its reserved concurrency is 0: it never runs", "raise it, or remove it"
        findings.append(error("function.concurrency", told, do))
    tail = await _fetch_tail(str(found.get("Code", {}).get("Location", "")))
    names = None if tail is None else read_zip_names(tail)
    if names is None:
        why = "its zip file cannot be fetched, or its list of names is very long"
        return [*findings, not_checked(check, why)]
    handler, layers = str(configuration.get("Handler", "")), configuration.get("Layers")
    return findings + evaluate_package(names, settings, handler, has_layers=bool(layers))


async def _fetch_tail(url: str) -> bytes | None:
    """Fetch the last bytes of a file; None: it cannot be had, or is sent whole and is large."""
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
    headers = {"Range": f"bytes=-{ZIP_TAIL_BYTES}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, headers=headers) as answer,
        ):
            is_short = (answer.content_length or ZIP_TAIL_BYTES + 1) <= ZIP_TAIL_BYTES
            if answer.status != _PARTIAL_CONTENT and not (answer.ok and is_short):
                return None
            return await answer.read()
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
