"""Function: whether a Lambda function's configuration lets it run batcher's handler."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batcher.errors import SettingsError
from batcher.settings import ENV_PREFIX, MIB, Settings
from batcher.tools.check.findings import CheckResult, error, not_checked, ok, warning

if TYPE_CHECKING:
    from collections.abc import Sequence

FunctionConfiguration = Mapping[str, Any]
"""The response of GetFunctionConfiguration."""

HANDLER_NAME = "batcher.handler.handler"

MIN_PYTHON = (3, 11)

INTERPRETER_BYTES = 100 * 10**6
"""Memory that the function needs in addition to its budget; see `Settings`."""

MIN_WORK_S = 10
"""Least time for the work of an invocation. One retried request can take this long, so with less
the function returns records as soon as S3 is slow."""

_MEMORY_VARIABLE = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
_PLACEHOLDER_BUCKET = {f"{ENV_PREFIX}BUCKET": "stand-in"}
_RUNTIME = re.compile(r"python(\d+)\.(\d+)")


def evaluate_function(configuration: FunctionConfiguration) -> list[CheckResult]:
    """Evaluate state, environment, runtime and handler. The settings are checked elsewhere."""
    results = [_evaluate_state(configuration)]
    if fault := configuration.get("Environment", {}).get("Error"):
        detail = f"the environment cannot be read: {fault.get('ErrorCode', '')}"
        fix = f"check the function's KMS key: {fault.get('Message', '')}".rstrip(": ")
        results.append(error("function.environment", detail, fix))
    if configuration.get("PackageType") == "Image":
        reason = "a container image defines its runtime and handler itself"
        return [*results, not_checked("function.runtime", reason)]
    return [*results, _evaluate_runtime(configuration), _evaluate_handler(configuration)]


def evaluate_limits(configuration: FunctionConfiguration, settings: Settings) -> list[CheckResult]:
    """Compare the function's timeout and memory with its settings."""
    return [_evaluate_timeout(configuration, settings), _evaluate_memory(configuration, settings)]


def evaluate_settings(environ: Mapping[str, str], subject: str) -> list[CheckResult]:
    """Evaluate the settings in an environment as the function does. Each fault is an error."""
    faults = settings_faults(environ)
    if faults:
        fix = "correct it, or the first event fails"
        return [error("settings", fault, fix, subject=subject) for fault in faults]
    count = sum(name.startswith(ENV_PREFIX) for name in environ)
    return [ok("settings", f"valid; {count} set, the others have defaults", subject=subject)]


def settings_faults(environ: Mapping[str, str]) -> Sequence[str]:
    """Return all faults of the settings in an environment."""
    try:
        Settings.from_env(environ)
    except SettingsError as problem:
        return problem.faults
    return ()


def function_environ(configuration: FunctionConfiguration) -> dict[str, str]:
    """Return the part of the function's environment that batcher reads."""
    variables = configuration.get("Environment", {}).get("Variables", {})
    return {**variables, _MEMORY_VARIABLE: str(configuration.get("MemorySize", ""))}


def usable_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the settings that are faulty, so that the rest can be checked.

    If settings that are valid by themselves contradict each other, only those are kept that name
    the destination and the kind of response.
    """
    if not settings_faults(environ):
        return dict(environ)
    valid = {
        name: value
        for name, value in environ.items()
        if not name.startswith(ENV_PREFIX)
        or not settings_faults({**_PLACEHOLDER_BUCKET, name: value})
    }
    if not settings_faults({**_PLACEHOLDER_BUCKET, **valid}):
        return valid
    kept = {f"{ENV_PREFIX}{name}" for name in ("BUCKET", "ROOT", "PARTIAL_RESPONSE")}
    return {name: value for name, value in valid.items() if name in kept}


def _evaluate_state(configuration: FunctionConfiguration) -> CheckResult:
    state = configuration.get("State", "Active")
    update = configuration.get("LastUpdateStatus", "Successful")
    if state == "Active" and update == "Successful":
        return ok("function.state", "active")
    detail = f"state {state}, last update {update}"
    reason = configuration.get("StateReason") or configuration.get("LastUpdateStatusReason") or ""
    if state == "Failed" or update == "Failed":
        return error("function.state", detail, reason or "deploy it again")
    return warning("function.state", detail, reason or "wait, then check again")


def _evaluate_runtime(configuration: FunctionConfiguration) -> CheckResult:
    runtime = str(configuration.get("Runtime", ""))
    version = _RUNTIME.fullmatch(runtime)
    if version and (int(version[1]), int(version[2])) >= MIN_PYTHON:
        return ok("function.runtime", runtime)
    oldest = ".".join(map(str, MIN_PYTHON))
    return error(
        "function.runtime", f"{runtime!r} is not supported", f"use python{oldest} or newer"
    )


def _evaluate_handler(configuration: FunctionConfiguration) -> CheckResult:
    handler = str(configuration.get("Handler", ""))
    if handler == HANDLER_NAME:
        return ok("function.handler", handler)
    reason = f"{handler!r} is not {HANDLER_NAME}: only its code shows if it reads these settings"
    return not_checked("function.handler", reason)


def _evaluate_timeout(configuration: FunctionConfiguration, settings: Settings) -> CheckResult:
    timeout_s = float(configuration.get("Timeout", 3))
    work_s = timeout_s - settings.deadline_margin_s
    detail = f"timeout {timeout_s:g} s, deadline_margin_s {settings.deadline_margin_s:g}"
    if work_s <= 0:
        fix = "raise the timeout: no time is left to write a record"
        return error("function.timeout", detail, fix)
    if work_s < MIN_WORK_S:
        fix = f"raise the timeout: {work_s:g} s are left, and one slow S3 response can take 10 s"
        return warning("function.timeout", detail, fix)
    if not settings.deadline_margin_s:
        fix = "set a margin: without it Lambda kills the invocation, and durable records come back"
        return warning("function.timeout", detail, fix)
    return ok("function.timeout", f"{detail}: {work_s:g} s for the work")


def _evaluate_memory(configuration: FunctionConfiguration, settings: Settings) -> CheckResult:
    memory_bytes = int(configuration.get("MemorySize", 128)) * MIB
    budget_bytes = settings.budget_bytes
    detail = f"{memory_bytes // MIB} MB, budget_bytes {budget_bytes // MIB} MiB"
    within_default = budget_bytes <= memory_bytes // 3
    if budget_bytes + INTERPRETER_BYTES > memory_bytes and not within_default:
        fix = "raise the memory, or unset budget_bytes: a full budget would exceed the memory"
        return warning("function.memory", detail, fix)
    return ok("function.memory", detail)
