"""A deployment to look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from support.check_command import models_read_once, use

if TYPE_CHECKING:
    from support.moto_deployment import Deployment
    from support.s3_servers import Moto


@pytest.fixture(scope="package")
def one_loader() -> Iterator[None]:
    """Read the models of AWS's services once."""
    with models_read_once():
        yield


@pytest.fixture
def deployment(
    moto: Moto, bucket: str, one_loader: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    """Return a function on moto; the environment asks there for every service."""
    from support.moto_deployment import Deployment  # noqa: PLC0415  # boto3, for few tests

    del one_loader
    use(monkeypatch, moto.environ)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.environ["AWS_ENDPOINT_URL_S3"])
    made = Deployment(moto.environ, bucket)
    yield made
    made.close()
