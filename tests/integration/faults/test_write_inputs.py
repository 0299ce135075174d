"""Objects as inputs under faults: bodies that end early, replaced objects, no response."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batcher.errors import BatcherError, NotFoundError, PreconditionFailedError, RejectedError
from batcher.reading.stored_body import read_stored_body
from batcher.reading.stream import ReopenPolicy
from integration.cli.processes import command, environ_of
from support.fakes import incompressible_bytes
from support.fault_script import CUT_RESPONSE, STALL, Rule
from support.store_fixtures import READERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from batcher.stores.base import BucketReader, ObjectInfo
    from support.fault_bench import FaultBench

BODY = incompressible_bytes(3 * 1024**2, 1)


async def no_sleep(delay_s: float) -> None:
    """Do nothing."""


POLICY = ReopenPolicy(attempts=20, sleep=no_sleep)


def put(fault_bench: FaultBench, body: bytes = BODY) -> str:
    """Put an object, and return its key."""
    key = f"{fault_bench.root}/x"
    fault_bench.client.put_object(Bucket=fault_bench.bucket, Key=key, Body=body)
    return key


async def read(
    reader: BucketReader, key: str, on_piece: Callable[[int], None] = lambda _: None
) -> tuple[bytes, list[ObjectInfo]]:
    """Return the body of an object, and what was known each time that it was open."""
    infos: list[ObjectInfo] = []
    body = b""
    async for piece in read_stored_body(reader, key, POLICY, infos.append):
        body += piece
        on_piece(len(body))
    return body, infos


def open_reader(fault_bench: FaultBench) -> BucketReader:
    """Return a reader of the bench's engine."""
    reader: BucketReader = READERS[fault_bench.engine](fault_bench.settings())
    return reader


async def test_a_range_of_the_object_that_is_meant_is_read(fault_bench: FaultBench) -> None:
    """The size is that of the whole."""
    key = put(fault_bench)
    reader = open_reader(fault_bench)
    async with reader.open_object(key) as opened:
        info = opened.info
    for start in (1, 1024**2, len(BODY) - 1):
        async with reader.open_object(key, start=start, etag=info.etag) as opened:
            assert opened.info == info
            assert b"".join([piece async for piece in opened.pieces]) == BODY[start:]
    put(fault_bench, b"another")
    with pytest.raises(PreconditionFailedError):
        async with reader.open_object(key, start=1, etag=info.etag):
            pass
    await reader.aclose()


async def test_a_body_that_ends_early_again_and_again_is_continued(
    fault_bench: FaultBench,
) -> None:
    """No byte is requested twice: each request is for what the one before has not brought."""
    key = put(fault_bench)
    reader = open_reader(fault_bench)
    fault_bench.proxy.use_rules(Rule("get", CUT_RESPONSE, times=7))
    body, infos = await read(reader, key)
    assert body == BODY
    assert {info.size_bytes for info in infos} == {len(BODY)}
    assert fault_bench.proxy.count("get") == 8
    await reader.aclose()


async def test_two_versions_of_an_object_are_never_mixed(fault_bench: FaultBench) -> None:
    key = put(fault_bench)
    reader = open_reader(fault_bench)
    fault_bench.proxy.use_rules(Rule("get", CUT_RESPONSE, times=1))
    replaced: list[int] = []

    def replace(read_bytes: int) -> None:
        if not replaced:
            put(fault_bench, BODY[::-1])
        replaced.append(read_bytes)

    with pytest.raises(RejectedError, match="replaced while it was read"):
        await read(reader, key, replace)
    assert replaced
    await reader.aclose()


async def test_a_refusal_whose_text_ends_early_is_asked_for_again(fault_bench: FaultBench) -> None:
    reader = open_reader(fault_bench)
    fault_bench.proxy.use_rules(Rule("get", CUT_RESPONSE, times=2))
    with pytest.raises(NotFoundError):
        await read(reader, f"{fault_bench.root}/gone")
    await reader.aclose()


async def test_an_error_that_stays_is_raised_after_some_attempts(
    fault_bench: FaultBench,
) -> None:
    """An attempt with progress counts from one again."""
    key = put(fault_bench)
    reader = open_reader(fault_bench)
    fault_bench.proxy.use_rules(Rule("get", CUT_RESPONSE, times=3))
    body = read_stored_body(reader, key, ReopenPolicy(attempts=2, sleep=no_sleep), lambda _: None)
    assert b"".join([piece async for piece in body]) == BODY
    with pytest.raises(BatcherError):
        await read(reader, f"{key}-gone")
    await reader.aclose()


@pytest.mark.parametrize("operation", ["get", "list"])
def test_ctrl_c_while_s3_does_not_respond_ends_reading(
    fault_bench: FaultBench, tmp_path: Path, operation: str
) -> None:
    """What was read before is written. Nothing was while the inputs are still listed."""
    file = tmp_path / "in"
    file.write_bytes(b"1\n")
    key = put(fault_bench, b"2\n")
    fault_bench.proxy.use_rules(Rule(operation, STALL))
    url = f"s3://{fault_bench.bucket}/{key}" + ("*" if operation == "list" else "")
    words = ["write", str(file), url, f"file://{tmp_path}/out", "--json"]
    with subprocess.Popen(  # noqa: S603  # our own command
        command([*words, "--engine", fault_bench.engine]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ_of(),
        text=True,
    ) as process:
        while not fault_bench.proxy.count(operation):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    if operation == "list":
        assert (out, err) == ("", "batcher: stopped before the end\n")
        assert not (tmp_path / "out").exists()
    else:
        document = json.loads(out)
        assert (document["records"], document["unread_from"]) == (1, f"{url}:1")
