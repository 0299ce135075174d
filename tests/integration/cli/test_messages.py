"""Options of all commands: how much is said, in which form, and the AWS profile."""

from __future__ import annotations

import gzip
import logging
import os
import sys
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from batcher.cli import main
from batcher.cli.output import echo
from integration.cli.test_output import LOGGING
from support.output_schema import parse_lines
from support.responding_server import RespondingServer
from support.store_fixtures import ENGINES

CONFIG = "[default]\nregion = eu-west-1\n[profile dev]\nregion = eu-west-3\n[sso-session corp]\n"
CREDENTIALS = "[dev]\naws_access_key_id = FROMPROFILE\naws_secret_access_key = x\n"
EMPTY_LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a file with a bad line, in a working folder."""
    monkeypatch.chdir(tmp_path)
    Path("in").write_text("bad\n1\n")
    return "in"


def test_quiet_leaves_errors_only(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["write", source, "file://out", "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["write", source, "file://out", "--on-bad-record", "fail", "--quiet"]) == 1
    printed = capsys.readouterr().err.splitlines()
    assert printed[0].startswith("batcher: error: in:1: ")
    assert "batcher write corrected " in printed[-1]  # the next step belongs to the error
    assert not any("warning: " in line or " records/s" in line for line in printed)
    assert main(["write", source, "s4://b", "-q"]) == 2
    assert "wrong usage" in capsys.readouterr().err


def test_quiet_does_not_hide_where_reading_stopped(
    source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cut.gz").write_bytes(gzip.compress(b"1\n")[:-4])
    assert main(["write", source, "cut.gz", "file://out", "-q"]) == 1
    assert "stopped reading at cut.gz:2, " in capsys.readouterr().err


@pytest.mark.usefixtures("source")
def test_messages_can_be_objects_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One a line, whatever a message has in it, with the level apart from the text."""
    odd = Path(os.fsdecode(b"odd\xff\n\x1b[2J"))
    odd.write_text("bad\n1\n")
    json_messages = ["--log-format", "json"]
    assert main(["write", str(odd), "gone", "file://out", *json_messages]) == 2
    assert main(["write", str(odd), "file://out", *json_messages]) == 0
    documents = parse_lines("message", capsys.readouterr().err)
    assert [each["level"] for each in documents] == ["error", "warning", "info", "info"]
    for each in documents:
        assert list(each) == ["time", "level", "message"]
        assert datetime.fromisoformat(each["time"]).utcoffset() is not None
        assert "\x1b" not in each["message"]
    usage, warning, hint, summary = (each["message"] for each in documents)
    assert usage.splitlines()[-1] == "try 'batcher write --help'"
    assert warning.startswith("odd")
    assert hint.startswith("quarantined lines: see batcher cat ")
    assert summary.startswith("1 record in 1 object under ")


def test_the_format_ends_with_the_command(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["write", source, "file://out", "-q", "--log-format", "json"]) == 0
    echo("warning: and so on")
    assert capsys.readouterr().err == "batcher: warning: and so on\n"


@pytest.mark.parametrize(
    ("flags", "levels"),
    [
        (["-q"], ["error"]),
        ([], ["warning", "error"]),
        (["-v"], ["warning", "error", "info"]),
        (["-vv"], ["warning", "error", "info", "debug"]),
        (["-v", "--verbose", "-v"], ["warning", "error", "info", "debug"]),
    ],
)
def test_verbose_shows_more_of_the_log(
    source: str,
    flags: list[str],
    levels: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = f"logs_{token_hex(4)}"
    Path(f"{module}.py").write_text(
        LOGGING.replace("    return", '    log.debug("in depth")\n    return')
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["write", source, "file://out", "-q"]) == 0
    capsys.readouterr()
    before = logging.getLogger("batcher").level
    replay = ["replay", "file://out", "--transform", f"{module}:speak", "--dry-run"]
    assert main([*replay, *flags]) == 0
    shown = [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()]
    assert shown == levels
    assert logging.getLogger("batcher").level == before


@pytest.fixture
def aws_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the files of AWS. Keys in the environment are others."""
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    (tmp_path / "config").write_text(CONFIG)
    (tmp_path / "credentials").write_text(CREDENTIALS)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROMENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")


@pytest.mark.usefixtures("aws_files")
def test_a_traceback_is_shown_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    for flags, is_shown in (([], False), (["-v"], False), (["-vv"], True)):
        with RespondingServer(403) as server:
            assert main(["ls", "s3://my-bucket/x", "--endpoint-url", server.url, *flags]) == 1
        printed = capsys.readouterr().err
        assert ("Traceback" in printed) is is_shown
        assert "my-bucket" in printed.splitlines()[-1]


def test_wrong_usage_has_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "s4://b", "-vv"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def signatures(words: list[str]) -> list[str]:
    """List a bucket with these options, and return key and region of each request."""
    with RespondingServer(200, {"Content-Type": "application/xml"}, EMPTY_LISTING) as server:
        assert main(["ls", "s3://my-bucket/x", "--endpoint-url", server.url, *words]) == 0
    assert server.received
    scopes = [each.headers["authorization"].partition("Credential=")[2] for each in server.received]
    tokens = [each.headers.get("x-amz-security-token", "") for each in server.received]
    parts = [scope.split("/") for scope in scopes]
    return [f"{each[0]} {each[2]} {token}" for each, token in zip(parts, tokens, strict=True)]


@pytest.mark.usefixtures("aws_files")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_profile_beats_keys_in_the_environment(engine: str) -> None:
    """As in the AWS command line. A region in the environment beats that of the profile."""
    flags = ["--engine", engine]
    environ: dict[str, Any] = dict(os.environ)
    assert set(signatures([*flags, "--profile", "dev"])) == {"FROMPROFILE eu-west-3 "}
    assert dict(os.environ) == environ
    assert set(signatures(flags)) == {"FROMENVIRONMENT eu-west-1 token"}
    assert set(signatures([*flags, "--profile", "dev", "--region", "eu-north-1"])) == {
        "FROMPROFILE eu-north-1 "
    }


@pytest.mark.usefixtures("aws_files")
@pytest.mark.parametrize("command", ["ls", "cat", "verify", "replay", "check", "write -"])
def test_a_profile_that_does_not_exist_is_named(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With those that do, and the files."""
    words = [*command.split(), "s3://my-bucket/x"]
    assert main([*words, "--profile", "dve"]) == 2
    assert capsys.readouterr().err.splitlines()[1] == (
        f"  - --profile: no profile 'dve' in {tmp_path}/config and {tmp_path}/credentials; "
        "did you mean dev? there are: default, dev"
    )
    assert main([*words, "--profile", ""]) == 2  # a variable of a script that is not set
    assert "--profile: no profile '' in " in capsys.readouterr().err
    (tmp_path / "config").write_text("no section")
    (tmp_path / "credentials").unlink()
    assert main([*words, "--profile", "dev"]) == 2
    assert capsys.readouterr().err.splitlines()[1].endswith("/credentials; there are none")


@pytest.mark.usefixtures("aws_files")
def test_a_missing_profile_is_one_of_all_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "s4://b", "--profile", "prod", "--since", "x", "--jsn"]) == 2
    printed = capsys.readouterr().err
    for name in ("--jsn", "--profile", "PLACE", "--since"):
        assert f"\n  - {name}: " in printed
