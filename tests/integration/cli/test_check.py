"""`batcher check`: each fault is planted on a server, found, named, and counted."""

from __future__ import annotations

import builtins
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batcher.cli import main
from batcher.tools.check import aws as asking
from batcher.tools.check.bucket import BUCKET_CALLS
from support.check_command import WRITTEN, check, marks, models_read_once, text_of, use
from support.responding_server import RespondingServer
from support.store_fixtures import ENGINES
from support.stub_s3 import Faults, StubS3

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS


@pytest.fixture(scope="module", autouse=True)
def one_loader() -> Iterator[None]:
    """Read the models of AWS's services once: half of the time of making clients."""
    with models_read_once():
        yield


@pytest.fixture
def stub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Serve an S3 with the faults that the test is given."""
    with StubS3(Faults(**getattr(request, "param", {}))) as server:
        use(monkeypatch, server.environ)
        yield server.faults


@pytest.mark.parametrize("engine", ENGINES)
def test_a_real_server_is_fine_and_nothing_is_left_there(
    seaweedfs: SeaweedFS,
    bucket: str,
    engine: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every request of the writer is tried, by the engine that was chosen."""
    seaweedfs.create_bucket(bucket)
    use(monkeypatch, seaweedfs.environ)
    flags = ["--engine", engine, "--metadata", '{"team":"x"}', "--tags", '{"a":"b"}']
    code, found = check(capsys, f"s3://{bucket}/events", *flags)
    assert code == 0
    assert marks(found, "ok") >= WRITTEN
    assert "contents" not in {k.lower() for k in seaweedfs.client.list_objects_v2(Bucket=bucket)}
    assert not seaweedfs.client.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_the_dry_write_can_be_left_out(
    seaweedfs: SeaweedFS,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Then nothing is known of it."""
    seaweedfs.create_bucket(bucket)
    use(monkeypatch, {**seaweedfs.environ, "BATCHER_BUCKET": bucket})
    code, found = check(capsys, "--no-write")
    assert code == 0
    assert "write" in marks(found, "not_checked")
    assert not {finding["check"] for finding in found} & WRITTEN


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("stub", "wrong"),
    [
        ({}, set()),
        ({"ignores": {"put"}}, {"write.if_none_match", "write.if_match"}),
        ({"ignores": {"if-none-match"}}, {"write.if_none_match"}),
        ({"ignores": {"if-match"}}, {"write.if_match"}),
        ({"denies": {"complete"}}, {"write.parts"}),
        ({"forgets_metadata": True}, {"write.head"}),
        ({"denies": {"put"}}, {"write.create"}),
        ({"denies": {"head"}}, {"write.head"}),
        ({"denies": {"create"}}, {"write.parts"}),
        ({"denies": {"abort"}}, {"write.abort"}),
    ],
    indirect=["stub"],
)
def test_a_server_that_is_no_s3_for_batcher_is_found_out(
    stub: Faults, wrong: set[str], engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that overwrites makes exactly once impossible; so does one that may not be asked."""
    code, found = check(capsys, "s3://my-bucket/events", "--engine", engine)
    assert marks(found, "error") == wrong, [one for one in found if one["mark"] == "error"]
    assert code == (1 if wrong else 0)
    assert "put if-none-match" in stub.requests
    assert not stub.keys


@pytest.mark.parametrize("stub", [{"ignores": {"if-none-match"}}], indirect=True)
def test_a_server_that_overwrites_is_told_with_what_follows(
    stub: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words."""
    del stub
    _, found = check(capsys, "s3://my-bucket/events")
    text = text_of(found, "write.if_none_match")
    assert "ignores If-None-Match" in text
    assert "exactly once is lost" in text


@pytest.mark.parametrize("stub", [{"denies": {"bucket", "configuration", "delete"}}], indirect=True)
def test_what_may_not_be_read_is_no_fault_and_names_its_permission(
    stub: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    """The writer's role may read none of it, nor delete: the objects stay, and are named."""
    code, found = check(capsys, "s3://my-bucket/events")
    assert code == 0
    assert marks(found, "error") == marks(found, "warning") == set()
    for name, permission in {
        "bucket": "s3:ListBucket",
        "bucket.versioning": "s3:GetBucketVersioning",
        "bucket.lifecycle": "s3:GetLifecycleConfiguration",
        "bucket.public_access": "s3:GetBucketPublicAccessBlock",
        "bucket.policy": "s3:GetBucketPolicy",
        "bucket.encryption": "s3:GetEncryptionConfiguration",
        "bucket.object_lock": "s3:GetBucketObjectLockConfiguration",
    }.items():
        assert name in marks(found, "not_checked")
        assert f"needs {permission}" in text_of(found, name)
    key, in_parts = sorted(stub.keys)
    assert key.startswith("events/_quarantine/_check/")
    assert in_parts == f"{key}-parts"
    (cleanup,) = [finding for finding in found if finding["check"] == "write.cleanup"]
    assert cleanup["subject"] == f"s3://my-bucket/{key}"
    assert "s3:DeleteObject" in cleanup["detail"]


def test_a_bucket_that_is_not_there_leaves_every_other_check_out(
    seaweedfs: SeaweedFS,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing else is asked, and each says why."""
    use(monkeypatch, seaweedfs.environ)
    code, found = check(capsys, f"s3://{bucket}")
    assert (code, marks(found, "error")) == (1, {"bucket"})
    assert "does not exist" in text_of(found, "bucket")
    left_out = marks(found, "not_checked")
    assert left_out == WRITTEN | {each.check for each in BUCKET_CALLS}
    assert "because the bucket does not exist" in text_of(found, "write.create")


def test_credentials_that_are_refused_are_one_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """HEAD does not say that it is them. No row is missing."""
    body = b"<Error><Code>InvalidAccessKeyId</Code><Message>unknown key</Message></Error>"
    with RespondingServer(403, {"Content-Type": "application/xml"}, body) as server:
        use(monkeypatch, {"AWS_ENDPOINT_URL_S3": server.url, "AWS_REGION": "us-east-1"})
        use(monkeypatch, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
        code, found = check(capsys, "s3://my-bucket")
        methods = {each.method for each in server.received}
        assert main(["check", "s3://my-bucket"]) == 1
    assert code == 1
    assert [each["check"] for each in found if each["mark"] == "error"] == ["bucket"]
    assert "InvalidAccessKeyId: unknown key" in text_of(found, "bucket")
    assert marks(found, "not_checked") == WRITTEN | {each.check for each in BUCKET_CALLS}
    assert methods == {"HEAD", "GET"}
    shown = capsys.readouterr().out
    assert "s3:ListBucket" not in shown
    assert "get_bucket" not in shown
    *_, error, summary = shown.splitlines()
    assert error.startswith("error ")
    assert shown.count("not checked  ") == 2
    assert summary == "s3://my-bucket: 1 ok, 1 error, 14 not checked"


def test_an_endpoint_that_never_answers_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says where, and how long it has waited."""
    monkeypatch.setattr(asking, "CALL_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        use(monkeypatch, {"AWS_ENDPOINT_URL_S3": url, "AWS_REGION": "us-east-1"})
        use(monkeypatch, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
        code, found = check(capsys, "s3://my-bucket")
    assert (code, marks(found, "error")) == (1, {"bucket"})
    assert f"{url}: no response within 0.2 s" in text_of(found, "bucket")


def test_nobody_listens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused at once."""
    use(monkeypatch, {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "AWS_REGION": "us-east-1"})
    use(monkeypatch, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    code, found = check(capsys, "s3://my-bucket")
    assert (code, marks(found, "error")) == (1, {"bucket"})
    assert "cannot reach" in text_of(found, "bucket")


def test_without_credentials_it_is_said_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    """Once, and nothing else is asked."""
    code, found = check(capsys, "s3://my-bucket", "--no-write")
    assert (code, marks(found, "error")) == (1, {"bucket"})
    assert "AWS_PROFILE" in text_of(found, "bucket")


def test_a_folder_is_tried_and_left_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same requests as to S3."""
    code, found = check(capsys, f"file://{tmp_path}/out")
    assert (code, marks(found, "error")) == (0, set())
    assert marks(found, "ok") >= WRITTEN | {"folder", "folder.space"}
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    assert check(capsys, f"file://{tmp_path}/out")[0] == 0
    assert list(tmp_path.rglob("*")) == [tmp_path / "out"]


def test_a_folder_that_cannot_be_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file stands in its place."""
    (tmp_path / "out").write_text("x")
    code, found = check(capsys, f"file://{tmp_path}/out/deeper")
    assert code == 1
    assert marks(found, "error") == {"folder"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen without writing, too."""
    tmp_path.chmod(0o500)
    code, found = check(capsys, f"file://{tmp_path}/out", "--no-write")
    assert (code, marks(found, "error")) == (1, {"folder"})


@pytest.mark.parametrize(
    "arguments",
    [
        ["s3://my-bucket", "--fanout", "3"],
        ["ftp://my-bucket"],
        [],
        ["--function", "f", "--fanout", "3"],
    ],
)
def test_wrong_usage_is_told_as_everywhere_else(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, all faults on standard error."""
    use(monkeypatch, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "us-east-1"})
    use(monkeypatch, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    assert main(["check", *arguments]) == 2
    assert "wrong usage or settings:" in capsys.readouterr().err


def test_lines_have_a_mark_what_was_found_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Aligned text where no terminal is; the counts are last."""
    (tmp_path / "out").write_text("x")
    assert main(["check", f"file://{tmp_path}/out"]) == 1
    *lines, summary = capsys.readouterr().out.splitlines()
    words = f"{tmp_path}/out is not a folder; choose another destination"
    assert any(line.split(maxsplit=2) == ["error", "folder", words] for line in lines)
    assert summary == f"file://{tmp_path}/out: 2 ok, 1 error, 8 not checked"


@pytest.mark.parametrize("has_rich", [True, False])
def test_a_terminal_gets_the_same_lines(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    has_rich: bool,  # noqa: FBT001  # a case
) -> None:
    """With or without rich, which is an extra."""
    really_import = builtins.__import__

    def without_rich(name: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401  # as the builtin
        if name.partition(".")[0] == "rich" and not has_rich:
            raise ImportError(name)
        return really_import(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_rich)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["check", f"file://{tmp_path}", "--no-write"]) == 0
    assert "settings      valid" in capsys.readouterr().out
