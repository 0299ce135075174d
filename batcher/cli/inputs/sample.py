"""Reads the first lines of a sample of records."""

from __future__ import annotations

from math import inf

from batcher.cli.inputs.lines import InputError, LineReader
from batcher.errors import SettingsError


async def read_sample(
    name: str,
    max_line_bytes: int,
    max_bytes: int,
    *,
    max_lines: float = inf,
    expect_json: bool = False,
) -> tuple[list[bytes], int]:
    """Read lines until either limit is reached.

    Args:
        name: the path of a file, or `-` for standard input.
        max_line_bytes: longer lines are only counted.
        max_bytes: text that is read, rounded up to blocks of `LineReader`.
        max_lines: lines that are read.
        expect_json: see `LineReader`.

    Returns:
        The lines of up to `max_line_bytes`, and the number of longer ones.

    Raises:
        SettingsError: the file cannot be read.
    """
    reader = LineReader([name], max_line_bytes, expect_json=expect_json)
    lines: list[bytes] = []
    read_bytes = read_lines = 0
    try:
        async for block in reader:
            if not block.oversized_line_bytes:
                texts = block.text.split(b"\n")[:-1]
                lines += [line for line in texts if len(line) <= max_line_bytes]
            read_lines += block.lines
            read_bytes += len(block.text)
            if read_lines >= max_lines or read_bytes >= max_bytes:
                reader.close()
    except InputError as error:
        raise SettingsError([f"sample: {error}"]) from None
    return lines, read_lines - len(lines)
