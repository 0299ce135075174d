"""Sources: what Lambda hands a function, known or not."""

from __future__ import annotations

import pytest

from batcher.errors import RejectedError, UnknownSourceError
from batcher.sources import read_event
from support.examples import ARRIVAL_S, dynamodb_record, event_from, kinesis_record, message

SNS = {"EventSource": "aws:sns", "Sns": {"Message": "{}"}}
S3_EVENT = {"eventSource": "aws:s3", "s3": {}}


@pytest.mark.parametrize(
    ("name", "source", "records"),
    [
        ("sqsEvent", "sqs", 2),
        ("sqsDlqTriggerEvent", "sqs", 1),
        ("snsSqsFifoEvent", "sqs", 1),
        ("kinesisStreamEvent", "kinesis", 2),
        ("kinesisStreamCloudWatchLogsEvent", "kinesis", 2),
        ("dynamoStreamEvent", "dynamodb", 2),
    ],
)
def test_events_of_known_sources_are_read(name: str, source: str, records: int) -> None:
    """As the services send them."""
    event = read_event(event_from(name), ARRIVAL_S)
    assert event.source == source
    assert len(event.positions) == records
    assert sum(map(len, event.chunks)) == records
    assert event.bad == []
    assert not event.direct


@pytest.mark.parametrize(
    ("event", "named"),
    [
        (event_from("kafkaEventMsk"), "aws:kafka"),
        (event_from("cloudWatchLogEvent"), "CloudWatch Logs"),
        ({"Records": [SNS]}, "aws:sns"),
        ({"Records": [S3_EVENT]}, "aws:s3"),
        ({"Records": [{}]}, "no named source"),
        ({"Records": ["x", 7]}, "a record that is int, a record that is str"),
        ({"Records": [{"eventSource": ["aws:sqs"]}]}, "aws:sqs"),
        ({"Records": [{"eventSource": None}]}, "no named source"),
        ({"Records": "x"}, "Records is str, not a list"),
        ({"Records": {"a": 1}}, "Records is dict, not a list"),
        ({"Records": None}, "Records is NoneType, not a list"),
        ({"records": []}, "a source that sends `records`"),
        ({"detail-type": "x", "source": "aws.ec2", "detail": {}}, "EventBridge (aws.ec2)"),
        ({"eventSource": "aws:rmq", "rmqMessagesByQueue": {}}, "aws:rmq"),
        ({"eventSource": "aws:docdb", "events": []}, "aws:docdb"),
        ({"requestContext": {}, "httpMethod": "GET", "body": "x"}, "API Gateway (REST)"),
        ({"version": "2.0", "requestContext": {}, "rawPath": "/"}, "API Gateway (HTTP)"),
        ({"requestContext": {}, "isBase64Encoded": False, "body": "x"}, "WebSocket"),
        ({"version": "1", "triggerSource": "PreSignUp", "userPoolId": "p"}, "Cognito"),
        ({"invocationSchemaVersion": "2.0", "tasks": []}, "S3 Batch"),
    ],
)
def test_an_event_of_a_foreign_source_is_refused_by_name(event: object, named: str) -> None:
    """Nobody's records are lost by a wrong trigger; the message says what can be read."""
    with pytest.raises(UnknownSourceError) as caught:
        read_event(event, ARRIVAL_S)
    assert named in str(caught.value)
    assert "batcher reads aws:sqs, aws:kinesis, aws:dynamodb" in str(caught.value)


@pytest.mark.parametrize(
    "event",
    [
        {"eventSource": "checkout", "n": 1},
        {"eventSource": 7},
        {"requestContext": {}, "n": 1},
        {"version": "2.0", "tasks": []},
    ],
)
def test_what_only_looks_a_little_like_another_event_is_a_record(event: object) -> None:
    """A program may call its fields as it likes."""
    found = read_event(event, ARRIVAL_S)
    assert found.direct
    assert [len(chunk) for chunk in found.chunks] == [1]


@pytest.mark.parametrize(
    ("records", "named"),
    [
        ([message("m"), kinesis_record("1")], "aws:kinesis, aws:sqs"),
        ([message("m"), SNS], "aws:sns, aws:sqs"),
        ([message("m"), {}], "aws:sqs, no named source"),
    ],
)
def test_an_event_of_several_sources_is_refused_by_their_names(
    records: list[dict[str, object]], named: str
) -> None:
    """A mapping never gives such a one; whoever made it is told."""
    with pytest.raises(UnknownSourceError, match=f"of several sources: {named}"):
        read_event({"Records": records}, ARRIVAL_S)


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({}, "{}"),
        (None, "None"),
        ("text", "a str;"),
        (7, "a int"),
        (b"x", "a bytes"),
        ([{"a": 1}, 7, None], "a list with NoneType, int in it"),
    ],
)
def test_what_is_no_event_is_refused(event: object, named: str) -> None:
    """By its type: what is in it may be a secret, and errors are logged."""
    with pytest.raises(UnknownSourceError) as caught:
        read_event(event, ARRIVAL_S)
    assert named in str(caught.value)
    assert "text" not in str(caught.value)


def test_no_records_are_nothing_to_do() -> None:
    """Of whatever source."""
    event = read_event({"Records": []}, ARRIVAL_S)
    assert (event.chunks, event.bad, list(event.positions)) == ([], [], [])
    assert not event.direct


@pytest.mark.parametrize("event", [{"a": 1}, {"detail-type": "x"}, {"source": "x", "detail": {}}])
def test_any_other_dict_is_a_direct_invoke(event: dict[str, object]) -> None:
    """One record."""
    found = read_event(event, ARRIVAL_S)
    assert found.direct
    assert len(found.positions) == 1


@pytest.mark.parametrize("source", ["aws:sqs", "aws:kinesis", "aws:dynamodb"])
@pytest.mark.parametrize("identity", [None, "", 7])
def test_a_record_without_an_identity_makes_everything_come_back(
    source: str, identity: object
) -> None:
    """Nobody could acknowledge it; the message says which it is."""
    record = {"eventSource": source, "messageId": identity, "kinesis": {"sequenceNumber": identity}}
    record["dynamodb"] = {"SequenceNumber": identity}
    good = {"aws:sqs": message("m"), "aws:kinesis": kinesis_record("1")}.get(
        source, dynamodb_record("1")
    )
    with pytest.raises(RejectedError, match=r"Records\[1\] of 2 has no"):
        read_event({"Records": [good, record]}, ARRIVAL_S)


@pytest.mark.parametrize("source", ["aws:sqs", "aws:kinesis", "aws:dynamodb"])
def test_a_bare_record_without_an_identity_makes_everything_come_back(source: str) -> None:
    """Also where nothing else is there."""
    with pytest.raises(RejectedError, match=r"Records\[0\] of 1 has no"):
        read_event({"Records": [{"eventSource": source}]}, ARRIVAL_S)
