"""Plan: a workload and settings to objects, prefixes, a function, a mapping and dollars."""

from __future__ import annotations

from dataclasses import dataclass

from batcher.errors import SettingsError
from batcher.settings import Settings
from batcher.tools.plan.costs import Bill, bill
from batcher.tools.plan.invocations import Gathering, gather, json_bytes_of, most_records
from batcher.tools.plan.mapping import EventSource, event_source
from batcher.tools.plan.objects import (
    Compression,
    Objects,
    Prefixes,
    Sample,
    assumed,
    objects_of,
    prefixes_of,
    requests_of,
)
from batcher.tools.plan.quotas import MAX_EVENT_BYTES, MAX_PARALLELIZATION
from batcher.tools.plan.sizing import BUSY, Function, Work, cheapest, functions, work
from batcher.tools.plan.workload import Workload


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What follows of a workload: sizes and dollars of its average, capacity of its peak."""

    workload: Workload
    settings: Settings
    event: Gathering
    """An invocation at the average rate."""
    peak_event: Gathering
    objects: Objects
    """Of an invocation at the average rate."""
    compression: Compression
    full: Work
    """What the largest invocation takes, as a backlog brings it."""
    function: Function
    """The cheapest that is fit."""
    functions: tuple[Function, ...]
    """Those that were considered."""
    peak_duration_s: float
    prefixes: Prefixes
    bill: Bill
    event_source: EventSource

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
    def busy(self) -> float:
        """What the peak takes of what the lanes can do with full invocations, back to back."""
        duration_s = self.full.duration_s(self.function.memory_mb, self.function.arch)
        most_per_s = self.peak_event.lanes * self.full.records / duration_s
        return self.workload.peak_records_per_s / most_per_s


def make_plan(workload: Workload, settings: Settings, sample: Sample | None = None) -> Plan:
    """Plan for a workload.

    A stream's shards get as few batches side by side as keep up at the peak.

    Args:
        workload: what comes in.
        settings: the handler's.
        sample: records to measure the compression ratio on; the table's is taken without.

    Raises:
        SettingsError: not even one record fits an invocation, or an object.
    """
    if faults := fit_faults(workload, settings):
        raise SettingsError(faults)
    for parallelization in range(1, MAX_PARALLELIZATION + 1):
        plan = _planned(workload, settings, sample, parallelization)
        if plan.busy <= BUSY or workload.source.is_queue:
            break
    return plan


def fit_faults(workload: Workload, settings: Settings) -> list[str]:
    """Say what makes every record of this size impossible."""
    faults = []
    if not most_records(workload):
        faults.append(
            f"record_bytes: {workload.record_bytes:,.0f} take {json_bytes_of(workload):,.0f} of "
            f"JSON from {workload.source}; an invocation carries {MAX_EVENT_BYTES:,}"
        )
    if workload.record_bytes + 1 > settings.max_bytes:
        faults.append(
            f"max_bytes: {settings.max_bytes:,} is less than a record of "
            f"{workload.record_bytes:,.0f} with its newline: all would be bad records"
        )
    return faults


def _planned(
    workload: Workload, settings: Settings, sample: Sample | None, parallelization: int
) -> Plan:
    event = gather(workload, workload.records_per_s, parallelization)
    peak = gather(workload, workload.peak_records_per_s, parallelization)
    objects = objects_of(workload, settings, event.records)
    compression = (
        assumed(settings) if sample is None else sample.compressed(settings, objects.records)
    )
    average = work(workload, settings, event.records, compression)
    full = work(workload, settings, most_records(workload), compression)
    considered = functions(workload, settings, average, full)
    function = cheapest(considered)
    peak_work = work(workload, settings, peak.records, compression)
    peak_duration_s = peak_work.duration_s(function.memory_mb, function.arch)
    peak_objects = objects_of(workload, settings, peak.records)
    puts_per_s = peak.per_s * peak_objects.per_event
    requests = objects.per_event * requests_of(objects, settings, compression)
    return Plan(
        workload=workload,
        settings=settings,
        event=event,
        peak_event=peak,
        objects=objects,
        compression=compression,
        full=full,
        function=function,
        functions=considered,
        peak_duration_s=peak_duration_s,
        prefixes=prefixes_of(settings, puts_per_s),
        bill=bill(workload, event, function.dollars, requests, compression),
        event_source=event_source(
            workload, function.timeout_s, peak.per_s * peak_duration_s, parallelization
        ),
    )
