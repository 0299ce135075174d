"""Text: blocks are cut where lines end."""

from __future__ import annotations

from batcher.encoding.text import LineSplitter, split_complete_lines


def test_lines_are_given_when_they_are_complete() -> None:
    """However the blocks fall."""
    cutter = LineSplitter()
    assert cutter.split(b"a") == b""
    assert cutter.split(b"b") == b""
    assert cutter.partial_line_bytes == 2
    assert cutter.split(b"\nc\nd") == b"ab\nc\n"
    assert cutter.is_within_line
    assert cutter.split(b"\n") == b"d\n"
    assert not cutter.is_within_line
    assert cutter.partial_line_bytes == 0
    assert cutter.split(b"") == b""


def test_a_line_that_is_skipped_takes_nothing_of_the_next_one() -> None:
    """What is still to come of it is skipped too."""
    cutter = LineSplitter()
    cutter.split(b"a\nlong")
    cutter.skip_line()
    assert cutter.is_within_line
    assert cutter.split(b"er") == b""
    assert cutter.partial_line_bytes == 0
    assert cutter.split(b"st\nb\nc") == b"b\n"
    assert cutter.split(b"\n") == b"c\n"
    cutter.split(b"long")
    cutter.skip_line()
    assert cutter.split(b"\n") == b""
    assert not cutter.is_within_line


def test_the_start_and_the_size_of_a_skipped_line_can_be_had() -> None:
    """The size counts what came of it before and after it was skipped."""
    cutter = LineSplitter()
    cutter.split(b"long")
    assert cutter.skip_line(kept_bytes=2) == b"lo"
    assert cutter.skipped_bytes == 4
    assert cutter.split(b"er") == b""
    assert cutter.is_skipping
    assert cutter.split(b"st\nb\nc") == b"b\n"
    assert not cutter.is_skipping
    assert cutter.skipped_bytes == len(b"longerst")


def test_a_last_line_without_a_newline_can_be_taken() -> None:
    """Once."""
    cutter = LineSplitter()
    cutter.split(b"a\nb")
    assert cutter.take_partial_line() == b"b"
    assert cutter.take_partial_line() == b""
    assert not cutter.is_within_line


def test_text_is_divided_into_its_lines() -> None:
    """Empty ones are lines too."""
    assert split_complete_lines(b"") == []
    assert split_complete_lines(b"\n") == [b""]
    assert split_complete_lines(b"a\n\nb\n") == [b"a", b"", b"b"]
