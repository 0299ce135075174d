"""Checking agrees with Python's own reader of JSON, made strict.

Differences that are meant, and that the reference therefore has too: a lone surrogate that is
escaped (`u` and d800 after a backslash) and a byte order mark are bad, for many readers stop at
them; `1e999` is good, for its text is JSON, and no number is ever read. Depth is tested by itself.
"""

from __future__ import annotations

import json
from typing import NoReturn

from hypothesis import example, given
from hypothesis import strategies as st

from batcher.batching.validation import validate
from batcher.records.bad_record import BadRecordReason
from batcher.records.json_text import MAX_DEPTH
from support.examples import make_chunk, make_chunk_of_text
from support.strategies import bad_payloads, good_payloads, json_texts

LARGE = 10**9
FRAGMENTS = (
    *(bytes([c]) for c in b'{}[],:"\\01-+.eE \n\t\r/\x00\x1f\x7f\x0b\xff'),
    *(b"\\u", b"d800", b"dc00", b"null", b"true", b"false", b"NaN", b"Infinity", b"1e999", b'"a"'),
    *(
        b'"a":',
        b"\xc3\xa9",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"\\n",
        b"[[",
        b"]]",
    ),
)


def refuse(constant: str) -> NoReturn:
    """Refuse NaN and infinities, which JSON does not have."""
    raise ValueError(constant)


def meaning(raw: bytes) -> object:
    """Read one JSON value, numbers as their text; raises ValueError where there is none."""
    value = json.loads(raw.decode(), parse_constant=refuse, parse_int=str, parse_float=str)
    json.dumps(value, ensure_ascii=False).encode()  # a UnicodeEncodeError is a ValueError
    return value


def is_json(raw: bytes) -> bool:
    """Return whether these bytes are exactly one JSON value."""
    try:
        meaning(raw)
    except ValueError:
        return False
    return True


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw something like JSON."""
    text = draw(
        json_texts()
        | st.lists(st.sampled_from(FRAGMENTS), max_size=7).map(b"".join)
        | st.binary(max_size=4).map(lambda inside: b'"' + inside + b'"')
    )
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        kept = at + draw(st.integers(0, 2))
        text = text[:at] + draw(st.sampled_from((b"", *FRAGMENTS))) + text[kept:]
    return text


@given(st.lists(mutated(), max_size=6))
@example([b""])
@example([b"1", b"\n", b"2 3", b"[1,\n2]"])
def test_a_record_is_good_if_it_is_exactly_one_json_value(payloads: list[bytes]) -> None:
    """In any company; every record comes out once, as one line of the same meaning."""
    checked = validate(make_chunk(*payloads), is_json=True, max_bytes=LARGE)
    good = [n for n, payload in enumerate(payloads) if is_json(payload)]
    assert [int(p) for p in checked.good.positions] == good
    assert sorted([*good, *(int(bad.position) for bad in checked.bad)]) == list(
        range(len(payloads))
    )
    for line, n in zip(checked.good.payloads, good, strict=True):
        assert isinstance(line, bytes)
        assert not {*b"\r\n"} & {*line}
        assert meaning(line) == meaning(payloads[n])
        assert line == payloads[n] or {*b"\r\n"} & {*payloads[n]}
    for bad in checked.bad:
        assert bad.chunk.payloads == [payloads[int(bad.position)]]


@given(
    st.lists(mutated() | good_payloads, max_size=6).map(
        lambda some: b"".join(x + b"\n" for x in some)
    )
)
@example(b"1 2\n\n")
@example(b"[1\n,2] 3\n")
@example(b"{}{}\n\n")
@example(b'{"a":1}\r\n \n')
@example(b"\xef\xbb\xbf1\n")
@example(b'"\xff"\n')
@example(b"[" * 1500 + b"]" * 1500 + b"\n")
def test_lines_of_one_text_are_judged_as_the_same_records_apart(text: bytes) -> None:
    """Though they are not cut apart: values that share a line, or take two, are found."""
    together = validate(make_chunk_of_text(text), is_json=True, max_bytes=LARGE)
    apart = validate(make_chunk(*text.split(b"\n")[:-1]), is_json=True, max_bytes=LARGE)
    assert list(together.good.payloads) == list(apart.good.payloads)
    assert list(together.good.positions) == list(apart.good.positions)
    assert [(b.position, b.reason) for b in together.bad] == [
        (b.position, b.reason) for b in apart.bad
    ]


@given(st.lists(mutated().map(lambda raw: raw.decode(errors="surrogateescape")), max_size=5))
def test_text_is_judged_as_its_bytes_are(texts: list[str]) -> None:
    """With lone surrogates it has no bytes, and is bad."""
    checked = validate(make_chunk(*texts), is_json=True, max_bytes=LARGE)
    good = [n for n, t in enumerate(texts) if is_json(t.encode("utf-8", "surrogateescape"))]
    assert [int(p) for p in checked.good.positions] == good
    lines = [p.encode() if isinstance(p, str) else p for p in checked.good.payloads]
    assert [meaning(line) for line in lines] == [meaning(texts[n].encode()) for n in good]


@given(
    st.lists(good_payloads | bad_payloads | json_texts(), min_size=1, max_size=6),
    st.integers(0, 5),
    st.integers(-1, 2),
    st.booleans(),
)
def test_no_good_record_is_larger_than_a_batch(
    payloads: list[bytes],
    which: int,
    off: int,
    is_json_format: bool,  # noqa: FBT001  # either format
) -> None:
    """Measured as it will be written, its newline included; and none is refused for less."""
    unlimited = validate(make_chunk(*payloads), is_json=is_json_format, max_bytes=LARGE).good
    sizes = [len(line) for line in unlimited.payloads] or [0]
    max_bytes = max(1, sizes[which % len(sizes)] + off)  # at a record's border
    checked = validate(make_chunk(*payloads), is_json=is_json_format, max_bytes=max_bytes)
    assert all(len(line) < max_bytes for line in checked.good.payloads)
    for position, line in zip(unlimited.positions, unlimited.payloads, strict=True):
        assert (position in list(checked.good.positions)) is (len(line) < max_bytes)
    large = [bad.position for bad in checked.bad if bad.reason is BadRecordReason.TOO_LARGE]
    assert set(large) <= set(unlimited.positions)


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_a_line_is_good_if_it_has_no_newline(payloads: list[bytes]) -> None:
    """And is written byte for byte."""
    checked = validate(make_chunk(*payloads), is_json=False, max_bytes=LARGE)
    assert list(checked.good.payloads) == [p for p in payloads if b"\n" not in p]


@given(st.integers(1, 1300), st.sampled_from([b"", b"1", b'"[["', b"null", b"1.5"]))
def test_depth_is_counted_exactly(depth: int, inside: bytes) -> None:
    """Up to 1,024 levels, of lists and objects alike."""
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        core = inside if inside or opening == b"[" else b"0"
        payload = opening * depth + core + closing * depth
        # beside a bad record each is judged by itself, which no recursion limit changes
        checked = validate(make_chunk(payload, b""), is_json=True, max_bytes=LARGE)
        assert len(checked.good) == (depth <= MAX_DEPTH)
