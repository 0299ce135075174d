"""Packages and templates: each is made once, for it takes seconds."""

from __future__ import annotations

import pytest

from integration.deploy.packages import Package, build
from integration.deploy.serverless import Packager, find_osls


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Return these tests the time of an installation: the first of them waits for it."""
    for item in items:
        if "tests/integration/deploy/" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def packager(tmp_path_factory: pytest.TempPathFactory) -> Packager:
    """Return what makes templates; skip where osls cannot be had."""
    find_osls()
    return Packager(tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="session")
def obstore_package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Return the package of engine=obstore, for this machine and this Python."""
    return build("obstore", tmp_path_factory.mktemp("obstore"))


@pytest.fixture(scope="session")
def aioboto3_package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Return the package of engine=aioboto3, for this machine and this Python."""
    return build("aioboto3", tmp_path_factory.mktemp("aioboto3"))


@pytest.fixture(params=["obstore", "aioboto3"])
def package(request: pytest.FixtureRequest) -> Package:
    """Return the package of each engine in turn."""
    found: Package = request.getfixturevalue(f"{request.param}_package")
    return found
