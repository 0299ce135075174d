"""Plan: a workload and settings to objects, prefixes, a function, a mapping and dollars."""

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
    requests_per_object,
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
    """What follows of a workload: sizes and dollars of its average, capacity of its peak."""

    workload: Workload
    settings: Settings
    event: InvocationEstimate
    """An invocation at the average rate."""
    peak_event: InvocationEstimate
    objects: ObjectEstimate
    """Of an invocation at the average rate."""
    compression: CompressionEstimate
    full_load: InvocationLoad
    """What the largest invocation takes, as a backlog brings it."""
    function: FunctionSize
    """The cheapest that is fit."""
    function_sizes: tuple[FunctionSize, ...]
    """Those that were considered."""
    peak_duration_s: float
    prefixes: PrefixEstimate
    costs: MonthlyCost
    mapping: MappingPlan

    @property
    def object_bytes(self) -> float:
        """Bytes of one object's body."""
        return self.objects.text_bytes / self.compression.ratio

    @property
    def objects_per_s(self) -> float:
        """On average."""
        return self.event.per_s * self.objects.per_event

    @property
    def concurrency(self) -> float:
        """Invocations at once, on average."""
        return self.event.per_s * self.function.duration_s

    @property
    def peak_concurrency(self) -> float:
        """Invocations at once, at the peak."""
        return self.peak_event.per_s * self.peak_duration_s

    @property
    def utilization(self) -> float:
        """What the peak takes of what the lanes can do with full invocations, back to back."""
        duration_s = self.full_load.duration_s(self.function.memory_mb, self.function.arch)
        most_per_s = self.peak_event.concurrent_batches * self.full_load.records / duration_s
        return self.workload.peak_records_per_s / most_per_s


def make_plan(workload: Workload, settings: Settings, sample: RecordSample | None = None) -> Plan:
    """Plan for a workload.

    A stream's shards get as few batches side by side as keep up at the peak.

    Args:
        workload: what comes in.
        settings: the handler's.
        sample: records to measure the compression ratio on; the table's is taken without.

    Raises:
        SettingsError: not even one record fits an invocation, or an object.
    """
    if faults := size_faults(workload, settings):
        raise SettingsError(faults)
    for parallelization in range(1, MAX_PARALLELIZATION + 1):
        plan = _plan_with(workload, settings, sample, parallelization)
        if plan.utilization <= MAX_UTILIZATION or workload.source.is_queue:
            break
    return plan


def size_faults(workload: Workload, settings: Settings) -> list[str]:
    """Return what makes every record of this size impossible."""
    faults = []
    if not max_event_records(workload):
        faults.append(
            f"record_bytes: {workload.record_bytes:,.0f} take "
            f"{record_json_bytes(workload):,.0f} of "
            f"JSON from {workload.source}; an invocation carries {MAX_EVENT_BYTES:,}"
        )
    if workload.record_bytes + 1 > settings.max_bytes:
        faults.append(
            f"max_bytes: {settings.max_bytes:,} is less than a record of "
            f"{workload.record_bytes:,.0f} with its newline: all would be bad records"
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
    considered = list_function_sizes(workload, settings, average, full)
    function = choose_cheapest(considered)
    peak_work = estimate_load(workload, settings, peak.records, compression)
    peak_duration_s = peak_work.duration_s(function.memory_mb, function.arch)
    peak_objects = estimate_objects(workload, settings, peak.records)
    puts_per_s = peak.per_s * peak_objects.per_event
    requests = objects.per_event * requests_per_object(objects, settings, compression)
    return Plan(
        workload=workload,
        settings=settings,
        event=event,
        peak_event=peak,
        objects=objects,
        compression=compression,
        full_load=full,
        function=function,
        function_sizes=considered,
        peak_duration_s=peak_duration_s,
        prefixes=estimate_prefixes(settings, puts_per_s),
        costs=estimate_costs(workload, event, function.invocation_dollars, requests, compression),
        mapping=plan_mapping(
            workload, function.timeout_s, peak.per_s * peak_duration_s, parallelization
        ),
    )
