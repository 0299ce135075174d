"""Examples for `batcher plan`: workloads, plans and records."""

from __future__ import annotations

import random
from typing import Any

import orjson

from batcher.tools.plan.plan import Plan, make_plan
from batcher.tools.plan.workload import SourceType, Workload
from support.examples import make_settings

CITIES = ["Berlin", "Lyon", "Porto", "Gent", "Graz", "Turin", "Malmo", "Cork", "Brno", "Vigo"]


def workload_of(**values: Any) -> Workload:  # noqa: ANN401  # as Workload takes them
    """Create a workload, by default of 1,000 records of 1 KiB per second from SQS."""
    defaults: dict[str, Any] = {"records_per_s": 1_000, "record_bytes": 1_024}
    if values.get("source") is SourceType.FIFO:
        defaults["window_s"] = 0
    return Workload(**defaults | values)


def plan_of(settings: dict[str, Any] | None = None, **values: Any) -> Plan:  # noqa: ANN401
    """Create the plan for a workload with these values."""
    return make_plan(workload_of(**values), make_settings(**settings or {}))


def orders(count: int, seed: int = 7) -> list[bytes]:
    """Create different records of about 400 bytes, the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    return [
        orjson.dumps(
            {
                "id": f"{rng.getrandbits(64):016x}",
                "n": index,
                "city": rng.choice(CITIES),
                "items": [
                    {"sku": f"SKU-{rng.randrange(5_000):05d}", "cents": rng.randrange(100_000)}
                    for _ in range(rng.randrange(1, 12))
                ],
                "paid": rng.random() < 0.9,
            }
        )
        for index in range(count)
    ]
