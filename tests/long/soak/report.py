"""Report: what a soak has found so far, and the tables at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from long.run_info import table
from long.soak.audit import Found

KINDS = ("kinesis", "sqs", "library")
MIB = 1024**2
GROWTH = 1.25
"""Memory is flat where the last third's maximum is at most this many times the first third's."""
JUDGED_S = 240.0
"""A shorter run has hardly warmed up in its first third; its growth is printed, not judged."""


@dataclass
class Soak:
    """What happened so far."""

    kinds: Sequence[str] = KINDS
    """The writers that write."""
    found: dict[str, Found] = field(init=False)
    counted: dict[str, Counter[str]] = field(init=False)
    faults: Counter[str] = field(default_factory=Counter)
    """Requests that went wrong, by operation and how."""
    requests: Counter[str] = field(default_factory=Counter)
    """All requests, by operation."""
    rounds: int = 0
    memory_bytes: dict[str, list[int]] = field(default_factory=dict)
    """Samples of each writer's memory, in the order they were taken."""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Start with nothing found."""
        self.found = {kind: Found() for kind in self.kinds}
        self.counted = {kind: Counter() for kind in self.kinds}

    @property
    def violations(self) -> list[str]:
        """What is not as promised."""
        found = [text for one in self.found.values() for text in one.violations]
        if self.seconds < JUDGED_S:
            return found
        return found + [
            f"{kind}: memory grew {growth(samples):.2f} times, and {GROWTH} is the most"
            for kind, samples in self.memory_bytes.items()
            if growth(samples) > GROWTH
        ]

    def figures(self) -> dict[str, Any]:
        """Return every figure, for a program."""
        return {
            "seconds": round(self.seconds, 1),
            "rounds": self.rounds,
            "writers": {
                kind: {
                    **asdict(self.found[kind]),
                    **self.counted[kind],
                    "memory_growth": round(growth(self.memory_bytes[kind]), 3),
                    "memory_peak_bytes": max(self.memory_bytes[kind]),
                }
                for kind in self.kinds
            },
            "requests": self.requests,
            "faults": self.faults,
            "violations": self.violations,
        }


def thirds(samples: Sequence[int]) -> list[int]:
    """Return the maximum of each third."""
    step = max(1, len(samples) // 3)
    return [max(samples[i * step : (i + 1) * step] or samples) for i in range(3)]


def growth(samples: Sequence[int]) -> float:
    """Return the last third's maximum over the first third's."""
    first, _, last = thirds(samples)
    return last / first


def tables(soak: Soak) -> str:
    """Return the tables: requests and findings per writer, and the faults that were injected."""
    found, counted, kinds = soak.found, soak.counted, soak.kinds
    rows: list[tuple[str, Mapping[str, object]]] = [
        ("records in", {k: found[k].sent for k in kinds}),
        ("records out", {k: found[k].landed for k in kinds}),
        ("lost", {k: found[k].lost for k in kinds}),
        ("doubled", {k: found[k].doubled for k in kinds}),
        ("of them quarantined", {k: found[k].quarantined for k in kinds}),
        ("objects", {k: found[k].objects for k in kinds}),
        ("MiB of objects", {k: found[k].object_bytes // MIB for k in kinds}),
        ("open uploads", {k: found[k].open_uploads for k in kinds}),
        ("of them tolerated", {k: found[k].tolerated_uploads for k in kinds}),
        ("invocations, submits", {k: counted[k]["invocations"] for k in kinds}),
        ("of them failed", {k: counted[k]["failed"] for k in kinds}),
        ("of them handed back", {k: counted[k]["handed back"] for k in kinds}),
        ("requests sent again", {k: counted[k]["retries"] for k in kinds}),
        *(
            (
                f"memory, {name} third, MiB",
                {k: thirds(soak.memory_bytes[k])[i] // MIB for k in kinds},
            )
            for i, name in enumerate(("first", "second", "last"))
        ),
        ("last third / first", {k: f"{growth(soak.memory_bytes[k]):.2f}" for k in kinds}),
    ]
    written = table(("", *kinds), [(name, *(values[k] for k in kinds)) for name, values in rows])
    return f"\n{written}\n\n{_faults_table(soak)}\n\n{_summary(soak)}"


def _faults_table(soak: Soak) -> str:
    """Get how many requests of each operation there were, and how many went wrong in which way."""
    operations = sorted({name.partition(": ")[0] for name in soak.faults})
    kinds = sorted({name.partition(": ")[2] for name in soak.faults})
    rows: list[list[object]] = [["requests", *(soak.requests[one] for one in operations)]]
    rows += [[kind, *(soak.faults[f"{one}: {kind}"] for one in operations)] for kind in kinds]
    return table(("fault", *operations), rows)


def _summary(soak: Soak) -> str:
    requests, faults = soak.requests.total(), soak.faults.total()
    records = sum(found.landed for found in soak.found.values())
    text = (
        f"{soak.seconds:.0f} s, {soak.rounds} rounds, {records:,} records, {requests:,} requests, "
    )
    return f"{text}{faults:,} of them went wrong ({faults / max(1, requests):.1%})"


def outcome(violations: Sequence[str]) -> str:
    """Return the last line."""
    if violations:
        return f"{len(violations)} VIOLATIONS"
    return "all is as promised"
