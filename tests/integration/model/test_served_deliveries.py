"""Deliveries in any cut to real processes that are killed, and what a real S3 server holds then."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from batcher.testing.shard_poller import BEHAVIORS, EXACT_BEHAVIORS
from support.served_pollers import ServedPollers
from support.store_fixtures import ENGINES

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]

HISTORIES = 500 if os.environ.get("BATCHER_ALL_DELIVERIES") == "1" else 21
"""How many, which take turns in the families. All of them take some minutes: `make deliveries`."""


def test_histories_with_kills(
    seaweedfs: SeaweedFS, bucket: str, record_property: Callable[[str, object], None]
) -> None:
    """Nothing is lost in any family, and nothing is doubled between known boundaries."""
    seaweedfs.create_bucket(bucket)
    total: Counter[str] = Counter()
    doubled: Counter[str] = Counter()
    for seed in range(HISTORIES):
        family = list(BEHAVIORS)[seed % len(BEHAVIORS)]
        engine = list(ENGINES)[(seed // len(BEHAVIORS)) % len(ENGINES)]
        pollers = ServedPollers(
            seed, BEHAVIORS[family], seaweedfs.environ, seaweedfs.client, bucket, engine
        )
        run = pollers.run()
        assert run.is_over, (seed, family)
        assert not run.lost, (seed, family)
        assert not run.doubled or family not in EXACT_BEHAVIORS, (seed, family)
        doubled[family] += run.doubled
        total += pollers.counts
    assert total["kills before the answer"] > HISTORIES / 4
    assert total["guards"]
    figures = " ".join(f"{name}={total[name]}" for name in sorted(total))
    record_property("shown", f"histories={HISTORIES} {figures} doubled={dict(doubled)}")
