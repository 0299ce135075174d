"""Fault script: rules that decide which requests fail, and how, by operation, key and number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

F = TypeVar("F")

ALWAYS = 10**9
"""Value of `FaultRule.times`: every request from the first on."""


@dataclass(frozen=True)  # no slots: Python 3.11 cannot make FaultRule[...] of them
class FaultRule(Generic[F]):
    """Makes requests of one operation, on keys that contain `key`, fail."""

    operation: str
    """`put`, `head`, `read`, `create`, `part`, `complete` or `abort`. Empty: all of them."""
    fault: F
    key: str = ""
    times: int = 1
    """How many requests in a row; `ALWAYS`: all."""
    first: int = 1
    """Number of the first of them, from 1."""
    chance: float = 1.0
    """The probability that each of them fails."""


class FaultScript(Generic[F]):
    """Chooses the fault of each request by the first rule that applies, reproducibly."""

    def __init__(self, rules: Sequence[FaultRule[F]] = (), seed: int = 0) -> None:
        """Use `rules` in this order; `seed` decides about their `chance`."""
        self._rules = rules
        self._matched = [0] * len(rules)
        self._fired = [0] * len(rules)
        self._random = Random(seed)  # noqa: S311  # no secret

    def decide(self, operation: str, key: str) -> F | None:
        """Return the fault of the next request, or None."""
        for number, rule in enumerate(self._rules):
            if rule.operation not in {"", operation} or rule.key not in key:
                continue
            self._matched[number] += 1
            is_due = rule.first <= self._matched[number] < rule.first + rule.times
            if is_due and self._random.random() < rule.chance:
                self._fired[number] += 1
                return rule.fault
        return None

    def unfired(self) -> list[str]:
        """Describe the rules that applied to fewer requests than they should have.

        A test in which a rule did not apply proves nothing.
        """
        return [
            f"{rule.operation} {rule.fault}: {fired} of {rule.times}"
            for rule, fired in zip(self._rules, self._fired, strict=True)
            if fired < (rule.times if rule.times < ALWAYS and rule.chance == 1 else 1)
        ]
