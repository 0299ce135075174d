"""A distribution that was not looked up never counts as safe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from audit import FOUND, NONE_KNOWN, NOT_AUDITED, AuditResult, exit_code, report, targets

SAFE = {"name": "orjson", "version": "3.10.11", "vulns": []}
BAD = {
    "name": "aiohttp",
    "version": "3.9.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2024-1"], "fix_versions": ["3.9.2"]}],
}
SKIPPED = {"name": "isal", "skip_reason": "Dependency not found on PyPI"}


def audit_result(*outputs: list[dict[str, Any]]) -> AuditResult:
    """Return the result of these outputs, one per service."""
    made = AuditResult()
    for dependencies in outputs:
        made.add({"dependencies": dependencies, "fixes": []})
    return made


@pytest.mark.parametrize(
    ("outputs", "code"),
    [
        ([[SAFE]], NONE_KNOWN),
        ([[SAFE, BAD]], FOUND),
        ([[SAFE, SKIPPED]], NOT_AUDITED),
        ([[SKIPPED, BAD]], FOUND),
        ([[]], NOT_AUDITED),
        ([], NOT_AUDITED),
    ],
)
@pytest.mark.parametrize("may_be_offline", [True, False])
def test_only_a_complete_audit_without_a_finding_passes(
    outputs: list[list[dict[str, Any]]],
    code: int,
    may_be_offline: bool,  # noqa: FBT001  # a case
) -> None:
    """AUDIT_OFFLINE excuses an incomplete audit, never a vulnerability."""
    wanted = NONE_KNOWN if may_be_offline and code == NOT_AUDITED else code
    assert exit_code([audit_result(*outputs)], may_be_offline=may_be_offline) == wanted


def test_what_one_service_does_not_know_another_may() -> None:
    """In any order of the services."""
    known = {"name": "isal", "version": "1.9.1", "vulns": []}
    assert audit_result([SAFE, SKIPPED], [SAFE, known]).is_complete
    assert audit_result([SAFE, known], [SAFE, SKIPPED]).is_complete


def test_one_incomplete_list_fails_the_audit() -> None:
    """There is a lock for each engine."""
    both = [audit_result([SAFE]), audit_result([SKIPPED])]
    assert exit_code(both, may_be_offline=False) == NOT_AUDITED


def test_the_report_names_what_is_vulnerable_and_what_is_not_known() -> None:
    """With the version to take, and the reason."""
    other = {**SKIPPED, "name": "wrapt"}
    lines = report("requirements-x.txt", audit_result([BAD, SKIPPED, other]))
    assert lines == [
        "requirements-x.txt: 1 distribution looked up, 1 vulnerable",
        "  aiohttp 3.9.0: PYSEC-1 CVE-2024-1: fixed in 3.9.2",
        "  not looked up: isal, wrapt: Dependency not found on PyPI",
    ]


def test_locks_are_audited_by_their_hashes_and_without_them_the_project(tmp_path: Path) -> None:
    """Nothing is installed for it."""
    folder = tmp_path / "deploy"
    folder.mkdir()
    assert targets(folder) == [("pyproject.toml", [str(tmp_path)])]
    (folder / "requirements-x.txt").write_text("")
    ((name, arguments),) = targets(folder)
    assert name == "requirements-x.txt"
    assert {"--require-hashes", "--disable-pip"} <= set(arguments)
