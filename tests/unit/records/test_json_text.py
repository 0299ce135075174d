"""JSON text: depth, shallow texts and UTF-8 agree with slow readers, at every cut of a window."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batcher.records import json_text
from batcher.records.json_text import (
    SHALLOW_DEPTH,
    find_non_utf8,
    is_deeper,
    iter_shallow,
    skip_deep_value,
    skip_value,
)
from support.hostile_json import nested

WINDOWS = st.sampled_from([1, 2, 3, 5, 8, 64])
values = st.recursive(
    st.sampled_from([b"1", b'"]{"', b'"\\\\"', b'"\\"["', b'""', b"null"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: b"[" + b",".join(items) + b"]")
        | st.lists(inner, max_size=3).map(
            lambda items: b"{" + b",".join(b'"[\\\\":' + item for item in items) + b"}"
        )
    ),
    max_leaves=25,
)
"""JSON with brackets, quotes and backslashes in strings."""


def depth_of(raw: bytes) -> int:
    """Return the depth of valid JSON, character by character."""
    depth = deepest = 0
    in_string = is_escaped = False
    for character in raw.decode():
        if in_string:
            in_string = character != '"' or is_escaped
            is_escaped = character == "\\" and not is_escaped
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def is_valid(skip: object, raw: bytes) -> bool:
    """Return whether a check accepts JSON."""
    try:
        skip(raw)  # type: ignore[operator]  # one of two functions
    except msgspec.DecodeError:
        return False
    return True


@given(values, WINDOWS)
@example(b'["' + b"\\\\" * 5 + b'",[]]', 2)
def test_the_depth_is_exact(raw: bytes, window: int) -> None:
    """Wherever a window ends: in a string, in an escape, between brackets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "_WINDOW_BYTES", window)
        depth = depth_of(raw)
        assert not is_deeper(raw, depth)
        assert depth == 0 or is_deeper(raw, depth - 1)


@given(values, st.integers(0, 60), st.sampled_from([b"", b"[", b"}", b'"', b",", b"\\"]))
def test_shallow_texts_are_valid_if_the_value_is(raw: bytes, at: int, put: bytes) -> None:
    """Cut at every second level, with and without a fault."""
    broken = raw[:at] + put + raw[at + 1 :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "SHALLOW_DEPTH", 2)
        assert is_valid(skip_deep_value, raw)
        assert is_valid(skip_deep_value, broken) is is_valid(skip_value, broken)
        assert all(depth_of(text) <= 3 for text in iter_shallow(raw))  # a leaf


def test_the_last_shallow_text_is_the_outermost() -> None:
    """Fields are looked up in it; the place of a deep value is an array."""
    deep = nested(3 * SHALLOW_DEPTH + 1)
    *inner, outermost = iter_shallow(b'{"x":1,"y":' + deep + b',"z":2}')
    assert outermost.startswith(b'{"x":1,"y":[[')
    assert outermost.endswith(b']],"z":2}')
    assert len(inner) == len(deep) // 2 // SHALLOW_DEPTH


@given(
    st.lists(st.sampled_from(["é", "\U0001f600", "a", "中"]), max_size=12),
    st.integers(0, 40),
    st.sampled_from([b"", b"\x80", b"\xf0\x9f", b"\xed\xa0\x80"]),
    WINDOWS,
)
def test_the_first_bytes_that_are_not_utf8_are_found(
    characters: list[str], at: int, put: bytes, window: int
) -> None:
    """As decoding all at once finds them."""
    text = "".join(characters).encode()
    raw = text[:at] + put + text[at:]
    try:
        raw.decode()
        first = None
    except UnicodeDecodeError as error:
        first = error.start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "_WINDOW_BYTES", max(4, window))
        assert find_non_utf8(raw) == first
