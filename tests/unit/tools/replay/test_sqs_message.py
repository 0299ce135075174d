"""SQS messages: within the limits, and with everything of the original message."""

from __future__ import annotations

from typing import Any

import pytest

from batcher.tools.replay.marks import QuarantineLine
from batcher.tools.replay.sqs_message import (
    MAX_BATCH_BYTES,
    SqsMessage,
    UnsendableError,
    is_fifo,
    make_message,
    split_batches,
)

URL = "https://sqs.eu-west-1.amazonaws.com/1/orders"
FIFO = f"{URL}.fifo"


def line_of(source: str = "sqs", **envelope: Any) -> QuarantineLine:  # noqa: ANN401
    """Return a line whose record had this envelope."""
    fields = {"source": source, "position": "m1", "envelope": envelope}
    return QuarantineLine(1, b"", "m1", fields=fields)


@pytest.mark.parametrize(
    "body", ["x", "\t\n\r ~", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", "\x7f\x80"]
)
def test_a_valid_body_is_kept(body: str) -> None:
    """Every range of valid characters."""
    made = make_message(line_of(), body.encode(), "s", URL)
    assert made.to_entry(3) == {"Id": "3", "MessageBody": body}
    assert made.size_bytes == len(body.encode())


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", "empty"),
        (b"ab\x00", "U+0000 at 2"),
        (b"\x1b", "U+001B at 0"),
        ("\ufffe".encode(), "U+FFFE"),
        (b"\xff", "byte 0xff at 0"),
        (b"\xed\xa0\x80", "byte 0xed at 0"),
        (b"x" * (MAX_BATCH_BYTES + 1), "SQS accepts 1048576"),
    ],
)
def test_an_invalid_body_is_unsendable_with_its_reason(payload: bytes, expected: str) -> None:
    """Before anything is sent."""
    with pytest.raises(UnsendableError, match=expected.replace("+", r"\+")):
        make_message(line_of(), payload, "s", URL)


def test_the_largest_message_is_sendable() -> None:
    """To the byte. Attributes count."""
    assert make_message(line_of(), b"x" * MAX_BATCH_BYTES, "s", URL)
    attributes = {"a": {"dataType": "String", "stringValue": "x"}}
    with pytest.raises(UnsendableError, match="1048577 bytes"):
        make_message(line_of(messageAttributes=attributes), b"x" * (MAX_BATCH_BYTES - 7), "s", URL)


def test_attributes_are_kept() -> None:
    """Text and bytes."""
    line = line_of(
        messageAttributes={
            "a": {"dataType": "String.x", "stringValue": "1", "stringListValues": []},
            "b": {"dataType": "Binary", "binaryValue": "/w=="},
        }
    )
    assert make_message(line, b"x", "s", URL).to_entry(0)["MessageAttributes"] == {
        "a": {"DataType": "String.x", "StringValue": "1"},
        "b": {"DataType": "Binary", "BinaryValue": b"\xff"},
    }


@pytest.mark.parametrize("value", [None, {}, {"dataType": "Binary", "binaryValue": "*"}])
def test_an_attribute_that_cannot_be_sent_makes_the_message_unsendable(value: object) -> None:
    """Dropping it would lose data."""
    with pytest.raises(UnsendableError, match="attribute 'a'"):
        make_message(line_of(messageAttributes={"a": value}), b"x", "s", URL)


def test_an_envelope_stored_as_text_makes_only_sqs_records_unsendable() -> None:
    """Only messages have attributes to lose."""
    for source in ("sqs", "kinesis"):
        line = line_of(source)
        line = QuarantineLine(1, b"", "m1", fields={**line.fields, "envelope": "{'odd': 1}"})
        if source == "sqs":
            with pytest.raises(UnsendableError, match="attributes would be lost"):
                make_message(line, b"x", "s", URL)
        else:
            assert make_message(line, b"x", "s", URL).attributes == {}


def test_a_fifo_queue_gets_a_group_and_an_id() -> None:
    """The original group, or one per record. The id differs between scopes."""
    line = line_of(attributes={"MessageGroupId": "g"})
    made = [make_message(line, b"x", scope, FIFO).fifo_parameters for scope in "sst"]
    assert made[0] == made[1]
    assert made[0]["MessageGroupId"] == made[2]["MessageGroupId"] == "g"
    assert made[0]["MessageDeduplicationId"] != made[2]["MessageDeduplicationId"]
    assert len(make_message(line_of(), b"x", "s", FIFO).fifo_parameters["MessageGroupId"]) == 64
    assert is_fifo(FIFO)
    assert not is_fifo(URL)


def sized(*sizes: int) -> list[SqsMessage]:
    """Return messages of these sizes."""
    return [SqsMessage(str(n), "", {}, {}, size) for n, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (sized(), []),
        (sized(*[1] * 21), [10, 10, 1]),
        (sized(MAX_BATCH_BYTES, 1), [1, 1]),
        (sized(MAX_BATCH_BYTES - 1, 1, 1), [2, 1]),
        (sized(MAX_BATCH_BYTES, MAX_BATCH_BYTES), [1, 1]),
    ],
)
def test_batches_keep_the_order_and_the_limits(
    messages: list[SqsMessage], expected: list[int]
) -> None:
    """Ten messages and 1 MiB per call."""
    batches = split_batches(messages)
    assert [len(batch) for batch in batches] == expected
    assert [message for batch in batches for message in batch] == messages
