"""`batcher check --function`: what only a look at IAM, at pages and at the package tells."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from batcher.cli import main
from support.aws_shapes import MAPPING_ID, STREAM_ARN, function, mapping
from support.check_command import models_read_once
from support.stub_aws import Account, StubAws

pytestmark = pytest.mark.slow

NEEDED = {"s3:PutObject", "s3:GetObject"}
ENVIRON = {"BATCHER_BUCKET": "my-bucket", "BATCHER_ROOT": "events", "BATCHER_PARTIAL_RESPONSE": "1"}
Findings = list[dict[str, str]]


@pytest.fixture(scope="module", autouse=True)
def one_loader() -> Iterator[None]:
    """Read the models of AWS's services once."""
    with models_read_once():
        yield


def package(*names: str, size: int = 10) -> bytes:
    """Make a function's package of these files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in names:
            made.writestr(name, b"x" * size)
    return file.getvalue()


FULL = package("batcher/x.py", "obstore/__pycache__/x.pyc")


@contextmanager
def deployed(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every service be this account's."""
    with StubAws(account) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield


def check(
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *flags: str,
) -> tuple[int, Findings]:
    """Look at the function of an account; give the exit code and what was found."""
    with deployed(account, monkeypatch):
        code = main(["check", "--function", "events", "--no-write", "--json", *flags])
    findings: Findings = json.loads(capsys.readouterr().out)["findings"]
    return code, findings


def of(found: Findings, check_: str) -> list[str]:
    """Return mark and words of each finding of a check."""
    return [f"{f['mark']}: {f['detail']}" for f in found if f["check"] == check_]


def test_a_role_and_a_package_as_they_should_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing but what the writer needs."""
    account = Account(function(ENVIRON), [[mapping()]], FULL, allowed=NEEDED)
    code, found = check(account, monkeypatch, capsys)
    assert code == 0
    (role,) = of(found, "role")
    assert role.startswith("ok: events-writer may s3:PutObject")
    assert of(found, "function.package") == ["ok: obstore is included, with .pyc files"]
    assert of(found, "mapping.alone") == ["ok: one mapping of this function writes to this root"]


def test_what_the_role_lacks_and_what_it_has_too_much(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each by its name: the first is an error, the second a warning."""
    environ = {**ENVIRON, "BATCHER_TAGS": '{"a":"b"}'}
    account = Account(
        function(environ), [[mapping()]], FULL, allowed={"s3:PutObject", "s3:DeleteObject"}
    )
    code, found = check(account, monkeypatch, capsys)
    assert code == 1
    results = of(found, "role")
    assert [one.split(" on ")[0] for one in results] == [
        "error: events-writer may not s3:GetObject",
        "error: events-writer may not s3:PutObjectTagging",
        "warning: events-writer may s3:DeleteObject",
    ]


def test_a_role_that_may_write_beside_the_root_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is allowed on the whole bucket."""
    account = Account(
        function(ENVIRON), [[mapping()]], FULL, allowed=NEEDED, allowed_on="arn:aws:s3:::my-bucket/"
    )
    _, found = check(account, monkeypatch, capsys)
    assert any(
        one.startswith("warning") and "batcher-check-outside" in one for one in of(found, "role")
    )


def test_the_key_of_kms_is_asked_for_by_its_own_actions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both of them."""
    key = "arn:aws:kms:us-east-2:123456789012:key/1"
    environ = {**ENVIRON, "BATCHER_SSE": "aws:kms", "BATCHER_KMS_KEY_ID": key}
    account = Account(function(environ), [[mapping()]], FULL, allowed=NEEDED)
    code, found = check(account, monkeypatch, capsys)
    assert code == 1
    errors = [one for one in of(found, "role") if one.startswith("error")]
    assert [one.split(" on ")[0].rpartition(" ")[2] for one in errors] == [
        "kms:GenerateDataKey",
        "kms:Decrypt",
    ]


def test_a_role_may_leave_the_key_to_s3_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As that of our template does, by a condition: IAM is told who will ask."""
    key = "arn:aws:kms:us-east-2:123456789012:key/1"
    environ = {**ENVIRON, "BATCHER_SSE": "aws:kms", "BATCHER_KMS_KEY_ID": key}
    allowed = {*NEEDED, "kms:GenerateDataKey", "kms:Decrypt"}
    account = Account(function(environ), [[mapping()]], FULL, allowed=allowed, allowed_on="arn:")
    _, found = check(account, monkeypatch, capsys)
    assert not [one for one in of(found, "role") if "kms:" in one and one.startswith("error")]


@pytest.mark.parametrize(
    ("names", "engine", "expected"),
    [
        (("batcher/x.py",), "aioboto3", "error: the package lacks aioboto3 (engine=aioboto3)"),
        (
            ("batcher/x.py", "aioboto3/x.py"),
            "obstore",
            "error: the package lacks obstore (engine=obstore)",
        ),
    ],
)
def test_a_package_without_its_engine_is_an_error(
    names: tuple[str, ...],
    engine: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first event would tell, too late."""
    environ = {**ENVIRON, "BATCHER_ENGINE": engine}
    account = Account(function(environ), [[mapping()]], package(*names), allowed=NEEDED)
    code, found = check(account, monkeypatch, capsys)
    assert (code, of(found, "function.package")) == (1, [expected])


@pytest.mark.parametrize("honours_range", [True, False])
def test_a_large_package_is_not_fetched_whole(
    honours_range: bool,  # noqa: FBT001  # a case
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its end is enough; from a server that would send all of it nothing is taken."""
    large = package("batcher/x.py", "obstore/__pycache__/x.pyc", size=3 * 1024**2)
    account = Account(
        function(ENVIRON), [[mapping()]], large, allowed=NEEDED, honours_range=honours_range
    )
    _, found = check(account, monkeypatch, capsys)
    assert [one[:11] for one in of(found, "function.package")] == [
        "ok: obstore" if honours_range else "not_checked"
    ]


def test_a_function_that_never_runs_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reserved concurrency of 0 is how an emergency is stopped, and forgotten."""
    account = Account(function(ENVIRON), [[mapping()]], FULL, allowed=NEEDED, reserved=0)
    code, found = check(account, monkeypatch, capsys)
    assert code == 1
    assert of(found, "function.concurrency")[0].startswith("error: reserved concurrency is 0")
    account.reserved = 5
    assert of(check(account, monkeypatch, capsys)[1], "function.concurrency") == []


def test_mappings_of_all_pages_are_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fault stands on the second, and one stream on both."""
    lossy = mapping(FunctionResponseTypes=[], UUID=MAPPING_ID.replace("a1", "ff"))
    account = Account(function(ENVIRON), [[mapping()], [lossy]], FULL, allowed=NEEDED)
    code, found = check(account, monkeypatch, capsys)
    assert code == 1
    assert [one.partition(":")[0] for one in of(found, "mapping.responses")] == ["ok", "error"]
    assert of(found, "mapping.alone")[0].startswith("error: 2 mappings read 'orders'")


def test_what_may_not_be_looked_at_is_named_and_no_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A role that may read the function, and nothing of what belongs to it."""
    account = Account(function(ENVIRON))
    code, found = check(account, monkeypatch, capsys)
    assert code == 0
    assert of(found, "mapping") == ["not_checked: needs lambda:ListEventSourceMappings"]
    assert of(found, "role") == ["not_checked: needs iam:SimulatePrincipalPolicy"]
    assert of(found, "function.package")[0].startswith("not_checked")
    account = Account(function(ENVIRON), [[mapping(STREAM_ARN)]])
    code, found = check(account, monkeypatch, capsys)
    assert code == 0
    assert of(found, "mapping.retention") == ["not_checked: needs kinesis:DescribeStreamSummary"]


def test_a_function_that_may_not_be_looked_at_leaves_its_mappings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Judged by the settings given here, and said so."""
    account = Account(None, [[mapping(STREAM_ARN, FunctionResponseTypes=[])]])
    flags = ("s3://my-bucket/events", "--partial-response", "true")
    code, found = check(account, monkeypatch, capsys, *flags)
    assert code == 1
    assert of(found, "function") == ["not_checked: needs lambda:GetFunctionConfiguration"]
    marks = [one.partition(":")[0] for one in of(found, "mapping.responses")]
    assert marks == ["not_checked", "error"]


def test_a_functions_arn_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its region beats the environment's."""
    account = Account(function(ENVIRON), [[mapping()]], FULL, allowed=NEEDED)
    with deployed(account, monkeypatch):
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        arn = "arn:aws:lambda:us-east-2:123456789012:function:events"
        assert main(["check", "--function", arn, "--no-write", "--json"]) == 0
    capsys.readouterr()
    assert any("function%3Aevents/configuration" in path for path in account.requests)
