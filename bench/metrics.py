"""Metrics: what the handler's metrics and its log lines cost an event, over none of them.

Two handlers of one process write the same events to the sink over TLS, in turn, round after round:
one as it is outside Lambda, one that meters its requests and writes its line of metrics to a file.
A clean event logs no other line; what one takes is measured by itself.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from contextlib import redirect_stdout
from importlib.util import find_spec
from itertools import count
from math import ceil
from statistics import median

import orjson

from batcher.handler import Handler, logs
from batcher.handler.emf import InvocationStats
from batcher.handler.telemetry import Telemetry
from batcher.settings import Settings
from batcher.writing.stats import Stats
from contenders import ENGINES
from events import make_event
from handler_process import FreshEvents
from report import Ratio, Result, Table, arguments, chosen, finish, ratio, size, start
from sink_environment import sink_environment

CASES = (("sqs", 1024, 10_000), ("sqs", 200, 10_000), ("kinesis", 1024, 10_000), ("sqs", 1024, 100))
"""Source, bytes of a record, and the most records; Lambda hands over 6 MB at most."""
TARGET = 1.02
ALONE = 2_000
"""Lines whose time is taken by themselves."""
TURN_S = 0.01
"""CPU of one turn, at least: short, so that what disturbs one turn disturbs the next one too."""


def cpu_s(handle: Handler, events: FreshEvents, number: int) -> float:
    """Return the CPU seconds of an event, all threads together."""
    took_s = 0.0
    for _ in range(number):
        event = next(events)
        started_s = time.process_time()
        handle(event, None)
        took_s += time.process_time() - started_s
    return took_s / number


def measure(
    engine: str, case: tuple[str, int, int], rounds: int
) -> tuple[tuple[str, float, float, float], Ratio]:
    """Measure one kind of event through one engine."""
    source, record_bytes, most = case
    made = make_event(source, record_bytes, most)
    records = len(made["Records"])
    name = f"{engine}, {source}, {records:,} of {size(record_bytes)}"
    text = orjson.dumps(made)
    events = FreshEvents(text) if source == "sqs" else Renumbered(text)
    settings = Settings(bucket="metrics", root="events", engine=engine)
    silent, talkative = Handler(settings), Handler(settings, metrics=logs.write_line)
    for handle in (silent, talkative):
        cpu_s(handle, events, 2)
    number = ceil(TURN_S / cpu_s(silent, events, 2))
    without: list[float] = []
    with_them: list[float] = []
    for turn in range(rounds):
        for handle in (silent, talkative) if turn % 2 else (talkative, silent):
            took = without if handle is silent else with_them
            took.append(cpu_s(handle, events, number))
    for handle in (silent, talkative):
        handle.close()
    more_us = median(b - a for a, b in zip(without, with_them, strict=True)) * 1e6
    row = (name, median(without) * 1e3, median(with_them) * 1e3, more_us)
    is_whole = most > 1_000  # noqa: PLR2004  # the target speaks of events of 6 MB
    return row, ratio(
        f"{name}: with / without", with_them, without, at_most=TARGET if is_whole else None
    )


class Renumbered(FreshEvents):
    """A stream's event whose first sequence number is another one each time."""

    def __init__(self, event_json: bytes) -> None:
        """Vary this event."""
        self._text = event_json
        self._first = orjson.loads(event_json)["Records"][0]["kinesis"]["sequenceNumber"]
        self._numbers = count(1)

    def __next__(self) -> object:
        """Return the next event."""
        number = str(int(self._first) - next(self._numbers))
        return orjson.loads(self._text.replace(self._first.encode(), number.encode()))


def line_us() -> float:
    """Return the CPU microseconds of a log line."""
    told = logging.getLogger("batcher")
    told.addHandler(logs.JsonLogHandler())
    told.propagate = False
    logs.set_labels({"requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"})
    started_s = time.process_time()
    for number in range(ALONE):
        told.error("batch_written records=%d size_bytes=%d key=%s", number, 1_500_000, "k" * 150)
    return (time.process_time() - started_s) / ALONE * 1e6


def metrics_us() -> float:
    """Return the CPU microseconds of beginning and ending an event's report, line included."""
    reporter = Telemetry(os.environ, logs.write_line)
    counts = Stats(records=5_000, objects=1, bytes_in=6_000_000, bytes_out=1_500_000)
    counts.flushes["event"] = 1
    reporter.begin(None)
    started_s = time.process_time()
    for _ in range(ALONE):
        event = reporter.begin(None)
        reporter.request_stats.put_durations_s.append(0.0234)
        reporter.end(event, counts)
    assert isinstance(event, InvocationStats)  # noqa: S101  # the last one
    return (time.process_time() - started_s) / ALONE * 1e6


def main() -> None:
    """Start the sink, measure, and print."""
    found = chosen(arguments(__doc__, rounds=400, short_rounds=100))
    setting = start()
    result = Result("metrics")
    rows = []
    with sink_environment() as shared, tempfile.TemporaryFile("w") as log:
        os.environ.clear()
        os.environ.update(shared.env)
        for engine in ENGINES:
            if find_spec(engine) is None:
                result.notes.append(f"{engine} is not installed")
                continue
            for case in CASES:
                with redirect_stdout(log):
                    row, over = measure(engine, case, found.rounds)
                rows.append(row)
                result.ratios.append(over)
                print(".", end="", file=sys.stderr, flush=True)
        with redirect_stdout(log):
            alone = metrics_us(), line_us()
    columns = ("event", "without, CPU ms", "with, CPU ms", "more, CPU us")
    result.tables.append(Table("One event", columns, rows))
    result.notes.append("by itself: metrics {:.0f} us of CPU, a log line {:.0f} us".format(*alone))
    finish(result, setting, found.json)


if __name__ == "__main__":
    main()
