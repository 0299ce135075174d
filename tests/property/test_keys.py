"""Keys are deterministic, and no record can leave its key space."""

from __future__ import annotations

import json
import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from batcher.batching.router import Router
from batcher.keys.names import Uuid7Generator, make_stem, salt
from batcher.keys.partition import MAX_VALUE_BYTES, PartitionTemplate, escape_value
from batcher.limits import MAX_KEY_BYTES
from batcher.records.chunk import NamingScheme
from batcher.writing.object import object_key, object_name
from support.examples import SEQUENCE, make_batch, make_chunk, make_settings
from support.strategies import ORIGINS, dumped, field_values, json_texts

SAFE_VALUE = re.compile(r"[A-Za-z0-9._\-%~]+")
ROOTS = st.sampled_from(["", "events", "a/b=c", "\u00fc/x"])
TEMPLATES = [
    "f={field:f}",
    "day={field:f}/{field:g.h}",
    "{field:f}",
    "{field:f}/x",
    "{arrival:%Y}/{field:f}",
    "x{field:f}-{arrival:%H}",
]


@given(field_values)
def test_a_value_is_safe_in_a_key(value: object) -> None:
    """No slash, no control characters, at most 128 bytes, never `.`, `..` or empty."""
    try:
        escaped = escape_value(value)
    except TypeError:  # a whole number over 64 bits, which no record gives
        return
    assert SAFE_VALUE.fullmatch(escaped)
    assert escaped not in {".", ".."}
    assert len(escaped.encode()) <= MAX_VALUE_BYTES
    assert escape_value(value) == escaped


LONG = st.text(max_size=3).map(lambda end: "/" * 64 + end)
"""Values that differ only where they are cut off."""


@given(st.sets(st.text(max_size=60) | st.text(min_size=100) | LONG, min_size=2, max_size=5))
def test_different_texts_are_different_partitions(texts: set[str]) -> None:
    """But for those that have no name of their own."""
    named = texts - {"", ".", ".."}
    assert len({escape_value(text) for text in named}) == len(named)


@given(
    ROOTS,
    st.sampled_from([1, 1, 2, 16, 65_536]),
    st.sampled_from(TEMPLATES),
    field_values,
    field_values,
    st.sampled_from(NamingScheme),
    st.sampled_from(["none", "gzip", "zstd"]),
)
def test_a_key_is_safe_whatever_a_record_holds(  # noqa: PLR0913, PLR0917  # all that makes a key
    root: str,
    fanout: int,
    template: str,
    field: object,
    other: object,
    naming: NamingScheme,
    compression: str,
) -> None:
    """It starts with the root and the salt, is within 1,024 bytes, and is never in quarantine."""
    if fanout == 1 and not PartitionTemplate(template).is_first_folder_safe:
        fanout = 2
    settings = make_settings(
        root=root, fanout=fanout, partition_by=template, compression=compression
    )
    payload = dumped({"f": field, "g": {"h": other}})
    chunk = make_chunk(payload, origin=ORIGINS[naming], positions=[SEQUENCE])
    for route, part in Router(settings).route(chunk).chunks:
        batch = make_batch(part, route.partition, is_quarantine=route.is_quarantine)
        name = object_name(batch, batch.digest(), "019ab0c7-0000-7000-8000-000000000000")
        key = object_key(batch, name, settings)
        assert key == object_key(batch, name, settings)
        assert len(key.encode()) <= MAX_KEY_BYTES
        assert key.isprintable()
        assert key.startswith(root)
        folders = key.removeprefix(root).removeprefix("/").split("/")
        assert not {"", ".", ".."} & set(folders)
        if route.is_quarantine:
            assert folders[0] == "_quarantine"
        elif fanout > 1:
            assert folders[0] == salt(name, fanout)
        else:
            assert not folders[0].startswith("_")
            assert not set(folders[0]) <= {"0", "1"}
        if not route.is_quarantine:
            slashes = template.count("/")
            assert len(folders) == slashes + 2 + (fanout > 1)


@given(st.text(), st.text(), st.text(max_size=50))
def test_a_stem_never_leaves_its_folder(queue: str, shard: str, name: str) -> None:
    """Whatever an event says of its source."""
    names = [text.encode(errors="replace").decode() for text in (queue, shard, name)]
    assert re.fullmatch(r"[A-Za-z0-9._\-%~]*", make_stem(*names))


@given(st.integers(0, 10**9), st.integers(1, 6).map(lambda bits: 1 << bits))
def test_salts_are_spread_evenly(seed: int, fanout: int) -> None:
    """Names that differ in one digit only land on all prefixes alike (within six sigma)."""
    each = 64
    found = Counter(salt(f"orders-{seed + n:064d}", fanout) for n in range(each * fanout))
    assert len(found) == fanout
    assert all(len(s) == fanout.bit_length() - 1 and set(s) <= {"0", "1"} for s in found)
    assert all(abs(count - each) < 6 * each**0.5 for count in found.values())


@given(st.text(max_size=40), st.integers(0, 15))
def test_a_salt_of_fewer_prefixes_is_the_start_of_one_of_more(name: str, bits: int) -> None:
    """So that a larger fanout divides what a smaller one made."""
    plain = name.encode(errors="replace").decode()
    assert salt(plain, 2 << bits).startswith(salt(plain, 1 << bits))


@given(st.lists(st.integers(0, 10), min_size=1, max_size=50))
def test_fresh_names_sort_in_the_order_they_were_made(steps: list[int]) -> None:
    """Also when the clock stands still or goes back."""
    times = iter(1000.0 + step / 1000 for step in steps)
    names = Uuid7Generator(lambda: next(times), lambda _: 0)
    made = [names() for _ in steps]
    assert made == sorted(set(made))


@given(st.lists(st.sampled_from(["x", "y", "/", ""]), min_size=1, max_size=8))
def test_a_route_is_the_records_own_partition(values: list[str]) -> None:
    """Grouping a chunk gives each record the path it would have by itself."""
    template = PartitionTemplate("f={field:f}")
    payloads = [dumped({"f": value}) for value in values]
    alone = [template.split(make_chunk(p))[0][0] for p in payloads]
    together = {
        position: path
        for path, part in template.split(make_chunk(*payloads))
        for position in part.positions
    }
    assert [together[str(n)] for n in range(len(values))] == alone


def _reference(record: object, *path: str) -> object:
    """Return a field of a parsed record, or None."""
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    return record


@given(
    json_texts()
    | st.builds(lambda f, h: dumped({"f": f, "g": {"h": h}}), field_values, field_values)
)
def test_fields_are_found_as_a_parser_finds_them(payload: bytes) -> None:
    """Without building the record."""
    record = json.loads(payload)
    found = PartitionTemplate("{field:f}/{field:g.h}").split(make_chunk(payload))
    if re.search(rb"\\ud[89a-f]", payload, re.IGNORECASE):
        return  # a lone surrogate is bad, so such a record is never divided
    expected = [escape_value(_reference(record, *path)) for path in (("f",), ("g", "h"))]
    assert [path for path, _ in found] == ["/".join(expected)]
