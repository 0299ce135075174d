"""OpenTelemetry: metrics and a span per object, and nothing of it where it is not used."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from batcher import Batcher, SyncBatcher
from batcher.errors import RejectedError
from batcher.handler import make_handler
from batcher.handler.event_writer import EventWriter
from batcher.sources import read_event
from batcher.stores.memory import MemoryStore
from batcher.writing.instruments import find_totals
from batcher.writing.pipeline import Pipeline, find_instruments
from batcher.writing.stats import Stats
from support.examples import make_settings, message
from support.fakes import (
    Gate,
    HookedStore,
    failing,
    incompressible_bytes,
    lines_in,
    no_hook,
)

ROOT = Path(__file__).parents[3]
MIB = 1024**2


class Otel:
    """An SDK of its own, with all that it has recorded."""

    def __init__(self) -> None:
        """Start with nothing recorded."""
        self.reader = InMemoryMetricReader()
        self.exporter = InMemorySpanExporter()
        self.meter_provider = MeterProvider(metric_readers=[self.reader])
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def providers(self) -> dict[str, Any]:
        """Return the arguments for a batcher."""
        return {"meter_provider": self.meter_provider, "tracer_provider": self.tracer_provider}

    def figures(self) -> dict[str, float]:
        """Return the value of each metric by name and attributes; of a histogram the count."""
        found: dict[str, float] = {}
        data = self.reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                assert scope.scope.name == "batcher"
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        labels = ",".join(
                            str(v) for _, v in sorted((point.attributes or {}).items())
                        )
                        name = f"{metric.name} {labels}".strip()
                        if isinstance(point, NumberDataPoint):
                            found[name] = float(point.value)
        return found

    def spans(self) -> list[ReadableSpan]:
        """Return all spans of batcher that have ended."""
        spans = self.exporter.get_finished_spans()
        return [span for span in spans if span.name == "write object"]


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})


@pytest.fixture
def otel() -> Otel:
    """Return an SDK."""
    return Otel()


def documented_section() -> str:
    """Return the reference of metrics and spans of OpenTelemetry."""
    text = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
    return text.partition("## OpenTelemetry\n")[2].partition("\n## ")[0]


async def test_what_is_written_is_counted_and_has_a_span(
    otel: Otel, store: HookedStore, inner: MemoryStore
) -> None:
    """By outcome and by reason. The bytes are those of the objects."""
    settings = make_settings(linger_s=3_600, max_records=3, compression="none")
    async with Batcher(settings, store=store, **otel.providers) as batcher:
        await batcher.submit_many([b"1"] * 4)
        await batcher.submit(b"{")
    size = sum(len(each.body) for key, each in inner.objects.items() if "_quarantine" not in key)
    figures = otel.figures()
    age_s = figures.pop("batcher.oldest_record.age")
    assert figures == {
        "batcher.records durable": 4,
        "batcher.records quarantined": 1,
        "batcher.objects": 2,
        "batcher.payload.size": 8,
        "batcher.object.size": size,
        "batcher.flushes records": 1,
        "batcher.flushes drain": 2,
        "batcher.retries": 0,
        "batcher.in_flight": 0,
    }
    assert age_s == batcher.counts.oldest_record_age_s > 0
    assert otel.figures()["batcher.oldest_record.age"] == 0  # of the time since the last look
    spans = otel.spans()
    assert all(span.parent is None for span in spans)
    assert all(span.start_time < span.end_time for span in spans)  # type: ignore[operator]
    assert {each["aws.s3.key"]: each for each in map(attributes_of, spans)} == {
        key: {
            "aws.s3.bucket": "my-bucket",
            "aws.s3.key": key,
            "batcher.records": 1 if "_quarantine" in key else len(each.body.splitlines()),
            "batcher.object.size": len(each.body),
            "batcher.flush.reason": "records" if each.body == b"1\n" * 3 else "drain",
            "batcher.outcome": "quarantined" if "_quarantine" in key else "durable",
        }
        for key, each in inner.objects.items()
    }


async def test_what_is_being_written_is_in_flight(otel: Otel, store: HookedStore) -> None:
    """A gauge that stays up shows a store that does not answer."""
    store.before = gate = Gate("put")
    async with Batcher(make_settings(linger_s=0), store=store, **otel.providers) as batcher:
        await batcher.submit(b"1")
        await gate.reached.wait()
        figures = otel.figures()
        assert figures["batcher.in_flight"] == 1
        assert figures["batcher.oldest_record.age"] > 0
        gate.open.set()
    assert otel.figures()["batcher.in_flight"] == 0


@pytest.mark.parametrize(
    ("error", "text"), [(RejectedError("no bucket"), "no bucket"), (ValueError("payload"), None)]
)
async def test_what_fails_is_counted_and_its_span_says_why(
    otel: Otel, store: HookedStore, error: Exception, text: str | None
) -> None:
    """The messages of other libraries are left out: they may have payload in them."""
    store.before = failing(error, "put")
    with pytest.raises(type(error)):
        async with Batcher(make_settings(), store=store, **otel.providers) as batcher:
            await batcher.submit_many([b"1"] * 7)
    figures = otel.figures()
    assert figures[f"batcher.records failed,{type(error).__name__}"] == 7
    assert figures["batcher.in_flight"] == figures["batcher.objects"] == 0
    [span] = otel.spans()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description == text
    assert not span.events
    assert attributes_of(span) == {
        "aws.s3.bucket": "my-bucket",
        "batcher.records": 7,
        "batcher.flush.reason": "drain",
        "batcher.outcome": "failed",
        "error.type": type(error).__name__,
    }


async def test_what_is_dropped_has_an_outcome(otel: Otel, store: HookedStore) -> None:
    """A cancelled write is no longer in flight."""
    store.before = gate = Gate("put")
    batcher = Batcher(make_settings(linger_s=0), store=store, **otel.providers)
    await batcher.submit(b"1")
    await gate.reached.wait()
    await batcher.abort()
    figures = otel.figures()
    assert figures["batcher.in_flight"] == 0
    assert figures["batcher.records failed,RetryableError"] == 1  # as its ticket says
    [span] = otel.spans()
    assert attributes_of(span)["error.type"] == "CancelledError"


def test_an_object_of_an_event_belongs_to_the_span_of_the_invocation(
    otel: Otel, store: HookedStore
) -> None:
    """That of an SDK's request belongs to the object's."""
    inner_spans = []
    handler = make_handler(make_settings(), store=store, **otel.providers)

    async def before(call: object) -> None:
        del call
        inner_spans.append(trace.get_current_span().get_span_context().span_id)

    store.before = before
    with otel.tracer_provider.get_tracer("test").start_as_current_span("invocation") as parent:
        handler([{"n": 1}], None)
    handler.close()
    [span] = otel.spans()
    assert span.parent is not None
    assert span.parent.span_id == parent.get_span_context().span_id
    assert span.context is not None
    assert inner_spans[-1] == span.context.span_id
    assert otel.figures()["batcher.flushes event"] == 1


def test_the_batcher_of_threads_records_too(
    otel: Otel, store: HookedStore, inner: MemoryStore
) -> None:
    """No span of a caller is the parent: an object has records of many callers."""
    with otel.tracer_provider.get_tracer("test").start_as_current_span("request"):  # noqa: SIM117
        with SyncBatcher(make_settings(), store=store, **otel.providers) as batcher:
            batcher.submit_many([b"1"] * 100)
    assert otel.figures()["batcher.records durable"] == len(lines_in(inner)) == 100
    assert [span.parent for span in otel.spans()] == [None]


@pytest.mark.parametrize("step", ["start", "end"])
async def test_an_error_of_the_sdk_fails_no_write(
    otel: Otel,
    store: HookedStore,
    inner: MemoryStore,
    caplog: pytest.LogCaptureFixture,
    step: str,
) -> None:
    """It is logged once."""

    class Broken(SpanProcessor):
        def on_start(self, span: object, parent_context: object = None) -> None:
            if step == "start":
                raise LookupError(span, parent_context)

        def on_end(self, span: object) -> None:
            if step == "end":
                raise LookupError(span)

    otel.tracer_provider.add_span_processor(Broken())
    settings = make_settings(linger_s=0)
    async with Batcher(settings, store=store, **otel.providers) as batcher:
        for n in range(3):
            await (await batcher.submit({"n": n}))
    assert len(lines_in(inner)) == 3
    assert [each.levelno for each in caplog.records] == [logging.WARNING]
    assert "opentelemetry_failed error=LookupError" in caplog.text


FAKE = """
import pathlib, sys
pathlib.Path("touched").write_text("imported")

def __getattr__(name):
    pathlib.Path("touched").write_text(name)
    raise AttributeError(name)
"""
PROGRAM = """
import asyncio, os, sys
from batcher import Batcher, Settings, SyncBatcher
from batcher.handler import make_handler
from batcher.cli import main

settings = Settings(bucket="file:" + os.getcwd(), root="out")
with SyncBatcher(settings) as batcher:
    batcher.submit({"n": 1})

async def program():
    async with Batcher(settings) as batcher:
        await batcher.submit({"n": 1})

asyncio.run(program())
make_handler(settings)([{"n": 1}], None)
found = [name for name in sys.modules if name.startswith("opentelemetry")]
print(found, "batcher.writing.instruments" in sys.modules)
"""


def run_program(folder: Path, path: str, script: str, *arguments: str) -> tuple[str, str]:
    """Run a script in a folder and with this PYTHONPATH. Return what it prints and its messages."""
    ran = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        capture_output=True,
        timeout=60,
        check=True,
    )
    return ran.stdout, ran.stderr


def test_where_it_is_not_used_nothing_is_imported_or_called(tmp_path: Path) -> None:
    """Though the package is installed: a fake one notes every touch."""
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry/__init__.py").write_text(FAKE)
    path = f"{tmp_path}:{ROOT}"
    printed, _ = run_program(tmp_path, path, PROGRAM)
    assert printed == "[] False\n"
    assert not (tmp_path / "touched").exists()
    run_program(tmp_path, path, "import opentelemetry")  # the fake does note it
    assert (tmp_path / "touched").exists()


@pytest.mark.parametrize("program", ["import opentelemetry.trace", ""])
def test_an_incomplete_api_is_no_reason_to_fail(tmp_path: Path, program: str) -> None:
    """Of a layer with another version. It is logged."""
    (tmp_path / "opentelemetry/trace").mkdir(parents=True)
    for folder in ("opentelemetry", "opentelemetry/trace"):
        (tmp_path / folder / "__init__.py").write_text("")
    _, messages = run_program(tmp_path, f"{tmp_path}:{ROOT}", f"{program}\n{PROGRAM}")
    assert ("opentelemetry_failed" in messages) == bool(program)
    assert "Traceback" not in messages


GLOBAL = """
import json, runpy, sys
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
try:
    runpy.run_module("batcher", run_name="__main__")
finally:
    [resource] = reader.get_metrics_data().resource_metrics
    [scope] = resource.scope_metrics
    [records] = [each for each in scope.metrics if each.name == "batcher.records"]
    points = records.data.data_points
    by_outcome = {each.attributes["batcher.outcome"]: each.value for each in points}
    spans = [span.attributes["batcher.records"] for span in exporter.get_finished_spans()]
    print(json.dumps([by_outcome, spans]))
"""


def test_commands_record_by_the_providers_of_the_program(tmp_path: Path) -> None:
    """As `opentelemetry-instrument batcher write` sets them up."""
    (tmp_path / "in.ndjson").write_text('{"n": 1}\n' * 1_000 + "bad\nworse\n")
    (tmp_path / "correct.py").write_text("def fix(p): return None if p == b'worse' else b'1'\n")
    destination = f"file://{tmp_path}/out"

    def run(*arguments: str) -> Any:  # noqa: ANN401  # JSON
        printed, _ = run_program(tmp_path, f"{ROOT}:{tmp_path}", GLOBAL, *arguments, "--json")
        return json.loads(printed.splitlines()[-1])

    outcomes, records = run("write", "in.ndjson", destination)
    assert outcomes == {"durable": 1_000, "quarantined": 2}
    assert sorted(records) == [2, 1_000]
    outcomes, records = run("replay", destination, "--transform", "correct:fix")
    assert outcomes == {"durable": 1, "filtered": 1}
    assert records == [1]


async def test_retries_are_counted(otel: Otel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that are sent again, whatever becomes of them."""
    retried = asyncio.Event()
    count_retry = Stats.count_retry

    def count(stats: Stats) -> None:
        count_retry(stats)
        retried.set()

    monkeypatch.setattr(Stats, "count_retry", count)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settings = make_settings(endpoint_url="http://127.0.0.1:9", region="us-east-1", linger_s=0)
    batcher = Batcher(settings, **otel.providers)
    await batcher.submit(b"1")
    await retried.wait()
    await batcher.abort()
    assert otel.figures()["batcher.retries"] == batcher.counts.retries


async def test_batchers_of_one_provider_share_its_metrics(otel: Otel, inner: MemoryStore) -> None:
    """A provider takes each metric once."""
    for _ in range(3):
        async with Batcher(make_settings(), store=HookedStore(inner), **otel.providers) as batcher:
            await batcher.submit_many([b"1"] * 5)
    figures = otel.figures()
    assert figures["batcher.records durable"] == 15
    assert figures["batcher.payload.size"] == 30
    assert figures["batcher.object.size"] == sum(len(each.body) for each in inner.objects.values())


async def test_a_batcher_that_is_gone_still_counts_and_is_not_kept(
    otel: Otel, inner: MemoryStore
) -> None:
    """Metrics hold no batcher, and lose no figure."""
    async with Batcher(make_settings(), store=HookedStore(inner), **otel.providers) as batcher:
        await batcher.submit_many([b"1"] * 5)
    gone = weakref.ref(batcher)
    del batcher
    gc.collect()
    assert gone() is None
    assert otel.figures()["batcher.records durable"] == 5


def test_batchers_in_many_threads_lose_no_count(otel: Otel) -> None:
    """While metrics are collected in another thread."""
    records, rounds = 50, 20

    async def write() -> None:
        settings = make_settings(linger_s=0)
        async with Batcher(settings, store=MemoryStore(), **otel.providers) as batcher:
            for _ in range(rounds):
                await batcher.submit_many([b"1"] * records)

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=asyncio.run, args=(write(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            otel.figures()
        with ThreadPoolExecutor(8) as pool:
            for _ in range(30):
                provider = MeterProvider()
                assert len(set(pool.map(find_totals, [provider] * 8))) == 1
    finally:
        sys.setswitchinterval(interval_s)
    figures = otel.figures()
    assert figures["batcher.records durable"] == 4 * rounds * records
    assert figures["batcher.in_flight"] == 0


async def test_an_upload_in_parts_is_one_object(
    otel: Otel, store: HookedStore, inner: MemoryStore
) -> None:
    """It is streamed while records arrive: its span lasts from the first part to the end."""
    settings = make_settings(
        format="lines",
        compression="none",
        part_size=5 * MIB,
        multipart_threshold=5 * MIB,
        linger_s=3_600,
    )
    async with Batcher(settings, store=store, **otel.providers) as batcher:
        for n in range(12):
            await batcher.submit(incompressible_bytes(MIB, n).replace(b"\n", b"x"))
    [stored] = inner.objects.values()
    figures = otel.figures()
    assert store.operations().count("part") > 1
    assert figures["batcher.objects"] == figures["batcher.flushes drain"] == 1
    assert figures["batcher.object.size"] == figures["batcher.payload.size"] == len(stored.body)
    [span] = otel.spans()
    assert attributes_of(span)["batcher.records"] == 12
    assert attributes_of(span)["batcher.object.size"] == len(stored.body)


def test_a_redelivery_counts_what_it_finds_durable(otel: Otel, inner: MemoryStore) -> None:
    """By another function, and by one that remembers: the second has no span, nothing is sent."""
    event = {"Records": [message("m0", '{"n": 1}')]}
    for _ in range(2):
        handler = make_handler(make_settings(), store=inner, **otel.providers)
        assert handler(event) == {"batchItemFailures": []}
        handler.close()
    assert len(inner.objects) == 1
    assert otel.figures()["batcher.records durable"] == 2
    assert [attributes_of(span)["batcher.outcome"] for span in otel.spans()] == ["durable"] * 2

    other = "one of two objects fails"
    settings = make_settings(partition_by="n={field:n}", partial_response=True)
    store = HookedStore(inner, failing(RejectedError(other), "put", key="n=3"))
    handler = make_handler(settings, store=store, **otel.providers)
    event = {"Records": [message("m2", '{"n": 2}'), message("m3", '{"n": 3}')]}
    assert handler(event) == {"batchItemFailures": [{"itemIdentifier": "m3"}]}
    otel.exporter.clear()
    store.before = no_hook
    assert handler(event) == {"batchItemFailures": []}
    handler.close()
    figures = otel.figures()
    assert figures["batcher.records durable"] == 2 + 1 + 2
    assert figures["batcher.records failed,RejectedError"] == 1
    assert figures["batcher.flushes event"] == 2 + 2 + 2
    assert [attributes_of(span)["aws.s3.key"].count("n=3") for span in otel.spans()] == [1]


@pytest.mark.parametrize("filtered", [0, 2])
@pytest.mark.parametrize(("on_bad_record", "outcome"), [("drop", "dropped"), ("fail", "rejected")])
async def test_records_that_are_not_written_have_an_outcome(
    otel: Otel, store: HookedStore, on_bad_record: str, outcome: str, filtered: int
) -> None:
    """Those that the transform filters out as well."""
    settings = make_settings(on_bad_record=on_bad_record)
    batcher = Batcher(
        settings, store=store, transform=lambda p: None if p == b"0" else p, **otel.providers
    )
    async with batcher:
        await batcher.submit_many([b"{", b"1", *[b"0"] * filtered])
    figures = otel.figures()
    assert figures[f"batcher.records {outcome}"] == 1
    assert figures.get("batcher.records filtered", 0) == filtered
    assert figures["batcher.records durable"] == 1


async def test_a_span_that_is_created_late_begins_with_the_encoding(
    otel: Otel, inner: MemoryStore
) -> None:
    """As where nothing traces requests. Its parent is the caller's span even so."""
    sent_ns = 0

    async def before(call: object) -> None:
        nonlocal sent_ns
        del call
        sent_ns = time.time_ns()

    settings = make_settings()
    instruments = find_instruments(settings, None, **otel.providers, has_callers=True)
    pipeline = Pipeline(settings, HookedStore(inner, before), threads=1, instruments=instruments)
    with otel.tracer_provider.get_tracer("test").start_as_current_span("invocation") as parent:
        await EventWriter(pipeline).write(read_event({"Records": [message("m0")]}, 0.0), None)
    pipeline.close_threads()
    [span] = otel.spans()
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= sent_ns <= span.end_time
    assert span.parent is not None
    assert span.parent.span_id == parent.get_span_context().span_id


async def test_a_span_that_is_not_sampled_costs_no_metric(
    otel: Otel, store: HookedStore, inner: MemoryStore
) -> None:
    """The program's sampler decides."""
    providers = {**otel.providers, "tracer_provider": TracerProvider(sampler=ALWAYS_OFF)}
    async with Batcher(make_settings(), store=store, **providers) as batcher:
        await batcher.submit(b"1")
    assert len(inner.objects) == 1
    assert otel.figures()["batcher.records durable"] == 1


LATE = """
import asyncio, os
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from batcher import Batcher, Settings

async def program():
    async with Batcher(Settings(bucket="file:" + os.getcwd())) as batcher:
        await batcher.submit(b"1")
        await batcher.flush()
        reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
        metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        await batcher.submit(b"2")
    [resource] = reader.get_metrics_data().resource_metrics
    [scope] = resource.scope_metrics
    [records] = [each for each in scope.metrics if each.name == "batcher.records"]
    print(records.data.data_points[0].value, len(exporter.get_finished_spans()))

asyncio.run(program())
"""


def test_providers_may_be_set_after_a_batcher_is_created(tmp_path: Path) -> None:
    """Metrics have all that was counted before, spans begin then."""
    printed, _ = run_program(tmp_path, str(ROOT), LATE)
    assert printed == "2 1\n"


FORK = """
import asyncio, os, signal
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from batcher import Batcher, Settings
from batcher.writing.instruments import find_totals

reader = InMemoryMetricReader()
provider = MeterProvider(metric_readers=[reader])

async def write(records, meter_provider=None):
    settings = Settings(bucket="file:" + os.getcwd())
    async with Batcher(settings, meter_provider=meter_provider) as batcher:
        await batcher.submit_many([b"1"] * records)

asyncio.run(write(2, provider))
metrics.set_meter_provider(provider)  # it has the same totals as the global one
lock = find_totals(provider).lock
lock.acquire()  # as another thread may, while metrics are collected
child = os.fork()
if child:
    lock.release()
else:
    signal.alarm(30)  # it ends even if it waits for the lock
asyncio.run(write(3))
if child:
    os.waitpid(child, 0)
[resource] = reader.get_metrics_data().resource_metrics
[scope] = resource.scope_metrics
[records] = [each for each in scope.metrics if each.name == "batcher.records"]
print(records.data.data_points[0].value, flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_counts_its_own_records(tmp_path: Path) -> None:
    """And waits for no lock that a thread of its parent holds."""
    printed, _ = run_program(tmp_path, str(ROOT), FORK)
    assert printed == "3\n5\n"


def test_the_documented_handler_sends_what_was_recorded_before_the_freeze(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, otel: Otel
) -> None:
    """The processor of spans sends in a thread, which Lambda stops."""
    monkeypatch.setenv("BATCHER_BUCKET", f"file:{tmp_path}")
    text = (ROOT / "docs/how-to/opentelemetry.md").read_text("utf-8")
    [snippet] = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    program: dict[str, Any] = {}
    exec(snippet, program)  # noqa: S102  # our own documentation
    program["tracer_provider"].add_span_processor(BatchSpanProcessor(otel.exporter))
    program["handler"]({"Records": [message("m0")]}, None)
    program["write"].close()
    assert len(otel.spans()) == 1
    program["tracer_provider"].shutdown()


async def test_the_documentation_has_every_metric_and_attribute(
    otel: Otel, store: HookedStore
) -> None:
    """With its unit and kind, and nothing else."""
    settings = make_settings(partition_by="n={field:n}", linger_s=0)
    store.before = failing(RejectedError("no"), "put", key="n=2")
    batcher = Batcher(settings, store=store, **otel.providers)
    with pytest.raises(RejectedError):
        async with batcher:
            await batcher.submit_many([b'{"n":1}', b'{"n":2}'])
    data = otel.reader.get_metrics_data()
    assert data is not None
    recorded = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        kind = "gauge"
        if isinstance(metric.data, Sum):
            kind = "counter" if metric.data.is_monotonic else "up-down counter"
        labels = {name for point in metric.data.data_points for name in point.attributes or {}}
        recorded[metric.name] = (f"{kind}, `{metric.unit}`", labels)
    section = documented_section()
    row = r"^\| `([\w.]+)` \| ([^|\n]+?) \|[^|\n]*\|([^|\n]*)\|$"
    table = re.findall(row, section, re.MULTILINE)
    documented = {
        name: (kind, set(re.findall(r"`((?:batcher|error)\.[\w.]+)`", labels)))
        for name, kind, labels in table
    }
    assert documented == recorded
    prose = re.sub(r"^\|.*$", "", section, flags=re.MULTILINE)
    named = set(re.findall(r"`((?:aws\.s3|batcher|error)\.[\w.]+)`", prose))
    assert named == {name for span in otel.spans() for name in attributes_of(span)}
