"""Fan: a way to write many objects at once, in a process of its own, timed by invocation.

`python fanout_process.py NAME BUCKET OBJECTS CONCURRENCY` prints that it is ready, then
answers each line of standard input, `{"invocations": n}`, with what n of them took. It ends with
its standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from partitioned_events import PARTITION_BY, PartitionedEvents, make_partitioned_events
from peak_memory import peak_bytes

Invoke = Callable[[], object]
"""Writes all objects."""
Prepare = Callable[[int], Invoke]
"""Makes an invocation ready, by its number."""


def handler(engine: str, bucket: str, tenants: PartitionedEvents, concurrency: int) -> Prepare:
    """Use batcher's handler: read, check, route, join, name, and send."""
    from batcher.handler import Handler  # noqa: PLC0415  # a contender loads what it uses

    handle = Handler(_settings(engine, bucket, concurrency))

    def prepare(number: int) -> Invoke:
        event = tenants.event(number)

        def invoke() -> None:
            answer = handle(event, None)
            if answer != {"batchItemFailures": []}:
                raise RuntimeError(answer)

        return invoke

    return prepare


def writer(engine: str, bucket: str, tenants: PartitionedEvents, concurrency: int) -> Prepare:
    """Use batcher's writer alone: batches that are decided become objects."""
    from batcher.handler.event_writer import plan_batches  # noqa: PLC0415
    from batcher.sources import read_event  # noqa: PLC0415
    from batcher.stores import open_store  # noqa: PLC0415
    from batcher.writing.budget import Budget  # noqa: PLC0415
    from batcher.writing.dispatcher import Dispatcher  # noqa: PLC0415
    from batcher.writing.pending import PendingBatch  # noqa: PLC0415
    from batcher.writing.pipeline import Pipeline  # noqa: PLC0415
    from batcher.writing.stats import Stats  # noqa: PLC0415

    settings = _settings(engine, bucket, concurrency)
    pipeline = Pipeline(settings, open_store(settings), threads=1)
    loop = asyncio.new_event_loop()

    def prepare(number: int) -> Invoke:
        batches, _ = plan_batches(
            read_event(tenants.event(number), time.time()), pipeline.router, settings
        )

        async def write() -> None:
            budget, dispatch = Budget(2**40), Dispatcher(pipeline.writer, Stats(), concurrency)
            flights = [PendingBatch(batch, budget, "") for batch in batches]
            for flight in flights:
                flight.add_held(flight.batch.size_bytes)
                dispatch.submit(flight)
            await dispatch.wait(flights)
            for flight in flights:
                flight.outcome.result()

        return lambda: loop.run_until_complete(write())

    return prepare


def gather_obstore(bucket: str, tenants: PartitionedEvents, concurrency: int) -> Prepare:
    """Gather obstore's PUTs of bodies that are ready, set up as batcher's engine is."""
    import obstore  # noqa: PLC0415
    from obstore.store import S3Store  # noqa: PLC0415

    store = S3Store(
        config={
            "bucket": bucket,
            "aws_endpoint_url_s3": os.environ["AWS_ENDPOINT_URL_S3"],
            "region": os.environ["AWS_REGION"],
            "access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
            "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
            "checksum_algorithm": "CRC64NVME",
            "unsigned_payload": True,
            "conditional_put": "etag",
        },
        client_options={"root_certificate": Path(os.environ["AWS_CA_BUNDLE"]).read_bytes()},
    )
    about: Any = {"Content-Type": "application/x-ndjson"}

    async def put(key: str, body: bytes) -> None:
        await obstore.put_async(store, key, body, attributes=about, mode="create")

    return _gathering(put, tenants, concurrency)


def gather_aioboto3(bucket: str, tenants: PartitionedEvents, concurrency: int) -> Prepare:
    """Gather aioboto3's PUTs of bodies that are ready."""
    import aioboto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    clients: list[Any] = []

    async def put(key: str, body: bytes) -> None:
        if not clients:
            config = Config(max_pool_connections=concurrency)
            clients.append(await aioboto3.Session().client("s3", config=config).__aenter__())
        await clients[0].put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")

    return _gathering(put, tenants, concurrency)


def threads_boto3(bucket: str, tenants: PartitionedEvents, concurrency: int) -> Prepare:
    """Put bodies that are ready by boto3 in threads."""
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415  # it has no types
    from botocore.config import Config  # noqa: PLC0415

    client = boto3.client("s3", config=Config(max_pool_connections=concurrency))
    pool = ThreadPoolExecutor(concurrency)

    def put(key: str, body: bytes) -> None:
        client.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")

    def prepare(number: int) -> Invoke:
        keys = [_key(number, index) for index in range(len(tenants.bodies))]
        return lambda: list(pool.map(put, keys, tenants.bodies))

    return prepare


FANS: dict[str, Callable[[str, PartitionedEvents, int], Prepare]] = {
    "handler-obstore": partial(handler, "obstore"),
    "handler-aioboto3": partial(handler, "aioboto3"),
    "writer-obstore": partial(writer, "obstore"),
    "writer-aioboto3": partial(writer, "aioboto3"),
    "gather-obstore": gather_obstore,
    "gather-aioboto3": gather_aioboto3,
    "threads-boto3": threads_boto3,
}


def _settings(engine: str, bucket: str, concurrency: int) -> Any:  # noqa: ANN401  # a lazy import
    from batcher.settings import Settings  # noqa: PLC0415

    chosen: dict[str, Any] = {"engine": engine}
    return Settings(
        bucket=bucket,
        root="events",
        compression="none",
        partition_by=PARTITION_BY,
        concurrency=concurrency,
        **chosen,
    )


def _key(number: int, index: int) -> str:
    return f"events/{number:08x}/{index:05d}.ndjson"


def _gathering(
    put: Callable[[str, bytes], Awaitable[None]], tenants: PartitionedEvents, concurrency: int
) -> Prepare:
    """Gather PUTs of all bodies, with limited concurrency."""
    loop = asyncio.new_event_loop()

    async def gather(number: int) -> None:
        slots = asyncio.Semaphore(concurrency)

        async def put_one(index: int, body: bytes) -> None:
            async with slots:
                await put(_key(number, index), body)

        await asyncio.gather(*[put_one(i, body) for i, body in enumerate(tenants.bodies)])

    return lambda number: lambda: loop.run_until_complete(gather(number))


def timed(prepare: Prepare, numbers: range) -> dict[str, float]:
    """Invoke once a number; making ready is not in the timing."""
    cpu_s = wall_s = 0.0
    for number in numbers:
        invoke = prepare(number)
        wall_start_s, cpu_start_s = time.perf_counter(), time.process_time()
        invoke()
        cpu_s += time.process_time() - cpu_start_s  # all threads of this process
        wall_s += time.perf_counter() - wall_start_s
    return {"cpu_s": cpu_s, "wall_s": wall_s, "peak_bytes": peak_bytes()}


def main() -> None:
    """Answer until standard input ends."""
    name, bucket, objects, concurrency = sys.argv[1:]
    prepare = FANS[name](bucket, make_partitioned_events(int(objects)), int(concurrency))
    first = 0
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        numbers = range(first, first + json.loads(line)["invocations"])
        first = numbers.stop
        print(json.dumps(timed(prepare, numbers)), flush=True)
    os._exit(0)  # as a Lambda environment ends, without closing a handler's connections


if __name__ == "__main__":
    main()
