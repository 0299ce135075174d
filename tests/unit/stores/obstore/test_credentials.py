"""Where S3 is and who asks: as botocore has it, and mostly without botocore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from batcher.errors import RejectedError
from batcher.stores.obstore.credentials import (
    EnvironmentCredentialProvider,
    find_provider,
    has_only_environment,
)
from batcher.stores.obstore.endpoint import Credentials, Endpoint
from batcher.stores.obstore.sdk_credentials import SdkCredentialProvider

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "SECRET"}
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
    with pytest.raises(RejectedError, match="engine=aioboto3"):
        Endpoint("us-iso-east-1").base_url()


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

        def refresh_needed(self) -> bool:
            """Return so."""
            return True

        def get_frozen_credentials(self) -> object:
            """Return new ones."""
            return botocore.credentials.ReadOnlyCredentials("NEW", "NEWER", None)

    monkeypatch.setattr(access, "_sdk_credentials", Role())
    assert access.is_refresh_due()
    assert access.get_credentials(*ASKED) == Credentials("NEW", "NEWER", "")
