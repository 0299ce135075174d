"""Strategies for `batcher plan`: workloads and settings."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from batcher.settings import Settings
from batcher.tools.plan.plan import size_faults
from batcher.tools.plan.workload import SourceType, Workload
from support.examples import make_settings


@st.composite
def workloads(draw: st.DrawFn, /, **fixed: Any) -> Workload:  # noqa: ANN401  # as Workload takes them
    """Draw a workload whose records fit into an invocation."""
    source = fixed.pop("source", None) or draw(st.sampled_from(SourceType))
    largest = 1_000_000 if source.is_queue else 4_000_000
    values: dict[str, Any] = {
        "records_per_s": draw(st.floats(0.001, 1_000_000)),
        "record_bytes": draw(st.floats(1, largest)),
        "source": source,
        "window_s": 0 if source is SourceType.FIFO else draw(st.integers(0, 300)),
        "peak": draw(st.floats(1, 20)),
        "partitions": draw(st.integers(1, 200)),
        "arch": draw(st.sampled_from(["arm64", "x86_64"])),
        "retention_days": draw(st.sampled_from([0.0, 30.0])),
    }
    return Workload(**values | fixed)


@st.composite
def settings(draw: st.DrawFn, *, are_events_cut: bool = True) -> Settings:
    """Draw settings. With `are_events_cut`, `max_records` may cut events into several objects."""
    values: dict[str, Any] = {
        "engine": draw(st.sampled_from(["aioboto3", "obstore"])),
        "compression": draw(st.sampled_from(["gzip", "zstd", "none"])),
        "fanout": 2 ** draw(st.integers(0, 16)),
        "prefix_rate": draw(st.integers(10, 10_000)),
    }
    if are_events_cut:
        values["max_records"] = draw(st.none() | st.integers(1, 5_000))
        if values["max_records"] is None:
            del values["max_records"]
    return make_settings(**values)


def is_possible(workload: Workload, chosen: Settings) -> bool:
    """Return whether a single record can be delivered."""
    return not size_faults(workload, chosen)
