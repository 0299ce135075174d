"""Submitter: a small program that prints each receipt as soon as its ticket is settled."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque

from batcher import Receipt, Ticket
from batcher.batcher import Batcher
from batcher.settings import Settings
from long.numbered_records import PROGRAM, payload

SUBMITTED = 50
"""Records of one submit."""


async def submit(records: int, batcher: Batcher) -> None:
    """Submit this many records, and print what is durable."""
    tickets: deque[Ticket[list[Receipt]]] = deque()
    async with batcher:
        for start in range(0, records, SUBMITTED):
            numbers = range(start, min(start + SUBMITTED, records))
            tickets.append(await batcher.submit_many([payload(0, n, PROGRAM) for n in numbers]))
            while tickets and tickets[0].is_settled:
                await print_receipts(tickets.popleft())
        flushing = asyncio.ensure_future(batcher.flush())
        while tickets:
            await print_receipts(tickets.popleft())
        await flushing


async def print_receipts(ticket: Ticket[list[Receipt]]) -> None:
    """Print a ticket's receipts."""
    for receipt in await ticket:
        line = [receipt.key, receipt.records, receipt.size_bytes]
        print(json.dumps(line), flush=True)  # noqa: T201  # what it is for


def main() -> None:
    """Submit to what the environment names."""
    records, ready = int(sys.argv[1]), sys.argv[2]
    batcher = Batcher(Settings.from_env())
    with open(ready):  # noqa: PTH123  # who kills us looks at what we have open
        asyncio.run(submit(records, batcher))


if __name__ == "__main__":
    main()
