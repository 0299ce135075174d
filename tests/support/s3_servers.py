"""S3 servers on free ports of this machine."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import Any, Protocol, Self

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.config import Config
from moto.server import ThreadedMotoServer

from batcher.tools.demo.seaweedfs import EmbeddedS3


class S3Server(Protocol):
    """An S3 server for the duration of the tests."""

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables with which an AWS SDK talks to it."""

    @property
    def client(self) -> Any:  # noqa: ANN401  # boto3 has no types
        """A boto3 client, to read the bucket independently of batcher."""

    def create_bucket(self, name: str) -> None:
        """Create a bucket."""


class Moto:
    """moto in this process. Accepts any signature and any checksum."""

    def __init__(self) -> None:
        """Create the server, which starts when it is entered."""
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._url = ""

    def __enter__(self) -> Self:
        self._server.start()
        host, port = self._server.get_host_and_port()
        self._url = f"http://{host}:{port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        self._server.stop()

    @property
    def environ(self) -> dict[str, str]:
        """See `S3Server.environ`."""
        return {
            "AWS_ENDPOINT_URL_S3": self._url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @cached_property
    def client(self) -> Any:  # noqa: ANN401  # boto3 has no types
        """See `S3Server.client`."""
        return make_s3_client(self.environ)

    def create_bucket(self, name: str) -> None:
        """See `S3Server.create_bucket`."""
        self.client.create_bucket(Bucket=name)


class SeaweedFS(EmbeddedS3):
    """SeaweedFS: a real server that verifies signatures and checksums."""

    @cached_property
    def client(self) -> Any:  # noqa: ANN401  # boto3 has no types
        """See `S3Server.client`."""
        return make_s3_client(self.environ)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        super().__exit__(kind, error, trace)


def make_s3_client(environ: dict[str, str]) -> Any:  # noqa: ANN401  # boto3 has no types
    """Create a boto3 client with endpoint, credentials and region of `environ`, without retries."""
    return boto3.client(
        "s3",
        endpoint_url=environ["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        region_name=environ["AWS_REGION"],
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
