"""Deliveries of a stream in any cut: no acknowledged record is lost, by the plans of the writer.

The exhaustive test tries every sequence of deliveries over few records, with a kill at each step.
The random one has pollers whose deliveries overlap step by step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import pytest

from batcher.records.position import sequence_number
from batcher.testing.shard_poller import BEHAVIORS, EXACT_BEHAVIORS
from batcher.writing.write_once import CreateGuard, CreateObject
from support.delivery_plans import Plan, all_plans, all_plans_of_two_shards, planner
from support.poller_model import PollerModel

ALL = os.environ.get("BATCHER_ALL_DELIVERIES") == "1"
"""Whether to try all of them, which takes some minutes: `make deliveries`."""

RECORDS, DEPTH = (4, 3) if ALL else (3, 2)

MIN_PLANS = 944_000 if ALL else 3_000
"""Sequences to be tried from known boundaries. From the last acknowledged end there are fewer."""

SHARED = [(2, 3), (3, 2)] if ALL else [(2, 2)]
"""Records and depth of two shards that share their numbers."""

MIN_SHARED_PLANS = 10_000 if ALL else 1_000

SEEDS = 20_000 if ALL else 300


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("known_bounds", [True, False])
def test_every_sequence_of_deliveries(
    known_bounds: bool,  # noqa: FBT001  # a parameter
    record_property: Callable[[str, object], None],
) -> None:
    """Each record is in exactly one object, and each delivery is acknowledged in the end."""
    plans = 0
    for shard, deliveries in all_plans(RECORDS, DEPTH, known_bounds=known_bounds):
        plans += 1
        assert not shard.lost(), (shard.partitions, deliveries)
        assert not shard.doubled(), (shard.partitions, deliveries)
        assert shard.front == RECORDS, (shard.partitions, deliveries)
    shown = f"sequences of {DEPTH} deliveries over {RECORDS} records: {plans:,}"
    record_property("shown", f"{shown}, {known_bounds=}, lost=0 doubled=0")
    assert plans > MIN_PLANS / (1 if known_bounds else 10)


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(("records", "depth"), SHARED)
def test_every_sequence_of_deliveries_of_shards_that_share_numbers(
    records: int, depth: int
) -> None:
    """A record of one is never taken for the record of the other with its number."""
    plans = 0
    for shards, deliveries in all_plans_of_two_shards(records, depth):
        plans += 1
        for shard in shards:
            assert not shard.lost(), (shard.partitions, deliveries)
            assert not shard.doubled(), (shard.partitions, deliveries)
            assert shard.front == records, (shard.partitions, deliveries)
    assert plans > MIN_SHARED_PLANS


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("family", BEHAVIORS)
def test_pollers_of_shards_that_share_numbers(family: str) -> None:
    """Nothing is lost in any family, and nothing is doubled between known boundaries."""
    doubled = 0
    for seed in range(SEEDS):
        run = PollerModel(seed, BEHAVIORS[family], shards=2 + seed % 2).run()
        assert run.is_over, seed
        assert not run.lost, seed
        doubled += run.doubled
    assert bool(doubled) == (family not in EXACT_BEHAVIORS)


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("family", BEHAVIORS)
def test_pollers_that_overlap(family: str, record_property: Callable[[str, object], None]) -> None:
    """Nothing is lost in any family, and nothing is doubled between known boundaries."""
    doubled = 0
    for seed in range(SEEDS):
        run = PollerModel(seed, BEHAVIORS[family]).run()
        assert run.is_over, seed
        assert not run.lost, seed
        doubled += run.doubled
    record_property("shown", f"{family}: seeds={SEEDS} lost=0 {doubled=}")
    assert bool(doubled) == (family not in EXACT_BEHAVIORS)


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("family", BEHAVIORS)
def test_pollers_of_a_store_without_lists(family: str, shards: int) -> None:
    """Nothing is lost where positions lists cannot be read."""
    for seed in range(SEEDS // 10):
        run = PollerModel(seed, BEHAVIORS[family], has_lists=False, shards=shards).run()
        assert run.is_over, seed
        assert not run.lost, seed


def without_guards(positions: Sequence[str]) -> Plan:
    """Plan as the writer does, but write no guard."""
    plan = planner(positions)
    answer = None
    while True:
        try:
            step = plan.send(answer)
        except StopIteration:
            return
        answer = None if isinstance(step, CreateGuard) else (yield step)


def believing_names(positions: Sequence[str]) -> Plan:
    """Take an object with the right name for one that holds all records."""
    yield CreateObject(positions)


def test_the_exhaustive_test_notices_a_missing_guard() -> None:
    """Records after a shorter redelivery are written twice then."""
    assert any(
        shard.doubled() for shard, _ in all_plans(3, 2, known_bounds=True, plan=without_guards)
    )


def test_both_tests_notice_records_that_are_not_written() -> None:
    """A longer redelivery loses its new records then."""
    assert any(
        shard.lost() for shard, _ in all_plans(3, 2, known_bounds=True, plan=believing_names)
    )
    runs = [PollerModel(seed, BEHAVIORS["restarts"], believing_names).run() for seed in range(50)]
    assert any(run.lost for run in runs)


def believing_numbers(positions: Sequence[str]) -> Plan:
    """Plan without fingerprints, as if numbers were unique."""
    yield from planner(list(map(sequence_number, positions)))


def with_guards_anywhere(positions: Sequence[str]) -> Plan:
    """Plan as the writer does, but leave a guard out whose name another shard has."""
    plan = planner(positions)
    answer = None
    while True:
        try:
            step = plan.send(answer)
        except StopIteration:
            return
        is_second = isinstance(step, CreateGuard) and bool(step.suffix)
        answer = None if is_second else (yield step)


def test_both_tests_notice_numbers_that_are_taken_for_records() -> None:
    """The records of a shard are lost where the other has the same numbers."""
    plans = all_plans_of_two_shards(2, 1, plan=believing_numbers)
    assert any(shard.lost() for shards, _ in plans for shard in shards)
    runs = [
        PollerModel(seed, BEHAVIORS["restarts"], believing_numbers, shards=2).run()
        for seed in range(20)
    ]
    assert any(run.lost for run in runs)


def test_the_random_test_notices_a_guard_that_another_shard_keeps_out() -> None:
    """Records after a shorter redelivery are written twice then."""
    runs = [
        PollerModel(seed, BEHAVIORS["repeats in another cut"], with_guards_anywhere, shards=2).run()
        for seed in range(300)
    ]
    assert any(run.doubled for run in runs)
