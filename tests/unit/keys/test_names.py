"""Keys: what an object is called, from what is in it."""

from __future__ import annotations

import hashlib
import uuid

import pytest

from batcher.batching.batch import Batch
from batcher.keys.names import (
    Uuid7Generator,
    make_stem,
    max_key_bytes,
    message_set_name,
    salt,
    sequence_name,
    uuid7,
)
from batcher.limits import MAX_KEY_BYTES
from batcher.records.chunk import NamingScheme, Origin, positions_digest
from batcher.settings import Settings
from batcher.writing.object import object_key, object_name
from support.examples import LIBRARY, QUEUE, SEQUENCE, SHARD, make_batch, make_chunk, make_settings


def key(batch: Batch, settings: Settings, fresh: str = "fresh") -> str:
    """Return the key of a batch, as the writer does."""
    return object_key(batch, object_name(batch, batch.digest(), fresh), settings)


def shard_batch(partition: str = "") -> Batch:
    """Make a batch of one record of a stream."""
    return make_batch(make_chunk(b"{}", origin=SHARD, positions=[SEQUENCE]), partition)


def test_the_key_in_the_design_is_the_key_we_make() -> None:
    """DESIGN, section 4, to the letter."""
    assert key(shard_batch("dt=2026-11-23/hour=07"), make_settings(root="events")) == (
        "events/1100/dt=2026-11-23/hour=07/orders-shardId-000000000003-"
        "0000000049590338271490256608559692538361571095921575989136588898.ndjson.gz"
    )


def test_what_is_empty_leaves_no_slash() -> None:
    """Root, salt and partition, alone and together."""
    name = f"{SHARD.stem}-{SEQUENCE:0>64}.ndjson.gz"
    plain = {"partition_by": "", "fanout": 1}
    assert key(shard_batch(), make_settings(**plain)) == name
    assert key(shard_batch(), make_settings(root="/r/", **plain)) == f"r/{name}"
    assert key(shard_batch("a=1"), make_settings(fanout=1, partition_by="a={field:a}")) == (
        f"a=1/{name}"
    )
    assert key(shard_batch(), make_settings(partition_by="")) == f"1100/{name}"


@pytest.mark.parametrize(
    ("values", "suffix"),
    [
        ({}, ".ndjson.gz"),
        ({"compression": "zstd"}, ".ndjson.zst"),
        ({"compression": "none"}, ".ndjson"),
        ({"format": "lines"}, ".txt.gz"),
        ({"format": "lines", "compression": "none"}, ".txt"),
    ],
)
def test_the_suffix_follows_format_and_compression(values: dict[str, str], suffix: str) -> None:
    """Readers go by it."""
    made = key(shard_batch(), make_settings(fanout=1, partition_by="", **values))
    assert made == f"{SHARD.stem}-{SEQUENCE:0>64}{suffix}"


def test_a_queues_object_is_named_by_its_oldest_time_and_its_messages() -> None:
    """13 digits of milliseconds, 32 of the digest of the sorted ids."""
    chunk = make_chunk(
        b"1", b"2", origin=QUEUE, positions=["b", "a"], arrivals_s=[1545082650.636, 1545082649.183]
    )
    batch = make_batch(chunk)
    digits = hashlib.sha256(b"a\nb").hexdigest()[:32]
    assert object_name(batch, batch.digest(), "") == f"my-queue-1545082649183-{digits}"
    assert message_set_name(QUEUE, 1.0, "d" * 64, None) == f"my-queue-0000000001000-{'d' * 32}"


@pytest.mark.parametrize("time_ms", [1_001, 1_545_082_649_183, 2_163_939_592_944])
def test_a_queues_name_has_the_exact_millisecond(time_ms: int) -> None:
    """As a float of seconds, the first and the last of these are just below the millisecond."""
    name = message_set_name(QUEUE, time_ms / 1000, "d" * 64, None)
    assert name == f"my-queue-{time_ms:013d}-{'d' * 32}"


def test_a_fifo_queues_object_is_named_by_its_lowest_number() -> None:
    """20 digits, in place of the time."""
    chunk = make_chunk(b"1", b"2", origin=QUEUE, positions=["a", "b"], sequence_numbers=["9", "10"])
    batch = make_batch(chunk)
    start, digits = f"{9:020d}", batch.digest()[:32]
    assert object_name(batch, batch.digest(), "") == f"my-queue-{start}-{digits}"


@pytest.mark.parametrize("second", [None, "x"])
def test_a_fifo_queues_object_has_a_name_without_all_its_numbers(second: str | None) -> None:
    """Sorting takes such a number for 0; naming must not stop the whole event."""
    numbers = ["9", str(second or "")]
    chunk = make_chunk(b"1", b"2", origin=QUEUE, positions=["a", "b"], sequence_numbers=numbers)
    batch = make_batch(chunk)
    assert object_name(batch, batch.digest(), "")


def test_everything_else_has_the_fresh_name() -> None:
    """Library, command line and direct invokes."""
    batch = make_batch(make_chunk(b"1"), "a=1")
    name = "019ab0c7-0000-7000-8000-000000000000"
    assert (
        key(batch, make_settings(root="r", fanout=2), name)
        == f"r/{salt(name, 2)}/a=1/{name}.ndjson.gz"
    )


def test_quarantine_has_a_folder_by_source_and_day_and_no_salt() -> None:
    """Always NDJSON in gzip, whatever data is written as."""
    chunk = make_chunk(b"{}", origin=SHARD, positions=[SEQUENCE])
    batch = make_batch(chunk, is_quarantine=True)
    settings = make_settings(root="events", format="lines", compression="zstd")
    assert key(batch, settings) == (
        f"events/_quarantine/kinesis/dt=2026-11-23/{SHARD.stem}-{SEQUENCE:0>64}.ndjson.gz"
    )


@pytest.mark.parametrize("fanout", [1, 16])
@pytest.mark.parametrize("name", ["_jobs", ".jobs"])
def test_a_queue_whose_name_starts_oddly_gives_a_file_that_all_readers_see(
    name: str, fanout: int
) -> None:
    """SQS and Kinesis allow such names; Hive, Spark and Athena pass over files of these names."""
    origin = Origin("sqs", NamingScheme.MESSAGE_SET, make_stem(name))
    batch = make_batch(make_chunk(b"1", origin=origin, positions=["a"]))
    made = key(batch, make_settings(root="r", fanout=fanout, partition_by=""))
    assert made.rpartition("/")[2].startswith(("%5Fjobs-", "%2Ejobs-"))


@pytest.mark.parametrize(("fanout", "bits"), [(1, 0), (2, 1), (16, 4), (65_536, 16)])
def test_the_salt_is_the_first_bits_of_the_names_digest(fanout: int, bits: int) -> None:
    """SHA-256, most significant bit first, as binary digits."""
    digest = int(hashlib.sha256(b"name").hexdigest(), 16)
    assert salt("name", fanout) == f"{digest:0256b}"[:bits]


def test_a_stream_objects_number_has_64_digits() -> None:
    """So that names sort as the stream does."""
    assert sequence_name(SHARD, "7") == f"{SHARD.stem}-{'0' * 63}7"
    assert sequence_name(SHARD, "7/12") == sequence_name(SHARD, "7"), "an index is no part of it"


def test_a_uuid_is_version_7_of_a_time_a_counter_and_random_bits() -> None:
    """RFC 9562: 48 bits of milliseconds, 12 of a counter, 62 random ones."""
    made = uuid.UUID(uuid7(1_645_557_742_000, 0xCC3, 0x18C4DC0C0C07398F))
    assert str(made) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"  # the example of the RFC
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert uuid7(0, 0, 0) == "00000000-0000-7000-8000-000000000000"
    ones = (1 << 200) - 1
    assert uuid7(ones, ones, ones) == "ffffffff-ffff-7fff-bfff-ffffffffffff"


def test_fresh_names_sort_in_the_order_in_which_they_were_made() -> None:
    """Whatever the clock does, and however many come in a millisecond."""
    times = iter([1.0] * 5000 + [0.5] * 10 + [7.0])
    names = Uuid7Generator(lambda: next(times), lambda bits: (1 << bits) - 1)
    made = [names() for _ in range(5011)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert uuid.UUID(made[0]).int >> 80 == 1000
    assert uuid.UUID(made[-1]).int >> 80 == 7000


def test_a_stem_is_joined_of_the_names_there_are() -> None:
    """Whatever an event says, no name leaves its folder."""
    assert make_stem("orders", "shardId-1") == "orders-shardId-1"
    assert make_stem("orders", "") == "orders"
    assert make_stem("../a/b~\u00e9\n") == "%2E.%2Fa%2Fb%7E%C3%A9%0A"


def test_a_digest_is_of_the_positions_line_by_line() -> None:
    """64 hex digits."""
    assert positions_digest(["a", "b"]) == hashlib.sha256(b"a\nb").hexdigest()
    assert positions_digest([]) == hashlib.sha256(b"").hexdigest()


def test_no_key_is_longer_than_its_bound() -> None:
    """With the longest names that the sources allow: a table's, and its stream's label."""
    table = make_stem("t" * 255, "2026-11-23T00:48:05.899")
    batch = make_batch(
        make_chunk(
            b"1", origin=Origin("dynamodb", NamingScheme.SEQUENCE, table), positions=["9" * 40]
        ),
        "p" * 100,
    )
    settings = make_settings(root="r" * 300, compression="zstd", fanout=65_536)
    bound = max_key_bytes(settings.root, settings.fanout, 100)
    assert len(key(batch, settings).encode()) <= bound <= MAX_KEY_BYTES
    assert LIBRARY.naming is NamingScheme.FRESH
