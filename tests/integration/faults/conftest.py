"""Laboratories: a root of its own for each test, behind a proxy of its own."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from secrets import token_hex
from typing import TYPE_CHECKING

import botocore.loaders
import botocore.session
import pytest

from batcher.stores.obstore import upload
from support.fault_bench import FaultBench
from support.fault_proxy import FaultProxy
from support.store_fixtures import ENGINES

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS


SHORT_RETRY_S = 2.0
"""How long obstore retries the requests of an upload here, in real time, instead of 30 s."""


@pytest.fixture(scope="package")
def fault_bucket(seaweedfs: SeaweedFS) -> str:
    """Return the one bucket: making one takes as long as all of a test."""
    name = f"batcher-{token_hex(8)}"
    seaweedfs.create_bucket(name)
    return name


@pytest.fixture(scope="package")
def one_loader() -> Iterator[None]:
    """Read the model of S3 once: half of the time of making a client."""
    with pytest.MonkeyPatch.context() as patch:
        loader = functools.cache(botocore.loaders.create_loader)
        patch.setattr(botocore.session, "create_loader", loader)
        yield


@pytest.fixture(params=ENGINES)
def fault_bench(
    request: pytest.FixtureRequest,
    seaweedfs: SeaweedFS,
    fault_bucket: str,
    one_loader: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[FaultBench]:
    """Return a laboratory on SeaweedFS; every planned fault must have happened by its end."""
    del one_loader
    with FaultProxy(seaweedfs.url) as proxy:
        monkeypatch.setattr(upload, "RETRY_S", SHORT_RETRY_S)
        for name, value in {**seaweedfs.environ, "AWS_ENDPOINT_URL_S3": proxy.url}.items():
            monkeypatch.setenv(name, value)
        yield FaultBench(proxy, seaweedfs, fault_bucket, request.param)
        assert proxy.unfired() == []
