"""Real server: a file of lines into a whole S3 server, SeaweedFS, in place of the bench's own sink.

It verifies signatures, checksums and conditions, writes to the disk, and takes cores from the
clients: what is compared is a client's CPU, and the time that all of it took.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from gzip import decompress
from pathlib import Path
from statistics import median
from typing import Any
from zlib import crc32

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.httpsession import where as certificates

from batcher.tools.demo.seaweedfs import EmbeddedS3
from body_decoder import joined
from client_environment import HIDDEN
from line_files import MIB, Lines, write_lines
from measured_command import ProcessUsage, run
from report import Result, Table, arguments, chosen, finish, ratio, start
from stream_commands import Stream, missing, peers, streams

FULL_MIB, SHORT_MIB = 512, 128
CODEC = "gzip"
NOTES = (
    "gzip, level 1 where it can be chosen; over plain HTTP on loopback; both share two cores.",
    (
        "every contender's objects were read back from the server, and their text held against"
        " the file's by CRC-32 and length, after its first run."
    ),
)


def contenders(only: str) -> list[Stream]:
    """Return those of `stream.py` that speak to any server, and whose name has `only` in it."""
    return [one for one in streams(CODEC) if one.name != "floor" and only in one.name]


def prove(stream: Stream, lines: Lines, env: Mapping[str, str]) -> int:
    """Write the file once; give the bytes stored.

    Raises:
        RuntimeError: what the server gives back is not the file's text.
    """
    run(stream.command(lines, stream.bucket), env)
    client: Any = boto3.client(
        "s3",
        endpoint_url=env["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region_name=env["AWS_REGION"],
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=stream.bucket)
    found = [one["Key"] for page in pages for one in page.get("Contents", ())]
    stored_bytes, texts = 0, []
    for key in sorted(found, key=lambda key: key.rpartition("/")[2]):
        body = client.get_object(Bucket=stream.bucket, Key=key)["Body"].read()
        text = decompress(body)
        texts.append((crc32(text), len(text)))
        stored_bytes += len(body)
    if joined(texts) != (lines.crc32, lines.size_bytes):
        msg = f"{stream.name}: {len(found)} objects, which are not the file's text"
        raise RuntimeError(msg)
    return stored_bytes


def measure(
    rounds: int, size_mib: int, only: str
) -> tuple[dict[str, list[ProcessUsage]], dict[str, int], int]:
    """Return what each contender took, round by round, what it stored, and the file's size."""
    present = contenders(only)
    took: dict[str, list[ProcessUsage]] = {one.name: [] for one in present}
    with tempfile.TemporaryDirectory(prefix="batcher-bench-") as folder, EmbeddedS3() as server:
        lines = write_lines(Path(folder) / "lines.ndjson", size_mib * MIB)
        own = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
        env = own | server.environ | {"AWS_CA_BUNDLE": certificates()}
        stored = {}
        for one in present:
            server.create_bucket(one.bucket)
            stored[one.name] = prove(one, lines, env)
        for number in range(rounds):
            turn = number % len(present)
            for one in present[turn:] + present[:turn]:
                took[one.name].append(run(one.command(lines, one.bucket), env))
    return took, stored, lines.size_bytes


def rows(
    took: Mapping[str, Sequence[ProcessUsage]], stored: Mapping[str, int], size_bytes: int
) -> list[tuple[str | int | float, ...]]:
    """Return a line a contender."""
    found: list[tuple[str | int | float, ...]] = []
    for name, runs in took.items():
        cpu_s, wall_s = [one.cpu_s for one in runs], [one.wall_s for one in runs]
        found.append(
            (
                name,
                size_bytes / 1e6 / median(cpu_s),
                size_bytes / 1e6 / median(wall_s),
                f"[{size_bytes / 1e6 / max(wall_s):,.0f}..{size_bytes / 1e6 / min(wall_s):,.0f}]",
                max(one.peak_bytes for one in runs) / 1e6,
                size_bytes / stored[name],
            )
        )
    return found


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=5, short_rounds=2)
    parser.add_argument("--mib", type=int, help=f"size (default {FULL_MIB}, short {SHORT_MIB})")
    parser.add_argument("--only", metavar="TEXT", help="contenders whose name has this")
    asked = chosen(parser)
    setting = start()
    took, stored, size_bytes = measure(
        asked.rounds, asked.mib or (SHORT_MIB if asked.short else FULL_MIB), asked.only or ""
    )
    result = Result("realserver", notes=[*NOTES, peers(), *missing()])
    columns = ("contender", "MB/CPU s", "MB/s", "[low..high]", "peak MB", "ratio")
    title = f"{size_bytes / 1e6:,.0f} MB of NDJSON into SeaweedFS"
    result.tables.append(Table(title, columns, rows(took, stored, size_bytes)))
    ours = next((name for name in took if name == "batcher ndjson obstore"), "")
    for name in took if ours else ():
        if not name.startswith("batcher"):
            for what in ("cpu_s", "wall_s"):
                over = [getattr(one, what) for one in took[name]]
                under = [getattr(one, what) for one in took[ours]]
                result.ratios.append(ratio(f"{what} of {name} over {ours}", over, under))
    finish(result, setting, asked.json)


if __name__ == "__main__":
    main()
