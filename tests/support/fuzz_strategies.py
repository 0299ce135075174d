"""Strategies of the fuzz tests: events, files, settings, objects, with unusual values anywhere."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from backports import zstd
from hypothesis import strategies as st

from support.examples import dynamodb_record, fifo_message, kinesis_record, message
from support.strategies import json_values

Path = tuple[str | int, ...]
MISSING = object()
"""In place of a value: the field is missing."""


def nested(depth: int, inside: object = 0) -> object:
    """Return `inside` in `depth` lists."""
    for _ in range(depth):
        inside = [inside]
    return inside


UNUSUAL: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 7, 1.5, -0.0, 2**53 + 1, 2**64, 10**400, -(10**400)),
    *(float("inf"), float("-inf"), float("nan"), 1e308, 253_402_300_799.999, 253_402_300_800),
    *("", " ", "0", "-1", "7", "nan", "inf", "1e400", "1_000", "9" * 400, "9" * 5_000),
    *("\ud800", "a\udfffb", "\x00", "\n", "a\nb", "\u0663", "\u00b2", "x" * 3_000),
    *(".", "..", "../..", "/_quarantine/x", "_quarantine", "0101/x", "a/b", "%2F", "~"),
    *([], {}, [[]], [None], {"": None}, {"S": "x"}, {"N": "nan"}, nested(300), nested(600)),
    *("aws:sqs", "aws:kinesis", "aws:s3", "arn:aws:sqs:::", "arn:aws:sqs:x:1:" + "q" * 2_000),
    *("arn:aws:kinesis:x:1:stream/\ud800", "arn:aws:dynamodb:x:1:table//stream/", "AQ==", "!"),
)
"""Values that have broken programs before. Any field of any source may have any of them."""

unusual_values: st.SearchStrategy[Any] = st.sampled_from(UNUSUAL) | json_values | st.text()


def all_paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every value within a JSON value, and of the value itself."""
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from all_paths(value[name], (*path, name))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from all_paths(value[index], (*path, index))


GOOD: dict[str, Callable[[int], dict[str, Any]]] = {
    "sqs": lambda n: message(f"id{n}", json.dumps({"n": n, "f": "x"})),
    "fifo": lambda n: fifo_message(f"id{n}", str(95 + n), "gh"[n % 2], json.dumps({"n": n})),
    "kinesis": lambda n: kinesis_record(str(95 + n), json.dumps({"n": n, "f": "x"}).encode()),
    "dynamodb": lambda n: dynamodb_record(str(95 + n), {"n": {"N": str(n)}}),
}
"""Creates a good record of each source, given its number."""


def corrupt(record: dict[str, Any], changes: Mapping[Path, object]) -> Any:  # noqa: ANN401  # JSON
    """Return a copy of a record with other values at some paths, or none where it is `MISSING`."""
    root: list[Any] = [copy.deepcopy(record)]
    for path in sorted(changes, key=len, reverse=True):  # inner values first
        parent: Any = root
        for step in (0, *path)[:-1]:
            parent = parent[step]
        last: Any = (0, *path)[-1]
        if changes[path] is not MISSING:
            parent[last] = changes[path]
        elif isinstance(parent, dict):
            del parent[last]
    return root[0]


def corrupted(record: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Draw a record in which one to three values are changed or missing."""
    paths = st.sampled_from(list(all_paths(record)))
    values = st.just(MISSING) | unusual_values
    return st.dictionaries(paths, values, min_size=1, max_size=3).map(
        lambda changes: corrupt(record, changes)
    )


@st.composite
def service_events(draw: st.DrawFn) -> tuple[str, list[Any], set[int]]:
    """Draw a source, its records, and the indices of the corrupted ones."""
    kind = draw(st.sampled_from(sorted(GOOD)))
    records: list[Any] = [GOOD[kind](n) for n in range(draw(st.integers(1, 5)))]
    bad = draw(st.sets(st.integers(0, len(records) - 1), max_size=3))
    for index in bad:
        records[index] = draw(corrupted(records[index]))
    for _ in range(draw(st.integers(0, 1))):  # a duplicate
        records.append(draw(st.sampled_from(records)))
    return kind, records, bad


direct_records = st.dictionaries(st.text(max_size=4), unusual_values, max_size=3)
direct_events = (
    unusual_values
    | direct_records
    | st.lists(direct_records | unusual_values, max_size=3)
    | st.dictionaries(
        st.sampled_from(["Records", "records", "awslogs", "detail-type", "source", "x"]),
        unusual_values | st.lists(unusual_values, max_size=3),
    )
)
"""Events of direct invocations."""


templates = st.lists(
    st.sampled_from(
        [
            *("/", "a", "0", "1", "_", "=", ".", "..", "~", "%", "{", "}", "day=", "_quarantine"),
            *("{field:f}", "{field:g.h}", "{field:}", "{field:a/b}", "{field}", "{}", "{{f}}"),
            *("{arrival:%Y}", "{arrival:%d}", "{arrival:%Y/%m}", "{arrival:%%}", "{arrival:%s}"),
            *("{arrival:x}", "{arrival:%Y-%m-%d}", "{arrival:.%M.}", "{other:x}", "\ud800", "\n"),
        ]
    )
    | st.text(max_size=4),
    max_size=6,
).map("".join)
"""Values of `partition_by`. Most are rejected."""

setting_values: st.SearchStrategy[Any] = (
    st.sampled_from(
        [
            *UNUSUAL[:-22],
            *("64MiB", "1.5", "1e3", "1iB", "9" * 5_000 + "MiB", "0.1kB", "true", "no", "gzip"),
            *("zstd", "none", "AES256", "aws:kms", "s3://b/r", "a/../b", "file:/x", "file:\ud800"),
            *('{"a":"b"}', '{"a":1}', '{"\\ud800":"x"}', '{"Batcher-x":"1"}', '{"a":"\\n"}', "{"),
            *(b"x", b"\xff", b"64MiB", {"a": "b"}, {1: 2}, {"\ud800": "x"}, (), 3.0),
            *("{field:f}", "{field:f", "{arrival:%Y}", "a" * 1_100, "x={field:f}/" * 9, "\u212a"),
        ]
    )
    | unusual_values
    | st.integers()
    | st.floats()
    | st.binary(max_size=8)
)
"""Values of a setting."""


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Draw a file: lines, compressed or not, in one or several members, intact or damaged."""
    line = st.sampled_from([b"", b"0", b"{}", b'{"a":1}', b"x" * 200, b"\r", b"\x00", b"\xff"])
    texts = st.lists(line | st.binary(max_size=12), max_size=12).map(b"\n".join)
    packers: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, zstd.compress]
    pack = draw(st.sampled_from(packers))
    data = b"".join(
        pack(draw(texts) * draw(st.sampled_from([1, 1, 40])))
        for _ in range(draw(st.integers(1, 3)))
    )
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(data)))
        inserted = draw(
            st.sampled_from([b"", b"\0\0", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
            | st.binary(max_size=3)
        )
        end = draw(st.sampled_from([start, start + 1, len(data)]))
        data = data[:start] + inserted + data[end:]
    return draw(st.just(data) | st.binary(max_size=40))


quarantine_lines = st.fixed_dictionaries(
    {},
    optional={
        "reason": st.sampled_from(["not_json", "empty", "gzip", "malformed"]) | unusual_values,
        "detail": st.just("x") | unusual_values,
        "source": st.sampled_from(["sqs", "kinesis", "library"]) | unusual_values,
        "position": st.sampled_from(["1", "2"]) | unusual_values,
        "arrival": st.just("2026-11-23T07:00:00+00:00") | unusual_values,
        "payload": st.sampled_from(['{"a":1}', "{"]) | unusual_values,
        "payload_b64": st.just("e30=") | unusual_values,
        "envelope": st.just({"messageId": "1"}) | unusual_values,
        "replay": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("id", "state", "key", "queue"), unusual_values)
        )
        | st.fixed_dictionaries(
            {
                "id": st.just("g"),
                "state": st.sampled_from(["started", "done"]),
                "key": st.sampled_from([None, "events/x.ndjson.gz"]),
            }
        )
        | unusual_values,
    },
).map(lambda line: json.dumps(line).encode())
GOOD_LINE = json.dumps(
    {
        "reason": "not_json",
        "detail": "x",
        "source": "sqs",
        "position": "7",
        "arrival": "2026-11-23T07:00:00+00:00",
        "payload": '{"a":1}',
        "envelope": {"messageId": "7"},
    }
).encode()

bodies = files() | st.lists(
    quarantine_lines | st.just(GOOD_LINE) | st.binary(max_size=9), max_size=4
).map(lambda lines: gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0))
keys = st.sampled_from(
    [
        "events/0101/dt=2026-11-23/q-1795417200000-" + "a" * 32 + ".ndjson.gz",
        "events/_quarantine/sqs/dt=2026-11-23/q-1795417200000-" + "a" * 32 + ".ndjson.gz",
        "events/_quarantine/kinesis/dt=2026-11-23/s-" + "0" * 64 + ".ndjson.gz",
        "events/_quarantine/sqs/x.ndjson.gz",
        "events/_quarantine/x",
        "events/0101/s-shardId-1-" + "9" * 64 + ".ndjson.zst",
        "events/0101/dt=x/019ab0c7-0000-7000-8000-000000000000.txt",
        "events/",
        "events//x.ndjson",
        "elsewhere/x",
    ]
) | st.text(max_size=9).filter(lambda t: t.isprintable()).map("events/".__add__)
metadata = st.dictionaries(
    st.sampled_from(["batcher-records", "batcher-first", "batcher-last", "batcher-crc32", "x"]),
    st.sampled_from(["", "1", "-1", "9" * 70, "0" * 8, "\u0663", "9" * 1_900, "a b"]),
    max_size=3,
)
stored_objects = st.dictionaries(keys, st.tuples(bodies, metadata), max_size=3)
"""Objects in a bucket: body and metadata by key."""
