"""Function: whether a Lambda function as it is configured can run batcher's handler."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batcher.errors import SettingsError
from batcher.settings import ENV_PREFIX, MIB, Settings
from batcher.tools.check.findings import CheckResult, error, not_checked, ok, warning

if TYPE_CHECKING:
    from collections.abc import Sequence

HANDLER_NAME = "batcher.handler.handler"


MIN_PYTHON = (3, 11)


INTERPRETER_BYTES = 100 * 10**6
"""What the function needs beside its budget; see `Settings`."""


MIN_WORK_S = 10
"""A function with less time than this for its work hands records back as soon as S3 is slow: one
repeated request takes that long."""


_MEMORY_VARIABLE = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"


_PLACEHOLDER_BUCKET = {f"{ENV_PREFIX}BUCKET": "stand-in"}


_RUNTIME = re.compile(r"python(\d+)\.(\d+)")


FunctionConfiguration = Mapping[str, Any]


def function_environ(configuration: FunctionConfiguration) -> dict[str, str]:
    """Return the environment that the function sees, as far as batcher reads it."""
    variables = configuration.get("Environment", {}).get("Variables", {})
    return {**variables, _MEMORY_VARIABLE: str(configuration.get("MemorySize", ""))}


def usable_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out, where there are faults, each of batcher's variables that is one by itself.

    So the rest is checked. Where what is left does not fit together, only where objects go is kept.
    """
    if not settings_faults(environ):
        return dict(environ)
    fine = {
        name: value
        for name, value in environ.items()
        if not name.startswith(ENV_PREFIX)
        or not settings_faults({**_PLACEHOLDER_BUCKET, name: value})
    }
    if not settings_faults({**_PLACEHOLDER_BUCKET, **fine}):
        return fine
    kept = {f"{ENV_PREFIX}{name}" for name in ("BUCKET", "ROOT", "PARTIAL_RESPONSE")}
    return {name: value for name, value in fine.items() if name in kept}


def settings_faults(environ: Mapping[str, str]) -> Sequence[str]:
    """Return every fault of the settings in an environment."""
    try:
        Settings.from_env(environ)
    except SettingsError as found:
        return found.faults
    return ()


def evaluate_settings(environ: Mapping[str, str], subject: str) -> list[CheckResult]:
    """Judge settings as whoever reads this environment would see them; each fault is a finding."""
    faults = settings_faults(environ)
    if faults:
        do = "correct it, or the first event raises"
        return [error("settings", fault, do, subject=subject) for fault in faults]
    count = sum(name.startswith(ENV_PREFIX) for name in environ)
    return [
        ok("settings", f"they fit together; {count} set, the others by default", subject=subject)
    ]


def evaluate_function(configuration: FunctionConfiguration) -> list[CheckResult]:
    """Judge what GetFunctionConfiguration answers, less the settings."""
    findings = [_state(configuration)]
    if fault := configuration.get("Environment", {}).get("Error"):
        found = f"its environment cannot be read: {fault.get('ErrorCode', '')}"
        do = f"{fault.get('Message', '')}; see the function's KMS key"
        findings.append(error("function.environment", found, do))
    if configuration.get("PackageType") == "Image":
        why = "it is a container image: runtime and handler stand in it"
        return [*findings, not_checked("function.runtime", why)]
    return [*findings, _runtime(configuration), _handler(configuration)]


def _state(configuration: FunctionConfiguration) -> CheckResult:
    state = configuration.get("State", "Active")
    update = configuration.get("LastUpdateStatus", "Successful")
    why = configuration.get("StateReason") or configuration.get("LastUpdateStatusReason") or ""
    if state == "Failed" or update == "Failed":
        found = f"state {state}, last update {update}"
        return error("function.state", found, why or "deploy it again")
    if state != "Active" or update != "Successful":
        found = f"state {state}, last update {update}"
        return warning("function.state", found, why or "wait for it, and check again")
    return ok("function.state", "active")


def _runtime(configuration: FunctionConfiguration) -> CheckResult:
    runtime = str(configuration.get("Runtime", ""))
    found = _RUNTIME.fullmatch(runtime)
    if found and (int(found[1]), int(found[2])) >= MIN_PYTHON:
        return ok("function.runtime", runtime)
    least = ".".join(map(str, MIN_PYTHON))
    return error("function.runtime", f"{runtime!r}", f"batcher needs python{least} or newer")


def _handler(configuration: FunctionConfiguration) -> CheckResult:
    handler = str(configuration.get("Handler", ""))
    if handler == HANDLER_NAME:
        return ok("function.handler", handler)
    why = f"{handler!r} is not {HANDLER_NAME}: whether it reads these settings only its code tells"
    return not_checked("function.handler", why)


def evaluate_limits(configuration: FunctionConfiguration, settings: Settings) -> list[CheckResult]:
    """Judge time and memory together with the settings."""
    return [_timeout(configuration, settings), _memory(configuration, settings)]


def _timeout(configuration: FunctionConfiguration, settings: Settings) -> CheckResult:
    timeout_s = float(configuration.get("Timeout", 3))
    work_s = timeout_s - settings.deadline_margin_s
    shown = f"timeout {timeout_s:g} s, deadline_margin_s {settings.deadline_margin_s:g}"
    if work_s <= 0:
        do = "no record is ever written: raise the timeout"
        return error("function.timeout", shown, do)
    if work_s < MIN_WORK_S:
        do = f"{work_s:g} s are left for the work, and one slow answer of S3 takes 10: raise it"
        return warning("function.timeout", shown, do)
    if not settings.deadline_margin_s:
        do = "Lambda kills what is not done; a margin hands back only what is not durable"
        return warning("function.timeout", shown, do)
    return ok("function.timeout", f"{shown}: {work_s:g} s for the work")


def _memory(configuration: FunctionConfiguration, settings: Settings) -> CheckResult:
    memory_bytes = int(configuration.get("MemorySize", 128)) * MIB
    budget_bytes = settings.budget_bytes
    shown = f"{memory_bytes // MIB} MB, budget_bytes {budget_bytes // MIB} MiB"
    is_own_default = budget_bytes <= memory_bytes // 3
    if budget_bytes + INTERPRETER_BYTES > memory_bytes and not is_own_default:
        do = "a full budget would get the function killed: raise the memory, or leave it out"
        return warning("function.memory", shown, do)
    return ok("function.memory", shown)
