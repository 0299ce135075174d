"""Function: whether a Lambda function as it is configured can run batcher's handler."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batcher.errors import SettingsError
from batcher.settings import MIB, PREFIX, Settings
from batcher.tools.check.findings import Finding, error, not_checked, ok, warning

if TYPE_CHECKING:
    from collections.abc import Sequence

HANDLER = "batcher.handler.handler"


LEAST_PYTHON = (3, 11)


INTERPRETER_BYTES = 100 * 10**6
"""What the function needs beside its budget; see `Settings`."""


SHORT_S = 10
"""A function with less time than this for its work hands records back as soon as S3 is slow: one
repeated request takes that long."""


_MEMORY = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"


_STAND_IN = {f"{PREFIX}BUCKET": "stand-in"}


_RUNTIME = re.compile(r"python(\d+)\.(\d+)")


Configuration = Mapping[str, Any]


def environ_of(configuration: Configuration) -> dict[str, str]:
    """Give the environment that the function sees, as far as batcher reads it."""
    variables = configuration.get("Environment", {}).get("Variables", {})
    return {**variables, _MEMORY: str(configuration.get("MemorySize", ""))}


def usable(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out, where there are faults, each of batcher's variables that is one by itself.

    So the rest is checked. Where what is left does not fit together, only where objects go is kept.
    """
    if not faults_of(environ):
        return dict(environ)
    fine = {
        name: value
        for name, value in environ.items()
        if not name.startswith(PREFIX) or not faults_of({**_STAND_IN, name: value})
    }
    if not faults_of({**_STAND_IN, **fine}):
        return fine
    kept = {f"{PREFIX}{name}" for name in ("BUCKET", "ROOT", "PARTIAL_RESPONSE")}
    return {name: value for name, value in fine.items() if name in kept}


def faults_of(environ: Mapping[str, str]) -> Sequence[str]:
    """Give every fault of the settings in an environment."""
    try:
        Settings.from_env(environ)
    except SettingsError as found:
        return found.faults
    return ()


def judge_settings(environ: Mapping[str, str], subject: str) -> list[Finding]:
    """Judge settings as whoever reads this environment would see them; each fault is a finding."""
    faults = faults_of(environ)
    if faults:
        do = "correct it, or the first event raises"
        return [error("settings", fault, do, subject=subject) for fault in faults]
    count = sum(name.startswith(PREFIX) for name in environ)
    return [
        ok("settings", f"they fit together; {count} set, the others by default", subject=subject)
    ]


def judge_function(configuration: Configuration) -> list[Finding]:
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


def _state(configuration: Configuration) -> Finding:
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


def _runtime(configuration: Configuration) -> Finding:
    runtime = str(configuration.get("Runtime", ""))
    found = _RUNTIME.fullmatch(runtime)
    if found and (int(found[1]), int(found[2])) >= LEAST_PYTHON:
        return ok("function.runtime", runtime)
    least = ".".join(map(str, LEAST_PYTHON))
    return error("function.runtime", f"{runtime!r}", f"batcher needs python{least} or newer")


def _handler(configuration: Configuration) -> Finding:
    handler = str(configuration.get("Handler", ""))
    if handler == HANDLER:
        return ok("function.handler", handler)
    why = f"{handler!r} is not {HANDLER}: whether it reads these settings only its code tells"
    return not_checked("function.handler", why)


def judge_limits(configuration: Configuration, settings: Settings) -> list[Finding]:
    """Judge time and memory together with the settings."""
    return [_timeout(configuration, settings), _memory(configuration, settings)]


def _timeout(configuration: Configuration, settings: Settings) -> Finding:
    timeout_s = float(configuration.get("Timeout", 3))
    work_s = timeout_s - settings.deadline_margin_s
    shown = f"timeout {timeout_s:g} s, deadline_margin_s {settings.deadline_margin_s:g}"
    if work_s <= 0:
        do = "no record is ever written: raise the timeout"
        return error("function.timeout", shown, do)
    if work_s < SHORT_S:
        do = f"{work_s:g} s are left for the work, and one slow answer of S3 takes 10: raise it"
        return warning("function.timeout", shown, do)
    if not settings.deadline_margin_s:
        do = "Lambda kills what is not done; a margin hands back only what is not durable"
        return warning("function.timeout", shown, do)
    return ok("function.timeout", f"{shown}: {work_s:g} s for the work")


def _memory(configuration: Configuration, settings: Settings) -> Finding:
    memory_bytes = int(configuration.get("MemorySize", 128)) * MIB
    budget_bytes = settings.budget_bytes
    shown = f"{memory_bytes // MIB} MB, budget_bytes {budget_bytes // MIB} MiB"
    is_own_default = budget_bytes <= memory_bytes // 3
    if budget_bytes + INTERPRETER_BYTES > memory_bytes and not is_own_default:
        do = "a full budget would get the function killed: raise the memory, or leave it out"
        return warning("function.memory", shown, do)
    return ok("function.memory", shown)
