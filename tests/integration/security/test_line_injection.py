"""A record is one line, whatever is in it: it cannot forge a neighbour for who reads NDJSON."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.handler import make_handler
from batcher.stores.memory import MemoryStore
from support.examples import make_settings, message
from support.strategies import json_texts

FORGED = '{"admin":true}'
SEPARATORS = ["\n", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"]


def text_of(*bodies: str, **settings: str) -> bytes:
    """Return the text of the data that these messages become."""
    store = MemoryStore()
    handle = make_handler(make_settings(root="events", **settings), store=store)
    try:
        handle({"Records": [message(f"id{n}", body) for n, body in enumerate(bodies)]})
    finally:
        handle.close()
    return b"".join(
        gzip.decompress(there.body)
        for key, there in store.objects.items()
        if "_quarantine" not in key
    )


@pytest.mark.parametrize("separator", SEPARATORS)
def test_what_some_programs_take_for_the_end_of_a_line_forges_no_record(separator: str) -> None:
    """Within a string a newline must be escaped; around a value it is taken out."""
    inside = text_of(f'{{"a":"x{separator}{FORGED}"}}')
    around = text_of(f"[{separator}{FORGED}{separator}]")
    for text in (inside, around):
        lines = text.split(b"\n")[:-1]
        assert FORGED.encode() not in lines
        assert len(lines) <= 1


@pytest.mark.parametrize("space", ["\r", "\r\n", "\n\r", " \r\t"])
def test_a_carriage_return_forges_no_record_either(space: str) -> None:
    """Python's open(), Spark and Hadoop take it for the end of a line; it may stand in JSON."""
    text = text_of("{}", f"[{space}{FORGED}{space}]", f"{FORGED[:-1]}{space}{FORGED[-1]}{space}")
    lines = [line.strip("\n") for line in io.StringIO(text.decode(), newline=None)]
    assert lines == ["{}", f"[{FORGED}]", FORGED]


@given(st.lists(json_texts(), min_size=1, max_size=5))
def test_as_many_lines_as_records_each_its_own_value(texts: list[bytes]) -> None:
    """However the sender has laid its JSON out."""
    lines = text_of(*(text.decode() for text in texts)).split(b"\n")[:-1]
    assert [json.loads(line) for line in lines] == [json.loads(text) for text in texts]


def test_a_line_of_text_cannot_hold_another_one() -> None:
    """With format=lines nothing is parsed, so a newline is a bad record."""
    assert text_of("a\nb", "c", format="lines") == b"c\n"
