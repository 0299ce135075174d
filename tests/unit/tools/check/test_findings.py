"""Results of checks: the document that programs read, and whether it is an error."""

from __future__ import annotations

import pytest

from batcher.tools.check.findings import (
    CheckReport,
    CheckResult,
    error,
    not_checked,
    ok,
    warning,
)


def test_the_document_of_a_report_is_a_contract() -> None:
    """Programs read its names, so none is ever renamed."""
    report = CheckReport()
    report.add([ok("settings", "valid"), warning("bucket.region", "far", "move", subject="b")])
    report.add([not_checked("write", "not sent")])
    assert report.as_dict("s3://b/events") == {
        "place": "s3://b/events",
        "fine": True,
        "counts": {"ok": 1, "warning": 1, "error": 0, "not_checked": 1},
        "findings": [
            {"mark": "ok", "check": "settings", "subject": "", "detail": "valid", "do": ""},
            {
                "mark": "warning",
                "check": "bucket.region",
                "subject": "b",
                "detail": "far",
                "do": "move",
            },
            {
                "mark": "not_checked",
                "check": "write",
                "subject": "",
                "detail": "not sent",
                "do": "",
            },
        ],
    }


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (ok("a", "b"), True),
        (warning("a", "b", "c"), True),
        (not_checked("a", "b"), True),
        (error("a", "b", "c"), False),
    ],
)
def test_only_an_error_fails_the_command(
    result: CheckResult,
    expected: bool,  # noqa: FBT001  # a case
) -> None:
    """Warnings and unknowns do not."""
    report = CheckReport([ok("x", "y"), result])
    assert report.has_no_error is expected
