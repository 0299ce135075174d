"""Plan: what a workload and settings need: objects, prefixes, a function, a mapping, dollars."""

from __future__ import annotations

from dataclasses import dataclass

from batcher.errors import SettingsError
from batcher.settings import Settings
from batcher.tools.plan.costs import MonthlyCost, estimate_costs
from batcher.tools.plan.invocations import (
    InvocationEstimate,
    estimate_invocations,
    max_event_records,
    record_json_bytes,
)
from batcher.tools.plan.mapping import MappingPlan, plan_mapping
from batcher.tools.plan.objects import (
    CompressionEstimate,
    ObjectEstimate,
    PrefixEstimate,
    RecordSample,
    assume_compression,
    estimate_objects,
    estimate_prefixes,
)
from batcher.tools.plan.quotas import MAX_EVENT_BYTES, MAX_PARALLELIZATION
from batcher.tools.plan.sizing import (
    MAX_UTILIZATION,
    FunctionSize,
    InvocationLoad,
    choose_cheapest,
    estimate_load,
    list_function_sizes,
)
from batcher.tools.plan.workload import Workload


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan for a workload.

    Sizes and dollars follow from its average rate, capacity follows from its peak rate.
    """

    workload: Workload
    settings: Settings
    event: InvocationEstimate
    """One invocation at the average rate."""
    peak_event: InvocationEstimate
    """One invocation at the peak rate."""
    objects: ObjectEstimate
    """Objects of one invocation at the average rate."""
    compression: CompressionEstimate
    full_load: InvocationLoad
    """The load of the largest invocation, as a backlog causes it."""
    function: FunctionSize
    """The cheapest size that fits."""
    function_sizes: tuple[FunctionSize, ...]
    """All sizes that were considered, smallest first."""
    peak_duration_s: float
    prefixes: PrefixEstimate
    costs: MonthlyCost
    mapping: MappingPlan

    @property
    def object_bytes(self) -> float:
        """Size of one object's body."""
        return self.objects.text_bytes / self.compression.ratio

    @property
    def objects_per_s(self) -> float:
        """Objects per second at the average rate."""
        return self.event.per_s * self.objects.per_event

    @property
    def concurrency(self) -> float:
        """Concurrent invocations at the average rate."""
        return self.event.per_s * self.function.duration_s

    @property
    def peak_concurrency(self) -> float:
        """Concurrent invocations at the peak rate."""
        return self.peak_event.per_s * self.peak_duration_s

    @property
    def utilization(self) -> float:
        """Peak rate divided by the rate of full invocations, back to back, in all batch slots."""
        duration_s = self.full_load.duration_s(self.function.memory_mb, self.function.arch)
        max_per_s = self.peak_event.concurrent_batches * self.full_load.records / duration_s
        return self.workload.peak_records_per_s / max_per_s


def make_plan(workload: Workload, settings: Settings, sample: RecordSample | None = None) -> Plan:
    """Return the plan for a workload.

    A stream gets the smallest parallelization factor that keeps up with the peak.

    Args:
        workload: the records to plan for.
        settings: the settings of the handler.
        sample: records to measure the compression ratio with; None: use the measured table.

    Raises:
        SettingsError: one record is too large for an invocation, or for an object.
    """
    if faults := size_faults(workload, settings):
        raise SettingsError(faults)
    for parallelization in range(1, MAX_PARALLELIZATION + 1):
        plan = _plan_with(workload, settings, sample, parallelization)
        if plan.utilization <= MAX_UTILIZATION or workload.source.is_queue:
            break
    return plan


def size_faults(workload: Workload, settings: Settings) -> list[str]:
    """Return the reasons why a record of this size cannot be delivered."""
    faults = []
    if not max_event_records(workload):
        faults.append(
            f"record_bytes: a record of {workload.record_bytes:,.0f} bytes takes "
            f"{record_json_bytes(workload):,.0f} bytes of JSON from {workload.source}, but an "
            f"invocation carries {MAX_EVENT_BYTES:,}; send smaller records"
        )
    if workload.record_bytes + 1 > settings.max_bytes:
        faults.append(
            f"max_bytes: {settings.max_bytes:,} is less than a record of "
            f"{workload.record_bytes:,.0f} bytes with its newline, so that every record would be "
            "a bad record; raise it"
        )
    return faults


def _plan_with(
    workload: Workload, settings: Settings, sample: RecordSample | None, parallelization: int
) -> Plan:
    event = estimate_invocations(workload, workload.records_per_s, parallelization)
    peak = estimate_invocations(workload, workload.peak_records_per_s, parallelization)
    objects = estimate_objects(workload, settings, event.records)
    compression = (
        assume_compression(settings)
        if sample is None
        else sample.measure_compression(settings, objects.records)
    )
    average = estimate_load(workload, settings, event.records, compression)
    full = estimate_load(workload, settings, max_event_records(workload), compression)
    sizes = list_function_sizes(workload, settings, average, full)
    function = choose_cheapest(sizes)
    peak_load = estimate_load(workload, settings, peak.records, compression)
    peak_duration_s = peak_load.duration_s(function.memory_mb, function.arch)
    peak_objects = estimate_objects(workload, settings, peak.records)
    puts_per_s = peak.per_s * peak_objects.per_event
    requests = objects.per_event  # an object of an event is one PUT, whatever its size
    return Plan(
        workload=workload,
        settings=settings,
        event=event,
        peak_event=peak,
        objects=objects,
        compression=compression,
        full_load=full,
        function=function,
        function_sizes=sizes,
        peak_duration_s=peak_duration_s,
        prefixes=estimate_prefixes(settings, puts_per_s),
        costs=estimate_costs(workload, event, function.invocation_dollars, requests, compression),
        mapping=plan_mapping(
            workload, function.timeout_s, peak.per_s * peak_duration_s, parallelization
        ),
    )
