"""Ledger: which records of one event are durable."""

from __future__ import annotations

import pytest

from batcher.sources.event import Ledger

POSITIONS = ["c", "a", "b"]


def test_every_record_starts_unsettled() -> None:
    """Silence means not delivered."""
    ledger = Ledger(POSITIONS)
    assert len(ledger) == 3
    assert ledger.unsettled(POSITIONS) == POSITIONS


def test_what_is_settled_is_handed_back_no_more() -> None:
    """The rest stays, in the event's order."""
    ledger = Ledger(POSITIONS)
    ledger.settle(["a"])
    assert ledger.unsettled(POSITIONS) == ["c", "b"]
    ledger.settle(("b", "c"))
    assert len(ledger) == 0
    assert ledger.unsettled(POSITIONS) == []


@pytest.mark.parametrize("again", [["a"], ["z"], ["b", "b"], ["b", "a"]])
def test_settling_what_is_not_open_is_heard(again: list[str]) -> None:
    """Twice, never in the event, or twice in one call: each is our bug."""
    ledger = Ledger(POSITIONS)
    ledger.settle(["a"])
    with pytest.raises(KeyError, match="records settled"):
        ledger.settle(again)
