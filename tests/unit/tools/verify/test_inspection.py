"""Inspection: an object's text is compared with its key and metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from batcher.keys.parse import ParsedKey, parse_key
from batcher.reading.findings import FindingKind
from batcher.tools.verify import inspection
from batcher.tools.verify.inspection import Inspection
from support.examples import described

FRESH = "019aaf5c-2f00-7000-8000-0123456789ab"
SHARD = f"orders-shardId-000000000003-{'7'.zfill(64)}"
TEXT = b'{"a":1}\n[2]\n"\xc3\xa9"\nnull\n'


def parsed(key: str = f"{FRESH}.ndjson.gz") -> ParsedKey:
    """Parse a key directly under the root."""
    return parse_key(key, "")


def inspect(
    text: bytes, metadata: Mapping[str, str] | None = None, key: str = f"{FRESH}.ndjson.gz"
) -> Inspection:
    """Inspect a text in blocks of seven bytes."""
    looked = Inspection(parsed(key), described(text) if metadata is None else metadata)
    for start in range(0, len(text), 7):
        looked.add(text[start : start + 7])
    looked.finish()
    return looked


def kinds(looked: Inspection) -> list[FindingKind]:
    """Return the kinds of the findings."""
    return [found.kind for found in looked.findings]


def test_an_object_that_matches_its_metadata_is_clean() -> None:
    """Its counts are those of its text."""
    looked = inspect(TEXT)
    assert looked.findings == []
    assert (looked.records, looked.text_bytes) == (4, len(TEXT))
    assert looked.has_all_metadata


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("records", "5", "batcher-records is 5, the body has 4"),
        ("bytes", "1", f"batcher-bytes is 1, the body has {len(TEXT)}"),
        ("crc32", "00000000", "batcher-crc32 is 00000000, the body has"),
    ],
)
def test_a_text_that_differs_from_the_metadata_is_found(
    field: str, value: str, expected: str
) -> None:
    """Each field by itself."""
    (found,) = inspect(TEXT, described(TEXT, **{field: value})).findings
    assert found.kind is FindingKind.MISMATCH
    assert expected in found.detail


def test_all_wrong_metadata_fields_are_one_finding() -> None:
    """As if a whole gzip member were missing."""
    (found,) = inspect(TEXT[:8], described(TEXT)).findings
    assert found.detail.count("batcher-") == 3


def test_a_streamed_upload_has_only_its_first_position() -> None:
    """That is counted, not found. No metadata at all is a finding."""
    looked = inspect(TEXT, {"batcher-first": "x.ndjson:1", "team": "data"})
    assert looked.findings == []
    assert looked.has_metadata
    assert not looked.has_all_metadata
    bare = inspect(TEXT, {"team": "data"})
    assert kinds(bare) == [FindingKind.NO_METADATA]
    assert not bare.has_metadata


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{", "line 2: not_json"),
        (b"", "line 2: empty"),
        (b"1 2", "line 2: not_json"),
        (b'"\xff"', "line 2: not_utf8"),
        (b"[" * 2_000 + b"]" * 2_000, "line 2: too_deep"),
        (b"NaN", "line 2: not_json"),
        (b'{"a":1}{"b":2}', "line 2: not_json"),
    ],
)
def test_a_line_that_is_not_exactly_one_json_value_is_found(line: bytes, expected: str) -> None:
    """By its number. `.txt` may have any line."""
    text = b"1\n" + line + b"\n2\n"
    looked = inspect(text)
    assert kinds(looked) == [FindingKind.BAD_LINE]
    assert expected in looked.findings[0].detail
    assert inspect(text, key=f"{FRESH}.txt.gz").findings == []


def test_many_bad_lines_are_one_finding() -> None:
    """It has the first one, and counts the others."""
    (found,) = inspect(b"1\nx\ny\nz\n").findings
    assert found.detail.startswith("line 2: not_json")
    assert found.detail.endswith("(and 2 more)")


def test_the_check_of_lines_stops_after_many_bad_ones() -> None:
    """A million newlines are not a million findings. The counts stay right."""
    text = b"\n" * 100_000
    for block_bytes in (5_000, 100_000):
        looked = Inspection(parsed(), described(text))
        for start in range(0, len(text), block_bytes):
            looked.add(text[start : start + block_bytes])
        looked.finish()
        (found,) = looked.findings
        assert found.kind is FindingKind.BAD_LINE
        assert found.detail.endswith("(and 999 more)")
        assert looked.records == 100_000


@pytest.mark.parametrize("suffix", [".ndjson", ".txt.gz"])
def test_a_text_that_ends_within_a_line_is_damaged(suffix: str) -> None:
    """Every record ends with a newline."""
    assert kinds(inspect(b"1\n2", key=f"{FRESH}{suffix}")) == [FindingKind.DAMAGED]


def test_a_damaged_body_is_not_compared() -> None:
    """The damage explains wrong counts. Bad lines before it are found, too."""
    looked = Inspection(parsed(), described(TEXT))
    looked.add(b"1\nx\n2")
    looked.mark_damaged("the body ends within member 1")
    assert kinds(looked) == [FindingKind.DAMAGED, FindingKind.BAD_LINE]
    assert "member 1" in looked.findings[0].detail


def test_a_very_long_line_is_counted_and_not_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The lines around it are checked, by their own numbers, and the counts include it."""
    monkeypatch.setattr(inspection, "MAX_LINE_BYTES", 20)
    looked = inspect(b"1\n" + b"x" * 100 + b"\n2\ny\n")
    assert looked.unchecked_lines == 1
    assert looked.records == 4
    (found,) = looked.findings
    assert found.detail.startswith("line 4: not_json")


def test_quarantine_is_counted_by_reason() -> None:
    """A line that is not a quarantine record is a bad line."""
    reasons = ["not_json", "empty", "not_json"]
    good = [{"reason": reason, "source": "sqs", "position": "m"} for reason in reasons]
    key = f"_quarantine/sqs/dt=2026-11-23/{FRESH}.ndjson.gz"
    text = b"".join(json.dumps(line).encode() + b"\n" for line in good)
    looked = inspect(text, key=key)
    assert looked.findings == []
    assert looked.quarantine_reasons == {"not_json": 2, "empty": 1}
    for odd in (b'{"a":1}', b"x", b"\xff", b'{"reason":7,"source":"","position":""}'):
        looked = inspect(text + odd + b"\n" + text, key=key)
        assert looked.quarantine_reasons == {"not_json": 4, "empty": 2}
        (found,) = looked.findings
        assert found.kind is FindingKind.BAD_LINE
        assert found.detail.startswith("line 4: not a quarantine record")


def test_a_stream_object_must_be_named_by_its_first_number() -> None:
    """After a rename, a redelivery would write its records again."""
    assert inspect(TEXT, key=f"{SHARD}.ndjson").findings == []
    assert inspect(TEXT, key=f"{SHARD}.ndjson").last == 9
    for first in ("8", "x"):
        (found,) = inspect(TEXT, described(TEXT, first=first), f"{SHARD}.ndjson").findings
        assert f"batcher-first is {first}, the name has 7" in found.detail


def test_only_a_stream_has_a_last_number() -> None:
    """Positions of programs and queues are not numbers, or have no order."""
    assert inspect(TEXT).last is None
    assert inspect(TEXT, described(TEXT, last="x"), f"{SHARD}.ndjson").last is None


def test_a_finding_can_be_printed_for_any_body() -> None:
    """No control characters reach a terminal."""
    (found,) = inspect(b"\x1b[31m\n").findings
    assert found.detail.isprintable()
