"""Package: checks the contents of a function's zip file, from its last bytes alone."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Collection, Mapping
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from batcher.concurrency import run_in_daemon_thread
from batcher.tools.check.findings import CheckResult, error, not_checked, ok, warning

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.tools.check.aws import AwsClient

FETCH_TIMEOUT_S = 10.0

ZIP_TAIL_BYTES = 4 * 1024**2
"""Bytes to fetch: a zip file's directory is at its end, about 100 bytes per file."""

_CHECK = "function.package"
_ABSENT_CODES = ("ResourceNotFoundException",)
_PARTIAL_CONTENT = 206
_REQUIREMENTS_ZIP = ".requirements.zip"


async def check_package(
    aws: AwsClient, configuration: Mapping[str, Any], settings: Settings
) -> list[CheckResult]:
    """Check that the package is complete, and that the function's concurrency is not 0.

    One response of GetFunction has both. Container images are skipped.
    """
    if configuration.get("PackageType") == "Image":
        return []
    response = await aws.call(
        "lambda",
        "get_function",
        "lambda:GetFunction",
        _ABSENT_CODES,
        FunctionName=configuration["FunctionArn"],
    )
    if not isinstance(response, Mapping):
        return [response.to_result(_CHECK)] if response is not None else []
    results = []
    if response.get("Concurrency", {}).get("ReservedConcurrentExecutions") == 0:
        detail, fix = "reserved concurrency is 0: the function never runs", "raise or remove it"
        results.append(error("function.concurrency", detail, fix))
    tail = await _fetch_tail(str(response.get("Code", {}).get("Location", "")))
    names = None if tail is None else read_zip_names(tail)
    if names is None:
        reason = "the zip file cannot be fetched, or its directory is larger than 4 MiB"
        return [*results, not_checked(_CHECK, reason)]
    handler, layers = str(configuration.get("Handler", "")), configuration.get("Layers")
    return results + evaluate_package(names, settings, handler, has_layers=bool(layers))


def evaluate_package(
    names: Collection[str], settings: Settings, handler: str, *, has_layers: bool
) -> list[CheckResult]:
    """Check that the package has batcher and the engine of the settings, compiled.

    Args:
        names: the names of all files in the package.
        settings: the function's settings.
        handler: the function's handler, as `module.function`.
        has_layers: whether the function has layers, whose contents are unknown.
    """
    if any(name.endswith(_REQUIREMENTS_ZIP) for name in names):
        return [not_checked(_CHECK, f"the libraries are in a nested zip file, {_REQUIREMENTS_ZIP}")]
    folders = {name.partition("/")[0] for name in names}
    wanted = {"batcher", settings.engine} if handler.startswith("batcher.") else {settings.engine}
    missing = sorted(wanted - folders)
    if missing and has_layers:
        return [not_checked(_CHECK, f"{' and '.join(missing)} may be in a layer")]
    if missing:
        detail = f"the package lacks {' and '.join(missing)} (engine={settings.engine})"
        fix = "package batcher with its engine: each event fails at the import"
        return [error(_CHECK, detail, fix)]
    if not any(name.startswith(f"{settings.engine}/") and name.endswith(".pyc") for name in names):
        fix = "package .pyc files: compiling takes about a second of each cold start"
        return [warning(_CHECK, f"{settings.engine} is included, without .pyc files", fix)]
    return [ok(_CHECK, f"{settings.engine} is included, with .pyc files")]


def read_zip_names(tail: bytes) -> list[str] | None:
    """Return the file names in a zip file, or None if `tail` does not hold its whole directory."""
    try:
        with zipfile.ZipFile(io.BytesIO(tail)) as file:
            return file.namelist()
    except (zipfile.BadZipFile, ValueError):
        return None


async def _fetch_tail(url: str) -> bytes | None:
    """Return the last bytes of a file, or None if they cannot be fetched.

    A server that ignores the range is accepted only if the whole file is that small.
    """
    if not url.startswith(("https:", "http:")):
        return None

    def fetch() -> bytes | None:
        request = Request(url, headers={"Range": f"bytes=-{ZIP_TAIL_BYTES}"})  # noqa: S310  # HTTP
        with urlopen(request, timeout=FETCH_TIMEOUT_S) as response:  # noqa: S310  # as above
            length = int(response.headers.get("Content-Length") or ZIP_TAIL_BYTES + 1)
            if response.status != _PARTIAL_CONTENT and length > ZIP_TAIL_BYTES:
                return None
            body: bytes = response.read()
            return body

    try:
        async with asyncio.timeout(FETCH_TIMEOUT_S):
            return await run_in_daemon_thread(fetch)
    except (OSError, HTTPException, ValueError):
        return None
