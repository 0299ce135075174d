"""Functions, roles, packages: what keeps a function from writing is named."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from batcher.settings import Settings
from batcher.tools.check.findings import Finding, Mark
from batcher.tools.check.function import (
    environ_of,
    judge_function,
    judge_limits,
    judge_settings,
    usable,
)
from batcher.tools.check.package import judge_package, names_of
from batcher.tools.check.role import judge_needed, judge_unneeded, key_actions, needed
from support.aws_shapes import ROLE, decisions, function
from support.examples import settings_of


def marks(found: list[Finding]) -> dict[str, Mark]:
    """Give what is not well, by check."""
    return {finding.check: finding.mark for finding in found if finding.mark is not Mark.OK}


def test_a_function_as_it_should_be_is_well() -> None:
    """State, runtime, handler, settings, time and memory."""
    found = function()
    settings = Settings.from_env(environ_of(found))
    findings = [
        *judge_function(found),
        *judge_settings(environ_of(found), "events"),
        *judge_limits(found, settings),
    ]
    assert marks(findings) == {}
    assert len(findings) == 6


def test_settings_are_read_as_the_function_sees_them() -> None:
    """Its memory decides its budget, not this machine's."""
    environ = environ_of(function(MemorySize=300))
    assert Settings.from_env(environ).budget_bytes == 100 * 1024**2


@pytest.mark.parametrize(
    ("changes", "check", "mark"),
    [
        ({"State": "Failed", "StateReason": "no subnet"}, "function.state", Mark.ERROR),
        ({"LastUpdateStatus": "Failed"}, "function.state", Mark.ERROR),
        ({"State": "Pending"}, "function.state", Mark.WARNING),
        ({"LastUpdateStatus": "InProgress"}, "function.state", Mark.WARNING),
        ({"Runtime": "python3.10"}, "function.runtime", Mark.ERROR),
        ({"Runtime": "nodejs22.x"}, "function.runtime", Mark.ERROR),
        ({"Handler": "app.handler"}, "function.handler", Mark.NOT_CHECKED),
        (
            {"Environment": {"Error": {"ErrorCode": "AccessDeniedException", "Message": "no key"}}},
            "function.environment",
            Mark.ERROR,
        ),
        ({"PackageType": "Image"}, "function.runtime", Mark.NOT_CHECKED),
    ],
)
def test_each_fault_of_a_function_is_named(changes: dict[str, Any], check: str, mark: Mark) -> None:
    """And nothing else is."""
    assert marks(judge_function(function(**changes))) == {check: mark}


def test_python_3_11_and_what_comes_after_it_are_well() -> None:
    """3.9 is less than 3.11, and 4.0 is more."""
    for runtime, mark in {
        "python3.11": Mark.OK,
        "python3.9": Mark.ERROR,
        "python4.0": Mark.OK,
    }.items():
        (found,) = [
            f for f in judge_function(function(Runtime=runtime)) if f.check[9:] == "runtime"
        ]
        assert found.mark is mark


@pytest.mark.parametrize(
    ("timeout_s", "margin_s", "mark"),
    [
        (60, 2, Mark.OK),
        (12, 2, Mark.OK),
        (11, 2, Mark.WARNING),
        (2, 2, Mark.ERROR),
        (3, 5, Mark.ERROR),
        (60, 0, Mark.WARNING),
    ],
)
def test_time_must_be_left_for_the_work(timeout_s: int, margin_s: float, mark: Mark) -> None:
    """The margin is taken from the timeout."""
    settings = settings_of(deadline_margin_s=margin_s)
    (found, _) = judge_limits(function(Timeout=timeout_s), settings)
    assert (found.check, found.mark) == ("function.timeout", mark)


@pytest.mark.parametrize(
    ("memory_mb", "budget", "mark"),
    [
        (1024, "512MiB", Mark.OK),
        (1024, "1000MiB", Mark.WARNING),
        (128, "42MiB", Mark.OK),
        (128, "64MiB", Mark.WARNING),
    ],
)
def test_a_budget_must_fit_the_memory(memory_mb: int, budget: str, mark: Mark) -> None:
    """A third of it, the default, is always taken as it is."""
    (_, found) = judge_limits(function(MemorySize=memory_mb), settings_of(budget_bytes=budget))
    assert (found.check, found.mark) == ("function.memory", mark)


def test_every_fault_of_the_settings_is_a_finding() -> None:
    """As the function would raise them at its first event."""
    environ = {"BATCHER_BUCKET": "b", "BATCHER_FANOUT": "3", "BATCHER_ROOTS": "x"}
    found = judge_settings(environ_of(function(environ)), "events")
    assert {finding.mark for finding in found} == {Mark.ERROR}
    assert sorted(finding.found.partition(":")[0][:13] for finding in found) == [
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
    kept = usable(environ)
    assert kept == {
        name: environ[name] for name in ("BATCHER_BUCKET", "BATCHER_PARTIAL_RESPONSE", "PATH")
    }
    assert Settings.from_env(kept).partial_response


def test_settings_that_only_clash_leave_the_place() -> None:
    """Each is fine by itself, both are not."""
    environ = {
        "BATCHER_BUCKET": "my-bucket",
        "BATCHER_ROOT": "r",
        "BATCHER_FANOUT": "1",
        "BATCHER_PARTITION_BY": "{field:x}",
    }
    assert usable(environ) == {"BATCHER_BUCKET": "my-bucket", "BATCHER_ROOT": "r"}


def test_a_role_that_may_all_that_is_needed_is_well() -> None:
    """And the actions are named."""
    (found,) = judge_needed(decisions(s3_PutObject="allowed", s3_GetObject="allowed"), ROLE)
    assert (found.mark, found.found) == (Mark.OK, "events-writer may s3:PutObject, s3:GetObject")


@pytest.mark.parametrize("decision", ["implicitDeny", "explicitDeny"])
def test_a_role_that_may_not_is_an_error_that_names_the_action(decision: str) -> None:
    """Each one."""
    found = judge_needed(
        decisions(s3_PutObject="allowed", s3_GetObject=decision, s3_AbortMultipartUpload=decision),
        ROLE,
    )
    assert [finding.mark for finding in found] == [Mark.ERROR] * 2
    assert "events-writer may not s3:GetObject on arn:aws:s3:::my-bucket/events/x" in found[0].found


def test_a_role_that_may_more_than_is_needed_is_a_warning() -> None:
    """A stolen role can do what it may."""
    found = judge_unneeded(
        decisions(s3_DeleteObject="allowed", s3_PutObjectAcl="implicitDeny"), ROLE
    )
    assert [finding.mark for finding in found] == [Mark.WARNING]
    assert "s3:DeleteObject" in found[0].found


def test_what_a_role_needs_follows_from_the_settings() -> None:
    """Tagging with tags, the key's two with a key."""
    plain = settings_of()
    assert "s3:PutObjectTagging" not in needed(plain)
    assert "s3:PutObjectTagging" in needed(settings_of(tags={"a": "b"}))
    assert key_actions(plain) == ()
    keyed = settings_of(sse="aws:kms", kms_key_id="k")
    assert key_actions(keyed) == ("kms:GenerateDataKey", "kms:Decrypt")


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
    assert names_of(whole) == names
    assert names_of(whole[-2_000:]) == names
    assert names_of(whole[-100:]) is None
    assert names_of(b"<html>") is None


HANDLER = "batcher.handler.handler"
PYC = "__pycache__/__init__.cpython-313.pyc"


@pytest.mark.parametrize(
    ("names", "engine", "has_layers", "mark"),
    [
        (["batcher/x.py", f"aioboto3/{PYC}"], "aioboto3", False, Mark.OK),
        (["batcher/x.py", f"obstore/{PYC}"], "obstore", False, Mark.OK),
        (["batcher/x.py", "aioboto3/x.py"], "aioboto3", False, Mark.WARNING),
        (["batcher/x.py", f"aioboto3/{PYC}"], "obstore", False, Mark.ERROR),
        (["batcher/x.py", f"aioboto3/{PYC}"], "obstore", True, Mark.NOT_CHECKED),
        ([f"aioboto3/{PYC}"], "aioboto3", False, Mark.ERROR),
        (["batcher/x.py", ".requirements.zip"], "aioboto3", False, Mark.NOT_CHECKED),
    ],
)
def test_a_package_must_have_batcher_and_its_engine(
    names: list[str],
    engine: str,
    has_layers: bool,  # noqa: FBT001  # a case
    mark: Mark,
) -> None:
    """Or each event fails at its import; layers are not looked into."""
    settings = settings_of(engine=engine)
    (found,) = judge_package(names, settings, HANDLER, has_layers=has_layers)
    assert found.mark is mark
