"""The audit: what was not looked up is never taken for safe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from audit import FOUND, NONE_KNOWN, NOT_AUDITED, Audited, exit_code, report, targets

SAFE = {"name": "orjson", "version": "3.10.11", "vulns": []}
BAD = {
    "name": "aiohttp",
    "version": "3.9.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2024-1"], "fix_versions": ["3.9.2"]}],
}
SKIPPED = {"name": "isal", "skip_reason": "Dependency not found on PyPI"}


def audited(*answers: list[dict[str, Any]]) -> Audited:
    """Return what comes of these answers, one a service."""
    made = Audited()
    for dependencies in answers:
        made.add({"dependencies": dependencies, "fixes": []})
    return made


@pytest.mark.parametrize(
    ("answers", "code"),
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
def test_only_a_whole_audit_without_a_finding_is_well(
    answers: list[list[dict[str, Any]]],
    code: int,
    may_be_offline: bool,  # noqa: FBT001  # a case
) -> None:
    """Offline is let pass where that is said; a vulnerability never is."""
    wanted = NONE_KNOWN if may_be_offline and code == NOT_AUDITED else code
    assert exit_code([audited(*answers)], may_be_offline=may_be_offline) == wanted


def test_what_one_service_does_not_know_another_may() -> None:
    """In whichever order they answer."""
    known = {"name": "isal", "version": "1.9.1", "vulns": []}
    assert audited([SAFE, SKIPPED], [SAFE, known]).is_whole
    assert audited([SAFE, known], [SAFE, SKIPPED]).is_whole


def test_one_list_that_was_not_looked_up_spoils_all() -> None:
    """There is a lock for each engine."""
    both = [audited([SAFE]), audited([SKIPPED])]
    assert exit_code(both, may_be_offline=False) == NOT_AUDITED


def test_the_report_names_what_is_vulnerable_and_what_is_not_known() -> None:
    """With the version to take, and the reason."""
    other = {**SKIPPED, "name": "wrapt"}
    lines = report("requirements-x.txt", audited([BAD, SKIPPED, other]))
    assert lines == [
        "requirements-x.txt: 1 distributions looked up, 1 vulnerable",
        "  aiohttp 3.9.0: PYSEC-1 CVE-2024-1: mended in 3.9.2",
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
