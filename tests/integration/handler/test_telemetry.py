"""Each event ends with one line of metrics, whatever came of it, with figures of its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from batcher.errors import (
    RejectedError,
    RetryableError,
    SettingsError,
    ThrottledError,
    UnknownSourceError,
)
from batcher.handler import make_handler
from batcher.stores import ObjectStore
from batcher.stores.memory import MemoryStore
from support.emf_schema import metrics_of
from support.examples import ARRIVAL_S, kinesis_record, make_settings, message
from support.fakes import FakeContext, failing, hanging
from support.handler_harness import KIND, NO_FAILURES, HandlerFactory, hooked, item_failures

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=557abcec3ee5a047;Sampled=1"


@dataclass(frozen=True, slots=True)
class Named:
    """Lambda's context, with the name of the request."""

    aws_request_id: str
    left_ms: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until the function is killed."""
        return self.left_ms


class Watched:
    """A handler whose lines of metrics are kept."""

    def __init__(
        self,
        handler_factory: HandlerFactory,
        store: ObjectStore | None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        """Write to `store`."""
        self.lines: list[str] = []
        transform = settings.pop("transform", None)
        chosen = make_settings(**{"partial_response": True, "root": "events", **settings})
        made = make_handler(chosen, transform=transform, store=store, metrics=self.lines.append)
        self.handle = handler_factory.keep(made)

    def metrics(self) -> dict[str, float]:
        """Return figures of the one line since the last look; latency, which has many, is out."""
        (line,) = self.lines
        self.lines.clear()
        found = metrics_of(line)
        found.pop("batcher_put_seconds", None)
        return {name.removeprefix("batcher_"): value for name, (value,) in found.items()}

    def line(self) -> dict[str, Any]:
        """Return all of the one line since the last look."""
        (line,) = self.lines
        self.lines.clear()
        document: dict[str, Any] = json.loads(line)
        return document


Watch = Callable[..., Watched]


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """Return the logger of a client, as if nobody had set its level; it is so again afterwards."""
    for name in ("aiobotocore", "botocore"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)
    return logging.getLogger("botocore")


@pytest.fixture
def watch(handler_factory: HandlerFactory) -> Watch:
    """Return what makes watched handlers."""

    def make(
        store: ObjectStore | None = None,
        *,
        of_settings: bool = False,
        **settings: Any,  # noqa: ANN401
    ) -> Watched:
        chosen = None if of_settings else store or MemoryStore()
        return Watched(handler_factory, chosen, **settings)

    return make


def sqs(*bodies: str) -> dict[str, Any]:
    """Make an event of messages `m0`, `m1` and so on."""
    return {"Records": [message(f"m{n}", body) for n, body in enumerate(bodies)]}


def test_an_event_tells_what_it_came_to(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records, bytes both ways, objects, why they were sealed, and the oldest record's age."""
    monkeypatch.setattr("time.time", lambda: ARRIVAL_S + 90)
    store = MemoryStore()
    watched = watch(store, compression="none")
    records = [message("a", "12", sent_ms=int(ARRIVAL_S * 1000) + 60_000), message("b", "345")]
    assert watched.handle({"Records": records}, None) == NO_FAILURES
    found = watched.metrics()
    (there,) = store.objects.values()
    assert len(there.body) == 7
    assert found.pop("cold_starts_total") == 1
    assert found == {
        "records_total": 2,
        "payload_bytes_total": 7,
        "objects_total": 1,
        "object_bytes_total": 7,
        "flushes_event_total": 1,
        "oldest_record_age_seconds": 90,
    }


def test_an_event_is_cold_once(watch: Watch) -> None:
    """The environment's first; an event that failed was the first all the same."""
    watched = watch()
    with pytest.raises(UnknownSourceError):
        watched.handle({"Records": [{"eventSource": "aws:kafka"}]}, None)
    assert watched.metrics()["cold_starts_total"] == 1
    watched.handle(sqs("1"), None)
    assert "cold_starts_total" not in watched.metrics()


def test_figures_are_of_one_event_and_none_before(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of everything that is counted, through all that stands around an engine."""
    inner, engine = hooked()
    monkeypatch.setattr("batcher.stores._open_s3", lambda _: engine)
    monkeypatch.setattr("batcher.stores.retrying._random_jitter", lambda: 0.0)  # nobody waits
    watched = watch(of_settings=True, partition_by=KIND)
    engine.before = failing(RetryableError("busy"), "put", times=3)
    event = sqs('{"kind":"a"}', '{"kind":"b"}', "bad")
    assert watched.handle(event, None) == NO_FAILURES
    first = watched.line()
    assert (first["batcher_retries_total"], first["batcher_quarantined_records_total"]) == (3, 1)
    assert (first["batcher_objects_total"], first["requests"]) == (2, 6)
    assert len(first["batcher_put_seconds"]) == 6
    assert watched.handle({"Records": [message("next", '{"kind":"a"}')]}, None) == NO_FAILURES
    found = watched.line()
    assert (found["batcher_records_total"], found["batcher_objects_total"]) == (1, 1)
    assert (found["requests"], len(found["batcher_put_seconds"])) == (1, 1)
    assert not {name for name in found if "retries" in name or "quarantined" in name}
    assert len(inner.objects) == 4


def test_a_throttled_prefix_is_named_as_pacing_has_it(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root and salt, not the key."""
    _, engine = hooked()
    monkeypatch.setattr("batcher.stores._open_s3", lambda _: engine)
    engine.before = failing(ThrottledError("SlowDown"), "put", times=1)
    watched = watch(of_settings=True, fanout=1)
    assert watched.handle(sqs("1"), FakeContext(60_000)) == NO_FAILURES
    found = watched.line()
    assert (found["batcher_throttles_total"], found["batcher_retries_total"]) == (1, 1)
    assert found["throttles_by_prefix"] == {"events": 1}


@pytest.mark.parametrize("partial_response", [True, False])
def test_what_failed_is_told_whether_it_is_answered_or_raised(
    watch: Watch, *, partial_response: bool
) -> None:
    """The records that are not durable, and those that are."""
    _, store = hooked()
    store.before = failing(RetryableError("busy"), "put", key="kind=b")
    watched = watch(store, partition_by=KIND, partial_response=partial_response)
    event = sqs('{"kind":"a"}', '{"kind":"b"}', '{"kind":"b"}')
    if partial_response:
        assert watched.handle(event, None) == item_failures("m1", "m2")
    else:
        with pytest.raises(RetryableError):
            watched.handle(event, None)
    found = watched.line()
    assert found["batcher_failed_records_total"] == 2
    assert found["batcher_records_total"] == 1
    assert found.get("error", "") == ("" if partial_response else "RetryableError")


def test_an_event_that_the_deadline_cut_says_so(watch: Watch) -> None:
    """With what was durable by then."""
    _, store = hooked()
    store.before = hanging("put", key="kind=b")
    watched = watch(store, partition_by=KIND, deadline_margin_s=0)
    records = [kinesis_record("1", b'{"kind":"a"}'), kinesis_record("2", b'{"kind":"b"}')]
    with pytest.raises(RetryableError, match="deadline"):
        watched.handle({"Records": records}, FakeContext(400))
    found = watched.metrics()
    assert found["deadline_cuts_total"] == 1
    assert (found["failed_records_total"], found["records_total"]) == (1, 1)


def test_an_event_that_fits_no_budget_has_failed_as_a_whole(watch: Watch) -> None:
    """Nothing of it was sent."""
    watched = watch(budget_bytes=8 * 1024**2)
    records = [kinesis_record(f"{n}", b'"' + b"x" * 3 * 1024**2 + b'"') for n in range(3)]
    with pytest.raises(RetryableError, match="budget"):
        watched.handle({"Records": records}, None)
    found = watched.metrics()
    assert (found["failed_records_total"], found["objects_total"]) == (3, 0)


@pytest.mark.parametrize(
    ("chosen", "name", "count"),
    [
        ({"on_bad_record": "quarantine"}, "quarantined_records_total", 2),
        ({"on_bad_record": "drop"}, "dropped_records_total", 2),
        ({"on_bad_record": "fail"}, "refused_records_total", 2),
        ({"transform": lambda raw: None if raw == b"1" else raw}, "left_out_records_total", 1),
    ],
)
def test_what_was_not_written_as_data_is_told_apart(
    watch: Watch, chosen: dict[str, Any], name: str, count: int
) -> None:
    """By what became of it."""
    watched = watch(**chosen)
    watched.handle(sqs("1", "bad", "{"), None)
    assert watched.metrics()[name] == count


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"Records": []}, None),
        ([], None),
        ({"Records": [{"eventSource": "aws:kafka"}]}, UnknownSourceError),
        ({"Records": [{"eventSource": "aws:sqs"}]}, RejectedError),
        ("text", UnknownSourceError),
    ],
)
def test_an_event_with_nothing_to_deliver_has_a_line_too(
    watch: Watch, event: object, error: type[Exception] | None
) -> None:
    """So lines and invocations are one number."""
    watched = watch()
    if error is None:
        watched.handle(event, None)
    else:
        with pytest.raises(error):
            watched.handle(event, None)
    found = watched.line()
    assert found["batcher_records_total"] == found["batcher_objects_total"] == 0
    assert found.get("error") == (error.__name__ if error else None)


def test_settings_that_cannot_work_have_no_line(handler_factory: HandlerFactory) -> None:
    """Nothing was measured, and Lambda's own count of errors tells it."""
    lines: list[str] = []
    handle = handler_factory.keep(make_handler(metrics=lines.append))
    with pytest.raises(SettingsError):
        handle(sqs("1"), None)
    assert lines == []


def test_throttles_are_told_in_all_and_by_prefix(watch: Watch) -> None:
    """The prefix is no dimension: each would be billed as a metric of its own."""
    _, store = hooked()
    store.before = failing(ThrottledError("SlowDown"), "put", key="kind=b")
    watched = watch(store, partition_by=KIND)
    watched.handle(sqs('{"kind":"a"}', '{"kind":"b"}'), None)
    found = watched.line()
    assert found["batcher_throttles_total"] == 1
    ((key, count),) = found["throttles_by_prefix"].items()
    assert ("kind=b" in key, count) == (True, 1)


def test_a_line_can_be_found_by_its_request_and_its_trace(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are of the event at hand; what Lambda does not say is not there."""
    watched = watch()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders-writer")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", TRACE)
    watched.handle(sqs("1"), Named("request-1"))
    found = watched.line()
    assert found["FunctionName"] == "orders-writer"
    assert found["requestId"] == "request-1"
    assert found["xray_trace_id"] == "1-5759e988-bd862e3fe1be46a994272793"
    assert (found["source"], found["event_records"]) == ("sqs", 1)
    monkeypatch.delenv("_X_AMZN_TRACE_ID")
    watched.handle(sqs("1"), Named("request-2"))
    found = watched.line()
    assert found["requestId"] == "request-2"
    assert "xray_trace_id" not in found


def test_in_lambda_lines_go_to_standard_output(
    handler_factory: HandlerFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the function's name in the environment; elsewhere nothing is printed."""
    event = sqs("1", "2")
    handler_factory.make(MemoryStore())(event, None)
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders-writer")
    handle = handler_factory.make(MemoryStore())
    handle(event, None)
    handle(event, None)
    first, second = capsys.readouterr().out.splitlines()
    assert metrics_of(first)["batcher_records_total"] == [2]
    assert metrics_of(second)["batcher_records_total"] == [2]


@pytest.mark.parametrize("is_lambda", [True, False])
def test_clients_are_kept_from_telling_bodies_in_lambda_alone(
    handler_factory: HandlerFactory,
    monkeypatch: pytest.MonkeyPatch,
    clients: logging.Logger,
    *,
    is_lambda: bool,
) -> None:
    """A program's logging is the program's."""
    if is_lambda:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders-writer")
    lines: list[str] = []
    made = make_handler(make_settings(), store=MemoryStore(), metrics=lines.append)
    handler_factory.keep(made)(sqs("1"), None)
    assert len(lines) == 1
    assert clients.level == (logging.INFO if is_lambda else logging.NOTSET)


def test_a_level_that_somebody_has_set_stays(
    handler_factory: HandlerFactory, monkeypatch: pytest.MonkeyPatch, clients: logging.Logger
) -> None:
    """Who asks for a client's own lines gets them."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders-writer")
    monkeypatch.setattr(clients, "level", logging.DEBUG)
    handler_factory.make(MemoryStore())(sqs("1"), None)
    assert clients.level == logging.DEBUG


def test_a_line_that_cannot_be_written_fails_no_event(
    handler_factory: HandlerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Its records are durable: an error would bring them again, for ever."""

    def broken(line: str) -> None:
        raise BrokenPipeError(line)

    chosen = make_settings(partial_response=True)
    made = make_handler(chosen, store=MemoryStore(), metrics=broken)
    assert handler_factory.keep(made)(sqs("1"), None) == NO_FAILURES
    assert caplog.messages == ["metrics_failed error=BrokenPipeError"]


def test_a_handler_that_was_closed_goes_on_as_before() -> None:
    """Its requests are counted once."""
    lines: list[str] = []
    handle = make_handler(make_settings(), store=MemoryStore(), metrics=lines.append)
    handle(sqs("1"), None)
    handle.close()
    handle({"Records": [message("other", "2")]}, None)
    handle.close()
    assert [json.loads(line)["requests"] for line in lines] == [1, 1]
