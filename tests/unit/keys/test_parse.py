"""Names: what an object's key says of it, read back."""

from __future__ import annotations

import pytest

from batcher.keys.names import make_stem, salt
from batcher.keys.parse import (
    KeyParseError,
    ParsedKey,
    SourceFamily,
    parse_key,
    split_stream_and_shard,
)
from batcher.records.chunk import NamingScheme

NUMBER = "0000000049590338271490256608559692538361571095921575989136588898"
SHARD = f"orders-shardId-000000000003-{NUMBER}"
TABLE = f"Orders-2026-11-23T06%3A48%3A05.899-{'7'.zfill(64)}"
QUEUE = f"my-queue-1795417200000-{'ab' * 16}"
FIFO = f"orders.fifo-{'5'.zfill(20)}-{'ab' * 16}"
FRESH = "019aaf5c-2f00-7000-8000-0123456789ab"
HOUR = "dt=2026-11-23/hour=07"


def test_the_example_of_the_design_is_read() -> None:
    """Salt, partition, stream, shard, number and suffix."""
    key = f"events/1100/{HOUR}/{SHARD}.ndjson.gz"
    name = parse_key(key, "events")
    assert name == ParsedKey(
        key=key,
        salt="1100",
        partition=HOUR,
        naming=NamingScheme.SEQUENCE,
        stem="orders-shardId-000000000003",
        first=int(NUMBER),
        suffix=".ndjson.gz",
    )
    assert name.stream_and_shard == ("orders", "shardId-000000000003")
    assert name.family is SourceFamily.STREAM
    assert name.is_json
    assert not name.is_quarantine


@pytest.mark.parametrize(
    ("text", "naming", "stem", "first"),
    [
        (SHARD, NamingScheme.SEQUENCE, "orders-shardId-000000000003", int(NUMBER)),
        (TABLE, NamingScheme.SEQUENCE, "Orders-2026-11-23T06%3A48%3A05.899", 7),
        (QUEUE, NamingScheme.MESSAGE_SET, "my-queue", 1795417200000),
        (FIFO, NamingScheme.MESSAGE_SET, "orders.fifo", 5),
        (FRESH, NamingScheme.FRESH, "", None),
    ],
)
@pytest.mark.parametrize("fanout", [1, 2, 16, 65_536])
@pytest.mark.parametrize("partition", ["", HOUR, "customer=%2E%2E%2Fx/a~0123456789abcdef"])
def test_every_form_of_name_is_read_at_its_place(  # noqa: PLR0913, PLR0917  # what there is to vary
    text: str, naming: NamingScheme, stem: str, first: int | None, fanout: int, partition: str
) -> None:
    """Whatever the fanout, the partition and the root."""
    for root in ("", "events", "a/b"):
        parts = [root, salt(text, fanout), partition, f"{text}.ndjson"]
        name = parse_key("/".join(filter(None, parts)), root)
        assert (name.naming, name.stem, name.first) == (naming, stem, first)
        assert (name.salt, name.partition) == (salt(text, fanout), partition)


@pytest.mark.parametrize(
    ("text", "time_s"),
    [
        (SHARD, None),
        (TABLE, None),
        (QUEUE, 1_795_417_200.0),
        (FIFO, None),
        (FRESH, 0x019AAF5C2F00 / 1000),
    ],
)
def test_the_time_in_a_name_is_in_seconds(text: str, time_s: float | None) -> None:
    """Names with sequence numbers have none."""
    assert parse_key(f"{HOUR}/{text}.ndjson", "").time_s == time_s


@pytest.mark.parametrize(
    ("suffix", "is_json"),
    [
        (".ndjson", True),
        (".ndjson.gz", True),
        (".ndjson.zst", True),
        (".txt", False),
        (".txt.gz", False),
        (".txt.zst", False),
    ],
)
def test_a_suffix_tells_the_format(suffix: str, is_json: bool) -> None:  # noqa: FBT001  # a case
    """A stem may have dots of its own."""
    name = parse_key(f"{FIFO}{suffix}", "")
    assert (name.suffix, name.is_json) == (suffix, is_json)


def test_quarantine_is_read_with_its_source() -> None:
    """It has no salt; its partition is where it lies."""
    name = parse_key(f"r/_quarantine/kinesis/dt=2026-11-23/{SHARD}.ndjson.gz", "r")
    assert name.is_quarantine
    assert name.quarantine_source == "kinesis"
    assert (name.salt, name.partition) == ("", "_quarantine/kinesis/dt=2026-11-23")
    assert name.first == int(NUMBER)


@pytest.mark.parametrize(("queue", "escaped"), [("_x", "%5Fx"), (".x", "%2Ex")])
def test_a_queue_whose_name_starts_oddly_has_its_name_back(queue: str, escaped: str) -> None:
    """Such names are written escaped, for many readers pass over files of these names."""
    assert make_stem(queue) == escaped
    name = parse_key(f"{escaped}-1795417200000-{'ab' * 16}.ndjson", "")
    assert name.stream_and_shard == (queue, "")


def test_a_partition_may_start_with_an_underscore_under_a_salt() -> None:
    """A record without the field, and a fanout."""
    place = f"{salt(FRESH, 2)}/__HIVE_DEFAULT_PARTITION__"
    assert parse_key(f"{place}/{FRESH}.ndjson.gz", "").partition == "__HIVE_DEFAULT_PARTITION__"


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("report.csv", "unknown suffix"),
        ("x.ndjson.gz", "not a name that batcher gives"),
        (".ndjson.gz", "unknown suffix"),
        (f"{QUEUE}.ndjson.bz2", "unknown suffix"),
        (f"{QUEUE}.json", "unknown suffix"),
        (f"{QUEUE}", "unknown suffix"),
        (f"{FRESH.replace('-7', '-4')}.ndjson", "not a name that batcher gives"),
        (f"{FRESH.upper()}.ndjson", "not a name that batcher gives"),
        (f"a b-1795417200000-{'ab' * 16}.ndjson", "not a name that batcher gives"),
        (f"x//{FRESH}.ndjson", "folder ''"),
        (f"a b/{FRESH}.ndjson", "folder 'a b'"),
        (f"_tmp/{FRESH}.ndjson", "folder '_tmp' is unknown"),
        (f"{'1' if salt(FRESH, 2) == '0' else '0'}/{FRESH}.ndjson", "does not belong to its name"),
        (f"_quarantine/{QUEUE}.ndjson.gz", "its folders are not"),
        (f"_quarantine/sqs/2026-11-23/{QUEUE}.ndjson.gz", "its folders are not"),
        (f"_quarantine/s q/dt=2026-11-23/{QUEUE}.ndjson.gz", "its folders are not"),
        (f"_quarantine/sqs/dt=2026-11-23/x/{QUEUE}.ndjson.gz", "its folders are not"),
        (f"_quarantine/sqs/dt=2026-11-23/{QUEUE}.ndjson", "end with .ndjson.gz"),
        ("_quarantine/sqs/dt=2026-11-23/x.ndjson.gz", "not a name that batcher gives"),
    ],
)
def test_a_key_that_is_not_batchers_is_foreign(key: str, told: str) -> None:
    """And the message says why."""
    with pytest.raises(KeyParseError, match=told):
        parse_key(f"root/{key}", "root")


def test_a_key_outside_of_the_root_is_foreign() -> None:
    """Also where the root is the start of a longer folder's name."""
    with pytest.raises(KeyParseError, match="not under events"):
        parse_key(f"events2/{FRESH}.ndjson", "events")


@pytest.mark.parametrize(
    ("stem", "parts"),
    [
        ("orders-shardId-000000000003", ("orders", "shardId-000000000003")),
        ("a-shardId-1-shardId-000000000003", ("a-shardId-1", "shardId-000000000003")),
        ("T-2026-11-23T06%3A48%3A05.899", ("T", "2026-11-23T06:48:05.899")),
        ("T-2026-11-23T06%3A48%3A05", ("T", "2026-11-23T06:48:05")),
        ("orders", ("orders", "")),
        ("x%7E%2Fy", ("x~/y", "")),
    ],
)
def test_a_stem_is_divided_into_stream_and_shard(stem: str, parts: tuple[str, str]) -> None:
    """Escapes are taken back, for people."""
    assert split_stream_and_shard(stem) == parts


@pytest.mark.parametrize("name", [SHARD, TABLE])
@pytest.mark.parametrize("digits", ["0123abcd", "0123456789abcdef"])
def test_a_name_may_continue_with_digits(name: str, digits: str) -> None:
    """Of a fingerprint, or of a digest: the plain name is taken by other records."""
    continued = f"{name}~{digits}"
    found = parse_key(f"{salt(continued, 16)}/{HOUR}/{continued}.ndjson.gz", "")
    plain = parse_key(f"{salt(name, 16)}/{HOUR}/{name}.ndjson.gz", "")
    assert (found.stem, found.first, found.naming) == (plain.stem, plain.first, plain.naming)


@pytest.mark.parametrize("digits", ["", "0123abc", "0123abcde", "0123ABCD", "0123abcd~0123abcd"])
def test_a_name_continues_with_8_or_16_digits(digits: str) -> None:
    """And nothing else."""
    continued = f"{SHARD}~{digits}"
    with pytest.raises(KeyParseError):
        parse_key(f"{HOUR}/{continued}.ndjson.gz", "")
