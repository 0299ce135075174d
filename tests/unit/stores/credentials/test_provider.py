"""Where S3 is and who asks: as botocore has it, and mostly without botocore."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from batcher.errors import RejectedError, RetryableError, install_hint
from batcher.stores.credentials.endpoint import Credentials, Endpoint
from batcher.stores.credentials.provider import (
    EnvironmentCredentialProvider,
    find_provider,
    has_only_environment,
)
from batcher.stores.credentials.sdk_provider import SdkCredentialProvider

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "SECRET"}
REGION = {"AWS_REGION": "eu-west-1"}
ASKED = ("PutObject", "my-bucket", "key")
PROFILE = """
[default]
region = eu-north-1
[profile other]
region = sa-east-1
aws_access_key_id = PROFILED
aws_secret_access_key = HIDDEN
aws_session_token = TOKEN
services = here
ca_bundle = /opt/some-ca.pem
s3 =
  addressing_style = virtual
[services here]
s3 =
  endpoint_url = https://s3.example:9000
"""


def url_of(place: Endpoint, bucket: str) -> str:
    """Return the URL of the bucket's objects, as obstore puts it together."""
    url, is_in_host = place.bucket_url(bucket)
    return url if is_in_host else f"{url}/{bucket}"


class Nothing:
    """An empty body."""

    def stream(self) -> Iterator[bytes]:
        """Return no piece."""
        return iter(())


def botocore_url(bucket: str) -> str:
    """Return the URL of the bucket's objects, as botocore has it in this environment."""
    urls: list[str] = []

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        urls.append(request.url)
        return AWSResponse(request.url, 200, {}, Nothing())

    client = botocore.session.Session().create_client("s3", "eu-west-1")
    client.meta.events.register("before-send.s3", answer)
    client.head_object(Bucket=bucket, Key="KEY")
    client.close()
    return urls[0].removesuffix("/KEY")


@pytest.mark.parametrize("bucket", ["my-bucket", "my.bucket", "My_Bucket", "abc", "a" * 63])
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:8333"},
        {"AWS_ENDPOINT_URL": "https://s3.example/"},
        {"AWS_ENDPOINT_URL_S3": "https://one.example", "AWS_ENDPOINT_URL": "https://two.example"},
        {"AWS_ENDPOINT_URL": "https://no", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "True"},
    ],
    ids=lambda chosen: "+".join(chosen) or "none",
)
def test_objects_are_where_the_other_engine_has_them(
    bucket: str, chosen: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same host and path, whatever variables say, and whichever way we look at them."""
    environ = {**KEYS, "AWS_REGION": "eu-west-1", **chosen}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    expected = botocore_url(bucket)
    assert url_of(EnvironmentCredentialProvider(environ).endpoint, bucket) == expected
    assert url_of(SdkCredentialProvider(*ASKED).endpoint, bucket) == expected


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("us-east-1", "https://my-bucket.s3.us-east-1.amazonaws.com"),
        ("cn-north-1", "https://my-bucket.s3.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "https://my-bucket.s3.us-gov-west-1.amazonaws.com"),
    ],
)
def test_each_region_has_an_endpoint_of_its_own(region: str, url: str) -> None:
    """Those of China end otherwise."""
    assert url_of(Endpoint(region), "my-bucket") == url


def test_a_region_of_an_unknown_partition_is_left_to_the_other_engine() -> None:
    """A guess would send records to a host that is not Amazon's."""
    with pytest.raises(RejectedError, match="engine=aioboto3") as caught:
        Endpoint("us-iso-east-1").base_url()
    assert install_hint("aioboto3") in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({}, "us-east-1"),
    ],
)
def test_the_region_is_the_one_that_is_set(environ: Mapping[str, str], region: str) -> None:
    """Lambda sets both; where none is set S3's first one answers for all."""
    assert EnvironmentCredentialProvider({**KEYS, **environ}).endpoint.region == region


def test_keys_of_the_environment_are_taken_with_their_token() -> None:
    """Lambda's role has one; they last as long as the environment does."""
    access = EnvironmentCredentialProvider({**KEYS, "AWS_SESSION_TOKEN": "TOKEN"})
    assert access.get_credentials(*ASKED) == Credentials("AKID", "SECRET", "TOKEN")
    assert not access.is_refresh_due()
    assert "SECRET" not in repr(access.get_credentials(*ASKED))
    assert "TOKEN" not in repr(access.get_credentials(*ASKED))


def test_an_environment_decides_alone_only_where_no_file_can_say_otherwise(tmp_path: Path) -> None:
    """A profile or a file brings botocore in, which knows their rules."""
    file = tmp_path / "config"
    file.write_text(PROFILE)
    files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    assert has_only_environment({**KEYS, **files})
    assert not has_only_environment({"AWS_ACCESS_KEY_ID": "AKID", **files})
    assert not has_only_environment(files)
    assert not has_only_environment({**KEYS, **files, "AWS_PROFILE": "other"})
    assert not has_only_environment({**KEYS, **files, "AWS_CONFIG_FILE": str(file)})
    assert not has_only_environment({**KEYS, **files, "AWS_SHARED_CREDENTIALS_FILE": str(file)})


def test_a_profile_says_all_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys with their token, region, endpoint, addressing and certificates."""
    file = tmp_path / "config"
    file.write_text(PROFILE)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "other")
    access = find_provider(*ASKED)
    assert access.get_credentials(*ASKED) == Credentials("PROFILED", "HIDDEN", "TOKEN")
    assert not access.is_refresh_due()
    assert access.endpoint == Endpoint(
        "sa-east-1",
        "https://s3.example:9000",
        "/opt/some-ca.pem",
        "virtual",
    )
    assert url_of(access.endpoint, "my-bucket") == "https://my-bucket.s3.example:9000"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://nearer.example")
    place = find_provider(*ASKED).endpoint
    assert (place.region, place.url) == ("eu-west-1", "https://nearer.example")


@pytest.mark.parametrize(
    ("environ", "hint"),
    [
        ({}, "no credentials; set AWS_PROFILE"),
        ({"AWS_ACCESS_KEY_ID": "AKID"}, "incomplete credentials"),
        ({"AWS_PROFILE": "nobody"}, "names a profile that does not exist"),
    ],
)
def test_who_has_no_credentials_is_told_what_to_set(
    environ: Mapping[str, str], hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words of the other engine."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RejectedError, match=hint) as caught:
        find_provider(*ASKED)
    assert str(caught.value).startswith("PutObject s3://my-bucket/key: ")


def test_credentials_that_run_out_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is botocore that knows when; looking whether it is time costs no request."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    access = SdkCredentialProvider(*ASKED)

    class Role:
        """Credentials of a role that are due."""

        method = "assume-role"

        def refresh_needed(self) -> bool:
            """Return so."""
            return True

        def get_frozen_credentials(self) -> object:
            """Return new ones."""
            return botocore.credentials.ReadOnlyCredentials("NEW", "NEWER", None)

    monkeypatch.setattr(access, "_sdk_credentials", Role())
    assert access.is_refresh_due()
    assert access.get_credentials(*ASKED) == Credentials("NEW", "NEWER", "")


@pytest.fixture
def without_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make botocore impossible to import."""
    monkeypatch.delitem(sys.modules, "batcher.stores.credentials.sdk_provider")
    monkeypatch.setitem(sys.modules, "botocore", None)


def write_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """Write the file that profiles are in."""
    path = tmp_path / "config"
    path.write_text(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    return path


@pytest.mark.usefixtures("without_botocore")
def test_without_botocore_keys_of_the_environment_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a region, whatever keys a file has; other profiles do not count."""
    write_config(
        tmp_path,
        monkeypatch,
        "[default]\nregion = eu-north-1\naws_access_key_id = OTHER\n# ca_bundle = x\n"
        "[profile other]\nendpoint_url = https://s3.example\n",
    )
    for name, value in {**KEYS, "AWS_DEFAULT_REGION": "eu-west-2"}.items():
        monkeypatch.setenv(name, value)
    access = find_provider(*ASKED)
    assert access.get_credentials(*ASKED) == Credentials("AKID", "SECRET")
    assert (access.endpoint.region, access.endpoint.url) == ("eu-west-2", "")


@pytest.mark.usefixtures("without_botocore")
@pytest.mark.parametrize(
    ("text", "environ", "missing"),
    [
        ("[default]\nregion = eu-north-1\n", {}, "set AWS_REGION"),
        ("[default]\nendpoint_url = https://a\n", REGION, "set AWS_ENDPOINT_URL_S3"),
        ("[profile default]\n services=x\n", REGION, "set AWS_ENDPOINT_URL_S3"),
        ("[ default ]\nca_bundle = /ca.pem\n", REGION, "set AWS_CA_BUNDLE"),
        ("[default]\nuse_fips_endpoint = true\n", REGION, "set AWS_USE_FIPS_ENDPOINT"),
        ("[default]\ns3 =\n  addressing_style = path\n", REGION, "remove it"),
    ],
)
def test_without_botocore_a_file_is_not_left_out_silently(
    text: str,
    environ: Mapping[str, str],
    missing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A guess could send records elsewhere. The variable says the same as the file would."""
    path = write_config(tmp_path, monkeypatch, text)
    for name, value in {**KEYS, **environ}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RejectedError) as caught:
        find_provider(*ASKED)
    message = str(caught.value)
    assert message.startswith("PutObject s3://my-bucket/key: ")
    assert str(path) in message
    assert f"{missing}, or install botocore: {install_hint('cli')}" in message
    if missing.startswith("set "):
        monkeypatch.setenv(missing.removeprefix("set "), "eu-west-1")
        assert find_provider(*ASKED)


@pytest.mark.usefixtures("without_botocore")
@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"AWS_PROFILE": "dev"},
        {**KEYS, "AWS_PROFILE": "dev", **REGION},
        {"AWS_DEFAULT_PROFILE": "dev"},
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"},
        {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/x"},
    ],
    ids=lambda environ: "+".join(environ) or "none",
)
@pytest.mark.parametrize("has_file", [True, False], ids=["file", "no file"])
def test_without_botocore_everything_else_is_one_clear_error(
    environ: Mapping[str, str],
    has_file: bool,  # noqa: FBT001  # a case
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It names what was looked for, what was found, and both ways out. No secret is in it."""
    path = write_config(tmp_path, monkeypatch, PROFILE) if has_file else None
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RejectedError) as caught:
        find_provider(*ASKED)
    message = str(caught.value)
    assert message.startswith("PutObject s3://my-bucket/key: no credentials: ")
    assert "\n" not in message
    found = [name for name in environ if name not in {*KEYS, *REGION, "AWS_ROLE_ARN"}]
    found += [] if path is None else [str(path)]
    expected = ", ".join(found) or "no AWS file and no other variable"
    assert f"(found: {expected})" in message
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in message
    assert install_hint("cli") in message
    assert not {word for word in ("SECRET;", "HIDDEN", "/var/token") if word in message}


@pytest.mark.usefixtures("without_botocore")
@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_without_botocore_half_a_pair_of_keys_is_told(
    name: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which half is missing."""
    monkeypatch.setenv(name, "x")
    with pytest.raises(RejectedError, match=f"incomplete credentials; set {missing} too"):
        find_provider(*ASKED)


@pytest.mark.parametrize("home", ["/nowhere", "/dev/null", "\udcff"])
def test_a_home_folder_that_cannot_be_read_has_no_files(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every AWS SDK; keys in the environment are enough then."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", home)
    assert has_only_environment(KEYS)
    with pytest.raises(RejectedError, match="no credentials"):
        find_provider(*ASKED)


def test_a_user_without_a_home_folder_has_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run with a user id that the system does not know."""
    assert has_only_environment({**KEYS, "AWS_CONFIG_FILE": "~nobody-knows-this-user/config"})
    monkeypatch.setenv("AWS_CONFIG_FILE", "~nobody-knows-this-user/config")
    with pytest.raises(RejectedError, match="no credentials"):
        find_provider(*ASKED)


@pytest.mark.parametrize("text", [b"[default\nregion", b"\xff\xfe[default]"])
def test_a_file_that_is_no_configuration_is_told(
    text: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its name."""
    path = tmp_path / "config"
    path.write_bytes(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    with pytest.raises(RejectedError, match=str(path)):
        find_provider(*ASKED)


def test_a_file_without_permission_is_told_unless_it_is_not_needed(tmp_path: Path) -> None:
    """AWS SDKs skip it. The process gives up the rights of root, if it has them."""
    path = tmp_path / "config"
    path.write_text(PROFILE)
    path.chmod(0)
    script = """
import os
import botocore.session
from batcher.errors import RejectedError, RetryableError, install_hint
from batcher.stores.credentials import provider as credentials, sdk_provider
if os.geteuid() == 0:
    os.chmod(os.path.dirname(os.environ["AWS_CONFIG_FILE"]), 0o755)
    os.seteuid(65534)
asked = ("PutObject", "my-bucket", "key")
try:
    credentials.find_provider(*asked)
except RejectedError as error:
    print(error)
os.environ |= {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-west-3"}
print(credentials.find_provider(*asked).endpoint.region)
"""
    with TemporaryDirectory() as folder:  # pytest's own are closed to other users
        path = path.rename(Path(folder) / "config")
        done = subprocess.run(  # noqa: S603  # our own interpreter and script
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"AWS_CONFIG_FILE": str(path)},
        )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"PutObject s3://my-bucket/key: {path} cannot be read: Permission denied; make it readable",
        "eu-west-3",
    ]


@pytest.mark.parametrize(
    "config",
    [
        "credential_process = /nowhere/at-all",
        "credential_process = echo not-json",
        "credential_process = 'no end",
        "credential_process = false",
        "role_arn = arn:aws:iam::1:role/r\ncredential_source = Nowhere",
        "role_arn = arn:aws:iam::1:role/r\nsource_profile = missing",
        "sso_start_url = https://a\nsso_region = eu-west-1\nsso_account_id = 1\nsso_role_name = r",
        "role_arn = arn:aws:iam::1:role/r\nweb_identity_token_file = /nowhere",
    ],
)
def test_a_profile_that_leads_nowhere_is_told(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever botocore raises: errors of its own, of the system, of a parser."""
    write_config(tmp_path, monkeypatch, f"[default]\n{config}\n")
    with pytest.raises((RejectedError, RetryableError)) as caught:
        find_provider(*ASKED).get_credentials(*ASKED)
    assert str(caught.value).startswith("PutObject s3://my-bucket/key: ")
