"""What every test can rely on: no AWS configuration of this machine, no blocked loop, no leak."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import threading
from collections.abc import AsyncIterator, Iterator
from functools import cache
from secrets import token_hex
from typing import TYPE_CHECKING

import botocore.session
import hypothesis
import pytest
from blockbuster import BlockBuster

if TYPE_CHECKING:
    from support.account_server import AccountServer
    from support.handler_harness import HandlerFactory
    from support.s3_servers import Moto, SeaweedFS

PREFIXES = ("AWS_", "BATCHER_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
hypothesis.settings.register_profile("batcher", deadline=None, max_examples=100)
hypothesis.settings.load_profile("batcher")  # no deadline: tests never assert on time

JOIN_S = 5.0
"""Timeout for a pool's thread to end after its last work. None takes that long."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured and do not judge: their property `shown`."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "call":
                for name, value in report.user_properties:
                    if name == "shown":
                        terminalreporter.write_line(str(value))


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """One moto server on a free port; its state is global, so take a fresh bucket."""
    from support.s3_servers import Moto  # noqa: PLC0415  # a second to import, for few tests

    with Moto() as server:
        yield server


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[SeaweedFS]:
    """One SeaweedFS on free ports."""
    from support.s3_servers import SeaweedFS  # noqa: PLC0415  # as above

    with SeaweedFS() as server:
        yield server


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[AccountServer]:
    """Serve S3 and STS, to a caller whose keys are in the environment."""
    from support.account_server import CALLER, AccountServer  # noqa: PLC0415  # for few tests

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", CALLER[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CALLER[1])
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with AccountServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        yield server


@pytest.fixture
def bucket() -> str:
    """Return a bucket name that no other test has; it is not created."""
    return f"batcher-{token_hex(8)}"


@pytest.fixture(autouse=True)
def no_aws_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide this machine's configuration of AWS and of batcher."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture(scope="session", autouse=True)
def models_are_read_once() -> Iterator[None]:
    """Let all clients of a process share what botocore reads from files: half a second each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_blocked_loop() -> Iterator[None]:
    """Fail code that waits for a disk, a socket or a lock on an event loop's thread.

    Only calls that batcher makes count. The command line is left out: its loop serves one command.
    """
    detector = BlockBuster(scanned_modules="batcher", excluded_modules=["batcher.cli"])
    for function in detector.functions.values():
        # The first request makes the client: botocore then reads the service's model from files
        function.can_block_in("batcher/stores/s3/client.py", "_connect")
        function.can_block_in("<frozen importlib._bootstrap>", "_find_and_load")
    detector.activate()
    yield
    detector.deactivate()


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test after which a task or a thread is still there."""
    before = set(threading.enumerate())
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("no_task_is_left")
    yield
    if _new_threads(before):
        gc.collect()  # a pool without references ends its threads
        for thread in _new_threads(before):
            thread.join(JOIN_S)
    left = _new_threads(before)
    assert not left, f"threads are left: {left}"


@pytest.fixture
def handler_factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[HandlerFactory]:
    """Return what makes handlers, and close them; none of them may leave a task behind."""
    from support.handler_harness import HandlerFactory  # noqa: PLC0415  # for tests of handlers

    runners: list[asyncio.Runner] = []
    make_runner = asyncio.Runner

    def recorded_runner() -> asyncio.Runner:
        runners.append(make_runner())
        return runners[-1]

    monkeypatch.setattr(asyncio, "Runner", recorded_runner)
    made = HandlerFactory()
    yield made
    left = [task for runner in runners for task in asyncio.all_tasks(runner.get_loop())]
    made.close()
    assert not left, f"tasks are left: {left}"


@pytest.fixture
async def no_task_is_left() -> AsyncIterator[None]:
    """Fail an async test after which a task is still there; the loop would just cancel it."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks are left: {left}"


def _new_threads(before: set[threading.Thread]) -> list[threading.Thread]:
    """Return threads that a test must end: a loop ends its own, and servers' are daemons."""
    return [
        thread
        for thread in threading.enumerate()
        if thread not in before and not thread.daemon and not thread.name.startswith("asyncio_")
    ]
