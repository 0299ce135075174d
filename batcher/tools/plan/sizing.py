"""Compute: what one invocation costs in CPU, time and memory, and which memory is the cheapest.

The model: `parse + call + records x record + text x (text + source + codec) + body x wire +
objects x object`. Its constants come from `make bench` of commit c20f2ed (2 cores of an AMD EPYC,
CPython 3.11), as each says. Against that run it is within 6 % for the handler, and within 30 %
where parsing is in it (tests/unit/tools/plan/test_sizing.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from batcher.settings import MIB, Settings
from batcher.stores.retrying import Backoff
from batcher.tools.plan.invocations import event_json_bytes
from batcher.tools.plan.objects import CompressionEstimate, estimate_objects
from batcher.tools.plan.prices import lambda_dollars
from batcher.tools.plan.quotas import MAX_TIMEOUT_S, MB_PER_VCPU
from batcher.tools.plan.workload import SourceType, Workload

INVOCATION_MS = 0.35
"""An invocation, whatever is in it. Source: bench/fanout.py, 1 and 64 objects an event."""


RECORD_US = 1.1
"""A record, whatever its size. Source: bench/throughput.py, events of 200 B against 1 KiB."""


TEXT_MS_PER_MB = 1.0
"""Joining, checking and measuring text. Source: bench/throughput.py less the codec alone."""


SOURCE_MS_PER_MB = {
    SourceType.SQS: 0.0,
    SourceType.FIFO: 0.0,
    SourceType.KINESIS: 0.3,
    SourceType.DYNAMODB: 2.2,
}
"""Text out of base64, or out of the stream's record. Source: bench/throughput.py for Kinesis;
the handler on 5,000 records of 1.1 KB for DynamoDB."""


UPLOAD_MS_PER_MB = {"obstore": 0.45, "aioboto3": 1.3}


OBJECT_MS = {"obstore": 0.5, "aioboto3": 1.25}
"""A body's bytes, and an object whatever its size. Source: bench/fanout.py, bench/throughput.py."""


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
"""Parsing the event with simplejson, as Lambda's runtime client does: a record, an escaped
character, a MB of JSON. Source: simplejson 4.3 on the events of bench/events.py; FIFO is taken."""


COLD_START_CPU_S = {"obstore": 0.138, "aioboto3": 0.447}
"""Import to the first durable object. Source: bench/coldstart.py."""


LAMBDA_CPU_FACTOR = {"x86_64": 1.25, "arm64": 1.25}
"""Lambda's CPU time over the bench machine's. Taken, so that a plan errs on the dear side: neither
of Lambda's processors was measured. The first day's billed duration tells."""


S3_WAIT_S = 0.050
"""Taken for the wait for one PUT of about a MB to S3 in the region, as bench/cost.py does."""


RESIDENT_BYTES = {"obstore": 39e6, "aioboto3": 67e6}
"""Peak memory with a small event. Source: bench/coldstart.py."""


RUNTIME_BYTES = 10e6
"""Taken for the runtime client; importing awslambdaric 4.2 takes 5 MB."""


EVENT_COPIES = {
    SourceType.SQS: 6.0,
    SourceType.FIFO: 6.0,
    SourceType.KINESIS: 6.0,
    SourceType.DYNAMODB: 14.0,
}
"""Peak memory over an event's JSON: itself, its objects, text and body. Source: bench/throughput.py
(`peak MB`); DynamoDB's maps become many objects (5,400 records of 1.1 KB measured)."""


MEMORY_HEADROOM = 1.5


MEMORY_PER_BUDGET = 3
"""In Lambda `budget_bytes` is a third of the memory."""


MEMORY_OPTIONS_MB = (256, 512, 1_024, MB_PER_VCPU)
"""What is considered: more than one core gives a handler nothing, for an event's only object is
encoded by one thread; 128 MB leave no room."""


MAX_COLD_START_S = 3.0
"""An invocation in a new environment should not take longer."""


MAX_RETRY_S = Backoff().max_elapsed_s
"""How long a request is repeated."""


MIN_TIMEOUT_S = 60


MAX_UTILIZATION = 0.7
"""What the peak may take of what a stream's invocations can do: the rest is for catching up."""


@dataclass(frozen=True, slots=True)
class InvocationLoad:
    """What an invocation of so many records takes, whatever function it runs in."""

    records: float
    cpu_s: float
    """Of one core of the bench machine: parsing and handler."""
    wait_s: float
    """For S3, while nothing is computed."""
    json_bytes: float
    text_bytes: float

    def duration_s(self, memory_mb: int, arch: str, extra_cpu_s: float = 0.0) -> float:
        """Return its time in a function with so much memory."""
        slower = LAMBDA_CPU_FACTOR[arch] / min(1.0, memory_mb / MB_PER_VCPU)
        return (self.cpu_s + extra_cpu_s) * slower + self.wait_s


@dataclass(frozen=True, slots=True)
class FunctionSize:
    """A Lambda function of one size."""

    memory_mb: int
    arch: str
    duration_s: float
    """Billed, of an average invocation in a warm environment."""
    cold_start_s: float
    """Of a full invocation in a new environment, its import included."""
    peak_memory_bytes: float
    """Memory in use during a full invocation, without headroom."""
    timeout_s: int
    invocation_dollars: float
    """For an average invocation."""
    fits: bool
    """Whether it holds a full invocation with headroom, and answers its first one in time."""


def estimate_load(
    workload: Workload, settings: Settings, records: float, compression: CompressionEstimate
) -> InvocationLoad:
    """Return what an invocation of so many records takes."""
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
    """Return what the runtime client takes to parse an event."""
    source = workload.source
    escapes = (workload.json_growth - 1) * workload.record_bytes * source.is_queue
    record_us = PARSE_RECORD_US[source] + escapes * PARSE_ESCAPE_US
    json_ms = event_json_bytes(workload, records) / 1e6 * PARSE_MS_PER_MB[source]
    return records * record_us / 1e6 + json_ms / 1e3


def handler_cpu_s(
    workload: Workload, settings: Settings, records: float, compression: CompressionEstimate
) -> float:
    """Return what the handler takes for a parsed event."""
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
    """Return the functions that are considered, the smallest first.

    Args:
        workload: what is planned for.
        settings: the handler's.
        average: an invocation as most are; dollars go by it.
        full: one as a backlog brings; memory, cold start and time-out go by it.
    """
    engine, arch = settings.engine, workload.arch
    peak_bytes = (
        RESIDENT_BYTES[engine] + RUNTIME_BYTES + EVENT_COPIES[workload.source] * full.json_bytes
    )
    needed_bytes = max(MEMORY_HEADROOM * peak_bytes, MEMORY_PER_BUDGET * full.text_bytes)
    made = []
    for memory_mb in MEMORY_OPTIONS_MB:
        duration_s = average.duration_s(memory_mb, arch)
        cold_s = full.duration_s(memory_mb, arch, COLD_START_CPU_S[engine])
        timeout_s = math.ceil(2 * cold_s + MAX_RETRY_S + settings.deadline_margin_s)
        made.append(
            FunctionSize(
                memory_mb,
                arch,
                duration_s,
                cold_s,
                peak_bytes,
                min(MAX_TIMEOUT_S, max(MIN_TIMEOUT_S, timeout_s)),
                lambda_dollars(duration_s, memory_mb, arch),
                memory_mb * MIB >= needed_bytes and cold_s <= MAX_COLD_START_S,
            )
        )
    return tuple(made)


def choose_cheapest(sizes: tuple[FunctionSize, ...]) -> FunctionSize:
    """Return the cheapest that is fit; the largest where none is."""
    fit = [function for function in sizes if function.fits]
    return min(fit, key=lambda function: function.invocation_dollars, default=sizes[-1])
