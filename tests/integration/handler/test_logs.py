"""What the handler logs: events with fields, few of them, and nothing that a record carries."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from batcher.errors import RetryableError
from batcher.handler import logs
from batcher.handler.logs import JsonLogHandler
from batcher.stores.memory import MemoryStore
from support.examples import kinesis_record, message
from support.fakes import FakeContext, failing
from support.handler_harness import KIND, HandlerFactory, hooked

SECRET = "thepayloadssecret"


@pytest.fixture(autouse=True)
def unlabelled() -> None:
    """Begin without what another test's event has left."""
    logs.set_labels({})


def record_of(text: object, *arguments: object, **changes: Any) -> logging.LogRecord:  # noqa: ANN401
    """Make a record as a logger makes it."""
    made = logging.LogRecord("batcher", logging.WARNING, __file__, 1, text, arguments, None)
    made.__dict__.update(changes)
    return made


def written(capsys: pytest.CaptureFixture[str], record: logging.LogRecord) -> dict[str, Any]:
    """Write a record, and read the line."""
    JsonLogHandler().handle(record)
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_template_names_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers stay numbers, and what is neither number nor text becomes text."""
    record = record_of(
        "slowed prefix=%s per_s=%.3g error=%s", "events/01", 1.23456, RetryableError("busy"),
        created=1_795_417_200.25, msecs=250.0,
    )  # fmt: skip
    assert written(capsys, record) == {
        "timestamp": "2026-11-23T07:00:00.250Z",
        "level": "WARNING",
        "message": "slowed",
        "logger": "batcher",
        "prefix": "events/01",
        "per_s": 1.23456,
        "error": "busy",
    }


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (record_of("a line of %s words", "five"), "a line of five words"),
        (record_of("done"), "done"),
        (record_of("object_%s key=%s", "damaged", "k"), "object_damaged key=k"),
        (record_of("one=%(a)s", {"a": 1}), "one=1"),
        (record_of(RetryableError("an error itself")), "an error itself"),
        (record_of("a=%s b", "x"), "a=x b"),
    ],
)
def test_a_line_of_another_form_is_told_as_it_is(
    capsys: pytest.CaptureFixture[str], record: logging.LogRecord, message: str
) -> None:
    """Others may use our logger as they use theirs."""
    found = written(capsys, record)
    assert found["message"] == message
    assert set(found) == {"timestamp", "level", "message", "logger"}


def test_a_traceback_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Within the one line."""
    try:
        leaking(b"")
    except ValueError:
        found = written(capsys, record_of("failed", exc_info=sys.exc_info()))
    assert "in leaking" in found["stackTrace"]


def test_a_line_that_cannot_be_written_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """As with every handler of the standard library, it is told on standard error."""
    JsonLogHandler().handle(record_of("failed of=%d and %s", "five"))
    assert "Logging error" in capsys.readouterr().err


def test_labels_are_those_of_the_event_at_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """And none of one before."""
    logs.set_labels({"requestId": "1", "xray_trace_id": "x"})
    logs.set_labels({"requestId": "2"})
    assert written(capsys, record_of("done"))["requestId"] == "2"
    logs.set_labels({})
    assert "requestId" not in written(capsys, record_of("done"))


def test_a_logger_that_somebody_has_set_up_stays_so() -> None:
    """The root logger here is pytest's."""
    ours = logging.getLogger("batcher")
    before = (list(ours.handlers), list(ours.filters), ours.propagate)
    logs.configure(lambda_writes_json=False)
    logs.configure(lambda_writes_json=True)
    assert (list(ours.handlers), list(ours.filters), ours.propagate) == before


def sqs(*bodies: str) -> dict[str, Any]:
    """Make an event of messages `m0`, `m1` and so on."""
    return {"Records": [message(f"m{n}", body) for n, body in enumerate(bodies)]}


def test_refused_records_are_a_line_a_reason(
    handler_factory: HandlerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Not one a record: there may be thousands."""
    handle = handler_factory.make(MemoryStore(), on_bad_record="fail")
    handle(sqs("1", "bad", "", "worse", "2", "  "), None)
    assert caplog.messages == [
        "refused source=sqs reason=not_json records=2 first=m1",
        "refused source=sqs reason=empty records=2 first=m2",
    ]


def test_failed_objects_are_a_line_each_up_to_a_number(
    handler_factory: HandlerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """When S3 is away, each says the same."""
    _, store = hooked()
    store.before = failing(RetryableError("busy"), "put")
    handle = handler_factory.make(store, partition_by=KIND)
    handle(sqs(*(f'{{"kind":{n}}}' for n in range(3))), None)
    assert caplog.messages == ["not_durable source=sqs error=busy"] * 3
    caplog.clear()
    handle(sqs(*(f'{{"kind":{n}}}' for n in range(25))), None)
    assert caplog.messages[:20] == ["not_durable source=sqs error=busy"] * 20
    assert caplog.messages[20:] == ["not_durable_either source=sqs errors=5"]


def test_a_cut_and_a_quarantine_are_told(
    handler_factory: HandlerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """With what is not durable, and where the bad records are."""
    handle = handler_factory.make(MemoryStore(), partial_response=True, deadline_margin_s=1)
    handle(sqs("1", "bad"), FakeContext(0))
    assert "deadline_cut source=sqs unsettled=2" in caplog.messages
    caplog.clear()
    handle(sqs("1", "bad"), None)
    (line,) = caplog.messages
    assert line.startswith(
        "quarantined records=1 key=events/_quarantine/sqs/dt=2026-11-23/my-queue-"
    )


def test_an_object_is_a_line_where_debug_is_asked_for(
    handler_factory: HandlerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """And only there."""
    handle = handler_factory.make(MemoryStore(), compression="none")
    with caplog.at_level(logging.INFO, "batcher"):
        handle(sqs("1"), None)
    assert caplog.messages == []
    with caplog.at_level(logging.DEBUG, "batcher"):
        handle(sqs("22"), None)
    (line,) = caplog.messages
    assert line.startswith("batch_written records=1 size_bytes=3 key=events/")


def leaking(payload: bytes) -> bytes:
    """Raise as user code may, with the payload in the error."""
    raise ValueError(payload.decode())


@pytest.mark.parametrize("bug", [ValueError(SECRET), KeyError(SECRET), AssertionError(SECRET)])
def test_an_error_that_is_none_of_ours_is_told_by_its_kind_and_place(
    handler_factory: HandlerFactory, caplog: pytest.LogCaptureFixture, bug: Exception
) -> None:
    """Its text may be a record's; and what is raised is logged by Lambda."""
    _, store = hooked()
    store.before = failing(bug, "put")
    handle = handler_factory.make(store, partial_response=False)
    with pytest.raises(RetryableError) as caught:
        handle(sqs(f'"{SECRET}"'), None)
    kind = type(bug).__name__
    assert f"{kind} in fail, line " in str(caught.value)
    assert f"{kind} in fail, line " in caplog.text
    assert SECRET not in str(caught.value) + "".join(caplog.messages)


def test_what_a_transform_raises_is_told_without_its_text(
    handler_factory: HandlerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Which record and which kind of error is enough to find it."""
    handle = handler_factory.make(
        MemoryStore(), partial_response=False, on_bad_record="fail", transform=leaking
    )
    with pytest.raises(RetryableError) as caught:
        handle({"Records": [kinesis_record("100", f'"{SECRET}"'.encode())]}, None)
    assert str(caught.value).endswith("record 100: transform: transform raised ValueError")
    assert SECRET not in "".join(caplog.messages)


def test_why_a_record_is_refused_is_told_where_it_is_raised(
    handler_factory: HandlerFactory,
) -> None:
    """With the detail, which has nothing of the payload in it."""
    handle = handler_factory.make(MemoryStore(), partial_response=False, on_bad_record="fail")
    with pytest.raises(RetryableError, match=r"record m0: not_json: not one JSON value: .*"):
        handle(sqs(SECRET), None)
