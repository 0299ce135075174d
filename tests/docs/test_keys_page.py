"""docs/reference/keys.md names everything that objects and quarantine lines have."""

from __future__ import annotations

import json
import re
from pathlib import Path

from batcher.batching.quarantine import quarantine_line
from batcher.keys.object_format import COMPRESSION_SUFFIXES
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.tools.replay.marks import MARK_FIELD
from batcher.writing import object as written_object
from support.examples import QUEUE, make_chunk, message

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "keys.md").read_text("utf-8")


def first_cells(heading: str) -> set[str]:
    """Return the code in the first column of the table under a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])}


def test_all_metadata_is_listed() -> None:
    names = {value for name, value in vars(written_object).items() if name.startswith("METADATA_")}
    assert first_cells("Metadata") == names
    assert f"`{written_object.GUARD_KIND}`" in PAGE


def test_the_quarantined_record_is_what_is_written() -> None:
    """Its fields, in their order. The envelope has one of its fields."""
    shown = json.loads(PAGE.partition("```json\n")[2].partition("```")[0])
    envelope = message("m1", "hello")
    chunk = make_chunk("hello", origin=QUEUE, positions=["m1"], envelopes=[envelope])
    bad = BadRecord(chunk, BadRecordReason.NOT_JSON, "not one JSON value")
    line = json.loads(quarantine_line(bad))
    assert shown["envelope"].items() <= line["envelope"].items()
    line["envelope"] = shown["envelope"]
    assert list(shown.items()) == list(line.items())


def test_all_fields_of_quarantine_are_listed() -> None:
    shown = json.loads(PAGE.partition("```json\n")[2].partition("```")[0])
    others = {"payload_b64", "fingerprint", MARK_FIELD}
    assert first_cells("Quarantine objects") == shown.keys() | others


def test_all_compressions_are_listed() -> None:
    listed = first_cells("Bodies")
    assert {f"compression={name}" for name in COMPRESSION_SUFFIXES} <= listed
