"""Keys: are millions of them even over the salts, short enough, and cheap beside a PUT?

Names of all kinds are made as the writer makes them. Chi-square tells whether the salts are hit by
chance alone; the cost of a key is CPU, held against that of a small PUT through aioboto3 to the
sink over TLS, in turns.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import erfc, sqrt
from statistics import median

from batcher.batching.batch import Batch, Route
from batcher.keys.names import Uuid7Generator
from batcher.records.chunk import NamingScheme, Origin
from batcher.settings import Settings
from batcher.stores.s3.store import S3Store
from batcher.writing.object import object_key, object_name
from report import Cell, Ratio, Result, Table, arguments, chosen, finish, start
from sink_environment import sink_environment
from wrappers import cpu_us

KEYS, SHORT_KEYS = 10_000_000, 400_000
FANOUTS = (2, 16, 256, 65_536)
MAX_KEY_BYTES = 1_024
MOST_PERCENT = 1.0
UNLIKELY = 1e-6
"""Chance alone goes so far only once in a million; there are a dozen tests."""
BEGAN_S = 1_795_417_200.0
BLOCK = 20_000
PUTS = 60
BODY_BYTES = 1024


@dataclass(frozen=True)
class Kind:
    """Where names come from."""

    name: str
    batch: Batch
    vary: Callable[[Batch, int], tuple[str, str]]
    """Makes the batch another one, by a number; gives a digest, and a fresh name."""


@dataclass
class Found:
    """What the keys of one kind came to."""

    salts: Counter[str] = field(default_factory=Counter)
    longest_bytes: int = 0
    block_us: list[float] = field(default_factory=list)
    """CPU of a key, one figure a block."""


def kinds(chance: random.Random) -> Iterator[Kind]:
    """Return each way in which objects are named."""
    fresh_names = Uuid7Generator(lambda: BEGAN_S, chance.getrandbits)
    partition = "dt=2026-11-23/hour=07"

    def fresh(batch: Batch, number: int) -> tuple[str, str]:
        del batch, number
        return "", fresh_names()

    def sequence(batch: Batch, number: int) -> tuple[str, str]:
        batch.first_position = str(49_590_338_271_490_256_608_559_692_538 * 10**27 + number * 4_099)
        return "", ""

    def message_set(batch: Batch, number: int) -> tuple[str, str]:
        batch.oldest_arrival_s = BEGAN_S + number / 1_000
        return f"{chance.getrandbits(256):064x}", ""

    for name, naming, stem, vary in (
        ("library", NamingScheme.FRESH, "", fresh),
        ("stream", NamingScheme.SEQUENCE, "orders-shardId-000000000003", sequence),
        ("queue", NamingScheme.MESSAGE_SET, "orders", message_set),
    ):
        route = Route(Origin(name, naming, stem), partition)
        yield Kind(name, Batch(route, BEGAN_S, BEGAN_S), vary)


def make(kind: Kind, keys: int, settings: Settings) -> Found:
    """Make keys of one kind, and look at each."""
    found = Found()
    start_of_salt = len(settings.root) + 1
    end_of_salt = start_of_salt + settings.fanout.bit_length() - 1
    for first in range(0, keys, BLOCK):
        numbers = range(first, min(first + BLOCK, keys))
        made = []
        began_s = time.process_time()
        for number in numbers:
            digest, fresh = kind.vary(kind.batch, number)
            made.append(object_key(kind.batch, object_name(kind.batch, digest, fresh), settings))
        found.block_us.append((time.process_time() - began_s) / len(numbers) * 1e6)
        found.salts.update(key[start_of_salt:end_of_salt] for key in made)
        found.longest_bytes = max(found.longest_bytes, *map(len, made))
    return found


def unlikely(salts: Counter[str], fanout: int) -> tuple[float, float]:
    """Return chi-square over so many salts, and how likely chance alone gives as much or more."""
    bits = fanout.bit_length() - 1
    counts: Counter[str] = Counter()
    for salt, count in salts.items():
        counts[salt[:bits]] += count
    mean = salts.total() / fanout
    unseen = fanout - len(counts)
    square = sum((count - mean) ** 2 for count in counts.values()) / mean + unseen * mean
    freedom = fanout - 1
    # Wilson and Hilferty: the cube root of chi-square over its freedom is nearly normal
    spread = 2 / (9 * freedom)
    normal = ((square / freedom) ** (1 / 3) - (1 - spread)) / sqrt(spread)
    return square, erfc(normal / sqrt(2)) / 2


def put_us(rounds: int) -> list[float]:
    """Return the CPU microseconds of a small PUT through aioboto3, a round each."""

    async def measure() -> list[float]:
        store = S3Store(Settings(bucket="keys"))
        body = secrets.token_bytes(BODY_BYTES)
        await cpu_us(store, body, PUTS)
        took = [await cpu_us(store, body, PUTS) for _ in range(rounds)]
        await store.aclose()
        return took

    with sink_environment() as shared:
        os.environ.clear()
        os.environ.update(shared.env)
        return asyncio.run(measure())


def main() -> None:
    """Make keys, measure, and print."""
    parser = arguments(__doc__, rounds=20, short_rounds=6)
    parser.add_argument("--keys", type=int, help=f"default {KEYS:,}, with --short {SHORT_KEYS:,}")
    asked = chosen(parser)
    setting = start()
    result = Result("keys")
    chance = random.Random(7)  # noqa: S311  # no secret
    settings = Settings(bucket="keys", root="events", fanout=max(FANOUTS))
    keys = (asked.keys or (SHORT_KEYS if asked.short else KEYS)) // 3
    rows: list[list[Cell]] = []
    tests: list[list[Cell]] = []
    least, slowest_us, longest = 1.0, [0.0], 0
    for kind in kinds(chance):
        found = make(kind, keys, settings)
        rows.append([kind.name, keys, median(found.block_us), found.longest_bytes])
        longest = max(longest, found.longest_bytes)
        slowest_us = max(slowest_us, found.block_us, key=median)
        for fanout in FANOUTS:
            square, chance_alone = unlikely(found.salts, fanout)
            tests.append([kind.name, fanout, square, fanout - 1, chance_alone])
            least = min(least, chance_alone)
    put = put_us(asked.rounds)
    share = 100 * median(slowest_us) / median(put)
    result.tables.append(Table("Keys", ("named by", "keys", "CPU us a key", "longest, B"), rows))
    columns = ("named by", "salts", "chi-square", "freedom", "chance of as much")
    result.tables.append(Table("Even over the salts?", columns, tests))
    result.ratios += [
        Ratio(
            "CPU of a key, in % of a PUT of 1 KiB by aioboto3", share,
            100 * min(slowest_us) / max(put), 100 * max(slowest_us) / min(put),
            f"<= {MOST_PERCENT:g}", share <= MOST_PERCENT,
        ),
        Ratio("least chance in all tests of the salts", least, least, least, f">= {UNLIKELY:g}",
              least >= UNLIKELY),
        Ratio("longest key, bytes", longest, longest, longest, f"<= {MAX_KEY_BYTES}",
              longest <= MAX_KEY_BYTES),
    ]  # fmt: skip
    result.notes.append(f"a PUT: {median(put):,.0f} us of CPU, median of {asked.rounds} rounds")
    finish(result, setting, asked.json)


if __name__ == "__main__":
    main()
