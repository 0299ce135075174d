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


def test_the_counts_are_in_words() -> None:
    report = CheckReport([ok("a", "b"), warning("c", "d", "e")])
    assert report.summary() == "1 ok, 1 warning"
    report.add([warning("c", "d", "e"), error("f", "g", "h"), error("f", "g", "h")])
    assert report.summary() == "1 ok, 2 warnings, 2 errors"


def test_the_worst_results_are_last_and_one_reason_is_said_once() -> None:
    report = CheckReport([error("w.a", "bad", "fix"), ok("x", "fine")])
    report.add([not_checked("w.b", "because"), not_checked("w.c", "because")])
    report.add([not_checked("w.d", "other"), warning("y", "odd", "fix")])
    shown = [(each.check, each.detail) for each in report.in_order_of_severity()]
    assert shown == [
        ("x", "fine"),
        ("w.*", "because (b, c)"),
        ("w.d", "other"),
        ("y", "odd"),
        ("w.a", "bad"),
    ]
