"""Replay to a queue: messages as they were, each marked when the queue has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from batcher.batching.validation import Transform
from batcher.errors import BatcherError, RejectedError, RetryableError
from batcher.stores.memory import MemoryStore
from batcher.stores.retrying import Backoff
from batcher.tools.replay.marks import RecordFilter
from batcher.tools.replay.to_sqs import MAX_SENDS, QueueTarget
from integration.tools.replay.replay_harness import (
    ALL,
    NOTHING,
    CrashingStore,
    handle,
    landed,
    lines,
    quarantined,
    replay,
    states,
)
from support.examples import fifo_message, kinesis_record, message

URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
FIFO = f"{URL}.fifo"
DONE = dict.fromkeys("24ac", "done") | {"3": None}
BODIES = ["aaa", "ccc", "four", "two"]


@dataclass(eq=False)
class FakeClient:
    """A client whose queue accepts everything except what a test chooses."""

    entries: list[Mapping[str, Any]] = field(default_factory=list)
    """Everything that was taken."""
    calls: list[int] = field(default_factory=list)
    """How many entries each call had."""
    refused: Mapping[str, bool] = field(default_factory=dict)
    """Bodies that are refused, and whether for a fault of the sender's."""
    times: int = 10**9
    """How often."""
    error: BatcherError | None = None
    """Raised by the next call, after the queue has taken its messages."""

    async def send(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """See `SqsClient.send`."""
        self.calls.append(len(entries))
        for _ in range(10 - len(self.calls)):  # the first calls take longest
            await asyncio.sleep(0)
        failed = []
        for entry in entries:
            if entry["MessageBody"] in self.refused and self.times:
                self.times -= 1
                is_fault = self.refused[entry["MessageBody"]]
                failed.append({"Id": entry["Id"], "SenderFault": is_fault, "Code": "Odd"})
            else:
                self.entries.append(entry)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return failed

    async def aclose(self) -> None:
        """Do nothing."""

    def bodies(self) -> list[str]:
        """Return the bodies of all that was taken."""
        return sorted(entry["MessageBody"] for entry in self.entries)


def target_of(
    client: FakeClient, url: str = URL, transform: Transform | None = None
) -> QueueTarget:
    """Return a target that never waits."""
    return QueueTarget(url, client, transform, Backoff(base_s=0.0))


@pytest.fixture
def store() -> MemoryStore:
    """Return a store with two quarantine objects. Record 3 is empty, which SQS rejects."""
    return quarantined()


def test_payloads_are_sent_unchanged_and_marked(store: MemoryStore) -> None:
    """They are not validated. What SQS does not accept stays, and is reported."""
    client = FakeClient()
    tally = replay(store, destination=target_of(client))
    assert client.bodies() == BODIES
    assert states(store) == DONE
    assert {line["replay"].get("queue") for line in lines(store) if "replay" in line} == {URL}
    assert landed(store) == []
    assert tally.replayed == {"not_json": 4}
    assert "SQS does not accept an empty message" in tally.examples[0]
    assert replay(store, destination=target_of(client)).replayed == {}
    assert client.bodies() == BODIES


def test_a_transform_makes_or_filters_the_message(store: MemoryStore) -> None:
    """Records on which it raises stay."""

    def transform(payload: bytes) -> str | None:
        if payload == b"two":
            return None
        return json.dumps({"now": json.loads(payload)}) if payload == b"" else "ü"

    client = FakeClient()
    tally = replay(store, destination=target_of(client, transform=transform))
    assert client.bodies() == ["ü"] * 3
    assert states(store) == DONE
    assert tally.skipped == {"transform": 1}


def test_a_message_rejected_as_senders_fault_stays_unmarked_and_is_reported(
    store: MemoryStore,
) -> None:
    """As a warning, because a retry would not help."""
    client = FakeClient(refused={"aaa": True})
    tally = replay(store, destination=target_of(client))
    assert states(store) == DONE | {"a": None}
    assert (tally.error_count, tally.unfinished) == (0, 0)
    assert tally.skipped == {"not_json": 1, "empty": 1}
    assert any("a: not_json: the queue rejected it: Odd" in named for named in tally.examples)


@pytest.mark.parametrize("times", [1, MAX_SENDS - 1, MAX_SENDS])
def test_a_message_that_fails_by_a_fault_of_sqs_is_retried(store: MemoryStore, times: int) -> None:
    """Alone, a few times. After that it stays unmarked, and the run fails."""
    client = FakeClient(refused={"aaa": False}, times=times)
    tally = replay(store, RecordFilter(source="sqs"), destination=target_of(client))
    assert client.calls == [2] + [1] * min(times, MAX_SENDS - 1)
    taken = times < MAX_SENDS
    assert states(store)["a"] == ("done" if taken else None)
    assert states(store)["c"] == "done"
    assert tally.error_count == (0 if taken else 1)


def test_a_retried_fifo_message_is_not_overtaken_in_its_group() -> None:
    """Messages of other groups may come between."""
    bodies = ["g1", "g2", "h1", "g3"]
    sent = [fifo_message(body, number, body[0], body) for number, body in enumerate(bodies)]
    store = MemoryStore()
    handle(store, sent)
    client = FakeClient(refused={"g1": False, "h1": False}, times=3)
    assert replay(store, destination=target_of(client, FIFO)).error_count == 0
    taken = [entry["MessageBody"] for entry in client.entries]
    assert sorted(taken) == sorted(bodies)
    assert [body for body in taken if body.startswith("g")] == ["g1", "g2", "g3"]


def test_a_rejected_call_leaves_records_unmarked_for_any_target(
    store: MemoryStore,
) -> None:
    """Nothing was sent. The run fails all the same."""
    client = FakeClient(error=RejectedError("no permission"))
    client.entries = Discarding()
    tally = replay(store, RecordFilter(source="sqs"), destination=target_of(client))
    assert (tally.error_count, tally.unfinished) == (1, 2)
    assert states(store)["a"] is states(store)["c"] is None
    assert replay(store).error_count == 0
    assert landed(store) == ["", "aaa", "ccc", "four", "two"]


class Discarding(list[Mapping[str, Any]]):
    """The messages of a queue that rejects everything."""

    def append(self, entry: Mapping[str, Any]) -> None:
        """Take nothing."""


def test_messages_after_an_error_are_neither_sent_nor_marked() -> None:
    """Only the outcome of the sent ones is unknown."""
    store, client = MemoryStore(), FakeClient(error=RetryableError("no answer"))
    handle(store, [fifo_message(f"m{n:02}", str(n), f"g{n}", f"x{n}") for n in range(25)])
    tally = replay(store, destination=target_of(client, FIFO))
    assert (client.calls, tally.unfinished) == ([10], 25)
    assert list(states(store).values()) == ["started"] * 10 + [None] * 15


def test_messages_with_unknown_outcome_stay_started_and_are_sent_again(
    store: MemoryStore,
) -> None:
    """At least once, because a queue cannot be searched."""
    client = FakeClient(error=RetryableError("no answer"))
    tally = replay(store, RecordFilter(source="sqs"), destination=target_of(client))
    assert (tally.error_count, tally.unfinished) == (1, 2)
    assert states(store)["a"] == states(store)["c"] == "started"
    assert replay(store, NOTHING, destination=target_of(client)).error_count == 0
    assert states(store)["a"] == states(store)["c"] == "done"
    assert client.bodies() == ["aaa", "aaa", "ccc", "ccc"]


def test_a_message_rejected_while_finishing_is_not_retried_in_the_same_run(
    store: MemoryStore,
) -> None:
    """Although the filter selects it."""
    replay(
        store,
        RecordFilter(source="sqs"),
        destination=target_of(FakeClient(error=RetryableError("lost"))),
    )
    client = FakeClient(error=RejectedError("no permission"))
    tally = replay(store, RecordFilter(source="sqs"), destination=target_of(client))
    assert (client.calls, tally.unfinished, tally.error_count) == ([2], 2, 1)


def test_records_started_for_a_queue_go_elsewhere_only_with_restart(store: MemoryStore) -> None:
    """Neither into data nor into another queue."""
    client = FakeClient(error=RetryableError("no answer"))
    replay(store, RecordFilter(source="sqs"), destination=target_of(client))
    other = FakeClient()
    for destination in (None, target_of(other, f"{URL}-other")):
        tally = replay(store, NOTHING, destination=destination)
        assert tally.unfinished == 2
        assert URL in tally.errors[0]
    assert (landed(store), other.entries) == ([], [])
    assert replay(store, NOTHING, restart=True).error_count == 0
    assert landed(store) == ["aaa", "ccc"]


@pytest.mark.parametrize("is_last_served", [False, True])
def test_killed_at_any_call_to_the_store_every_record_is_sent_at_least_once(
    is_last_served: bool,  # noqa: FBT001  # a parameter
) -> None:
    """And marked in the end."""
    for calls in range(20):
        store, client = quarantined(), FakeClient()
        dying = CrashingStore(store, calls_left=calls, is_last_served=is_last_served)
        replay(dying, ALL, destination=target_of(client))
        assert replay(store, destination=target_of(client)).error_count == 0
        assert states(store) == DONE
        assert sorted(set(client.bodies())) == BODIES
        if not dying.has_died:
            assert client.bodies() == BODIES
            return
    pytest.fail("the bound is too low")


def test_a_call_has_at_most_ten_messages() -> None:
    """SQS accepts no more."""
    store, client = MemoryStore(), FakeClient()
    handle(store, [message(str(number), f"x{number}") for number in range(25)])
    replay(store, destination=target_of(client))
    assert sorted(client.calls) == [5, 10, 10]
    assert len(set(client.bodies())) == 25


def test_fifo_groups_and_ids_stay_the_same() -> None:
    """In the order of the original group. A message sent twice is accepted once."""
    store = MemoryStore()
    records = [fifo_message(f"m{n}", str(n), f"g{n % 2}", f"x{n}") for n in range(25)]
    handle(store, records, [kinesis_record("7", b"seven")])
    client, again = FakeClient(), FakeClient()
    before = dict(store.objects)
    replay(store, destination=target_of(client, FIFO))
    store.objects = before
    replay(store, destination=target_of(again, FIFO))
    assert client.entries == again.entries
    sent = [entry for entry in client.entries if entry["MessageBody"] != "seven"]
    assert [entry["MessageBody"] for entry in sent] == [f"x{n}" for n in range(25)]
    assert [entry["MessageGroupId"] for entry in sent] == [f"g{n % 2}" for n in range(25)]
    assert len({entry["MessageDeduplicationId"] for entry in client.entries}) == 26
