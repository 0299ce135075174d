"""Text: blocks are cut where lines end."""

from __future__ import annotations

from batcher.encoding.text import Cutter, lines_of


def test_lines_are_given_when_they_are_complete() -> None:
    """However the blocks fall."""
    cutter = Cutter()
    assert cutter.cut(b"a") == b""
    assert cutter.cut(b"b") == b""
    assert cutter.waiting_bytes == 2
    assert cutter.cut(b"\nc\nd") == b"ab\nc\n"
    assert cutter.is_within_line
    assert cutter.cut(b"\n") == b"d\n"
    assert not cutter.is_within_line
    assert cutter.waiting_bytes == 0
    assert cutter.cut(b"") == b""


def test_a_line_that_is_skipped_takes_nothing_of_the_next_one() -> None:
    """What is still to come of it is skipped too."""
    cutter = Cutter()
    cutter.cut(b"a\nlong")
    cutter.skip()
    assert cutter.is_within_line
    assert cutter.cut(b"er") == b""
    assert cutter.waiting_bytes == 0
    assert cutter.cut(b"st\nb\nc") == b"b\n"
    assert cutter.cut(b"\n") == b"c\n"
    cutter.cut(b"long")
    cutter.skip()
    assert cutter.cut(b"\n") == b""
    assert not cutter.is_within_line


def test_text_is_divided_into_its_lines() -> None:
    """Empty ones are lines too."""
    assert lines_of(b"") == []
    assert lines_of(b"\n") == [b""]
    assert lines_of(b"a\n\nb\n") == [b"a", b"", b"b"]
