"""Look at a package: the end of a function's zip file, and whether it is ever run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp

from batcher.checking.findings import Finding, error, not_checked
from batcher.checking.package import TAIL_BYTES, judge_package, names_of

if TYPE_CHECKING:
    from batcher.checking.asking import Aws
    from batcher.settings import Settings

FETCH_S = 10.0
_ABSENT = ("ResourceNotFoundException",)
_PARTIAL = 206


async def look_at_package(
    aws: Aws, configuration: Mapping[str, Any], settings: Settings
) -> list[Finding]:
    """See that package has what it needs; that it can run stands in the same answer."""
    check = "function.package"
    if configuration.get("PackageType") == "Image":
        return []
    found = await aws.ask(
        "lambda",
        "get_function",
        "lambda:GetFunction",
        _ABSENT,
        FunctionName=configuration["FunctionArn"],
    )
    if not isinstance(found, Mapping):
        return [found.finding(check)] if found is not None else []
    findings = []
    if found.get("Concurrency", {}).get("ReservedConcurrentExecutions") == 0:
        told, do = "its reserved concurrency is 0: it never runs", "raise it, or remove it"
        findings.append(error("function.concurrency", told, do))
    tail = await _tail(str(found.get("Code", {}).get("Location", "")))
    names = None if tail is None else names_of(tail)
    if names is None:
        why = "its zip file cannot be fetched, or its list of names is very long"
        return [*findings, not_checked(check, why)]
    handler, layers = str(configuration.get("Handler", "")), configuration.get("Layers")
    return findings + judge_package(names, settings, handler, has_layers=bool(layers))


async def _tail(url: str) -> bytes | None:
    """Fetch the last bytes of a file; None: it cannot be had, or is sent whole and is large."""
    timeout = aiohttp.ClientTimeout(total=FETCH_S)
    headers = {"Range": f"bytes=-{TAIL_BYTES}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, headers=headers) as answer,
        ):
            is_short = (answer.content_length or TAIL_BYTES + 1) <= TAIL_BYTES
            if answer.status != _PARTIAL and not (answer.ok and is_short):
                return None
            return await answer.read()
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
