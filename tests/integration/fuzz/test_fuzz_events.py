"""Events: whatever a function is invoked with, good records are written and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.fuzz_strategies import (
    GOOD,
    MISSING,
    UNUSUAL,
    all_paths,
    corrupt,
    direct_events,
    service_events,
)
from support.fuzz_targets import check_any_event, check_service_event

PARTITIONS = st.sampled_from(["", "dt={arrival:%Y-%m-%d}/hour={arrival:%H}", "f={field:f}"])
MODES = st.sampled_from(["quarantine", "quarantine", "drop", "fail"])
BY_BOTH = "dt={arrival:%Y-%m-%d}/f={field:f}"


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("kind", sorted(GOOD))
def test_every_odd_value_at_every_place_of_a_record(kind: str, which: int) -> None:
    """Its neighbours are written, and it is settled itself, unless it cannot be acknowledged."""
    for number, path in enumerate(all_paths(GOOD[kind](1))):
        for value in (*UNUSUAL[number % 2 :: 2], MISSING):  # the other half at the next place
            records = [GOOD[kind](n) for n in range(3)]
            records[which] = corrupt(records[which], {path: value})
            check_service_event(kind, records, {which}, partition_by=BY_BOTH)


@given(service_events(), PARTITIONS, MODES)
@settings(max_examples=250)
def test_a_spoiled_record_never_harms_its_neighbours(
    event: tuple[str, list[Any], set[int]], partition_by: str, mode: str
) -> None:
    """Every record with an identity is settled or handed back; an error is one of ours."""
    check_service_event(*event, partition_by=partition_by, on_bad_record=mode)


@given(direct_events)
@settings(max_examples=250)
def test_any_event_is_answered_or_refused_with_an_error_of_ours(event: object) -> None:
    """By hand a function can be invoked with anything at all."""
    check_any_event(event)
