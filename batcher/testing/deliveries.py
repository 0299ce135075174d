"""Deliveries: a model of an event source mapping that puts a handler under fire.

It delivers records to the handler while requests fail, answers get lost and processes are killed,
and redelivers as AWS documents:

- Stream: after an error the batch is redelivered, halved if bisect is on. After an answer with
  sequence numbers it is redelivered from the lowest one on. Checkpoints, pollers and ages do what a
  `MappingBehavior` says.
- Queue: after an error all messages become visible again, after an answer with message ids exactly
  those. They come in other batches. A standard queue also delivers messages twice, at the same
  time as well. A FIFO queue keeps the order of each message group.
- Direct invoke: the whole event is sent again after an error.

In all cases an unknown or empty identifier in the answer redelivers the whole batch, and without
`ReportBatchItemFailures` the answer is ignored.

Sources: AWS Lambda developer guide, "Handling errors for an SQS event source" and "Configuring
partial batch response with Kinesis Data Streams".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

from batcher.concurrency import find_running_loop
from batcher.errors import RetryableError
from batcher.records.payload import to_payload
from batcher.settings import unknown_value
from batcher.sources import read_event
from batcher.stores.memory import MemoryStore
from batcher.stores.request import Request
from batcher.testing.faulty_store import FaultyStore, StoreFault
from batcher.testing.report import (
    DeliveryReport,
    ExpectedRecord,
    HandlerDelivery,
    canonical,
    find_records,
)
from batcher.testing.sandbox import (
    InvocationOutcome,
    InvocationPlan,
    KillOutcome,
    MakeHandler,
    SandboxStore,
    VirtualSandbox,
)
from batcher.testing.shard_poller import (
    BEHAVIORS,
    EXACT_BEHAVIORS,
    MappingBehavior,
    ShardPoller,
)
from batcher.testing.virtual_loop import virtual_loop

if TYPE_CHECKING:
    from batcher.batching.validation import Transform

STREAMS = {"kinesis", "dynamodb"}
CALM = MappingBehavior(fault=0.0, bisects=False)
"""At the end, so that every run ends."""
FAULTY_DELIVERIES = 20
"""Deliveries with faults, in addition to three per record. As many without faults follow."""
FAULTY_REQUESTS = 8
"""The first requests of an invocation may fail; there are rarely more."""
MAX_POLLERS = 3
JOINS_MORE = 5.0
"""Turns are whole deliveries here: other pollers join more often than `joins` says."""
MAX_QUEUE_BATCH = 10
REPEATED = 0.15
"""The share of a standard queue's deliveries with a message that is delivered twice."""
LANDS = 0.3
"""The chance that a late request takes effect before the next delivery."""


def run_deliveries(  # noqa: PLR0913  # each is a part of the scenario
    make: MakeHandler,
    records: Sequence[Mapping[str, Any]],
    *,
    seed: int = 0,
    transform: Transform | None = None,
    behavior: str | MappingBehavior | None = None,
    partial_response: bool = True,
    fault_chance: float = 0.1,
) -> DeliveryReport:
    """Deliver records to a handler under faults, and report what has become of each.

    Time is virtual: nothing sleeps. The same arguments give the same deliveries, if the handler
    itself is deterministic and waits by asyncio alone.

    Args:
        make: makes the handler, at each cold start, with the store to write to.
        records: of one source, as Lambda delivers them: see `sqs_messages`, `kinesis_records`,
            `dynamodb_records`. Dicts without an event source are one direct invoke. Those of one
            shard are in its order. Each must make a line that no other one makes.
        seed: draws the faults and the deliveries. Try many.
        transform: the handler's transform. The report compares stored lines with its results.
        behavior: of the mapping of a stream: a name of `BEHAVIORS`, or your own. None: one of
            `EXACT_BEHAVIORS`, by seed.
        partial_response: whether the mapping has `ReportBatchItemFailures`. The handler's setting
            must be the same.
        fault_chance: the chance of a fault, per request; of a kill, per invocation.

    Raises:
        ValueError: the records are of several sources, or two of them cannot be distinguished.
        RuntimeError: it is called inside a running event loop.
    """
    _check_no_running_loop()
    if not 0 <= fault_chance <= 1:
        msg = f"fault_chance: {fault_chance} is no probability; write one from 0 to 1"
        raise ValueError(msg)
    source = source_of(records)
    chance = Random(seed)  # noqa: S311  # no secret
    name, chosen = _choose_behavior(behavior, chance)
    expected = [expect_record(record, n, source, transform) for n, record in enumerate(records)]
    _check_distinct(expected)
    run = _Run(
        make,
        chance,
        {each.position: record for each, record in zip(expected, records, strict=True)},
        source,
        partial_response,
        fault_chance,
        chosen,
    )
    if source in STREAMS:
        run.run_stream()
    elif source == "sqs":
        run.run_queue()
        name = "queue"
    else:
        run.run_direct()
        name = "direct"
    run.end()
    return _report(run, expected, seed, name)


def source_of(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the source of records: `sqs`, `kinesis`, `dynamodb` or `direct`.

    Raises:
        ValueError: there are several, or no records.
    """
    sources = {str(record.get("eventSource", "direct")) for record in records}
    if len(sources) != 1:
        msg = f"records: from {len(sources)} sources ({', '.join(sorted(sources))}); give one"
        raise ValueError(msg)
    source = sources.pop().removeprefix("aws:")
    queues = {str(record.get("eventSourceARN")) for record in records}
    if source == "sqs" and len(queues) != 1:
        msg = f"records: from {len(queues)} queues ({', '.join(sorted(queues))}); give one"
        raise ValueError(msg)
    return source


def position_of(record: Mapping[str, Any], index: int, source: str) -> str:
    """Return what names a record: its message id, sequence number, or index.

    Raises:
        ValueError: it has none.
    """
    try:
        if source == "kinesis":
            return str(record["kinesis"]["sequenceNumber"])
        if source == "dynamodb":
            return str(record["dynamodb"]["SequenceNumber"])
        return str(record["messageId"] if source == "sqs" else index)
    except (KeyError, TypeError) as error:
        msg = (
            f"record {index}: it has no message id or sequence number as {source} sends it; "
            "make it by sqs_messages, fifo_messages, kinesis_records or dynamodb_records"
        )
        raise ValueError(msg) from error


def expect_record(
    record: Mapping[str, Any], index: int, source: str, transform: Transform | None
) -> ExpectedRecord:
    """Return what a handler should make of a record."""
    position = position_of(record, index, source)
    event = read_event([record] if source == "direct" else {"Records": [record]}, 0.0)
    payloads = [payload for chunk in event.chunks for payload in chunk.payloads]
    if not payloads:
        return ExpectedRecord(position, None)
    payload = payloads[0]
    raw = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
    if transform is None:
        return ExpectedRecord(position, canonical(raw))
    try:
        made = transform(raw)
        if made is None:
            return ExpectedRecord(position, None, is_filtered=True)
        line = to_payload(made)
    except (MemoryError, RetryableError):
        raise
    except Exception:  # noqa: BLE001  # such a record is a bad record
        return ExpectedRecord(position, None)
    return ExpectedRecord(position, canonical(line))


def _check_no_running_loop() -> None:
    if find_running_loop() is None:
        return
    msg = (
        "run_deliveries: called inside a running event loop; call it in a plain function, or by "
        "asyncio.to_thread"
    )
    raise RuntimeError(msg)


def _check_distinct(expected: Sequence[ExpectedRecord]) -> None:
    positions: dict[str, int] = {}
    lines: dict[bytes, int] = {}
    for index, each in enumerate(expected):
        first = positions.setdefault(each.position, index)
        if first != index:
            msg = f"records {first} and {index}: both are {each.position}; give each its own"
            raise ValueError(msg)
        if each.line is None:
            continue
        first = lines.setdefault(each.line, index)
        if first != index:
            msg = (
                f"records {first} and {index}: both make the same line; give each a field that "
                "differs, such as an id, so that a lost one can be named"
            )
            raise ValueError(msg)


def _choose_behavior(
    behavior: str | MappingBehavior | None, chance: Random
) -> tuple[str, MappingBehavior]:
    if isinstance(behavior, MappingBehavior):
        return "custom", behavior
    name = chance.choice(EXACT_BEHAVIORS) if behavior is None else behavior
    if name not in BEHAVIORS:
        msg = f"behavior: {unknown_value(name, list(BEHAVIORS))}"
        raise ValueError(msg)
    return name, BEHAVIORS[name]


@dataclass(eq=False)
class _Reader(ShardPoller):
    """A poller of one of several shards."""

    positions: Sequence[str] = ()


@dataclass(eq=False)
class _Run:
    """The state of one run."""

    make: MakeHandler
    chance: Random
    records: Mapping[str, Mapping[str, Any]]
    source: str
    has_reports: bool
    fault_chance: float
    behavior: MappingBehavior
    memory: MemoryStore = field(default_factory=MemoryStore)
    deliveries: list[HandlerDelivery] = field(default_factory=list)
    acknowledged: dict[str, int] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)
    replaced: dict[str, int] = field(default_factory=dict)
    _late: list[Request] = field(default_factory=list)
    _idle: list[VirtualSandbox] = field(default_factory=list)
    _etags: dict[str, str] = field(default_factory=dict)

    @property
    def _faulty_deliveries(self) -> int:
        return FAULTY_DELIVERIES + 3 * len(self.records)

    @property
    def is_calm(self) -> bool:
        """Whether faults have ended."""
        return len(self.deliveries) >= self._faulty_deliveries

    @property
    def is_over(self) -> bool:
        """Whether the handler had its chances."""
        return len(self.deliveries) >= 2 * self._faulty_deliveries

    def run_stream(self) -> None:
        """Deliver the records of each shard until all are acknowledged."""
        shards: dict[str, list[str]] = {}
        for position, record in self.records.items():
            shard = str(record.get("eventID", "")).partition(":")[0]
            key = shard if self.source == "kinesis" else ""
            shards.setdefault(f"{record.get('eventSourceARN')} {key}", []).append(position)
        readers = [_Reader(0, history=[0], positions=found) for found in shards.values()]
        while not self.is_over:
            behavior = CALM if self.is_calm else self.behavior
            joins = JOINS_MORE * behavior.joins
            if len(readers) < MAX_POLLERS and self.chance.random() < joins:
                joined = self.chance.choice(readers)
                start = joined.join(self.chance)
                readers.append(_Reader(start, history=[start], positions=joined.positions))
            live = [each for each in readers if each.ends or each.position < len(each.positions)]
            if not live:
                return
            reader = self.chance.choice(live)
            others = [each for each in live if each is not reader]
            other = self.chance.choice(others) if others and behavior.joins else None
            self._deliver_shard(reader, other)

    def _deliver_shard(self, reader: _Reader, other: _Reader | None = None) -> None:
        """Deliver a reader's next batch; meanwhile perhaps that of another one."""
        start, end = reader.next_batch(self.chance, len(reader.positions))
        batch = reader.positions[start:end]
        others = None if other is None else lambda: self._deliver_shard(other)
        outcome, is_lost = self._invoke(batch, others)
        failed = None if is_lost else self._failed(batch, outcome)
        done = 0 if failed is None else next((n for n, p in enumerate(batch) if p in failed), None)
        count = len(batch) if done is None else done
        self._settle(batch, batch[:count], outcome, is_lost=is_lost)
        behavior = CALM if self.is_calm else self.behavior
        expired = reader.settle(self.chance, behavior, count)
        self.expired.update(batch[:expired])

    def run_queue(self) -> None:
        """Deliver messages until all are deleted."""
        while not self.is_over:
            visible = [each for each in self.records if each not in self.acknowledged]
            if not visible:
                return
            first = self.records[visible[0]]
            if "SequenceNumber" in first["attributes"]:
                self._deliver_messages(self._fifo_batch(visible))
                continue
            batch = self.chance.sample(
                visible, self.chance.randint(1, min(MAX_QUEUE_BATCH, len(visible)))
            )
            others: Callable[[], object] | None = None
            if not self.is_calm and self.chance.random() < REPEATED:
                again = self.chance.choice(list(self.records))
                if self.chance.random() < 1 / 2:
                    others = lambda: self._deliver_messages(sorted({again, batch[0]}))  # noqa: B023, E731  # called within this turn
                elif again not in batch:
                    batch.append(again)
            self._deliver_messages(batch, others)

    def _fifo_batch(self, visible: Sequence[str]) -> list[str]:
        """Return a batch in order: of some message groups, each from its first message on."""
        size = self.chance.randint(1, MAX_QUEUE_BATCH)
        left_out: set[str] = set()
        batch: list[str] = []
        for position in visible:
            group = str(self.records[position]["attributes"].get("MessageGroupId"))
            if group in left_out or len(batch) >= size or self.chance.random() < 1 / 5:
                left_out.add(group)
            else:
                batch.append(position)
        return batch or [visible[0]]

    def _deliver_messages(
        self, batch: Sequence[str], others: Callable[[], object] | None = None
    ) -> None:
        outcome, is_lost = self._invoke(batch, others)
        failed = None if is_lost else self._failed(batch, outcome)
        done = [] if failed is None else [each for each in batch if each not in failed]
        self._settle(batch, done, outcome, is_lost=is_lost)

    def run_direct(self) -> None:
        """Invoke the function with all records until it succeeds."""
        batch = list(self.records)
        while not self.is_over and not self.acknowledged:
            outcome, is_lost = self._invoke(batch, None)
            done = [] if outcome.error or is_lost else batch
            self._settle(batch, done, outcome, is_lost=is_lost)

    def _failed(self, batch: Sequence[str], outcome: InvocationOutcome) -> set[str] | None:
        """Return the records that the answer names, or None if all have failed."""
        if outcome.error:
            return None
        failed = failures_of(outcome.answer) if self.has_reports else set[str]()
        return failed if failed is not None and failed <= set(batch) else None

    def _invoke(
        self, batch: Sequence[str], others: Callable[[], object] | None
    ) -> tuple[InvocationOutcome, bool]:
        """Invoke the handler, and return the outcome and whether it was lost on its way."""
        self._land_some()
        sandbox = self._idle.pop() if self._idle else self._start()
        found = [self.records[position] for position in batch]

        def overlap() -> None:
            self.faults["deliveries overlap"] += 1
            if others is not None:
                others()

        event = found if self.source == "direct" else {"Records": found}
        plan = self._draw_plan(None if others is None else overlap)
        outcome = sandbox.invoke(event, plan)
        if sandbox.is_alive:
            self._idle.append(sandbox)
        is_lost = not self.is_calm and self.chance.random() < self.fault_chance / 2
        self.faults["answer lost"] += is_lost
        return outcome, is_lost

    def _start(self) -> VirtualSandbox:
        store = SandboxStore(self.memory, self._late, self._count_fault)
        return VirtualSandbox(self.make, store)

    def _count_fault(self, fault: str) -> None:
        self.faults[str(fault)] += 1

    def _draw_plan(self, others: Callable[[], object] | None) -> InvocationPlan:
        chance, per_request = self.chance, self.fault_chance
        if self.is_calm:
            return InvocationPlan()
        drawn = {n: chance.choice(list(StoreFault)) for n in range(FAULTY_REQUESTS)}
        faults = {n: fault for n, fault in drawn.items() if chance.random() < per_request}
        plan = InvocationPlan(
            faults, others_at=chance.randrange(FAULTY_REQUESTS // 2), others=others
        )
        if chance.random() < per_request:
            kill_at = chance.randrange(FAULTY_REQUESTS // 2)
            plan = replace(plan, kill_at=kill_at, kill_outcome=chance.choice(list(KillOutcome)))
        return plan

    def _land_some(self) -> None:
        for index in reversed(range(len(self._late))):
            if self.is_calm or self.chance.random() < LANDS:
                self._land(index)

    def _land(self, index: int) -> None:
        store = FaultyStore(inner=self.memory)
        store.late = self._late
        virtual_loop().run_until_complete(store.land(index))

    def _settle(
        self,
        batch: Sequence[str],
        done: Sequence[str],
        outcome: InvocationOutcome,
        *,
        is_lost: bool,
    ) -> None:
        """Record a delivery, and what it has acknowledged."""
        number = len(self.deliveries) + 1
        text = "the answer was lost" if is_lost else outcome.error
        if not text:
            text = "done" if len(done) == len(batch) else f"answered {outcome.answer!r:.300}"
        self.deliveries.append(HandlerDelivery(number, list(batch), text, len(done)))
        for position in done:
            self.acknowledged.setdefault(position, number)
        etags = {key: stored.info.etag for key, stored in self.memory.objects.items()}
        for key, etag in self._etags.items():
            if etags.get(key) != etag:
                self.replaced.setdefault(key, number)
        self._etags = etags

    def end(self) -> None:
        """Let all late requests take effect, and close the handlers."""
        while self._late:
            self._land(len(self._late) - 1)
        for sandbox in self._idle:
            sandbox.close()


def failures_of(answer: object) -> set[str] | None:
    """Return the identifiers in an answer, as Lambda reads it; None: the whole batch has failed."""
    if answer is None:
        return set()
    if not isinstance(answer, Mapping):
        return None
    items = answer.get("batchItemFailures")
    if not items:
        return set()
    if not isinstance(items, list):
        return None
    failures: set[str] = set()
    for item in items:
        identifier = item.get("itemIdentifier") if isinstance(item, Mapping) else None
        if not isinstance(identifier, str) or not identifier:
            return None
        failures.add(identifier)
    return failures


def _report(
    run: _Run, expected: Sequence[ExpectedRecord], seed: int, behavior: str
) -> DeliveryReport:
    objects, unexpected, quarantined = find_records(run.memory, expected)
    places: dict[str, list[str]] = {}
    for key, positions in objects.items():
        for position in positions:
            places.setdefault(position, []).append(key)
    kept = [each.position for each in expected if not each.is_filtered]
    expired = [p for p in run.records if p in run.expired and p not in run.acknowledged]
    return DeliveryReport(
        seed=seed,
        behavior=behavior,
        store=run.memory,
        deliveries=run.deliveries,
        faults=+run.faults,
        acknowledged=run.acknowledged,
        expired=expired,
        objects=objects,
        lost=[p for p in kept if p in run.acknowledged and p not in places],
        doubled={p: keys for p, keys in places.items() if len(keys) > 1},
        unfinished=[p for p in run.records if p not in run.acknowledged and p not in run.expired],
        unexpected=unexpected,
        quarantined=list(dict.fromkeys(quarantined)),
        filtered=[each.position for each in expected if each.is_filtered],
        replaced=run.replaced,
        lines={each.position: each.line for each in expected},
    )
