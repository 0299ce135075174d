"""Direct invokes: a program hands us one record, or a list of them."""

from __future__ import annotations

import json

from batcher.batching.validation import validate
from batcher.records.bad_record import BadRecordReason
from batcher.records.chunk import NamingScheme, Origin
from batcher.sources import read_event
from batcher.sources.event import Ledger
from support.examples import ARRIVAL_S


def test_dicts_are_written_as_json_again() -> None:
    """In their order, numbered from 0, as arrived now."""
    event = read_event([{"a": "\u00e9"}, {"b": [1, None]}], ARRIVAL_S)
    (chunk,) = event.chunks
    assert chunk.origin == Origin("direct", NamingScheme.FRESH)
    assert list(chunk.payloads) == ['{"a":"\u00e9"}'.encode(), b'{"b":[1,null]}']
    assert list(chunk.positions) == list(event.positions) == ["0", "1"]
    assert list(chunk.arrivals_s) == [ARRIVAL_S, ARRIVAL_S]
    assert event.direct
    assert not event.all_or_nothing


def test_an_empty_list_has_no_records() -> None:
    """It is still a program that wants receipts."""
    event = read_event([], ARRIVAL_S)
    assert event.direct
    assert len(event.positions) == 0


def test_whole_numbers_over_64_bits_stay_what_they_are() -> None:
    """Lambda's parser gives them as they are."""
    (chunk,) = read_event({"n": 2**70}, ARRIVAL_S).chunks
    assert json.loads(chunk.payloads[0]) == {"n": 2**70}
    assert validate(chunk, is_json=True, max_bytes=10**6).bad == ()


def test_text_with_a_lone_surrogate_is_found_bad() -> None:
    """Checking sees it."""
    (chunk,) = read_event([{"a": "\ud800"}, {"a": 1}], ARRIVAL_S).chunks
    checked = validate(chunk, is_json=True, max_bytes=10**6)
    assert [(bad.position, bad.reason) for bad in checked.bad] == [("0", BadRecordReason.NOT_JSON)]


def test_a_number_that_json_does_not_have_is_found_bad() -> None:
    """Lambda's parser takes NaN; with a large whole number beside it, it is found."""
    (chunk,) = read_event([{"a": float("nan")}], ARRIVAL_S).chunks
    assert len(validate(chunk, is_json=True, max_bytes=10**6).bad) == 1


def test_what_is_not_durable_is_told_by_its_number() -> None:
    """In the event's order."""
    event = read_event([{"a": 1}, {"a": 2}], ARRIVAL_S)
    ledger = Ledger(event.positions)
    ledger.settle(["0"])
    assert event.select_failures(ledger, event.positions) == ["1"]
