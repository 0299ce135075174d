"""Events with numbered records."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from support.examples import kinesis_record, message
from support.fault_bench import FaultBench

KIND = "kind={field:kind}"
"""A `partition_by` with which each record names its partition."""
JSON: Mapping[str, Any] = {"format": "ndjson", "partition_by": KIND}
MakeEvent = Callable[..., dict[str, Any]]


def sqs(*kinds: str, first: int = 0) -> dict[str, Any]:
    """Create an event with one message per kind. Their ids are `m0`, `m1` and so on."""
    return {"Records": [message(f"m{n}", body) for n, body in _bodies(kinds, first)]}


def kinesis(*kinds: str, first: int = 0) -> dict[str, Any]:
    """Create an event with one record per kind, with sequence numbers from 100 on."""
    records = [kinesis_record(str(100 + n), body.encode()) for n, body in _bodies(kinds, first)]
    return {"Records": records}


def large(make: MakeEvent) -> dict[str, Any]:
    """Create an event whose single object is larger than a part."""
    return make(*["x" * (2 * 1024**2)] * 3)


def _bodies(kinds: Sequence[str], first: int) -> list[tuple[int, str]]:
    return [
        (n, json.dumps({"kind": kind[:9], "n": n, "pad": kind}))
        for n, kind in enumerate(kinds, first)
    ]


def numbers(fault_bench: FaultBench) -> list[int]:
    """Return the numbers of the records in all objects, sorted, with duplicates."""
    return sorted(json.loads(line)["n"] for line in fault_bench.lines())
