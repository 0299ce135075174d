"""Report: which records a handler has lost or doubled, in words that name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from batcher.keys.names import QUARANTINE_FOLDER
from batcher.stores.memory import MemoryStore, split_text

SHOWN = 5
"""Records of each kind that a message names."""

SHOWN_BYTES = 80
"""Bytes of a line that a message shows."""


@dataclass(frozen=True, slots=True)
class HandlerDelivery:
    """One invocation of the handler, as the event source sees it."""

    number: int
    """From 1, in the order in which they ended."""
    positions: Sequence[str]
    """The records of the event: message ids or sequence numbers. Direct invokes: indices."""
    outcome: str
    """`done`, or why not all records were acknowledged."""
    acknowledged: int
    """How many of its records were acknowledged."""


@dataclass(frozen=True, slots=True)
class ExpectedRecord:
    """One record, and what a handler should make of it."""

    position: str
    line: bytes | None
    """Its line in a data object, in a canonical form. None: it belongs in no data object."""
    is_filtered: bool = False
    """Whether the transform leaves it out."""


@dataclass(frozen=True)
class DeliveryReport:
    """What has become of each record after all deliveries.

    Records are named by position: a message id, a sequence number, or the index of a direct invoke.
    """

    seed: int
    behavior: str
    """What the event source did: see `BEHAVIORS`."""
    store: MemoryStore
    """What the handler has written to, for further checks."""
    deliveries: list[HandlerDelivery]
    faults: Counter[str]
    """How often each fault happened."""
    acknowledged: dict[str, int]
    """The delivery that first acknowledged each record."""
    expired: list[str]
    """Records that the event source gave up because of their age, before they were acknowledged."""
    objects: dict[str, list[str]]
    """The records of each object that has any, by key."""
    lost: list[str]
    """Acknowledged records that are in no object, though they were not filtered."""
    doubled: dict[str, list[str]]
    """Records that are in several objects, or several times in one, with the objects' keys."""
    unfinished: list[str]
    """Records that were never acknowledged, even when faults had ended."""
    unexpected: dict[str, list[bytes]]
    """Lines that no record makes, by key."""
    quarantined: list[str]
    """Records that are in quarantine."""
    filtered: list[str]
    """Records that the transform leaves out."""
    replaced: dict[str, int]
    """Objects that were replaced or deleted, by key, with the delivery that did it first."""
    lines: Mapping[str, bytes | None] = field(default_factory=dict, repr=False)
    """The line that each record makes; see `ExpectedRecord`."""

    def assert_none_lost(self) -> None:
        """Check that each acknowledged record is durable, and that the handler gets done.

        Raises:
            AssertionError: it is not. The message names records, deliveries and objects.
        """
        self._raise(self._losses())

    def assert_exactly_once(self) -> None:
        """Check that each record is in exactly one object.

        batcher promises it of streams, where each delivery begins at a known boundary
        (`EXACT_BEHAVIORS`). Queues and direct invokes redeliver in other sets: nothing is lost.

        Raises:
            AssertionError: a record is lost or doubled. The message names it.
        """
        doubled = self._section(
            self.doubled,
            "doubled",
            lambda position: f"in {', '.join(self.doubled[position])}",
        )
        self._raise([*self._losses(), *doubled])

    def _losses(self) -> list[str]:
        return [
            *self._section(
                self.lost,
                "lost",
                lambda p: f"acknowledged by delivery {self.acknowledged[p]}, but in no object",
            ),
            *self._section(self.unfinished, "never acknowledged", lambda _: self._last_outcome()),
            *self._unexpected(),
            *(
                f"object {key}: replaced or deleted by delivery {delivery}; "
                "create objects under fresh keys only"
                for key, delivery in list(self.replaced.items())[:SHOWN]
            ),
        ]

    def _last_outcome(self) -> str:
        last = self.deliveries[-1] if self.deliveries else None
        return f"the last delivery: {last.outcome}" if last else "there was no delivery"

    def _unexpected(self) -> list[str]:
        found = [(key, line) for key, lines in self.unexpected.items() for line in lines]
        lines = [f"  {key}: {_shown(line)}" for key, line in found[:SHOWN]]
        hint = "give run_deliveries the handler's transform if it has one"
        count = len(found)
        head = f"{_count(count, 'line')} that no record makes, or that should be filtered; {hint}"
        return [head, *lines, *_more(count)] if found else []

    def _section(
        self, positions: Iterable[str], what: str, describe: Callable[[str], str]
    ) -> list[str]:
        found = list(positions)
        if not found:
            return []
        lines = [
            f"  {position}: {describe(position)}; line {_shown(self.lines.get(position))}"
            for position in found[:SHOWN]
        ]
        total = _count(len(self.lines), "record")
        return [f"{len(found)} of {total} {what}:", *lines, *_more(len(found))]

    def _raise(self, sections: Sequence[str]) -> None:
        if sections:
            faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
            head = (
                f"seed {self.seed}, behavior {self.behavior!r}, "
                f"{_count(len(self.deliveries), 'delivery')}, faults: {faults or 'none'}"
            )
            raise AssertionError("\n".join([head, *sections]))


def find_records(
    store: MemoryStore, expected: Sequence[ExpectedRecord]
) -> tuple[dict[str, list[str]], dict[str, list[bytes]], list[str]]:
    """Return the records of each object, the lines of none, and the records in quarantine."""
    by_line = {each.line: each.position for each in expected if each.line is not None}
    known = {each.position for each in expected}
    objects: dict[str, list[str]] = {}
    unexpected: dict[str, list[bytes]] = {}
    quarantined: list[str] = []
    for key in sorted(store.objects):
        is_quarantine = QUARANTINE_FOLDER in key.split("/")
        for line in split_text(store.read_text(key)):
            position = _bad_position(line) if is_quarantine else by_line.get(canonical(line))
            if position is None or position not in known:
                unexpected.setdefault(key, []).append(line)
                continue
            objects.setdefault(key, []).append(position)
            if is_quarantine:
                quarantined.append(position)
    return objects, unexpected, quarantined


def canonical(line: bytes) -> bytes:
    """Return a line in a form that is the same for the same JSON value, or as it is."""
    try:
        return orjson.dumps(orjson.loads(line), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:
        return line


def _bad_position(line: bytes) -> str | None:
    try:
        return str(orjson.loads(line)["position"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def _shown(line: bytes | None) -> str:
    if line is None:
        return "none: it is a bad record"
    text = line[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
    return f"{text}..." if len(line) > SHOWN_BYTES else text


def _more(count: int) -> list[str]:
    return [f"  and {count - SHOWN} more"] if count > SHOWN else []


def _count(number: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
