"""Partitions: no template and no field takes a record out of the place that is its own."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.batching.router import Router
from batcher.errors import SettingsError
from batcher.keys.names import salt
from batcher.keys.partition import DEFAULT_PARTITION, MAX_VALUE_BYTES, escape_value
from batcher.limits import MAX_KEY_BYTES
from batcher.writing.object import object_key, object_name
from support.examples import make_batch, make_chunk, make_settings
from support.fuzz_strategies import UNUSUAL, templates, unusual_values
from support.strategies import field_values

FIELDS = unusual_values | field_values
RECORDS = st.lists(
    st.fixed_dictionaries({"f": FIELDS}, optional={"g": st.fixed_dictionaries({"h": FIELDS})}),
    min_size=1,
    max_size=4,
)
SHORT = st.text(max_size=14) | st.integers(-(2**80), 2**80) | st.booleans()
VALUE = re.compile(r"(?:[A-Za-z0-9._-]|%[0-9A-F]{2})*(?:%?[0-9A-F]?~[0-9a-f]{16})?")
"""A long value is cut at 96 bytes, wherever an escape may stand there."""


def check_partition(
    template: str, fanout: int, root: str, records: list[dict[str, Any]]
) -> dict[str, list[int]]:
    """Keys stay in their own space, whatever a template and the records' fields are.

    Returns:
        The indices of the records by partition; nothing where the settings are refused.
    """
    try:
        settings = make_settings(partition_by=template, fanout=fanout, root=root)
    except SettingsError:
        return {}
    payloads = [json.dumps(record).encode() for record in records]
    found: dict[str, list[int]] = {}
    for route, part in Router(settings).route(make_chunk(*payloads)).chunks:
        assert route.is_quarantine or route.partition not in found
        batch = make_batch(part, route.partition, is_quarantine=route.is_quarantine)
        name = object_name(batch, batch.digest(), "019ab0c7-0000-7000-8000-000000000000")
        key = object_key(batch, name, settings)
        assert len(key.encode()) <= MAX_KEY_BYTES
        assert key.isprintable()
        start = f"{settings.root}/" if settings.root else ""
        assert key.startswith(start)
        folders = key.removeprefix(start).split("/")
        assert not {"", ".", ".."} & set(folders), key
        if route.is_quarantine:
            assert folders[0] == "_quarantine"
            continue
        if fanout > 1:
            assert folders[0] == salt(name, fanout)
        elif len(folders) > 1:
            assert not folders[0].startswith("_"), key
            assert not set(folders[0]) <= {"0", "1"}, key
        found[route.partition] = [int(position) for position in part.positions]
    return found


def check_value(value: object) -> str:
    """A value has a form of its own that is safe in a key."""
    escaped = escape_value(value)
    assert VALUE.fullmatch(escaped), escaped
    assert escaped not in {"", ".", ".."}
    assert len(escaped) <= MAX_VALUE_BYTES
    if isinstance(value, str) and escaped != DEFAULT_PARTITION and "~" not in escaped:
        assert unquote(escaped, errors="surrogatepass") == value
    return escaped


@given(templates, st.sampled_from([1, 1, 2, 16, 65_536]), RECORDS, st.text(max_size=8))
@settings(max_examples=300)
def test_no_template_and_no_field_leaves_its_key_space(
    template: str, fanout: int, records: list[dict[str, Any]], root: str
) -> None:
    """Under the root, behind the salt, within 1,024 bytes; or the template is refused."""
    check_partition(template, fanout, root, records)


@given(st.sampled_from(["f={field:f}", "{field:f}", "x/{field:f}.y"]), RECORDS)
def test_every_good_record_has_one_partition(template: str, records: list[dict[str, Any]]) -> None:
    """In any company it is the one that it has alone."""
    together = check_partition(template, 16, "", records)
    for partition, indices in together.items():
        for index in indices:
            assert check_partition(template, 16, "", [records[index]]) == {partition: [0]}


def test_odd_values_are_escaped_or_have_no_name_of_their_own() -> None:
    """Each of them, whatever the random ones are."""
    for value in UNUSUAL:
        check_value(value)


@given(unusual_values)
def test_a_value_is_escaped_as_readers_read_it_back(value: object) -> None:
    """Safe characters only, at most 128 bytes."""
    check_value(value)


@given(st.lists(SHORT, min_size=2, max_size=5, unique_by=str))
def test_short_values_that_differ_have_partitions_that_differ(values: list[object]) -> None:
    """As long as no digest is needed; but for those that have no name of their own."""
    texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in values]
    named = [
        (value, text)
        for value, text in zip(values, texts, strict=True)
        if text not in {"", ".", ".."} and text.encode("utf-8", "replace").decode() == text
    ]
    found = check_partition("f={field:f}", 16, "", [{"f": value} for value, _ in named])
    assert len(found) == len({text for _, text in named})
