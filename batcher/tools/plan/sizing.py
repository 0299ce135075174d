"""Sizing: CPU, duration and memory of one invocation, and the cheapest memory size that fits.

CPU time is modelled as a constant per invocation, plus a constant per record, per MB of text, per
MB of body and per object, plus parsing. The constants come from `make bench` of commit c20f2ed (2
cores of an AMD EPYC, CPython 3.11); each names its benchmark. The model is within 6 % of that run
for the handler, and within 30 % with parsing (tests/unit/tools/plan/test_sizing.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from batcher.limits import MAX_LAMBDA_TIMEOUT_S
from batcher.settings import MIB, Settings
from batcher.stores.retrying import Backoff
from batcher.tools.plan.invocations import event_json_bytes
from batcher.tools.plan.objects import CompressionEstimate, estimate_objects
from batcher.tools.plan.prices import lambda_dollars
from batcher.tools.plan.quotas import MB_PER_VCPU
from batcher.tools.plan.workload import SourceType, Workload

INVOCATION_MS = 0.35
"""CPU per invocation. Source: bench/fanout.py, 1 and 64 objects per event."""

RECORD_US = 1.1
"""CPU per record of any size. Source: bench/throughput.py, events of 200 B against 1 KiB."""

TEXT_MS_PER_MB = 1.0
"""CPU to validate and join text. Source: bench/throughput.py minus the codec alone."""

SOURCE_MS_PER_MB = {
    SourceType.SQS: 0.0,
    SourceType.FIFO: 0.0,
    SourceType.KINESIS: 0.3,
    SourceType.DYNAMODB: 2.2,
}
"""CPU to extract the text from base64 or from a stream record. Source: bench/throughput.py for
Kinesis; for DynamoDB the handler with 5,000 records of 1.1 KB."""

UPLOAD_MS_PER_MB = {"obstore": 0.45, "aioboto3": 1.3}
"""CPU to send a body. Source: bench/throughput.py."""

OBJECT_MS = {"obstore": 0.5, "aioboto3": 1.25}
"""CPU per object of any size. Source: bench/fanout.py."""

PARSE_RECORD_US = {
    SourceType.SQS: 3.7,
    SourceType.FIFO: 4.5,
    SourceType.KINESIS: 2.9,
    SourceType.DYNAMODB: 0.0,
}

PARSE_ESCAPE_US = 0.035

PARSE_MS_PER_MB = {
    SourceType.SQS: 0.9,
    SourceType.FIFO: 0.9,
    SourceType.KINESIS: 0.9,
    SourceType.DYNAMODB: 12.7,
}
"""CPU to parse the event with simplejson, as Lambda's runtime client does: per record, per escaped
character, and per MB of JSON. Source: simplejson 4.3 with the events of bench/events.py; the values
for FIFO are assumed."""

COLD_START_CPU_S = {"obstore": 0.138, "aioboto3": 0.447}
"""CPU from import to the first durable object. Source: bench/coldstart.py."""

LAMBDA_CPU_FACTOR = {"x86_64": 1.25, "arm64": 1.25}
"""CPU time on Lambda divided by CPU time on the bench machine. It is assumed, and rather too high:
neither of Lambda's processors was measured. Compare the first day's billed duration."""


S3_WAIT_S = 0.050
"""Assumed wait for one PUT of about 1 MB to S3 in the same region, as in bench/cost.py."""

RESIDENT_BYTES = {"obstore": 39e6, "aioboto3": 67e6}
"""Peak memory with a small event. Source: bench/coldstart.py."""

RUNTIME_BYTES = 10e6
"""Assumed memory of the runtime client. Importing awslambdaric 4.2 takes 5 MB."""

EVENT_COPIES = {
    SourceType.SQS: 6.0,
    SourceType.FIFO: 6.0,
    SourceType.KINESIS: 6.0,
    SourceType.DYNAMODB: 14.0,
}
"""Peak memory divided by the event's JSON: the JSON itself, Python objects, text and body. Source:
bench/throughput.py (`peak MB`). DynamoDB's maps become many Python objects (measured with 5,400
records of 1.1 KB)."""

MEMORY_HEADROOM = 1.5
"""Memory to plan for, as a multiple of the peak."""

MEMORY_PER_BUDGET = 3
"""By default `budget_bytes` is a third of the function's memory."""

MEMORY_OPTIONS_MB = (256, 512, 1_024, MB_PER_VCPU)
"""Sizes to choose from. More than one core does not help, because one thread encodes an object, and
most events have only one. 128 MB are too small."""

MAX_COLD_START_S = 3.0
"""Longest acceptable duration of an invocation in a new environment."""

MAX_RETRY_S = Backoff().max_elapsed_s
"""Time for which a request is retried."""

MIN_TIMEOUT_S = 60

MAX_UTILIZATION = 0.7
"""Highest share of a stream's invocation capacity that the peak may use. The rest is for catching
up after a failure."""


@dataclass(frozen=True, slots=True)
class InvocationLoad:
    """CPU, wait and bytes of one invocation, independent of the function's size."""

    records: float
    cpu_s: float
    """Parsing and handler, on one core of the bench machine."""
    wait_s: float
    """Time spent waiting for S3."""
    json_bytes: float
    text_bytes: float

    def duration_s(self, memory_mb: int, arch: str, extra_cpu_s: float = 0.0) -> float:
        """Return the duration in a function with `memory_mb` of memory."""
        slowdown = LAMBDA_CPU_FACTOR[arch] / min(1.0, memory_mb / MB_PER_VCPU)
        return (self.cpu_s + extra_cpu_s) * slowdown + self.wait_s


@dataclass(frozen=True, slots=True)
class FunctionSize:
    """Figures of a function with one memory size."""

    memory_mb: int
    arch: str
    duration_s: float
    """Billed duration of an average invocation in a warm environment."""
    cold_start_s: float
    """Duration of a full invocation in a new environment, import included."""
    peak_memory_bytes: float
    """Memory used by a full invocation, without headroom."""
    timeout_s: int
    invocation_dollars: float
    """Cost of an average invocation."""
    fits: bool
    """Whether a full invocation fits with headroom, and a cold start ends in time."""


def estimate_load(
    workload: Workload, settings: Settings, records: float, compression: CompressionEstimate
) -> InvocationLoad:
    """Return the load of an invocation with `records` records."""
    objects = estimate_objects(workload, settings, records)
    cpu_s = parse_cpu_s(workload, records) + handler_cpu_s(workload, settings, records, compression)
    return InvocationLoad(
        records,
        cpu_s,
        math.ceil(objects.per_event / settings.concurrency) * S3_WAIT_S,
        event_json_bytes(workload, records),
        records * (workload.record_bytes + 1),
    )


def parse_cpu_s(workload: Workload, records: float) -> float:
    """Return the CPU time of the runtime client to parse an event."""
    source = workload.source
    escapes = (workload.json_growth - 1) * workload.record_bytes * source.is_queue
    record_us = PARSE_RECORD_US[source] + escapes * PARSE_ESCAPE_US
    json_ms = event_json_bytes(workload, records) / 1e6 * PARSE_MS_PER_MB[source]
    return records * record_us / 1e6 + json_ms / 1e3


def handler_cpu_s(
    workload: Workload, settings: Settings, records: float, compression: CompressionEstimate
) -> float:
    """Return the CPU time of the handler for a parsed event."""
    text_mb = records * (workload.record_bytes + 1) / 1e6
    source, engine = workload.source, settings.engine
    milliseconds = (
        INVOCATION_MS
        + records * RECORD_US / 1e3
        + text_mb * (TEXT_MS_PER_MB + SOURCE_MS_PER_MB[source] + compression.cpu_ms_per_mb)
        + text_mb / compression.ratio * UPLOAD_MS_PER_MB[engine]
        + estimate_objects(workload, settings, records).per_event * OBJECT_MS[engine]
    )
    return milliseconds / 1e3


def list_function_sizes(
    workload: Workload, settings: Settings, average: InvocationLoad, full: InvocationLoad
) -> tuple[FunctionSize, ...]:
    """Return a function per memory size, smallest first.

    Args:
        workload: the records to plan for.
        settings: the settings of the handler.
        average: an average invocation; dollars follow from it.
        full: the largest invocation; memory, cold start and timeout follow from it.
    """
    engine, arch = settings.engine, workload.arch
    peak_bytes = (
        RESIDENT_BYTES[engine] + RUNTIME_BYTES + EVENT_COPIES[workload.source] * full.json_bytes
    )
    needed_bytes = max(MEMORY_HEADROOM * peak_bytes, MEMORY_PER_BUDGET * full.text_bytes)
    sizes = []
    for memory_mb in MEMORY_OPTIONS_MB:
        duration_s = average.duration_s(memory_mb, arch)
        cold_s = full.duration_s(memory_mb, arch, COLD_START_CPU_S[engine])
        timeout_s = math.ceil(2 * cold_s + MAX_RETRY_S + settings.deadline_margin_s)
        sizes.append(
            FunctionSize(
                memory_mb,
                arch,
                duration_s,
                cold_s,
                peak_bytes,
                min(MAX_LAMBDA_TIMEOUT_S, max(MIN_TIMEOUT_S, timeout_s)),
                lambda_dollars(duration_s, memory_mb, arch),
                memory_mb * MIB >= needed_bytes and cold_s <= MAX_COLD_START_S,
            )
        )
    return tuple(sizes)


def choose_cheapest(sizes: tuple[FunctionSize, ...]) -> FunctionSize:
    """Return the cheapest size that fits, or the largest size if none does."""
    fitting = [function for function in sizes if function.fits]
    return min(fitting, key=lambda function: function.invocation_dollars, default=sizes[-1])
