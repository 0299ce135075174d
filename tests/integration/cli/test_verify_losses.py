"""`batcher verify` on what is gone: deleted and truncated objects, and what is only elsewhere."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from batcher.cli import main
from batcher.reading.findings import FindingKind
from support.planted_objects import KEY, counted, plant, plant_stream, verify


def objects_of(folder: Path) -> list[Path]:
    """Return the data objects that `batcher write` has written."""
    return sorted(path for path in folder.glob("[01]*/**/*.gz"))


def test_an_object_that_was_deleted_is_found_by_its_attributes(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its records, and where to get them; also in a folder above the root, and in two."""
    first = next(
        p for p in objects_of(written) if gzip.decompress(p.read_bytes())[:7] == b'{"n":0}'
    )
    key = str(first.relative_to(written))
    attributes = written / ".meta" / f"{key}.json"
    assert attributes.exists()
    first.unlink()
    code, report = verify(written, capsys)
    assert (code, counted(report)) == (1, {"missing": 1})
    assert (report["missing_objects"], report["lost_records"]) == (1, 300)
    (finding,) = report["findings"]
    assert finding["key"] == key
    for part in ("300 records", "in.ndjson:1 to ", "in.ndjson:300;", "write", str(attributes)):
        assert part in finding["detail"]
    attributes.unlink()
    assert verify(written, capsys)[0] == 0


@pytest.mark.parametrize("is_nearer_too", [False, True])
def test_attributes_in_a_folder_above_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, is_nearer_too: bool
) -> None:
    """As of an object that was written by `root=`; once, if replay has written nearer ones."""
    key = plant_stream(tmp_path / "a", 1, 2)
    (tmp_path / ".meta").mkdir()
    (tmp_path / "a" / ".meta").rename(tmp_path / ".meta" / "a")
    if is_nearer_too:
        nearer = tmp_path / "a" / ".meta" / f"{key}.json"
        nearer.parent.mkdir(parents=True)
        nearer.write_bytes((tmp_path / ".meta" / "a" / f"{key}.json").read_bytes())
    (tmp_path / "a" / key).unlink()
    code, report = verify(tmp_path / "a", capsys)
    assert (code, counted(report)) == (1, {"missing": 1})
    assert "2 records, 1 to 2; read its records from the stream" in report["findings"][0]["detail"]


@pytest.mark.parametrize("kept", [0, 100])
def test_a_truncated_object_tells_its_records(
    written: Path, capsys: pytest.CaptureFixture[str], kept: int
) -> None:
    """What it should have, and what the totals have of it."""
    path = next(p for p in objects_of(written) if b'"n":999}' in gzip.decompress(p.read_bytes()))
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) * kept // 200])
    code, report = verify(written, capsys)
    assert (code, counted(report)) == (1, {"damaged": 1})
    readable = report["damaged_records"]
    assert report["damaged_objects"] == 1
    assert report["records"] == 900 + readable
    assert readable + report["lost_records"] == 100
    assert bool(kept) == bool(readable)
    detail = report["findings"][0]["detail"]
    assert f"; 100 records expected, {readable} readable; holds " in detail
    assert detail.endswith(
        "in.ndjson:1000; delete it and write its records again from where they came"
    )
    main(["verify", str(written)])
    assert f"({readable} of 1 damaged object)" in capsys.readouterr().out


def test_lines_that_are_missing_from_an_uncompressed_object_are_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is cut at the end of a line, or within one."""
    source = tmp_path / "in.ndjson"
    source.write_text('{"a":1}\n{"a":2}\n{"a":3}\n')
    out = tmp_path / "out"
    assert main(["write", str(source), str(out), "--compression", "none"]) == 0
    (path,) = out.glob("[01]*/**/*.ndjson")
    capsys.readouterr()
    for text, kind in ((b'{"a":1}\n', "mismatch"), (b'{"a":1}\n{"a"', "damaged")):
        path.write_bytes(text)
        code, report = verify(out, capsys)
        assert (code, counted(report), report["lost_records"]) == (1, {kind: 1}, 2)
        assert "3 records expected, 1 readable" in report["findings"][0]["detail"]


@pytest.mark.parametrize("words", [["ls"], ["cat"], ["verify"]])
def test_another_root_within_one_is_named_once(
    written: Path, words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And read by itself only: its attributes are no objects, and its objects are not of this."""
    inner = written / "deep" / "sub"
    assert main(["write", str(tmp_path / "in.ndjson"), str(inner), "--max-records", "100"]) == 0
    capsys.readouterr()
    assert main([*words, str(written)]) == 1
    printed = capsys.readouterr()
    everything = printed.out + printed.err
    assert everything.count("deep/sub") == 2, "the key, and the command that reads it"
    assert f"read it by itself: batcher ls {inner}" in everything
    assert ".meta" not in everything
    assert main([*words, str(inner)]) == 0


def test_what_is_replayed_is_no_longer_open(
    written: Path, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In text, and in JSON."""
    code, report = verify(written, capsys)
    assert (code, report["quarantined_open"], report["quarantined_replayed"]) == (0, 2, 0)
    words = ["replay", str(written), "--transform", f"{module}:fix", "--reason", "not_json"]
    assert main(words) == 0
    capsys.readouterr()
    code, report = verify(written, capsys)
    assert (code, report["quarantined"]) == (0, 2)
    assert (report["quarantined_open"], report["quarantined_replayed"]) == (1, 1)
    main(["verify", str(written)])
    printed = " ".join(capsys.readouterr().out.split())
    assert "2 (1 open, 1 replayed) " in printed
    assert " replay replay-" in printed
    assert " queue " not in printed.replace("stream or queue", "")


def test_what_a_transform_left_out_is_not_counted_as_replayed(
    written: Path, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody should look for its record."""
    words = ["replay", str(written), "--transform", f"{module}:leave_one"]
    assert main(words) == 0
    capsys.readouterr()
    code, report = verify(written, capsys)
    assert (code, report["quarantined_open"], report["quarantined_replayed"]) == (0, 0, 2)
    main(["verify", str(written)])
    assert "2 (0 open, 1 replayed, 1 left out)" in capsys.readouterr().out


def test_a_mark_of_another_form_is_a_bad_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Replay refuses it, too."""
    line = b'{"reason":"not_json","source":"cli","position":"a:1","replay":"done"}\n'
    key = f"_quarantine/cli/dt=2026-11-23/{KEY.rpartition('/')[2]}"
    plant(tmp_path, key, gzip.compress(line))
    code, report = verify(tmp_path, capsys)
    assert code == 1
    assert counted(report)[FindingKind.BAD_LINE] == 1
