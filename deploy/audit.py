"""Check the locked distributions for known vulnerabilities, by pip-audit.

The audit fails if a distribution was not looked up, unless AUDIT_OFFLINE=allow is set.
`make audit` runs it. Exit: 0 no known vulnerability, 1 vulnerabilities, 2 incomplete audit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SERVICES = ("pypi", "osv")
"""In the order of the queries: PyPI's own service, then https://osv.dev, its data source."""
TIMEOUT_S = 600
NONE_KNOWN, FOUND, NOT_AUDITED = 0, 1, 2


@dataclass
class AuditResult:
    """The results of the services for one list of distributions."""

    looked_up: set[str] = field(default_factory=set)
    vulnerable: dict[str, list[str]] = field(default_factory=dict)
    """Vulnerabilities by distribution, each with the version that fixes it."""
    missing: dict[str, str] = field(default_factory=dict)
    """Distributions that no service has looked up, each with the reason."""
    failures: list[str] = field(default_factory=list)
    """Services that did not respond, each with its error."""

    @property
    def is_complete(self) -> bool:
        """Whether each distribution was looked up by at least one service."""
        return bool(self.looked_up) and not self.missing

    def add(self, output: Mapping[str, Any]) -> None:
        """Add the JSON output of pip-audit."""
        for found in output["dependencies"]:
            name = str(found["name"])
            if "skip_reason" in found:
                if name not in self.looked_up:
                    self.missing[name] = str(found["skip_reason"])
                continue
            self.looked_up.add(name)
            self.missing.pop(name, None)
            described = [_describe(vulnerability) for vulnerability in found["vulns"]]
            if described:
                self.vulnerable[f"{name} {found['version']}"] = described


def _describe(vulnerability: Mapping[str, Any]) -> str:
    names = [vulnerability["id"], *vulnerability.get("aliases", ())]
    fixed = ", ".join(vulnerability.get("fix_versions", ())) or "no version yet"
    return f"{' '.join(names)}: fixed in {fixed}"


def targets(folder: Path) -> list[tuple[str, list[str]]]:
    """Return the name of each list to audit, with pip-audit's arguments for it.

    These are the locks, or the project if there are none.
    """
    locks = sorted(folder.glob("requirements-*.txt"))
    if locks:
        flags = ["--disable-pip", "--require-hashes", "--requirement"]
        return [(lock.name, [*flags, str(lock)]) for lock in locks]
    return [("pyproject.toml", [str(folder.parent)])]


def audit(arguments: Sequence[str], services: Iterable[str] = SERVICES) -> AuditResult:
    """Query one service after another, until every distribution was looked up."""
    result = AuditResult()
    for service in services:
        command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service]
        command += ["--format", "json", "--progress-spinner", "off", *arguments]
        done = subprocess.run(  # noqa: S603  # the running interpreter
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
        try:
            result.add(json.loads(done.stdout))
        except (json.JSONDecodeError, KeyError, TypeError):
            last = done.stderr.strip().rpartition("\n")[2]
            result.failures.append(f"{service} did not respond: {last[:200]}")
        if result.is_complete:
            break
    return result


def report(name: str, result: AuditResult) -> list[str]:
    """Return the result for one list of distributions, in lines."""
    count = len(result.looked_up)
    noun = "distribution" if count == 1 else "distributions"
    lines = [f"{name}: {count} {noun} looked up, {len(result.vulnerable)} vulnerable"]
    for distribution, found in result.vulnerable.items():
        lines += [f"  {distribution}: {one}" for one in found]
    if not result.is_complete:
        lines += [f"  {failure}" for failure in result.failures]
    if result.missing:
        reason = next(iter(result.missing.values()))
        lines.append(f"  not looked up: {', '.join(result.missing)}: {reason}")
    return lines


def exit_code(results: Sequence[AuditResult], *, may_be_offline: bool) -> int:
    """Return the exit code for the results of all lists."""
    if any(result.vulnerable for result in results):
        return FOUND
    if all(result.is_complete for result in results) or may_be_offline:
        return NONE_KNOWN
    return NOT_AUDITED


def main() -> int:
    """Audit all lists, print the results, and return the exit code."""
    may_be_offline = os.environ.get("AUDIT_OFFLINE") == "allow"
    results = []
    for name, arguments in targets(HERE):
        result = audit(arguments)
        results.append(result)
        print("\n".join(report(name, result)))
    if not all(result.is_complete for result in results):
        print("NOT AUDITED: some distributions could not be looked up.")
        if not may_be_offline:
            print("Set AUDIT_OFFLINE=allow to continue without a complete audit.")
    return exit_code(results, may_be_offline=may_be_offline)


if __name__ == "__main__":
    sys.exit(main())
