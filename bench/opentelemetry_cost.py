"""OpenTelemetry: what do metrics and spans cost the handler, compared with a handler without?

All handlers are in one process and take turns, block after block of events: two processes differ by
more than the cost. Each block is compared with that of the handler without OpenTelemetry, which was
created before anything imported it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

import orjson

from compare import CASES, interval
from events import make_event
from handler_process import FreshEvents
from sink_environment import sink_environment

if TYPE_CHECKING:
    from batcher.handler import Handler

BUCKET = "opentelemetry"
BLOCK_RECORDS = 2_000
"""A block has as many events as have these records, and at least two."""
DEFAULT_CASES = ("SQS, 1 KiB", "SQS, 100 records of 1 KiB", "Kinesis, 1 KiB")

Handle = Callable[[Any], object]


def make_handlers(first_event: object) -> dict[str, Handle]:
    """Return handlers by what they have of OpenTelemetry, each after its first event."""
    from batcher.handler import Handler  # noqa: PLC0415  # it reads the environment
    from batcher.settings import Settings  # noqa: PLC0415

    def make(**providers: Any) -> Handler:  # noqa: ANN401  # two types
        handler = Handler(Settings(bucket=BUCKET, root="events"), **providers)
        handler(first_event)
        return handler

    absent = make()
    assert not [name for name in sys.modules if name.startswith("opentelemetry.")]  # noqa: S101
    without_span = make()

    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  # after `absent` is made
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF  # noqa: PLC0415
    from opentelemetry.trace import NoOpTracerProvider  # noqa: PLC0415

    from opentelemetry_sdk import make_meter_provider, make_tracer_provider  # noqa: PLC0415

    meter_provider, tracer_provider = make_meter_provider(), make_tracer_provider()
    tracer = tracer_provider.get_tracer("bench")
    attributes = {f"attribute.{n}": n for n in range(3)} | {f"name.{n}": "value" for n in range(3)}

    def with_bare_span(event: object) -> object:
        answer = without_span(event)
        tracer.start_span("bare", attributes=attributes).end()
        return answer

    metrics_only = {"meter_provider": meter_provider, "tracer_provider": NoOpTracerProvider()}
    sampled_out = {**metrics_only, "tracer_provider": TracerProvider(sampler=ALWAYS_OFF)}
    return {
        "none": absent,
        "none again": without_span,
        "API without SDK": make(),
        "metrics": make(**metrics_only),
        "metrics, spans sampled out": make(**sampled_out),
        "metrics and spans": make(meter_provider=meter_provider, tracer_provider=tracer_provider),
        "a bare span of the SDK with 6 attributes": with_bare_span,
    }


def measure(
    handlers: dict[str, Handle], events: FreshEvents, block: int, rounds: int
) -> dict[str, list[float]]:
    """Return the CPU seconds per event of each block, by handler."""
    cpu_s: dict[str, list[float]] = {name: [] for name in handlers}
    names = list(handlers)
    for number in range(-1, rounds):  # the first is for warming up
        first = number % len(names)
        for name in [*names[first:], *names[:first]]:
            handle, block_events = handlers[name], [next(events) for _ in range(block)]
            start_s = time.process_time()
            for event in block_events:
                handle(event)
            if number >= 0:
                cpu_s[name].append((time.process_time() - start_s) / block)
    return cpu_s


def main() -> None:
    """Measure, and print a line per case and handler."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--case", choices=CASES, action="append")
    asked = parser.parse_args()
    cases = asked.case or DEFAULT_CASES
    with sink_environment() as where:
        os.environ.update(where.env)
        where.measure(BUCKET)
        source_events = {
            case: FreshEvents(orjson.dumps(make_event(*CASES[case]))) for case in cases
        }
        handlers = make_handlers(make_event(*CASES[cases[0]]))
        for case, events in source_events.items():
            block = max(2, BLOCK_RECORDS // CASES[case][2])
            cpu_s = measure(handlers, events, block, asked.rounds)
            base = cpu_s.pop("none")
            print(f"{case}: {median(base) * 1e6:,.0f} µs of CPU per event, {asked.rounds} rounds")
            for name, each in cpu_s.items():
                ratio = interval(
                    [with_it / without for with_it, without in zip(each, base, strict=True)]
                )
                more_us = median([(a - b) * 1e6 for a, b in zip(each, base, strict=True)])
                figures = f"{ratio.value:.3f} [{ratio.low:.3f}..{ratio.high:.3f}]"
                print(f"  {name:42} {figures}  {more_us:+.0f} µs", flush=True)


if __name__ == "__main__":
    main()
