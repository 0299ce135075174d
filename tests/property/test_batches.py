"""Records leave once, in order, within limits, by their due time."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from batcher.batching.batch import Batch, BatchLimits, FlushReason, OpenBatches, Route
from batcher.batching.router import Router
from batcher.encoding.text import encode_payloads
from batcher.records.chunk import Chunk
from support.examples import make_settings, texts_of
from support.strategies import (
    bad_payloads,
    chunks,
    good_payloads,
    limits,
    sized_payloads,
    tight_limits,
)

PARTITION_BY = st.sampled_from(["", "f={field:f}", "h={arrival:%H}", "{field:f}/{arrival:%M}"])


@st.composite
def histories(
    draw: st.DrawFn,
    payloads: st.SearchStrategy[bytes] = good_payloads | bad_payloads,
    max_size: int = 12,
) -> list[tuple[float, Chunk]]:
    """Draw chunks, each with the time at which it is added; time never goes back."""
    now_s, start, made = 0.0, 0, []
    for _ in range(draw(st.integers(1, 6))):
        now_s += draw(st.integers(0, 4))
        chunk = draw(chunks(payloads, start=start, max_size=max_size))
        start += len(chunk)
        made.append((now_s, chunk))
    return made


@given(histories(), limits, PARTITION_BY, st.sampled_from(["quarantine", "drop", "fail"]))
def test_no_record_is_lost_doubled_or_reordered(
    history: list[tuple[float, Chunk]], limits: BatchLimits, partition_by: str, on_bad: str
) -> None:
    """Each is in one batch, left out by decision, or refused; within a route the order stays."""
    max_bytes = 100 if limits.max_bytes is None else limits.max_bytes
    settings = make_settings(max_bytes=max_bytes, partition_by=partition_by, on_bad_record=on_bad)
    router = Router(settings)
    batches = OpenBatches(limits)
    touched: dict[Batch, None] = {}
    routed: dict[Route, list[str]] = defaultdict(list)
    payloads: dict[Route, list[bytes]] = defaultdict(list)
    seen: list[str] = []
    for now_s, chunk in history:
        batches.seal_due(now_s)
        result = router.route(chunk)
        for route, part in result.chunks:
            routed[route] += part.positions
            payloads[route] += encode_payloads(part.payloads)
            took = batches.add(route, part, now_s)
            assert sum(size for _, size in took) == sum(len(p) + 1 for p in part.payloads)
            touched |= dict.fromkeys(batch for batch, _ in took)
        seen += [p for left in result.excluded for p in left.positions]
        seen += [bad.position for bad in result.rejected]
    batches.seal_all(FlushReason.DRAIN)
    everything = [p for _, chunk in history for p in chunk.positions]
    seen += [p for positions in routed.values() for p in positions]
    assert sorted(seen) == everything
    for route, positions in routed.items():
        mine = [batch for batch in touched if batch.route == route]
        assert sum(batch.records for batch in mine) == len(positions)
        assert b"".join(map(texts_of, mine)) == b"".join(p + b"\n" for p in payloads[route])
        assert positions == (sorted(positions) if not route.is_quarantine else positions)
    assert all(batch.seal_reason is not None and batch.records for batch in touched)


@given(
    st.tuples(histories(), limits) | st.tuples(histories(sized_payloads, max_size=3), tight_limits)
)
def test_limits_of_bytes_and_records_are_held(
    case: tuple[list[tuple[float, Chunk]], BatchLimits],
) -> None:
    """But by a record that is larger than a batch by itself; and no batch leaves half empty."""
    history, limits = case
    route = Route(history[0][1].origin, "")
    batches = OpenBatches(limits)
    touched: dict[Batch, None] = {}
    for now_s, chunk in history:
        touched |= dict.fromkeys(batch for batch, _ in batches.add(route, chunk, now_s))
    texts = [texts_of(batch) for batch in touched]
    for batch, text, after in zip(touched, texts, [*texts[1:], b""], strict=True):
        assert batch.size_bytes == len(text)
        assert batch.records == text.count(b"\n")
        if limits.max_records is not None:
            assert batch.records <= limits.max_records
        if limits.max_bytes is not None:
            assert batch.size_bytes <= limits.max_bytes or batch.records == 1
        if batch.seal_reason is FlushReason.RECORDS:
            assert batch.records == limits.max_records
        if batch.seal_reason is FlushReason.BYTES and after:
            first = after.split(b"\n")[0]
            assert limits.max_bytes is not None
            assert batch.size_bytes + len(first) + 1 > limits.max_bytes


@given(histories(), st.integers(0, 5), st.lists(st.integers(0, 3), max_size=4))
def test_no_record_lingers_longer_than_it_may(
    history: list[tuple[float, Chunk]], linger_s: int, partitions: list[int]
) -> None:
    """Whoever wakes at `next_due_s` is in time, and never in vain."""
    batches = OpenBatches(BatchLimits(linger_s=linger_s))
    opened: dict[Batch, float] = {}
    for number, (now_s, chunk) in enumerate(history):
        while (due_s := batches.next_due_s()) <= now_s:
            sealed = batches.seal_due(due_s)
            assert sealed
            assert all(opened[b] + linger_s == due_s for b in sealed)
            assert all(b.seal_reason is FlushReason.LINGER for b in sealed)
        assert batches.seal_due(now_s) == []
        partition = str(partitions[number % len(partitions)]) if partitions else ""
        for batch, _ in batches.add(Route(chunk.origin, partition), chunk, now_s):
            opened.setdefault(batch, now_s)
        assert all(opened[b] <= now_s < opened[b] + linger_s for b in batches)


@given(st.lists(chunks(), min_size=1, max_size=5), st.integers(1, 500))
def test_text_is_handed_over_whole_and_in_order(history: list[Chunk], at_least_bytes: int) -> None:
    """In pieces until they are enough, and no piece more."""
    batches = OpenBatches(BatchLimits())
    for chunk in history:
        ((batch, _),) = batches.add(Route(chunk.origin, ""), chunk, 0.0)
    pieces = []
    while taken := batch.take_texts(at_least_bytes):
        assert sum(map(len, taken[:-1])) < at_least_bytes
        assert sum(map(len, taken)) >= at_least_bytes or not batch.unencoded_bytes
        pieces += taken
        assert batch.unencoded_bytes == batch.size_bytes - sum(map(len, pieces))
    payloads = [payload for chunk in history for payload in encode_payloads(chunk.payloads)]
    assert b"".join(pieces) == b"".join(payload + b"\n" for payload in payloads)
