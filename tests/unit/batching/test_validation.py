"""Checking: which payloads can stand in an object, and why the others cannot."""

from __future__ import annotations

import gzip
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from msgspec.structs import replace

from batcher.batching.validation import GZIP_HINT, KPL_HINT, Validated, validate
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.columns import JsonColumn
from batcher.records.json_text import MAX_DEPTH
from support.examples import make_chunk, make_chunk_of_text
from support.hostile_json import BAD, GOOD

LARGE = 10**9
THIRTY_DIGITS = "123456789012345678901234567890"


def check_json(*payloads: bytes | str, max_bytes: int = LARGE) -> Validated:
    """Check payloads as NDJSON."""
    return validate(make_chunk(*payloads), is_json=True, max_bytes=max_bytes)


def check_lines(*payloads: bytes | str, max_bytes: int = LARGE) -> Validated:
    """Check payloads as lines."""
    return validate(make_chunk(*payloads), is_json=False, max_bytes=max_bytes)


def good(checked: Validated) -> list[bytes | str]:
    """Return the payloads that can be written."""
    return list(checked.good.payloads)


def only_bad(checked: Validated) -> BadRecord:
    """Return the one bad record, for which there is no good one."""
    assert good(checked) == []
    (bad,) = checked.bad
    return bad


def nested(depth: int) -> bytes:
    """Nest lists so deep."""
    return b"[" * depth + b"]" * depth


@contextmanager
def recursion_limit(limit: int) -> Iterator[None]:
    """Let Python recurse so deep, as test runners and web frameworks do."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "payload",
    [
        '{"a":1}',
        "null",
        "true",
        "0",
        "-0",
        '""',
        "[]",
        " {} ",
        '"\\ud83d\\ude00"',
        '"\u2028\u2029\u0085"',
        '"\x7f"',
        '{"a":1,"a":2}',
        "1.0e400",
        THIRTY_DIGITS,
        "1" * 400,
        f'{{"x":[1.10,{THIRTY_DIGITS},1E+2]}}',
    ],
)
def test_one_json_value_is_good_and_stays_as_it_is(payload: str) -> None:
    """Scalars are values; numbers keep their digits, from bytes and from text."""
    assert check_json(payload) == Validated(make_chunk(payload), ())
    raw = payload.encode()
    assert check_json(raw) == Validated(make_chunk(raw), ())
    # beside a bad one, each is looked at by itself
    assert good(check_json(raw, b"")) == [raw]
    assert good(check_json(payload, "")) == [raw]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", BadRecordReason.EMPTY),
        (b" \n\t", BadRecordReason.EMPTY),
        (b"hello", BadRecordReason.NOT_JSON),
        (b"{", BadRecordReason.NOT_JSON),
        (b"NaN", BadRecordReason.NOT_JSON),
        (b'{"a":NaN}', BadRecordReason.NOT_JSON),
        (b"Infinity", BadRecordReason.NOT_JSON),
        (b"[-Infinity]", BadRecordReason.NOT_JSON),
        (b"1 2", BadRecordReason.NOT_JSON),
        (b'{"a":1}{"a":2}', BadRecordReason.NOT_JSON),
        (b'{"a":1}\n{"a":2}', BadRecordReason.NOT_JSON),
        (b"\xef\xbb\xbf{}", BadRecordReason.NOT_JSON),
        (b'"a\tb"', BadRecordReason.NOT_JSON),
        (b'"a\nb"', BadRecordReason.NOT_JSON),
        (b'"\x00"', BadRecordReason.NOT_JSON),
        (b"[1,]", BadRecordReason.NOT_JSON),
        (b"01", BadRecordReason.NOT_JSON),
        (b"'a'", BadRecordReason.NOT_JSON),
        (b'"\\x41"', BadRecordReason.NOT_JSON),
        (b'"\\ud800"', BadRecordReason.NOT_JSON),
        (b'"\xff"', BadRecordReason.NOT_UTF8),
        (b'"\xed\xa0\x80"', BadRecordReason.NOT_UTF8),
        (b'{"name":"caf\xe9"}', BadRecordReason.NOT_UTF8),
        (b"\xff\xfe{\x00}\x00", BadRecordReason.NOT_JSON),
        (gzip.compress(b"{}", mtime=0), BadRecordReason.GZIP),
        (b"\xf3\x89\x9a\xc2\x0a\x01a", BadRecordReason.KPL_AGGREGATED),
    ],
)
def test_what_is_not_exactly_one_json_value_is_bad(payload: bytes, reason: BadRecordReason) -> None:
    """With a reason, a detail for people, its position, and the payload as it came."""
    bad = only_bad(check_json(payload))
    assert bad.reason is reason
    assert bad.detail
    assert bad.position == "0"
    assert bad.chunk.payloads == [payload]


@pytest.mark.parametrize("text", ["\ud800", '"\udfff"', '{"a":"x\ud83d"}'])
def test_text_with_a_lone_surrogate_is_bad(text: str) -> None:
    """It has no form in UTF-8; its neighbours go on."""
    for checked in (check_json("1", text, "2"), check_lines("1", text, "2")):
        assert good(checked) == [b"1", b"2"]
        (bad,) = checked.bad
        assert bad.reason is BadRecordReason.NOT_UTF8
        assert f"character {text.index(next(c for c in text if c > chr(0xD7FF)))}" in bad.detail
        assert bad.chunk.payloads == [text]


def test_payloads_of_known_packers_get_a_hint() -> None:
    """What to do about them, also as lines."""
    packed = gzip.compress(b"{}\n", mtime=0)
    assert only_bad(check_json(packed)).detail == GZIP_HINT
    assert only_bad(check_json(b"\xf3\x89\x9a\xc2abc")).detail == KPL_HINT
    assert only_bad(check_lines(b"\x1f\x8b\n")).reason is BadRecordReason.GZIP
    assert only_bad(check_lines(b"\xf3\x89\x9a\xc2\n")).reason is BadRecordReason.KPL_AGGREGATED


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        (b'{\n  "a": [1.0e400,\n 2]\n}', b'{"a":[1.0e400,2]}'),
        (b'{\r\n"a" : "x  y\\n"\r\n}\r\n', b'{"a":"x  y\\n"}'),
        (f"[\n{THIRTY_DIGITS}\n]".encode(), f"[{THIRTY_DIGITS}]".encode()),
        (b"\n[1.10, 1E+2]\n", b"[1.10, 1E+2]"),
        (b'{"a": 1}\n', b'{"a": 1}'),
        (b'{"a": 1}\r', b'{"a": 1}'),
        (b'[\r{"a": 1}\r]', b'[{"a":1}]'),
        (b'["\\r", 1\t]\r', b'["\\r", 1\t]'),
        (b"null\n", b"null"),
        ('["\u2028",\n"\u00e9"]'.encode(), '["\u2028","\u00e9"]'.encode()),
        (b'["\\u00e9",\n"\\/"]', b'["\\u00e9","\\/"]'),
    ],
)
def test_json_with_line_ends_inside_is_compacted(payload: bytes, line: bytes) -> None:
    """Its values stay as they are written; a trailing line end alone changes nothing else."""
    assert good(check_json(payload)) == [line]
    assert good(check_json(payload.decode())) == [line]
    assert check_json(payload).bad == []


@pytest.mark.parametrize("depth", [1, 900, 1000, MAX_DEPTH])
def test_a_value_nested_1024_deep_is_good(depth: int) -> None:
    """Whatever the stack of the interpreter allows."""
    deep = nested(depth)
    assert good(check_json(deep)) == [deep]
    assert good(check_json(deep.decode())) in ([deep], [deep.decode()])
    assert good(check_json(deep + b"\n")) == [deep]


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 10_000, 1_000_000])
def test_a_value_nested_deeper_is_bad(depth: int) -> None:
    """Most readers would stop there."""
    for payload in (nested(depth), nested(depth).decode(), nested(depth) + b"\n"):
        assert only_bad(check_json(payload)).reason is BadRecordReason.TOO_DEEP
    objects = b'{"a":' * depth + b"1" + b"}" * depth
    assert only_bad(check_json(objects)).reason is BadRecordReason.TOO_DEEP


def test_many_brackets_are_not_taken_for_depth() -> None:
    """Only nesting counts."""
    flat = b"[" + b",".join([b"[]"] * 2000) + b"]"
    quoted = b'"' + b"[" * 5000 + b'"'
    assert good(check_json(flat, quoted)) == [flat, quoted]
    assert good(check_json(flat, quoted, b"")) == [flat, quoted]


def test_newlines_in_the_deepest_value_that_is_allowed_are_taken_out() -> None:
    """Where the library that compacts gives up, too."""
    deep = b"[\n" * MAX_DEPTH + b"]\n" * MAX_DEPTH
    assert good(check_json(deep)) == [nested(MAX_DEPTH)]


@pytest.mark.parametrize("broken", [nested(1010)[:-1], b"[" * 2000, nested(1010) + b"x"])
def test_broken_json_is_bad_however_deep(broken: bytes) -> None:
    """Deep and broken is bad, by either reason."""
    assert only_bad(check_json(broken)).reason in {
        BadRecordReason.NOT_JSON,
        BadRecordReason.TOO_DEEP,
    }


@pytest.mark.parametrize(
    "payload",
    [
        b"[1e999," + b"[" * 2000,
        b"[1e999," + nested(1010)[:-1] + b"]",
        b"[1e999," + nested(2000) + b"]",
        b"[1e999," + nested(1010) + b"] and more",
    ],
    ids=["not closed", "one missing", "too deep", "two values"],
)
def test_a_number_beyond_a_double_hides_nothing(payload: bytes) -> None:
    """Not that the value is broken, nor that it is too deep."""
    assert only_bad(check_json(payload))


def test_the_depth_is_the_same_whatever_python_may_recurse() -> None:
    """Hypothesis, notebooks and some programs raise Python's limit."""
    with recursion_limit(20_000):
        assert only_bad(check_json(nested(MAX_DEPTH + 1))).reason is BadRecordReason.TOO_DEEP


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1])
def test_where_python_bounds_no_c_stack_the_brackets_tell(depth: int) -> None:
    """As from Python 3.12 on: only a value with many brackets is looked at by itself."""
    flat = b"[" + b",".join([b"{}"] * 2000) + b"]"
    with recursion_limit(20_000):
        for payload in (nested(depth), nested(depth).decode()):
            assert len(check_json(payload).good) == (depth <= MAX_DEPTH)
        assert good(check_json(flat)) == [flat]
        assert good(check_json("[" + "0," * 2000 + "0]"))


def test_a_record_at_the_limit_is_good_and_one_byte_more_is_bad() -> None:
    """The newline counts."""
    payload = b'"' + b"x" * 97 + b'"'
    assert good(check_json(payload, max_bytes=100)) == [payload]
    bad = only_bad(check_json(payload, max_bytes=99))
    assert bad.reason is BadRecordReason.TOO_LARGE
    assert bad.detail == "100 bytes with its newline; at most 99 are allowed"
    assert good(check_lines(payload, max_bytes=100)) == [payload]
    assert only_bad(check_lines(payload, max_bytes=99)).reason is BadRecordReason.TOO_LARGE


@pytest.mark.parametrize(("max_bytes", "is_good"), [(8, True), (7, False)])
def test_text_is_measured_in_bytes(max_bytes: int, is_good: bool) -> None:  # noqa: FBT001  # expected
    """Not in characters: two emoji are eight bytes, and a newline."""
    checked = check_lines("\U0001f600", "\u00e9\u00e9\u00e9", max_bytes=max_bytes)
    assert good(checked) == ["\U0001f600".encode(), "\u00e9\u00e9\u00e9".encode()]
    wide = check_lines("\u00e9\u00e9\u00e9x", max_bytes=max_bytes)
    assert (len(wide.bad) == 0) is is_good


def test_a_value_is_measured_after_it_was_compacted() -> None:
    """Spaces that are not written do not count."""
    assert good(check_json(b"[1,\n\n\n\n\n\n2]", max_bytes=6)) == [b"[1,2]"]
    assert only_bad(check_json(b"[1,\n2]", max_bytes=5)).reason is BadRecordReason.TOO_LARGE


def test_good_records_beside_bad_ones_keep_their_order() -> None:
    """And their positions; together it is every record, once."""
    checked = check_json(
        b"1", b"x", b"[\n2]", b"", b"3", b"NaN", b'"' + b"x" * 99 + b'"', max_bytes=50
    )
    assert good(checked) == [b"1", b"[2]", b"3"]
    assert list(checked.good.positions) == ["0", "2", "4"]
    assert [(bad.position, bad.reason) for bad in checked.bad] == [
        ("1", BadRecordReason.NOT_JSON),
        ("3", BadRecordReason.EMPTY),
        ("5", BadRecordReason.NOT_JSON),
        ("6", BadRecordReason.TOO_LARGE),
    ]


def test_text_that_was_cut_at_newlines_stays_while_all_is_good() -> None:
    """It is never joined twice; one bad record, and it is gone."""
    chunk = make_chunk_of_text(b"1\n2\n")
    assert validate(chunk, is_json=True, max_bytes=LARGE).good.text == b"1\n2\n"
    chunk = make_chunk_of_text(b"1\nx\n")
    assert validate(chunk, is_json=True, max_bytes=LARGE).good.text is None
    chunk = make_chunk_of_text(b'{"a":1}\r\n[\r2]\n')
    assert good(validate(chunk, is_json=True, max_bytes=LARGE)) == [b'{"a":1}', b"[2]"]
    chunk = make_chunk_of_text(b'"\xff"\n')
    assert (
        only_bad(validate(chunk, is_json=True, max_bytes=LARGE)).reason is BadRecordReason.NOT_UTF8
    )


def test_an_empty_chunk_has_nothing_bad() -> None:
    """As JSON or as lines."""
    assert check_json() == check_lines() == Validated(make_chunk(), ())


@pytest.mark.parametrize("payload", [b"", b"hello", b"NaN", b"\xff\x00", b"\r", b"\x1f\x8bx"])
def test_a_line_is_bytes_as_they_are(payload: bytes) -> None:
    """Whatever they are, but for newlines."""
    assert check_lines(payload) == Validated(make_chunk(payload), ())
    assert good(check_lines(payload, b"\n")) == [payload]


@pytest.mark.parametrize("payload", [b"a\nb", "a\n", b"\n"])
def test_a_line_cannot_hold_a_newline(payload: bytes | str) -> None:
    """The message says what can."""
    bad = only_bad(check_lines(payload))
    assert bad.reason is BadRecordReason.NEWLINE
    assert "format=ndjson" in bad.detail


def test_lines_of_text_are_good_as_they_are() -> None:
    """Nothing is encoded twice."""
    assert good(check_lines("a", "\u00e9")) == ["a", "\u00e9"]


@pytest.mark.parametrize("max_depth", [1, 2, 100, 1024])
def test_the_deepest_nesting_can_be_set(max_depth: int) -> None:
    """Alone, among others, and in one text."""
    fits, deeper = nested(max_depth), b'{"a":' + nested(max_depth) + b"}"
    for chunk in (
        make_chunk(fits, deeper),
        make_chunk(fits.decode(), deeper.decode()),
        make_chunk_of_text(fits + b"\n" + deeper + b"\n"),
    ):
        checked = validate(chunk, is_json=True, max_bytes=LARGE, max_depth=max_depth)
        assert good(checked) in ([fits], [fits.decode()])
        (bad,) = checked.bad
        assert (bad.reason, bad.detail) == (
            BadRecordReason.TOO_DEEP,
            f"nested deeper than {max_depth}",
        )


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_the_stack_decides_nothing(name: str) -> None:
    """With most of it used, hostile records are judged and written as with little of it."""
    raw = {**GOOD, **BAD}[name](100_000)
    payloads = [raw, b"[\n" + raw + b"]"]

    def judged() -> list[object]:
        checked = check_json(*payloads)
        return [*good(checked), *((bad.reason, bad.position) for bad in checked.bad)]

    def with_frames(frames: int) -> list[object]:
        return with_frames(frames - 1) if frames else judged()

    with recursion_limit(20_000):
        expected = judged()
    with recursion_limit(1_000):
        used = len(inspect.stack(0))
        assert with_frames(700 - used) == expected
    assert len(expected) == 2
    assert isinstance(expected[0], bytes) is (name in GOOD)


def test_messages_hold_nothing_of_the_payload() -> None:
    """However large it is."""
    for make in BAD.values():
        assert len(only_bad(check_json(make(100_000))).detail) < 100


def test_the_depth_of_what_was_written_as_json_is_checked_too() -> None:
    """DynamoDB's records need no other check."""
    records = JsonColumn([nested(3), b'{"a":' + nested(3) + b"}"])
    chunk = replace(make_chunk(*records), payloads=records)
    checked = validate(chunk, is_json=True, max_bytes=LARGE, max_depth=3)
    assert (good(checked), len(checked.bad)) == ([nested(3)], 1)
    assert validate(chunk, is_json=True, max_bytes=LARGE, max_depth=4).good is chunk
