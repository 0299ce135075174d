"""Every fault that a request can meet, on a given percentage of all requests."""

from __future__ import annotations

from collections.abc import Mapping

from support.fault_script import (
    ALWAYS,
    CONFLICT,
    CUT_BODY,
    CUT_RESPONSE,
    ERROR_IN_200,
    HOLD,
    LATE_ERROR_IN_200,
    LATE_SERVER_ERROR,
    LATE_STALL,
    RESET,
    RESPONSE_LOST,
    SERVER_ERROR,
    SLOW_DOWN,
    STALL,
    Fault,
    Rule,
)

Weighted = tuple[tuple[Fault, int], ...]

USUAL: Weighted = (
    (SERVER_ERROR, 3),
    (SLOW_DOWN, 3),
    (RESET, 3),
    (RESPONSE_LOST, 3),
    (CUT_RESPONSE, 2),
)
HANGING: Weighted = ((STALL, 1), (LATE_STALL, 1))
WEIGHTS: Mapping[str, Weighted] = {
    "put": (*USUAL, *HANGING, (LATE_SERVER_ERROR, 2), (CUT_BODY, 2), (CONFLICT, 1), (HOLD, 4)),
    "head": (*USUAL, (STALL, 1)),
    "create": (*USUAL, (LATE_SERVER_ERROR, 2), (LATE_STALL, 1)),
    "part": (*USUAL, *HANGING, (LATE_SERVER_ERROR, 2), (CUT_BODY, 2)),
    "complete": (
        *(*USUAL, *HANGING, (LATE_SERVER_ERROR, 2), (CONFLICT, 1), (HOLD, 2)),
        *((ERROR_IN_200, 2), (LATE_ERROR_IN_200, 2)),
    ),
    "abort": USUAL,
}
"""How often each is drawn. Listings go through: a stray upload is looked for once, as promised."""


def rules(rate: float) -> list[Rule]:
    """Let a share `rate` of the requests of each operation go wrong."""
    made: list[Rule] = []
    for operation, weighted in WEIGHTS.items():
        total, left = sum(weight for _, weight in weighted), 1.0
        for fault, weight in weighted:
            share = rate * weight / total
            # Rules are asked in turn: each is for those that none before it has hit
            made.append(Rule(operation, fault, times=ALWAYS, chance=share / left))
            left -= share
    return made
