"""Report: totals of a verify run, and the document that programs read."""

from __future__ import annotations

from batcher.keys.parse import parse_key
from batcher.reading.findings import Finding, FindingKind
from batcher.stores.base import ListEntry, OpenUpload
from batcher.tools.verify.inspection import Inspection
from batcher.tools.verify.report import VerifyReport
from support.examples import described

SHARD = f"orders-shardId-000000000003-{'7'.zfill(64)}"
TEXT = b'{"a":1}\n[2]\n'


def test_the_document_of_a_report_is_a_contract() -> None:
    """Programs read its names, so none is ever renamed."""
    report = VerifyReport()
    parsed_key = parse_key(f"{SHARD}.ndjson.gz", "")
    inspection = Inspection(parsed_key, described(TEXT))
    inspection.add(TEXT)
    inspection.finish()
    inspection.unchecked_lines = 3
    report.add_object(ListEntry(parsed_key.key, 99, "etag", 0.0), parsed_key, inspection)
    report.add_upload(OpenUpload("k", 0.0), 3_600.0)
    report.removed_objects = 2
    report.finish()
    assert report.as_dict("s3://b/root") == {
        "place": "s3://b/root",
        "fine": False,
        "objects": 1,
        "records": 2,
        "size_bytes": 99,
        "text_bytes": len(TEXT),
        "quarantine_objects": 0,
        "quarantined": 0,
        "quarantined_open": 0,
        "quarantined_replayed": 0,
        "quarantined_by_reason": {},
        "incomplete_metadata": 0,
        "guards": 0,
        "duplicates": 0,
        "unchecked_lines": 3,
        "removed_objects": 2,
        "missing_objects": 0,
        "damaged_objects": 0,
        "damaged_records": 0,
        "lost_records": 0,
        "uploads_unchecked": None,
        "recent_temporary_files": 0,
        "counts": dict.fromkeys(FindingKind, 0) | {"open_upload": 1},
        "findings": [{"kind": FindingKind.OPEN_UPLOAD, "key": "k", "detail": "open for 60 min"}],
        "streams": [
            {
                "family": "stream",
                "stream": "orders",
                "shard": "shardId-000000000003",
                "objects": 1,
                "records": 2,
                "first": "7",
                "last": "9",
            }
        ],
    }


def test_a_report_with_a_finding_is_not_clean() -> None:
    """A finding is counted, even if it is no longer listed."""
    report = VerifyReport()
    assert report.is_clean
    for number in range(1_001):
        report.add_finding(Finding(FindingKind.DAMAGED, f"{number:04}", "no"))
    assert not report.is_clean
    assert report.finding_counts == {FindingKind.DAMAGED: 1_001}
    assert [finding.key for finding in report.findings] == [f"{n:04}" for n in range(1_000)]
