"""Write events, wait until they are durable, and read them back."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import orjson

from batcher import Batcher, RejectedError, RetryableError, Settings, read_objects


async def main(bucket: str, place: str) -> None:
    """Write 1,001 events to a bucket and read them back from the same place."""
    async with Batcher(Settings(bucket=bucket, root="events", linger_s=1)) as batcher:
        login = await batcher.submit({"user": 0, "action": "login"})  # waits only for room
        clicks = [{"user": n % 7, "action": "click"} for n in range(1_000)]
        many = await batcher.submit_many(clicks)  # faster than one by one
        try:
            receipt = await login  # after a second, the longest that a record waits for others
            receipts = await many
        except RetryableError as error:
            sys.exit(f"not written, try again later: {error}")
        except RejectedError as error:
            sys.exit(f"not written, something must be changed first: {error}")
    print(f"durable: {len(clicks) + 1} events in {len({receipt, *receipts})} object")
    print(receipt.key)

    users: Counter[int] = Counter()
    async with read_objects(f"{place}/events", since="15m") as objects:
        async for found in objects:
            async for lines in found:
                users.update(orjson.loads(line)["user"] for line in lines)
    print(f"read back: {users.total()} events of {len(users)} users")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(sys.argv[1], f"s3://{sys.argv[1]}"))
    else:
        folder = Path("out").absolute().as_uri()  # file:///…/out: a folder instead of a bucket
        asyncio.run(main(folder, folder))
