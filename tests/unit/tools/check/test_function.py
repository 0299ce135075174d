"""Functions, roles, packages: each fault that keeps a function from writing is named."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from batcher.settings import Settings
from batcher.tools.check.findings import CheckResult, CheckStatus
from batcher.tools.check.function import (
    evaluate_function,
    evaluate_limits,
    evaluate_settings,
    function_environ,
    usable_environ,
)
from batcher.tools.check.package import evaluate_package, read_zip_names
from batcher.tools.check.role import (
    evaluate_needed,
    evaluate_unneeded,
    needed_kms_actions,
    needed_s3_actions,
)
from support.aws_shapes import ROLE, decisions, function
from support.examples import make_settings


def marks(found: list[CheckResult]) -> dict[str, CheckStatus]:
    """Return the status of each check with a problem."""
    return {
        finding.check: finding.status for finding in found if finding.status is not CheckStatus.OK
    }


def test_a_correct_function_has_no_problem() -> None:
    """State, runtime, handler, settings, time and memory."""
    found = function()
    settings = Settings.from_env(function_environ(found))
    findings = [
        *evaluate_function(found),
        *evaluate_settings(function_environ(found), "events"),
        *evaluate_limits(found, settings),
    ]
    assert marks(findings) == {}
    assert len(findings) == 6


def test_settings_are_read_as_the_function_sees_them() -> None:
    """Its memory decides its budget, not this machine's."""
    environ = function_environ(function(MemorySize=300))
    assert Settings.from_env(environ).budget_bytes == 100 * 1024**2


@pytest.mark.parametrize(
    ("changes", "check", "mark"),
    [
        ({"State": "Failed", "StateReason": "no subnet"}, "function.state", CheckStatus.ERROR),
        ({"LastUpdateStatus": "Failed"}, "function.state", CheckStatus.ERROR),
        ({"State": "Pending"}, "function.state", CheckStatus.WARNING),
        ({"LastUpdateStatus": "InProgress"}, "function.state", CheckStatus.WARNING),
        ({"Runtime": "python3.10"}, "function.runtime", CheckStatus.ERROR),
        ({"Runtime": "nodejs22.x"}, "function.runtime", CheckStatus.ERROR),
        ({"Handler": "app.handler"}, "function.handler", CheckStatus.NOT_CHECKED),
        (
            {"Environment": {"Error": {"ErrorCode": "AccessDeniedException", "Message": "no key"}}},
            "function.environment",
            CheckStatus.ERROR,
        ),
        ({"PackageType": "Image"}, "function.runtime", CheckStatus.NOT_CHECKED),
    ],
)
def test_each_fault_of_a_function_is_named(
    changes: dict[str, Any], check: str, mark: CheckStatus
) -> None:
    """And nothing else is reported."""
    assert marks(evaluate_function(function(**changes))) == {check: mark}


def test_python_3_11_and_newer_are_supported() -> None:
    """3.9 is less than 3.11, and 4.0 is more."""
    for runtime, mark in {
        "python3.11": CheckStatus.OK,
        "python3.9": CheckStatus.ERROR,
        "python4.0": CheckStatus.OK,
    }.items():
        (found,) = [
            f for f in evaluate_function(function(Runtime=runtime)) if f.check[9:] == "runtime"
        ]
        assert found.status is mark


@pytest.mark.parametrize(
    ("timeout_s", "margin_s", "mark"),
    [
        (60, 2, CheckStatus.OK),
        (12, 2, CheckStatus.OK),
        (11, 2, CheckStatus.WARNING),
        (2, 2, CheckStatus.ERROR),
        (3, 5, CheckStatus.ERROR),
        (60, 0, CheckStatus.WARNING),
    ],
)
def test_time_must_be_left_for_the_work(timeout_s: int, margin_s: float, mark: CheckStatus) -> None:
    """The margin is taken from the timeout."""
    settings = make_settings(deadline_margin_s=margin_s)
    (found, _) = evaluate_limits(function(Timeout=timeout_s), settings)
    assert (found.check, found.status) == ("function.timeout", mark)


@pytest.mark.parametrize(
    ("memory_mb", "budget", "mark"),
    [
        (1024, "512MiB", CheckStatus.OK),
        (1024, "1000MiB", CheckStatus.WARNING),
        (128, "42MiB", CheckStatus.OK),
        (128, "64MiB", CheckStatus.WARNING),
    ],
)
def test_a_budget_must_fit_the_memory(memory_mb: int, budget: str, mark: CheckStatus) -> None:
    """A third of it, the default, is always taken as it is."""
    (_, found) = evaluate_limits(function(MemorySize=memory_mb), make_settings(budget_bytes=budget))
    assert (found.check, found.status) == ("function.memory", mark)


def test_every_fault_of_the_settings_is_a_finding() -> None:
    """As the function would raise them at its first event."""
    environ = {"BATCHER_BUCKET": "b", "BATCHER_FANOUT": "3", "BATCHER_ROOTS": "x"}
    found = evaluate_settings(function_environ(function(environ)), "events")
    assert {finding.status for finding in found} == {CheckStatus.ERROR}
    assert sorted(finding.detail.partition(":")[0][:13] for finding in found) == [
        "BATCHER_ROOTS",
        "bucket",
        "fanout",
    ]


def test_settings_with_faults_are_used_as_far_as_they_go() -> None:
    """So that bucket and mapping are checked in the same run."""
    environ = {
        "BATCHER_BUCKET": "my-bucket",
        "BATCHER_FANOUT": "3",
        "BATCHER_ROOTS": "x",
        "BATCHER_PARTIAL_RESPONSE": "true",
        "PATH": "/bin",
    }
    kept = usable_environ(environ)
    assert kept == {
        name: environ[name] for name in ("BATCHER_BUCKET", "BATCHER_PARTIAL_RESPONSE", "PATH")
    }
    assert Settings.from_env(kept).partial_response


def test_settings_that_contradict_each_other_leave_the_destination() -> None:
    """Each is fine by itself, both are not."""
    environ = {
        "BATCHER_BUCKET": "my-bucket",
        "BATCHER_ROOT": "r",
        "BATCHER_FANOUT": "1",
        "BATCHER_PARTITION_BY": "{field:x}",
    }
    assert usable_environ(environ) == {"BATCHER_BUCKET": "my-bucket", "BATCHER_ROOT": "r"}


def test_a_role_with_all_needed_actions_has_no_problem() -> None:
    """And the actions are named."""
    (found,) = evaluate_needed(decisions(s3_PutObject="allowed", s3_GetObject="allowed"), ROLE)
    assert (found.status, found.detail) == (
        CheckStatus.OK,
        "events-writer may s3:PutObject, s3:GetObject",
    )


@pytest.mark.parametrize("decision", ["implicitDeny", "explicitDeny"])
def test_a_role_that_lacks_an_action_is_an_error_that_names_it(decision: str) -> None:
    """Each one."""
    found = evaluate_needed(
        decisions(s3_PutObject="allowed", s3_GetObject=decision, s3_PutObjectTagging=decision),
        ROLE,
    )
    assert [finding.status for finding in found] == [CheckStatus.ERROR] * 2
    assert (
        "events-writer may not s3:GetObject on arn:aws:s3:::my-bucket/events/x" in found[0].detail
    )


def test_a_role_with_more_actions_than_needed_is_a_warning() -> None:
    """A stolen role can do what it may."""
    found = evaluate_unneeded(
        decisions(s3_DeleteObject="allowed", s3_PutObjectAcl="implicitDeny"), ROLE
    )
    assert [finding.status for finding in found] == [CheckStatus.WARNING]
    assert "s3:DeleteObject" in found[0].detail


def test_what_a_role_needs_follows_from_the_settings() -> None:
    """Tagging with tags, the key's two with a key."""
    plain = make_settings()
    assert "s3:PutObjectTagging" not in needed_s3_actions(plain)
    assert "s3:PutObjectTagging" in needed_s3_actions(make_settings(tags={"a": "b"}))
    assert needed_kms_actions(plain) == ()
    keyed = make_settings(sse="aws:kms", kms_key_id="k")
    assert needed_kms_actions(keyed) == ("kms:GenerateDataKey", "kms:Decrypt")


def zipped(*names: str) -> bytes:
    """Make a zip file with these names in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in names:
            made.writestr(name, b"x" * 10_000)
    return file.getvalue()


def test_names_are_read_from_the_end_of_a_zip_file() -> None:
    """A package of 30 MB is not fetched for its list; half a list is none."""
    whole = zipped("batcher/__init__.py", "aioboto3/__init__.py")
    names = ["batcher/__init__.py", "aioboto3/__init__.py"]
    assert read_zip_names(whole) == names
    assert read_zip_names(whole[-2_000:]) == names
    assert read_zip_names(whole[-100:]) is None
    assert read_zip_names(b"<html>") is None


HANDLER = "batcher.handler.handler"
PYC = "__pycache__/__init__.cpython-313.pyc"


@pytest.mark.parametrize(
    ("names", "engine", "has_layers", "mark"),
    [
        (["batcher/x.py", f"aioboto3/{PYC}"], "aioboto3", False, CheckStatus.OK),
        (["batcher/x.py", f"obstore/{PYC}"], "obstore", False, CheckStatus.OK),
        (["batcher/x.py", "aioboto3/x.py"], "aioboto3", False, CheckStatus.WARNING),
        (["batcher/x.py", f"aioboto3/{PYC}"], "obstore", False, CheckStatus.ERROR),
        (["batcher/x.py", f"aioboto3/{PYC}"], "obstore", True, CheckStatus.NOT_CHECKED),
        ([f"aioboto3/{PYC}"], "aioboto3", False, CheckStatus.ERROR),
        (["batcher/x.py", ".requirements.zip"], "aioboto3", False, CheckStatus.NOT_CHECKED),
    ],
)
def test_a_package_must_have_batcher_and_its_engine(
    names: list[str],
    engine: str,
    has_layers: bool,  # noqa: FBT001  # a case
    mark: CheckStatus,
) -> None:
    """Or each event fails at its import; layers are not looked into."""
    settings = make_settings(engine=engine)
    (found,) = evaluate_package(names, settings, HANDLER, has_layers=has_layers)
    assert found.status is mark
