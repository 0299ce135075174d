"""SQS: messages of standard and FIFO queues; each is acknowledged by itself."""

from __future__ import annotations

from typing import Any

import pytest

from batcher.records.bad_record import BadRecordReason
from batcher.records.chunk import NamingScheme, Origin
from batcher.sources import Event, read_event
from batcher.sources.event import Ledger
from support.examples import ARRIVAL_S, event_from, fifo_message, message

NOW_S = 1.0


def read(*records: dict[str, Any]) -> Event:
    """Read messages."""
    return read_event({"Records": list(records)}, NOW_S)


def unsettled_but(event: Event, *settled: str) -> list[str]:
    """Answer an event of which these are durable."""
    ledger = Ledger(event.positions)
    ledger.settle(settled)
    return event.select_failures(ledger, event.positions)


def test_messages_are_read_into_columns() -> None:
    """Bodies stay text, times become seconds, the queue's name is the stem."""
    event = read_event(event_from("sqsEvent"), NOW_S)
    (chunk,) = event.chunks
    assert chunk.origin == Origin("sqs", NamingScheme.MESSAGE_SET, "my-queue")
    assert list(chunk.payloads) == ["Test message.", '{"message": "foo1"}']
    assert list(chunk.positions) == [
        "059f36b4-87a3-44ab-83d2-661975830a7d",
        "2e1424d4-f796-459a-8184-9c92662be6da",
    ]
    assert list(chunk.arrivals_s) == [1545082649.183, 1545082650.636]
    assert chunk.sequence_numbers is None
    assert event.positions == chunk.positions
    assert not event.all_or_nothing


def test_a_message_that_comes_twice_is_read_once() -> None:
    """It is written once and answered once."""
    event = read(message("a", "1"), message("b", "2"), message("a", "1"))
    assert list(event.positions) == ["a", "b"]
    assert list(event.chunks[0].payloads) == ["1", "2"]


def test_messages_of_one_id_are_read_by_their_body() -> None:
    """What else differs, such as the receipt handle, makes no other message."""
    again = message("a", "2") | {"receiptHandle": "other"}
    event = read(message("a", "2"), message("b", "2"), again, message("a", "1"))
    assert list(event.positions) == ["a/1", "b", "a"]
    assert list(event.chunks[0].payloads) == ["2", "2", "1"]
    odd = read(message("a", {"1": 1}), message("a", "{'1': 1}"), message("a"), message("a", None))
    assert len(odd.positions) == 4
    two = read(message("a", arn="a:one"), message("a", arn="a:two"))
    assert list(two.positions) == ["a", "a/1"]


def test_a_message_comes_back_while_any_of_its_records_is_not_durable() -> None:
    """Once, where it first was in the event."""
    event = read(message("a", "2"), message("b", "2"), message("a", "1"))
    for settled, failed in [((), "ab"), (("a",), "ab"), (("a", "a/1"), "b"), (("b",), "a")]:
        ledger = Ledger(event.positions)
        ledger.settle(settled)
        assert event.failed_identities(ledger) == list(failed)


def test_a_fifo_group_comes_back_from_the_first_record_of_a_failed_message() -> None:
    """Later messages must not be acknowledged before it."""
    event = read(
        fifo_message("a", "1", "g", "1"),
        fifo_message("b", "2", "g"),
        fifo_message("c", "3", "h"),
        fifo_message("a", "4", "g", "2"),
    )
    assert list(event.positions) == ["a", "b", "c", "a/1"]
    ledger = Ledger(event.positions)
    ledger.settle(["a", "b", "c"])
    assert event.failed_identities(ledger) == ["a", "b"]
    ledger.settle(["a/1"])
    assert event.failed_identities(ledger) == []


def test_messages_of_several_queues_are_chunks_of_their_own() -> None:
    """Each named by its queue; the answer is in the order of the event."""
    arns = ["arn:aws:sqs:r:1:one", "arn:aws:sqs:r:1:two", "arn:aws:sqs:r:1:one"]
    event = read(*(message(str(n), str(n), arn=arn) for n, arn in enumerate(arns)))
    assert [(chunk.origin.stem, list(chunk.positions)) for chunk in event.chunks] == [
        ("one", ["0", "2"]),
        ("two", ["1"]),
    ]
    assert list(event.positions) == ["0", "1", "2"]


@pytest.mark.parametrize("arn", [None, "", "my-queue", 7])
def test_a_queue_without_a_proper_arn_has_a_stem_all_the_same(arn: object) -> None:
    """What follows the last colon, or `queue`."""
    (chunk,) = read(message("a", arn=arn)).chunks
    assert chunk.origin.stem == ("my-queue" if arn == "my-queue" else "queue")


def test_a_message_without_a_body_is_bad_and_its_neighbours_go_on() -> None:
    """It has an identity, so it can be acknowledged."""
    broken = message("b")
    del broken["body"]
    event = read(message("a", "1"), broken, message("c", "3"))
    assert list(event.chunks[0].positions) == ["a", "c"]
    (bad,) = event.bad
    assert (bad.position, bad.reason, bad.chunk.payloads) == (
        "b",
        BadRecordReason.MALFORMED,
        [b"null"],
    )
    assert bad.chunk.origin == event.chunks[0].origin
    assert list(event.positions) == ["a", "b", "c"]


@pytest.mark.parametrize("body", [None, 7, {"a": 1}, ["x"], True, b"bytes"])
def test_a_body_that_is_no_text_is_bad(body: object) -> None:
    """Shown as JSON."""
    event = read(message("a", body))
    assert [bad.reason for bad in event.bad] == [BadRecordReason.MALFORMED]
    assert len(event.chunks[0]) == 0


@pytest.mark.parametrize("body", [2**64, {"a": "\ud800"}])
def test_a_body_that_is_no_text_is_bad_whatever_it_is(body: object) -> None:
    """A bad record never blocks the good ones."""
    assert [bad.position for bad in read(message("a", body), message("b")).bad] == ["a"]


@pytest.mark.parametrize("sent", [None, "", "soon", [], "1e300"])
def test_a_message_without_a_time_has_the_events_first(sent: object) -> None:
    """One bad time does not change its neighbours'; the clock's would change with each delivery."""
    odd = message("b")
    odd["attributes"] = {"SentTimestamp": sent}
    (chunk,) = read(odd, message("a"), message("c", sent_ms=7000)).chunks
    assert list(chunk.arrivals_s) == [ARRIVAL_S, ARRIVAL_S, 7.0]
    (chunk,) = read(odd).chunks
    assert list(chunk.arrivals_s) == [NOW_S]


@pytest.mark.parametrize("sent_ms", [-1, 10**18])
def test_a_time_that_no_calendar_has_is_the_clocks(sent_ms: int) -> None:
    """Else rendering the partition raises, and nothing of the event is written."""
    (chunk,) = read(message("a", sent_ms=sent_ms)).chunks
    assert list(chunk.arrivals_s) == [NOW_S]


def test_a_message_without_attributes_is_read() -> None:
    """A hand-made test event often has none."""
    event = read({"messageId": "a", "body": "1", "eventSource": "aws:sqs"})
    assert list(event.chunks[0].arrivals_s) == [NOW_S]
    assert event.chunks[0].origin.stem == "queue"


def test_the_answer_of_a_standard_queue_is_what_is_not_durable() -> None:
    """In the event's order, nothing else."""
    event = read(message("a"), message("b"), message("c"))
    assert unsettled_but(event) == ["a", "b", "c"]
    assert unsettled_but(event, "b") == ["a", "c"]
    assert unsettled_but(event, "a", "b", "c") == []


def test_a_fifo_queue_is_read_with_its_numbers() -> None:
    """As SNS sends it through."""
    event = read_event(event_from("snsSqsFifoEvent"), NOW_S)
    (chunk,) = event.chunks
    assert chunk.origin.stem == "Test.fifo"
    assert list(chunk.sequence_numbers or ()) == ["18873177232222703872"]


def test_messages_of_a_fifo_queue_are_in_the_order_of_their_numbers() -> None:
    """As numbers, not as text; each column alike."""
    event = read(
        fifo_message("c", "10", body="3"),
        fifo_message("a", "8", body="1"),
        fifo_message("b", "9", body="2"),
        fifo_message("a", "8", body="1"),
    )
    (chunk,) = event.chunks
    assert list(chunk.payloads) == ["1", "2", "3"]
    assert list(event.positions) == list(chunk.positions) == ["a", "b", "c"]
    assert list(chunk.sequence_numbers or ()) == ["8", "9", "10"]


@pytest.mark.parametrize("number", [None, "x", ""])
def test_a_fifo_message_without_a_number_comes_first(number: object) -> None:
    """It is still read and answered."""
    event = read(fifo_message("a", "8"), fifo_message("b", number))
    assert list(event.positions) == ["b", "a"]


def test_from_the_first_failure_on_all_later_messages_of_a_group_come_back() -> None:
    """Also those that are durable; other groups are not touched."""
    event = read(
        fifo_message("g1", "1", "g"),
        fifo_message("h1", "2", "h"),
        fifo_message("g2", "3", "g"),
        fifo_message("h2", "4", "h"),
        fifo_message("g3", "5", "g"),
    )
    assert unsettled_but(event, "g1", "h1", "h2", "g3") == ["g2", "g3"]
    assert unsettled_but(event, "g2", "g3") == ["g1", "h1", "g2", "h2", "g3"]
    assert unsettled_but(event, "g1", "g2", "g3", "h2") == ["h1", "h2"]
    assert unsettled_but(event, "g1", "g2", "g3", "h1", "h2") == []


def test_a_fifo_message_without_a_group_is_in_one_with_its_like() -> None:
    """Nothing later of it is acknowledged over a failure."""
    records = [fifo_message("a", "1"), fifo_message("b", "2"), fifo_message("c", "3")]
    for record in records[1:]:
        del record["attributes"]["MessageGroupId"]
    assert unsettled_but(read(*records), "a", "c") == ["b", "c"]
