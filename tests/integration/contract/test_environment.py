"""Environments without usable credentials: one line says what was found, where, and what to do."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from traceback import format_exception

import pytest

from batcher.errors import BatcherError, RejectedError, RetryableError
from batcher.stores import ObjectAttributes
from batcher.stores.credentials import sdk_provider
from batcher.stores.credentials import source as credential_source
from batcher.stores.credentials.errors import translate_credential_error
from batcher.tools.aws import AwsCallError, AwsSession, CallLimits
from support.examples import make_settings
from support.responding_server import RespondingServer
from support.store_fixtures import ENGINES

ROLE = "arn:aws:iam::111122223333:role/writer"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
SOURCE = "[profile base]\naws_access_key_id = a\naws_secret_access_key = x\n"
DENIAL = (
    "<ErrorResponse><Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/u is not "
    f"authorized to perform: sts:AssumeRole on resource: {ROLE}</Message></Error></ErrorResponse>"
)
DENY = "with an explicit deny in an identity-based policy"
SIGN_ON = (
    "[default]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = r\n"
    "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.example\n"
)
SETTINGS = (  # noqa: SIM905  # a list of them is a page
    "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_DEFAULT_PROFILE "
    "AWS_REGION AWS_DEFAULT_REGION AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE AWS_ENDPOINT_URL "
    "AWS_ENDPOINT_URL_S3 AWS_CA_BUNDLE AWS_ROLE_ARN AWS_WEB_IDENTITY_TOKEN_FILE "
    "AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_CREDENTIALS_RELATIVE_URI "
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS HTTP_PROXY HTTPS_PROXY"
).split()
PRINTED_NULL = """echo '{"Version": 1, "AccessKeyId": null, "SecretAccessKey": "x"}'"""
PRINTED_EXPIRED = (
    """echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "x", "SessionToken": "t", """
    """"Expiration": "2020-01-01T00:00:00Z"}'"""
)
NOT_OF_TOOLS = {
    "no certificates",
    "no region",
    "line break after the region",
    "region of a profile",
}
"""botocore has its own words, or the tool's region is a setting."""
EACH_ENGINE = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of AWS in a home of its own, which is empty."""
    folder = tmp_path / ".aws"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name)
    return folder


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the URL of a server that accepts connections, and does not respond."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def put(engine: str, endpoint_url: str = "http://127.0.0.1:1") -> BatcherError | None:
    """Return the error of one PUT, or None if it succeeds."""
    store = ENGINES[engine](make_settings(engine=engine, endpoint_url=endpoint_url))
    try:
        await store.put("key", b"body", ObjectAttributes())
    except BatcherError as error:
        return error
    finally:
        await store.aclose()
    return None


async def call_tool() -> AwsCallError:
    """Return the error of a tool's call."""
    session = AwsSession("eu-west-1", CallLimits(timeout_s=5.0, attempts=1))
    try:
        with pytest.raises(AwsCallError) as caught:
            await session.call("s3", "list_buckets", "s3:ListAllMyBuckets")
    finally:
        await session.aclose()
    return caught.value


CASES: Mapping[str, tuple[str | None, Mapping[str, str], type[BatcherError], list[str]]] = {
    "nothing": (
        None,
        {},
        RejectedError,
        [
            "no credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            "{home}/config does not exist",
            "{home}/credentials does not exist",
        ],
    ),
    "key without secret": (
        None,
        {"AWS_ACCESS_KEY_ID": "a"},
        RejectedError,
        ["incomplete", "AWS_ACCESS_KEY_ID is set", "set AWS_SECRET_ACCESS_KEY too"],
    ),
    "secret without key": (
        None,
        {"AWS_SECRET_ACCESS_KEY": "x"},
        RejectedError,
        ["AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID", "set AWS_ACCESS_KEY_ID"],
    ),
    "empty key": (
        None,
        {"AWS_SECRET_ACCESS_KEY": "x", "AWS_ACCESS_KEY_ID": ""},
        RejectedError,
        ["set AWS_ACCESS_KEY_ID"],
    ),
    "half a pair in a file": (
        "[default]\naws_access_key_id = a\n",
        {},
        RejectedError,
        ["profile 'default'", "configuration file", "set aws_secret_access_key"],
    ),
    "no such profile": (
        "[default]\n[profile one]\n[profile two]\n[sso-session x]\n",
        {"AWS_PROFILE": "three"},
        RejectedError,
        ["AWS_PROFILE names a profile", "'three'", "profiles: default, one, two;", "{home}/config"],
    ),
    "profile without files": (
        None,
        {"AWS_PROFILE": "three", **KEYS},
        RejectedError,
        ["'three'", "profiles: none", "{home}/config does not exist"],
    ),
    "default profile": (
        None,
        {"AWS_DEFAULT_PROFILE": "three"},
        RejectedError,
        ["AWS_DEFAULT_PROFILE names a profile that does not exist: 'three'"],
    ),
    "broken file": ("[default\n", {}, RejectedError, ["{home}/config cannot be parsed", "correct"]),
    "broken line": (
        "[default]\nregion = eu-west-1\naws_secret_access_key wJalrXUtnFEMI\n",
        {},
        RejectedError,
        ["line 3 of {home}/config cannot be parsed; correct it"],
    ),
    "broken file beside keys": (
        "[default\n",
        KEYS,
        RejectedError,
        ["{home}/config cannot be parsed"],
    ),
    "file that is a folder": (
        None,
        {"AWS_CONFIG_FILE": "{home}"},
        RejectedError,
        ["{home} cannot be read: Is a directory"],
    ),
    "program fails": (
        "[default]\ncredential_process = sh -c 'echo sorry >&2; exit 3'\n",
        {},
        RetryableError,
        ["credential_process: sorry; run the program"],
    ),
    "program fails silently": (
        "[default]\ncredential_process = false\n",
        {},
        RetryableError,
        ["credential_process: it ended with code 1"],
    ),
    "program prints no JSON": (
        "[default]\ncredential_process = echo hello\n",
        {},
        RetryableError,
        ["credential_process: it does not print JSON"],
    ),
    "no program": (
        "[default]\ncredential_process = /nowhere/at-all\n",
        {},
        RejectedError,
        ["credential_process: /nowhere/at-all: No such file"],
    ),
    "no sign-on": (SIGN_ON, {}, RejectedError, ["no single sign-on", "run `aws sso login`"]),
    "no sign-on of a profile": (
        SIGN_ON.replace("[default]", "[profile dev]"),
        {"AWS_PROFILE": "dev"},
        RejectedError,
        ["run `aws sso login --profile dev`"],
    ),
    "no token file": (
        None,
        {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token"},
        RejectedError,
        ["STS (AssumeRoleWithWebIdentity): AWS_WEB_IDENTITY_TOKEN_FILE /nowhere/token: No such"],
    ),
    "container of another host": (
        None,
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/x"},
        RejectedError,
        ["the container's credentials endpoint: Unsupported host 'example.com'"],
    ),
    "no region": (
        f"[default]\nrole_arn = {ROLE}\nsource_profile = base\n{SOURCE}",
        {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1"},
        RejectedError,
        ["no region for STS (AssumeRole); set AWS_REGION"],
    ),
    "source profile is missing": (
        f"[default]\nrole_arn = {ROLE}\nsource_profile = gone\n",
        {},
        RejectedError,
        ["gone"],
    ),
    "program prints a list": (
        "[default]\ncredential_process = echo [1]\n",
        {},
        RetryableError,
        ["credential_process: it does not print a JSON object"],
    ),
    "program prints no text": (
        f"[default]\ncredential_process = {PRINTED_NULL}\n",
        {},
        RejectedError,
        ["the access key from credential_process is not a text"],
    ),
    "program prints what has expired": (
        f"[default]\ncredential_process = {PRINTED_EXPIRED}\n",
        {},
        RejectedError,
        ["cannot get credentials: ", "still expired"],
    ),
    "empty program": (
        "[default]\ncredential_process =\n",
        {},
        RejectedError,
        ["cannot get credentials: ", "its settings cannot be used"],
    ),
    "empty keys in a file": (
        "[default]\naws_access_key_id =\naws_secret_access_key =\n",
        {},
        RejectedError,
        ["the access key from the configuration file is empty"],
    ),
    "line break after a key": (
        None,
        {**KEYS, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE\n"},
        RejectedError,
        ["the access key from environment variables starts or ends with white space"],
    ),
    "line break after a secret": (
        None,
        {**KEYS, "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI\n"},
        RejectedError,
        ["the secret key from environment variables starts or ends with white space"],
    ),
    "header in a token": (
        None,
        {**KEYS, "AWS_SESSION_TOKEN": "wJalrXUtnFEMI\r\nx-evil: 1"},
        RejectedError,
        ["the session token from environment variables has a line break or another character"],
    ),
    "bytes in a token": (
        None,
        {**KEYS, "AWS_SESSION_TOKEN": "wJalrXUtnFEMI\udcff"},
        RejectedError,
        ["the session token from environment variables has a line break or another character"],
    ),
    "line break after the region": (
        None,
        {**KEYS, "AWS_REGION": "eu-west-1\n"},
        RejectedError,
        ["'eu-west-1\\n' is not the name of a region; correct AWS_REGION"],
    ),
    "region of a profile": (
        "[default]\nregion = eu west\n",
        KEYS,
        RejectedError,
        ["'eu west' is not the name of a region", "region of the profile"],
    ),
    "no certificates": (
        None,
        {**KEYS, "AWS_CA_BUNDLE": "/nowhere/ca.pem"},
        RejectedError,
        ["the certificates in /nowhere/ca.pem cannot be read", "correct AWS_CA_BUNDLE"],
    ),
}
"""The configuration file, variables, the class of the error, and what it says."""


@EACH_ENGINE
@pytest.mark.parametrize("name", CASES)
async def test_what_was_found_is_told(
    engine: str, name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, with the object, and in the same words by both engines."""
    text, environ, kind, said = CASES[name]
    if text is not None:
        (home / "config").write_text(text)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value.format(home=home))
    error = await put(engine)
    assert type(error) is kind
    message = str(error)
    assert message.startswith("PutObject s3://my-bucket/key: ")
    assert "\n" not in message
    assert [part for part in said if part.format(home=home) not in message] == []
    traceback = "".join(format_exception(error))  # a file that is broken may have secrets in it
    assert "wJalrXUtnFEMI" not in traceback
    assert "127.0.0.1:1" not in message  # nothing was sent to S3, and S3 is not to blame


@pytest.mark.parametrize("name", [name for name in CASES if name not in NOT_OF_TOOLS])
async def test_the_tools_tell_the_same(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check`, `plan` and `replay` call AWS with boto3."""
    text, environ, kind, said = CASES[name]
    if text is not None:
        (home / "config").write_text(text)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value.format(home=home))
    if name == "container of another host":
        said = ["Unsupported host 'example.com'"]  # botocore asks it while it makes a client
    elif name in {"no program", "no token file"}:
        said = ["/nowhere/"]
    error = await call_tool()
    assert [part for part in said if part.format(home=home) not in str(error)] == []
    assert error.retryable == (kind is RetryableError)


def test_a_code_that_nobody_can_enter_is_named() -> None:
    """The SDK asks for it on a terminal, which a function and a job do not have."""
    error = translate_credential_error(EOFError(), "PutObject s3://b/k", "assume-role")
    assert type(error) is RejectedError
    assert "STS (AssumeRole): the profile has mfa_serial" in str(error)


@EACH_ENGINE
@pytest.mark.parametrize("variable", ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"])
async def test_a_fifo_in_the_place_of_a_file_is_named(
    engine: str, variable: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for what would be written to it."""
    os.mkfifo(home / "fifo")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv(variable, str(home / "fifo"))
    for name, value in KEYS.items() if variable == "AWS_CA_BUNDLE" else ():
        monkeypatch.setenv(name, value)
    error = await put(engine)
    assert type(error) is RejectedError
    assert f"{home}/fifo cannot be read: it is not a regular file" in str(error)


@EACH_ENGINE
async def test_settings_that_the_sdk_cannot_use_are_an_error_of_the_profile(
    engine: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other engine does not need them."""
    (home / "config").write_text("[default]\ns3 = 5\n")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with RespondingServer(200, {"ETag": '"0"'}) as server:
        error = await put(engine, server.url)
    if engine == "obstore":
        assert error is None
    else:
        assert type(error) is RejectedError
        assert "correct the profile" in str(error)


@EACH_ENGINE
async def test_a_home_folder_that_is_not_set_is_no_obstacle(
    engine: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With keys in the environment; without them, one line says so."""
    del home
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "~nobody-knows-this-user/credentials")
    monkeypatch.setenv("AWS_CONFIG_FILE", "~nobody-knows-this-user/config")
    error = await put(engine)
    assert type(error) is RejectedError
    assert "~nobody-knows-this-user/config cannot be read" in str(error) or (
        "~nobody-knows-this-user/config does not exist" in str(error)
    )
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with RespondingServer(200, {"ETag": '"e"'}) as server:
        assert await put(engine, server.url) is None


@EACH_ENGINE
async def test_an_empty_variable_is_not_set(
    engine: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As scripts and compose files leave them: botocore would look for a profile without a name."""
    for name in SETTINGS:
        monkeypatch.setenv(name, "")
    assert "no credentials; " in str(await put(engine))
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with RespondingServer(200, {"ETag": '"e"'}) as server:
        assert await put(engine, server.url) is None
        (home / "config").write_text("[default]\nregion = eu-north-1\n")
        assert await put(engine, server.url) is None
    assert "/eu-north-1/s3/" in server.received[-1].headers["authorization"]


@EACH_ENGINE
@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (403, DENIAL, RejectedError, ["STS answered AssumeRole with 403 AccessDenied", "trust"]),
        (
            403,
            DENIAL.replace("</Message>", f" {DENY}</Message>"),
            RejectedError,
            ["STS", "a statement of an identity-based policy denies sts:AssumeRole"],
        ),
        (
            403,
            DENIAL.replace("sts:AssumeRole on", "sts:TagSession on"),
            RejectedError,
            ["STS", f"allow sts:TagSession on {ROLE}"],
        ),
        (
            400,
            DENIAL.replace("AccessDenied", "ExpiredToken"),
            RejectedError,
            ["STS answered AssumeRole with 400 ExpiredToken", "renew"],
        ),
        (
            403,
            DENIAL.replace("AccessDenied", "SignatureDoesNotMatch").replace(
                "<Message>", "<Message>Signature expired: 2026 is now earlier than 2027 "
            ),
            RejectedError,
            ["STS answered", "clock is off"],
        ),
        (500, DENIAL.replace("AccessDenied", "InternalFailure"), RetryableError, ["STS answered"]),
    ],
    ids=["denied", "explicit deny", "another action", "expired", "clock", "busy"],
)
async def test_a_refusal_of_sts_is_not_called_one_of_s3(  # noqa: PLR0913, PLR0917  # columns of a table
    engine: str,
    status: int,
    body: str,
    kind: type[BatcherError],
    said: list[str],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And its hints are about the role, not about the bucket."""
    (home / "config").write_text(f"[default]\nrole_arn = {ROLE}\nsource_profile = base\n{SOURCE}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with RespondingServer(status, {"Content-Type": "text/xml"}, body.encode()) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        error = await put(engine)
        tool_error = await call_tool()
    assert type(error) is kind
    for text in (str(error), str(tool_error)):
        assert "cannot get credentials: " in text
        assert [part for part in said if part not in text] == []
        assert "s3:PutObject" not in text
        assert "s3:ListAllMyBuckets" not in text


@EACH_ENGINE
@pytest.mark.parametrize(
    ("text", "environ", "said"),
    [
        ("[default]\ncredential_process = sleep 20\n", {}, "credential_process"),
        (
            f"[default]\nrole_arn = {ROLE}\nsource_profile = base\n{SOURCE}",
            {"AWS_ENDPOINT_URL_STS": "{silent}", "AWS_REGION": "eu-west-1"},
            "STS (AssumeRole)",
        ),
        (
            "",
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{silent}/x"},
            "the container's credentials endpoint",
        ),
        (
            "",
            {
                "AWS_EC2_METADATA_DISABLED": "false",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{silent}",
                "AWS_METADATA_SERVICE_TIMEOUT": "20",
            },
            "EC2's instance metadata",
        ),
    ],
    ids=["program", "STS", "container", "EC2"],
)
async def test_a_source_that_does_not_respond_is_named(  # noqa: PLR0913, PLR0917  # columns of a table
    engine: str,
    text: str,
    environ: Mapping[str, str],
    said: str,
    home: Path,
    silent: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request waits for it for a limited time, and may be sent again."""
    monkeypatch.setattr(credential_source, "SEARCH_TIMEOUT_S", 1.0)
    monkeypatch.setattr(sdk_provider, "PROCESS_TIMEOUT_S", 3.0)
    (home / "config").write_text(text)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value.format(silent=silent))
    error = await put(engine)
    assert type(error) is RetryableError
    assert str(error).endswith(f"cannot get credentials: {said}: no response within 1 s")


@EACH_ENGINE
async def test_a_program_that_does_not_end_is_ended(
    engine: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the next search is not held up by it."""
    monkeypatch.setattr(sdk_provider, "PROCESS_TIMEOUT_S", 0.5)
    script = tmp_path / "program"
    script.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 30\n")
    script.chmod(stat.S_IRWXU)
    (home / "config").write_text(f"[default]\ncredential_process = {script}\n")
    error = await put(engine)
    assert type(error) is RetryableError
    assert "credential_process: it has not ended within" in str(error)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
