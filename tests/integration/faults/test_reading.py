"""Reading under faults: bodies that end early, and servers that do not respond."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from batcher.errors import RetryableError
from batcher.reading.read_objects import ReadObjects
from batcher.reading.selection import parse_selection
from batcher.stores import ObjectAttributes, ObjectReader
from batcher.stores.obstore import reader as obstore_reader
from batcher.stores.s3 import client as s3_client
from batcher.stores.s3 import reader as s3_reader
from support.fakes import incompressible_bytes
from support.fault_script import ALWAYS, CUT_RESPONSE, SERVER_ERROR, STALL, Rule
from support.store_fixtures import ENGINES, READERS

if TYPE_CHECKING:
    from batcher.stores import ObjectStore
    from support.fault_bench import FaultBench

BODY = incompressible_bytes(3 * 1024**2, 1)
NAME = "0190f5fe-7c00-7a0f-8c3e-5f1f9e7f8a01"


def open_reader(fault_bench: FaultBench) -> ObjectReader:
    """Open the reader of the bench's engine."""
    return READERS[fault_bench.engine](fault_bench.settings())


async def put(fault_bench: FaultBench, body: bytes = BODY) -> str:
    """Write an object, and return its key."""
    store: ObjectStore = ENGINES[fault_bench.engine](fault_bench.settings())
    key = f"{fault_bench.root}/{NAME}.ndjson"
    await store.put(key, body, ObjectAttributes())
    await store.aclose()
    return key


async def read(reader: ObjectReader, key: str) -> bytes:
    """Read an object to its end."""
    async with reader.open_object(key) as opened:
        return b"".join([piece async for piece in opened.pieces])


@pytest.fixture
def brief_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both libraries send a request twice, without a delay, and wait a moment for bytes."""
    brief = timedelta(milliseconds=1)
    retries: dict[str, Any] = {
        "max_retries": 1,
        "backoff": {"init_backoff": brief, "max_backoff": brief, "base": 2},
        "retry_timeout": timedelta(seconds=60),
    }
    monkeypatch.setattr(obstore_reader, "RETRIES", retries)
    monkeypatch.setattr(obstore_reader, "READ_TIMEOUT", "1s")
    monkeypatch.setattr(s3_reader, "RETRIES", {"mode": "standard", "total_max_attempts": 2})
    monkeypatch.setattr(s3_client, "READ_TIMEOUT_S", 1)


@pytest.mark.usefixtures("brief_retries")
async def test_a_body_that_ends_early_is_continued_or_fails_with_both_counts(
    fault_bench: FaultBench,
) -> None:
    """Obstore requests the rest. The error of both tells how far the body came."""
    key = await put(fault_bench)
    reader = open_reader(fault_bench)
    fault_bench.proxy.use_rules(Rule("get", CUT_RESPONSE))
    if fault_bench.engine == "obstore":
        assert await read(reader, key) == BODY
        assert fault_bench.proxy.count("get") == 2
    fault_bench.proxy.use_rules(Rule("get", CUT_RESPONSE, times=ALWAYS))
    with pytest.raises(RetryableError) as caught:
        await read(reader, key)
    start, _, counts = str(caught.value).partition(": the body ended after ")
    assert start == f"GetObject s3://{fault_bench.bucket}/{key}"
    read_bytes, _, expected_bytes = counts.removesuffix(" bytes").partition(" of ")
    assert 0 < int(read_bytes) < int(expected_bytes) == len(BODY)
    await reader.aclose()


@pytest.mark.usefixtures("brief_retries")
async def test_bodies_that_end_early_again_and_again_give_every_line_once(
    fault_bench: FaultBench,
) -> None:
    """The object is opened again where it broke."""
    lines = [b"%07d" % number for number in range(400_000)]
    await put(fault_bench, b"".join(line + b"\n" for line in lines))
    fault_bench.proxy.use_rules(Rule("get", CUT_RESPONSE, times=3))
    selection = parse_selection(None, None, None, quarantine=False, now_s=0)
    found: list[bytes] = []
    settings = fault_bench.settings()
    async with ReadObjects(open_reader(fault_bench), settings, selection) as objects:
        async for read_object in objects:
            async for some in read_object:
                found += some
    assert found == lines


@pytest.mark.usefixtures("brief_retries")
@pytest.mark.parametrize("operation", ["get", "list"])
async def test_a_server_that_does_not_respond_is_asked_again_and_then_named(
    fault_bench: FaultBench, operation: str
) -> None:
    """A stalled request ends by itself."""
    key = await put(fault_bench)
    reader = open_reader(fault_bench)
    fault_bench.proxy.use_rules(Rule(operation, STALL, times=2))
    listing = anext(aiter(reader.list_objects(f"{fault_bench.root}/")))
    with pytest.raises(RetryableError, match=f"cannot reach {fault_bench.proxy.url}"):
        await (listing if operation == "list" else read(reader, key))
    assert fault_bench.proxy.count(operation) == 2
    await reader.aclose()


async def test_errors_that_pass_are_not_seen(fault_bench: FaultBench) -> None:
    """Reads are repeated by the library."""
    key = await put(fault_bench)
    reader = open_reader(fault_bench)
    fault_bench.proxy.use_rules(Rule("get", SERVER_ERROR), Rule("list", SERVER_ERROR))
    assert await read(reader, key) == BODY
    assert [found.key async for found in reader.list_objects(f"{fault_bench.root}/")] == [key]
    await reader.aclose()


@pytest.mark.parametrize("fault_bench", ["obstore"], indirect=True)
def test_a_reader_serves_one_event_loop_after_another(fault_bench: FaultBench) -> None:
    """Also without being closed in between."""
    key = asyncio.run(put(fault_bench))
    reader = open_reader(fault_bench)

    async def read_many() -> list[bytes]:
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(read(reader, key)) for _ in range(4)]
        assert [found.key async for found in reader.list_objects(f"{fault_bench.root}/")] == [key]
        return [reading.result() for reading in reads]

    for _ in range(2):
        assert asyncio.run(read_many()) == [BODY] * 4
    asyncio.run(reader.aclose())
    assert asyncio.run(read_many()) == [BODY] * 4


@pytest.mark.parametrize("fault_bench", ["obstore"], indirect=True)
async def test_reading_can_be_cancelled_at_any_moment(fault_bench: FaultBench) -> None:
    """No task and no warning is left, and the reader goes on."""
    key = await put(fault_bench)
    reader = open_reader(fault_bench)
    assert await read(reader, key) == BODY

    async def list_and_read() -> None:
        async for _ in reader.list_objects(f"{fault_bench.root}/"):
            pass
        await read(reader, key)

    for turns in range(40):
        reading = asyncio.ensure_future(list_and_read())
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
    assert await read(reader, key) == BODY
    await reader.aclose()
