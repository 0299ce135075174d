"""Reading: what was written is read back, whatever it was and however it comes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.batching.router import Router
from batcher.encoding.codec import encode_text
from batcher.encoding.decoder import Decoder
from batcher.encoding.text import LineSplitter
from batcher.errors import DamagedError
from batcher.keys.names import salt
from batcher.keys.object_format import COMPRESSION_SUFFIXES
from batcher.keys.parse import parse_key
from batcher.keys.partition import PartitionTemplate
from batcher.reading.overlap import SequenceRange, ShardRanges
from batcher.records.chunk import NamingScheme, Origin
from batcher.writing.object import object_key, object_name
from support.examples import make_batch, make_chunk, make_settings
from support.strategies import dumped, field_values

FRESH = "019ab0c7-0000-7000-8000-000000000000"
MEMBERS = st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=5)
TEMPLATES = ["", "f={field:f}", "{field:f}", "{arrival:%Y}/{field:f}", "x{field:f}-{arrival:%H}"]


def cut(body: bytes, cuts: list[int]) -> list[bytes]:
    """Cut a body into pieces anywhere."""
    bounds = sorted({0, len(body), *(at % (len(body) + 1) for at in cuts)})
    return [body[a:b] for a, b in pairwise(bounds)]


@given(
    MEMBERS,
    st.sampled_from(["none", "gzip", "zstd"]),
    st.lists(st.integers(0, 10**4)),
    st.integers(0, 10**4),
)
def test_what_was_encoded_is_decoded_and_no_part_of_it_passes_for_the_whole(
    texts: list[bytes], compression: str, cuts: list[int], short_by: int
) -> None:
    """Cut anywhere on its way. A body is one member or frame; the first versions wrote several."""
    encoded = [encode_text(text, compression, 1)[0] for text in texts]
    body = b"".join(encoded)
    decoder = Decoder(COMPRESSION_SUFFIXES[compression])
    assert b"".join(b for piece in cut(body, cuts) for b in decoder.feed(piece)) == b"".join(texts)
    decoder.finish()
    if compression != "none":
        short = Decoder(COMPRESSION_SUFFIXES[compression])
        for piece in cut(encoded[-1][: -1 - short_by % len(encoded[-1])], cuts):
            list(short.feed(piece))
        with pytest.raises(DamagedError, match=r"ends within member 1|is empty"):
            short.finish()


@given(st.text("ab\n", max_size=60), st.lists(st.integers(0, 10**4)))
def test_lines_come_whole_and_in_order_however_text_is_cut(text: str, cuts: list[int]) -> None:
    """And what waits is what follows the last newline."""
    raw = text.encode()
    splitter = LineSplitter()
    given_text = b"".join(map(splitter.split, cut(raw, cuts)))
    end = raw.rfind(b"\n") + 1
    assert given_text == raw[:end]
    assert splitter.partial_line_bytes == len(raw) - end
    assert splitter.is_within_line == (end < len(raw))


@given(
    st.text("ab\n", max_size=60),
    st.lists(st.integers(0, 10**4)),
    st.integers(1, 10),
    st.integers(0, 12),
)
def test_lines_that_are_too_long_are_skipped_and_measured(
    text: str, cuts: list[int], max_bytes: int, kept_bytes: int
) -> None:
    """All others come whole. A line is skipped only if a block ends within it."""
    raw = text.encode()
    splitter = LineSplitter()
    found: list[tuple[bytes, int]] = []
    start: bytes | None = None
    for block in cut(raw, cuts):
        lines = splitter.split(block)
        if start is not None and not splitter.is_skipping:
            found.append((start, splitter.skipped_bytes))
            start = None
        found += [(line, len(line)) for line in lines.split(b"\n")[:-1]]
        if splitter.partial_line_bytes > max_bytes:
            start = splitter.skip_line(kept_bytes)
        assert splitter.partial_line_bytes <= max_bytes
    if start is not None:
        found.append((start, splitter.skipped_bytes))
    elif last := splitter.take_partial_line():
        found.append((last, len(last)))
    expected = raw.removesuffix(b"\n").split(b"\n") if raw else []
    for (kept, size_bytes), line in zip(found, expected, strict=True):
        assert size_bytes == len(line)
        assert kept == line or (size_bytes > max_bytes and line.startswith(kept))


@given(
    st.sampled_from(["", "events", "a/b=c"]),
    st.sampled_from([1, 2, 16, 65_536]),
    st.sampled_from(TEMPLATES),
    field_values,
    st.sampled_from(NamingScheme),
    st.booleans(),
    st.sampled_from(["my-queue", "orders-shardId-000000000003", "_x", "a%2Fb"]),
)
def test_every_key_that_batcher_gives_is_read_back(  # noqa: PLR0913, PLR0917  # what makes a key
    root: str,
    fanout: int,
    template: str,
    field: object,
    naming: NamingScheme,
    is_quarantine: bool,  # noqa: FBT001  # drawn
    stem: str,
) -> None:
    """No object of ours is foreign, and its place is the one it was given."""
    if fanout == 1 and not PartitionTemplate(template).is_first_folder_safe:
        fanout = 2
    settings = make_settings(root=root, fanout=fanout, partition_by=template)
    chunk = make_chunk(dumped({"f": field}), origin=Origin("sqs", naming, stem), positions=["77"])
    for route, part in Router(settings).route(chunk).chunks:
        is_bad = is_quarantine or route.is_quarantine
        batch = make_batch(part, "" if is_bad else route.partition, is_quarantine=is_bad)
        text = object_name(batch, batch.digest(), FRESH)
        name = parse_key(object_key(batch, text, settings), root)
        assert name.naming is naming
        assert name.stem == ("" if naming is NamingScheme.FRESH else stem)
        assert name.is_quarantine == is_bad
        assert name.quarantine_source == ("sqs" if is_bad else "")
        if not is_bad:
            assert name.partition == route.partition
            assert name.salt == salt(text, fanout)
        if naming is NamingScheme.SEQUENCE:
            assert name.first == 77


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=12))
def test_overlaps_are_found_where_there_are_any_and_nowhere_else(
    spans: list[tuple[int, int]],
) -> None:
    """Compared with looking at each pair: every object that is not the first of an overlap."""
    ranges = ShardRanges()
    made = [SequenceRange(first, first + more, str(n)) for n, (first, more) in enumerate(spans)]
    for one in made:
        ranges.add("s", "p", one)
    found = list(ranges.overlaps())
    in_order = sorted(made)
    expected = [
        later
        for n, later in enumerate(in_order)
        if any(earlier.last >= later.first for earlier in in_order[:n])
    ]
    assert [later for _, later in found] == expected
    assert all(e.first <= later.first <= e.last for e, later in found)
