"""A replay that is killed at any call to its store: the next runs write each record once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from batcher.records.bad_record import BadRecordReason
from batcher.stores import Operation, Request, Response
from batcher.stores.memory import MemoryStore
from batcher.tools.replay.marks import RecordFilter, ReplayState
from integration.tools.replay.replay_harness import (
    ALL,
    FIXED,
    HOUR_S,
    NOTHING,
    STREAM,
    CrashingStore,
    fix,
    handle,
    landed,
    lines,
    put,
    quarantine_keys,
    quarantined,
    replay,
    states,
    text_of,
)
from support.examples import ARRIVAL_S

DONE = dict.fromkeys("234ac", "done")
SOME = RecordFilter(reasons={BadRecordReason.NOT_JSON}, until_s=ARRIVAL_S + HOUR_S)
OTHERS = RecordFilter(since_s=ARRIVAL_S + HOUR_S)
BOUND_CALLS = 40
"""More calls than a replay of these objects makes."""

WAYS: dict[str, Any] = {
    "killed before a call": {"is_crash": True, "is_last_served": False},
    "killed before an answer": {"is_crash": True, "is_last_served": True},
    "no way to the store": {"is_crash": False, "is_last_served": False},
    "an answer lost": {"is_crash": False, "is_last_served": True},
}


def assert_nothing_is_lost(store: MemoryStore) -> None:
    """Check that a record is marked done if and only if it has arrived."""
    found = {line["position"]: line for line in lines(store)}
    assert set(found) == set(DONE)
    arrived = landed(store)
    assert len(set(arrived)) == len(arrived)
    for line in found.values():
        state = line.get("replay", {}).get("state")
        if state is None:
            assert line["payload"] not in arrived
        if state == ReplayState.DONE:
            assert line["payload"] in arrived


@pytest.mark.parametrize("then", [[ALL], [OTHERS, ALL], [NOTHING, ALL]], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_killed_at_any_call_each_record_is_written_once(way: str, then: list[RecordFilter]) -> None:
    """Even if the next runs select other records."""
    for calls in range(BOUND_CALLS):
        store = quarantined()
        dying = CrashingStore(store, calls_left=calls, **WAYS[way])
        replay(dying, SOME)
        assert_nothing_is_lost(store)
        for wanted in then:
            tally = replay(store, wanted)
            assert tally.error_count == tally.unfinished == 0
            assert_nothing_is_lost(store)
        assert states(store) == DONE
        assert landed(store) == sorted(FIXED)
        if not dying.has_died:
            return
    pytest.fail("the bound is too low")


def test_a_run_that_selects_nothing_finishes_started_groups() -> None:
    """Killed between the marks and the data."""
    store = quarantined()
    replay(CrashingStore(store, calls_left=3), ALL)  # listed, read, marked
    started = [position for position, state in states(store).items() if state]
    assert started == ["2", "3", "4"]
    replay(store, NOTHING)
    assert states(store) == {**DONE, "a": None, "c": None}
    assert landed(store) == ["", "four", "two"]


def killed_after_data() -> MemoryStore:
    """Kill a replay after the first of two data objects, before any `done` mark."""
    store = quarantined()
    replay(CrashingStore(store, calls_left=3, is_last_served=True), ALL, concurrency=1)
    assert landed(store) == ["four", "two"]
    assert set(states(store).values()) == {"started", None}
    return store


def test_written_data_is_recognized_under_other_settings_and_the_rest_waits() -> None:
    """Its key was marked before it was written."""
    store = killed_after_data()
    tally = replay(store, partition_by="", transform=None)
    assert {p for p, state in states(store).items() if state == "done"} == {"2", "4"}
    assert tally.unfinished == 1
    assert "with other settings or another transform" in tally.errors[0]
    assert "/hour=08/" in tally.errors[0]
    tally = replay(store)
    assert states(store) == DONE
    assert landed(store) == sorted(FIXED)


def test_another_object_at_a_marked_key_is_no_proof() -> None:
    """Only the digest is."""
    store = quarantined()
    replay(CrashingStore(store, calls_left=3), ALL)  # killed before any data
    for line in lines(store):
        if "replay" in line:
            put(store, line["replay"]["key"], [b"{}"])
    tally = replay(store, NOTHING, partition_by="")
    assert tally.unfinished == 3
    assert "done" not in states(store).values()


def test_restart_starts_groups_of_other_settings_again() -> None:
    """Written data is still recognized."""
    store = killed_after_data()
    tally = replay(store, NOTHING, partition_by="kind=x", restart=True)
    assert (tally.error_count, tally.unfinished) == (0, 0)
    assert landed(store) == ["", "four", "two"]
    (third,) = [line for line in lines(store) if line["position"] == "3"]
    assert "/kind=x/" in third["replay"]["key"]


def test_a_transform_that_filtered_records_can_be_corrected_after_a_crash() -> None:
    """The filtered records were not sent anywhere."""
    store = quarantined()
    replay(CrashingStore(store, calls_left=3), ALL, transform=lambda _: None)
    assert {"started", None} == set(states(store).values())
    tally = replay(store)
    assert tally.error_count == 0
    assert landed(store) == sorted(FIXED)


class Changing(CrashingStore):
    """A store in which others act just before each replacement of a quarantine object."""

    def __init__(self, inner: MemoryStore, *meanwhile: Any) -> None:  # noqa: ANN401
        """Do `meanwhile`, one a replacement."""
        super().__init__(inner)
        self.meanwhile = list(meanwhile)

    async def send(self, request: Request) -> Response:
        """See `ObjectStore.send`."""
        if request.if_match is not None and self.meanwhile:
            await asyncio.to_thread(self.meanwhile.pop(0), self.inner)  # it has a loop of its own
        return await super().send(request)


@pytest.mark.parametrize("quiet", range(5))
def test_another_replay_at_the_same_time_writes_nothing_twice(quiet: int) -> None:
    """For any order of the replacements."""
    store = quarantined()
    others = [lambda _: None] * quiet + [replay]
    tally = replay(Changing(store, *others), SOME)
    assert tally.error_count == 0
    replay(store)
    assert states(store) == DONE
    assert landed(store) == sorted(FIXED)


@pytest.mark.parametrize("quiet", range(2))
def test_a_concurrent_bisected_redelivery_leaves_the_marks(quiet: int) -> None:
    """It replaces nothing, so the quarantine object keeps its records and its marks."""

    def half(store: MemoryStore) -> None:
        handle(store, STREAM[:2])

    store = quarantined()
    first = quarantine_keys(store)[0]
    others = [lambda _: None] * quiet + [half]
    replay(Changing(store, *others))
    lines = [json.loads(raw) for raw in text_of(store.objects[first]).splitlines()]
    states = {line["position"]: line["replay"]["state"] for line in lines}
    assert states == {"2": "done", "3": "done", "4": "done"}
    assert landed(store).count("two") == 1


def test_an_object_that_others_keep_replacing_is_an_error_and_the_next_is_replayed() -> None:
    """The error has its key. Nothing of it was sent."""
    store = quarantined()
    first = quarantine_keys(store)[0]
    raw = text_of(store.objects[first]).encode().splitlines()

    def touch(inner: MemoryStore) -> None:
        put(inner, first, raw, number=str(len(changing.meanwhile)))

    changing = Changing(store, *[touch] * 20)
    tally = replay(changing)
    assert tally.error_count == 1
    assert "other writers keep replacing it" in tally.errors[0]
    assert landed(store) == ["aaa", "ccc"]


def test_an_object_that_was_removed_meanwhile_is_no_error() -> None:
    """For example by a lifecycle rule."""
    store = quarantined()
    listed = quarantine_keys(store)

    class Expiring(CrashingStore):
        async def _before(self, name: str) -> None:
            await super()._before(name)
            if name == f"read {listed[1]}":
                del self.inner.objects[listed[1]]

    tally = replay(Expiring(store))
    assert tally.error_count == 0
    assert landed(store) == ["", "four", "two"]


def test_a_store_that_keeps_failing_ends_the_run() -> None:
    """The other objects would fail, too."""
    store = MemoryStore()
    for number in range(6):
        line = {
            "reason": "empty",
            "source": "cli",
            "position": str(number),
            "arrival": "2026-11-23",
            "payload": "",
        }
        put(store, f"events/_quarantine/cli/dt=x/{number}.ndjson.gz", [json.dumps(line).encode()])

    class Refusing(CrashingStore):
        async def send(self, request: Request) -> Response:
            if request.operation is Operation.PUT and "/replay-" in request.key:
                self.calls_left, self.is_crash = 0, False
            return await super().send(request)

    refusing = Refusing(store)
    tally = replay(refusing)
    assert tally.unfinished == 3
    assert "3 quarantine objects in a row failed" in tally.errors[-1]
    assert [state for state in states(store).values() if state] == ["started"] * 3
    replay(store, transform=fix)
    assert set(states(store).values()) == {"done"}


def test_failures_of_single_objects_do_not_end_the_run() -> None:
    """Only failures without a success between them count."""
    store = MemoryStore()
    keys = [f"events/_quarantine/cli/dt=x/{number}.ndjson.gz" for number in range(7)]
    for position, key in enumerate(keys):
        line = {
            "reason": "empty",
            "source": "cli",
            "position": str(position),
            "arrival": "2026-11-23",
            "payload": "",
        }
        put(store, key, [json.dumps(line).encode()])
    failing = {keys[n] for n in (0, 1, 3, 4)}

    class Refusing(CrashingStore):
        async def send(self, request: Request) -> Response:
            if request.operation is Operation.PUT and request.key in failing:
                self.calls_left, self.is_crash = 0, False
            return await super().send(request)

    tally = replay(Refusing(store))
    assert tally.error_count == len(failing)
    assert sum(state == "done" for state in states(store).values()) == len(keys) - len(failing)
