"""Credentials of a developer's machine with obstore: profiles, roles, programs, single sign-on."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest

from batcher.errors import RetryableError, install_hint
from batcher.stores.credentials.provider import find_provider
from support.http_stub import Stub
from support.s3_servers import Moto

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/writer"
TOKEN = "eyJhbGciOi.of-the-browser"
FOREVER_MS = 4_102_444_800_000
SSO = "sso_account_id = 123456789012\nsso_role_name = Writer\nsso_region = eu-west-1\n"
PUT = """
import asyncio, os
from batcher.errors import BatcherError
from batcher.settings import Settings
from batcher.stores import ObjectAttributes, open_store

async def put():
    store = open_store(Settings(bucket="my-bucket", engine="obstore"))
    await store.put("key", b"body", ObjectAttributes())
    await store.aclose()

try:
    asyncio.run(put())
except BatcherError as error:
    print(f"{type(error).__name__}: {error}", flush=True)
os._exit(0)  # as the command line does with obstore
"""


class Services(BaseHTTPRequestHandler):
    """Takes objects, and gives credentials: of single sign-on, and of a container."""

    signed_by: ClassVar[list[tuple[str, str]]] = []
    """Access key and session token of each PUT."""

    def do_PUT(self) -> None:
        """Store nothing, but remember who signed."""
        self.rfile.read(int(self.headers["Content-Length"]))
        key_id = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        self.signed_by.append((key_id, self.headers.get("x-amz-security-token", "")))
        self._respond(200, b"")

    def do_GET(self) -> None:
        """Return credentials for a token that is right."""
        if self.path.startswith("/federation/credentials?"):
            is_known = self.headers["x-amz-sso_bearer_token"] == TOKEN
            keys: dict[str, Any] = {"accessKeyId": "SSO", "secretAccessKey": "x"}
            keys |= {"sessionToken": "SSOTOKEN", "expiration": FOREVER_MS}
            self._respond(200 if is_known else 401, json.dumps({"roleCredentials": keys}).encode())
        else:
            is_known = self.headers["Authorization"] == TOKEN
            keys = {"AccessKeyId": "BOX", "SecretAccessKey": "x", "Token": "BOXTOKEN"}
            keys["Expiration"] = "2100-01-01T00:00:00Z"
            self._respond(200 if is_known else 401, json.dumps(keys).encode())

    def _respond(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("ETag", '"e"')
        self.send_header("x-amzn-ErrorType", "UnauthorizedException")  # read with a status of 401
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def environ(moto: Moto, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the environment of a user with a home folder, in which no variable has keys."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / "token").write_text("a token")
    Services.signed_by.clear()
    with Stub(Services, "AWS_ENDPOINT_URL_S3", "eu-west-1") as server:
        url = server.environ["AWS_ENDPOINT_URL_S3"]
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
        yield inherited | {
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_ENDPOINT_URL_SSO": url,
            "AWS_ENDPOINT_URL_STS": moto.environ["AWS_ENDPOINT_URL_S3"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": "eu-west-1",
        }


def put(environ: Mapping[str, str], *, without: tuple[str, ...] = ()) -> str:
    """Write an object in a process of its own, and return what it printed."""
    script = f"import sys; sys.modules.update(dict.fromkeys({without!r}))\n{PUT}"
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=dict(environ),
        timeout=120,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def write_sign_on(home: Path, name: str) -> None:
    """Write what `aws sso login` leaves behind."""
    folder = home / ".aws" / "sso" / "cache"
    folder.mkdir(parents=True)
    token = {"accessToken": TOKEN, "expiresAt": "2100-01-01T00:00:00Z", "region": "eu-west-1"}
    file = folder / f"{hashlib.sha1(name.encode()).hexdigest()}.json"  # noqa: S324  # the tool's own
    file.write_text(json.dumps(token))


PROCESS = json.dumps(
    {"Version": 1, "AccessKeyId": "PROC", "SecretAccessKey": "x", "SessionToken": "PROCTOKEN"}
)
SOURCES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "profile": (
        "[profile dev]\naws_access_key_id = PROFILE\naws_secret_access_key = x\n",
        {"AWS_PROFILE": "dev"},
    ),
    "role": (
        (
            f"[profile dev]\nrole_arn = {ROLE}\nsource_profile = base\n"
            "[profile base]\naws_access_key_id = BASE\naws_secret_access_key = x\n"
        ),
        {"AWS_PROFILE": "dev"},
    ),
    "web identity": (
        "",
        {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/token"},
    ),
    "process": (
        "[profile dev]\ncredential_process = cat {home}/process\n",
        {"AWS_PROFILE": "dev"},
    ),
    "sso session": (
        (
            f"[profile dev]\nsso_session = corp\n{SSO}"
            "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.example\n"
        ),
        {"AWS_PROFILE": "dev"},
    ),
    "sso profile": (
        f"[profile dev]\nsso_start_url = corp\n{SSO}",
        {"AWS_PROFILE": "dev"},
    ),
    "container": (
        "",
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "{server}/container",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": TOKEN,
        },
    ),
}
"""The user's file, and variables."""


def prepare(name: str, environ: dict[str, str]) -> dict[str, str]:
    """Write the files of a source of credentials, and return the environment that leads to it."""
    home = Path(environ["HOME"])
    config, variables = SOURCES[name]
    (home / ".aws" / "config").write_text(config.replace("{home}", str(home)))
    (home / "process").write_text(PROCESS)
    if name.startswith("sso"):
        write_sign_on(home, "corp")
    values = {"home": home, "server": environ["AWS_ENDPOINT_URL_S3"]}
    return environ | {key: text.format_map(values) for key, text in variables.items()}


@pytest.mark.parametrize(
    ("name", "key_id", "token"),
    [
        ("profile", "PROFILE", ""),
        ("role", "ASIA", "any"),
        ("web identity", "ASIA", "any"),
        ("process", "PROC", "PROCTOKEN"),
        ("sso session", "SSO", "SSOTOKEN"),
        ("sso profile", "SSO", "SSOTOKEN"),
        ("container", "BOX", "BOXTOKEN"),
    ],
)
def test_an_object_is_signed_with_the_credentials_of_the_chain(
    name: str, key_id: str, token: str, environ: dict[str, str]
) -> None:
    """All of them by botocore; roles are assumed from moto's STS."""
    assert put(prepare(name, environ)) == ""
    ((signed_by, session_token),) = Services.signed_by
    assert signed_by[: len(key_id)] == key_id
    assert bool(session_token) if token == "any" else session_token == token


@pytest.mark.parametrize("name", SOURCES)
def test_without_botocore_the_same_is_one_clear_error(name: str, environ: dict[str, str]) -> None:
    """Nothing is sent, and obstore does not look for credentials by itself."""
    printed = put(prepare(name, environ), without=("boto3", "botocore"))
    assert printed.startswith("RejectedError: PutObject s3://my-bucket/key: no credentials: ")
    assert printed.count("\n") == 1
    assert install_hint("cli") in printed
    assert Services.signed_by == []


def test_a_token_of_single_sign_on_that_is_refused_is_told(environ: dict[str, str]) -> None:
    """With what to do."""
    prepared = prepare("sso session", environ)
    (file,) = (Path(environ["HOME"]) / ".aws" / "sso" / "cache").iterdir()
    file.write_text(file.read_text().replace(TOKEN, "old"))
    assert "run `aws sso login --profile dev`" in put(prepared)
    file.unlink()
    assert "run `aws sso login --profile dev`" in put(prepared)
    assert Services.signed_by == []


@pytest.mark.parametrize(("duration_s", "is_due"), [(900, True), (3_600, False)])
def test_credentials_of_a_role_are_renewed_by_botocore_when_they_are_due(
    duration_s: int,
    is_due: bool,  # noqa: FBT001  # a case
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It renews in the last 15 minutes, so credentials of 15 minutes are due at once."""
    for key, text in prepare("role", environ).items():
        monkeypatch.setenv(key, text)
    file = Path(environ["HOME"]) / ".aws" / "config"
    file.write_text(file.read_text().replace("source", f"duration_seconds = {duration_s}\nsource"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    asked = ("PutObject", "my-bucket", "key")
    provider = find_provider(*asked)
    assert provider.is_refresh_due()
    first = provider.get_credentials(*asked)
    assert first.access_key_id.startswith("ASIA")
    assert provider.is_refresh_due() == is_due
    assert (provider.get_credentials(*asked) != first) == is_due


def test_an_sts_that_cannot_be_reached_is_not_called_s3(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry may help, and the message has the address."""
    for key, text in prepare("role", environ).items():
        monkeypatch.setenv(key, text)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{environ['HOME']}/.aws/config")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(RetryableError, match=r"cannot get credentials: .*127\.0\.0\.1:1"):
        find_provider("PutObject", "my-bucket", "key").get_credentials("PutObject", "b", "key")
