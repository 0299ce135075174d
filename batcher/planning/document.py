"""Document: a plan as JSON; names carry their units, and stay from version to version."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from batcher.planning.advice import advice
from batcher.planning.dollars import DELIVERY, MONTH_S, SOURCE, STORAGE
from batcher.planning.notes import notes
from batcher.planning.prices import DATED, REGION, SOURCES
from batcher.planning.snippet import environment

if TYPE_CHECKING:
    from batcher.planning.gathering import Gathering
    from batcher.planning.plan import Plan

DIGITS = 6
"""Significant digits of what was computed; more would only be noise."""


def document(plan: Plan) -> dict[str, Any]:
    """Give the whole plan."""
    made = {
        "workload": asdict(plan.workload),
        "event": _event(plan.event),
        "peak_event": _event(plan.peak_event),
        "objects": {
            "per_s": plan.objects_per_s,
            "per_event": plan.objects.per_event,
            "records": plan.objects.records,
            "text_bytes": plan.objects.text_bytes,
            "size_bytes": plan.object_bytes,
            "compression": plan.settings.compression,
            "compression_level": plan.settings.compression_level,
            "ratio": plan.compression.ratio,
            "measured_records": plan.compression.measured_records,
        },
        "prefixes": {
            "peak_puts_per_s": plan.prefixes.puts_per_s,
            "peak_puts_per_s_prefix": plan.prefixes.puts_per_s_prefix,
            "max_puts_per_s_prefix": plan.settings.prefix_rate,
            "fanout": plan.prefixes.fanout,
            "fanout_needed": plan.prefixes.fanout_needed,
        },
        "lambda": _lambda(plan),
        "event_source": asdict(plan.event_source),
        "environment": environment(plan),
        "dollars_a_month": _dollars(plan),
        "warnings": [asdict(one) for one in advice(plan)],
        "notes": notes(plan),
    }
    return {name: _rounded(value) for name, value in made.items()}


def _event(event: Gathering) -> dict[str, Any]:
    return {
        "per_s": event.per_s,
        "records": event.records,
        "most_records": event.most_records,
        "json_bytes": event.json_bytes,
        "gather_s": event.gather_s,
        "lanes": event.lanes,
        "limit": str(event.limit),
    }


def _lambda(plan: Plan) -> dict[str, Any]:
    function = plan.function
    return {
        "arch": function.arch,
        "memory_mb": function.memory_mb,
        "timeout_s": function.timeout_s,
        "duration_s": function.duration_s,
        "peak_duration_s": plan.peak_duration_s,
        "cold_s": function.cold_s,
        "peak_memory_bytes": function.peak_bytes,
        "concurrency": plan.concurrency,
        "peak_concurrency": plan.peak_concurrency,
        "options": [
            {
                "memory_mb": option.memory_mb,
                "duration_s": option.duration_s,
                "cold_s": option.cold_s,
                "dollars_a_month": option.dollars * plan.event.per_s * MONTH_S,
                "is_fit": option.is_fit,
            }
            for option in plan.functions
        ],
    }


def _dollars(plan: Plan) -> dict[str, Any]:
    bill = plan.bill
    return {
        "batcher": bill.batcher(),
        "firehose": bill.firehose(),
        "by_part": {
            part: {"batcher": bill.batcher(part), "firehose": bill.firehose(part)}
            for part in (DELIVERY, SOURCE, STORAGE)
        },
        "items": [asdict(item) for item in bill.items],
        "region": REGION,
        "dated": DATED,
        "prices": dict(SOURCES),
    }


def _rounded(value: Any) -> Any:  # noqa: ANN401  # JSON
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return value
