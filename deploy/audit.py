"""Audit: the locked distributions, looked up among known vulnerabilities by pip-audit.

An audit that could not look anything up is no audit: it fails, unless AUDIT_OFFLINE=allow is set.
`make audit` runs it. Exit: 0 nothing known, 1 vulnerabilities, 2 not everything was looked up.
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
"""In the order in which they are asked: PyPI's own, then https://osv.dev, which it is made of."""
LONGEST_S = 600
NONE_KNOWN, FOUND, NOT_AUDITED = 0, 1, 2


@dataclass
class Audited:
    """What the services have said of one list of distributions."""

    looked_up: set[str] = field(default_factory=set)
    vulnerable: dict[str, list[str]] = field(default_factory=dict)
    """Vulnerabilities by distribution, with the version that mends each."""
    missing: dict[str, str] = field(default_factory=dict)
    """Distributions that no service has looked up, and why."""
    failures: list[str] = field(default_factory=list)
    """Services that did not answer at all."""

    @property
    def is_whole(self) -> bool:
        """Whether every distribution was looked up by one service at least."""
        return bool(self.looked_up) and not self.missing

    def add(self, answer: Mapping[str, Any]) -> None:
        """Add what pip-audit has printed as JSON."""
        for found in answer["dependencies"]:
            name = str(found["name"])
            if "skip_reason" in found:
                if name not in self.looked_up:
                    self.missing[name] = str(found["skip_reason"])
                continue
            self.looked_up.add(name)
            self.missing.pop(name, None)
            told = [_told(vulnerability) for vulnerability in found["vulns"]]
            if told:
                self.vulnerable[f"{name} {found['version']}"] = told


def _told(vulnerability: Mapping[str, Any]) -> str:
    names = [vulnerability["id"], *vulnerability.get("aliases", ())]
    mended = ", ".join(vulnerability.get("fix_versions", ())) or "no version yet"
    return f"{' '.join(names)}: mended in {mended}"


def targets(folder: Path) -> list[tuple[str, list[str]]]:
    """Return what is audited, and pip-audit's arguments for it: the locks, or else the project."""
    locks = sorted(folder.glob("requirements-*.txt"))
    if locks:
        flags = ["--disable-pip", "--require-hashes", "--requirement"]
        return [(lock.name, [*flags, str(lock)]) for lock in locks]
    return [("pyproject.toml", [str(folder.parent)])]


def audit(arguments: Sequence[str], services: Iterable[str] = SERVICES) -> Audited:
    """Ask one service after another, until every distribution was looked up."""
    audited = Audited()
    for service in services:
        command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service]
        command += ["--format", "json", "--progress-spinner", "off", *arguments]
        done = subprocess.run(  # noqa: S603  # our own interpreter
            command, capture_output=True, text=True, check=False, timeout=LONGEST_S
        )
        try:
            audited.add(json.loads(done.stdout))
        except (json.JSONDecodeError, KeyError, TypeError):
            last = done.stderr.strip().rpartition("\n")[2]
            audited.failures.append(f"{service} did not answer: {last[:200]}")
        if audited.is_whole:
            break
    return audited


def report(name: str, audited: Audited) -> list[str]:
    """Return in lines what was found out of one list."""
    count = len(audited.looked_up)
    lines = [f"{name}: {count} distributions looked up, {len(audited.vulnerable)} vulnerable"]
    for distribution, found in audited.vulnerable.items():
        lines += [f"  {distribution}: {one}" for one in found]
    if not audited.is_whole:
        lines += [f"  {failure}" for failure in audited.failures]
    if audited.missing:
        why = next(iter(audited.missing.values()))
        lines.append(f"  not looked up: {', '.join(audited.missing)}: {why}")
    return lines


def exit_code(audited: Sequence[Audited], *, may_be_offline: bool) -> int:
    """Return the exit code of all lists together."""
    if any(one.vulnerable for one in audited):
        return FOUND
    if all(one.is_whole for one in audited) or may_be_offline:
        return NONE_KNOWN
    return NOT_AUDITED


def main() -> int:
    """Audit all there is; print what was found out."""
    may_be_offline = os.environ.get("AUDIT_OFFLINE") == "allow"
    all_audited = []
    for name, arguments in targets(HERE):
        audited = audit(arguments)
        all_audited.append(audited)
        print("\n".join(report(name, audited)))
    if not all(one.is_whole for one in all_audited):
        print("NOT AUDITED: vulnerability services could not be asked about all of these.")
        if not may_be_offline:
            print("Set AUDIT_OFFLINE=allow to go on without an audit.")
    return exit_code(all_audited, may_be_offline=may_be_offline)


if __name__ == "__main__":
    sys.exit(main())
