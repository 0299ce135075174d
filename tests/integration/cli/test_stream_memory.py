"""The memory of `batcher write` for one large object, streamed in parts by obstore."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.s3_servers import SeaweedFS

if TYPE_CHECKING:
    from pathlib import Path

MB = 10**6
BUDGET_MIB = 64
OVERHEAD_MB = 100
"""The most beyond the budget: the interpreter, libraries and their buffers."""
STREAM_MIB = 512
LINES = """
import os, sys
line = b'{"n":"%s"}\\n' % os.urandom(508).hex().encode()
for _ in range(int(sys.argv[1])):
    sys.stdout.buffer.write(line * 1024)
"""
"""A program that writes so many MiB of lines that gzip halves at best."""
WRITE = """
import sys
from batcher.cli import main
code = main(sys.argv[1:])
with open("/proc/self/status") as status:  # not ru_maxrss, which starts with the parent's
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.slow
def test_a_large_object_takes_the_budget_and_little_more(
    seaweedfs: SeaweedFS, bucket: str, tmp_path: Path
) -> None:
    """However long the stream is: parts are released when they are sent."""
    seaweedfs.create_bucket(bucket)
    options = {
        "engine": "obstore",
        "budget-bytes": f"{BUDGET_MIB}MiB",
        "max-bytes": f"{2 * STREAM_MIB}MiB",
        "linger-s": "3600",
        "compression": "none",
        "partition-by": "",
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-c", WRITE, "write", "-", f"s3://{bucket}/x", *flags, "--json"]
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", LINES, str(STREAM_MIB)], stdout=subprocess.PIPE
    ) as lines:
        ran = subprocess.run(  # noqa: S603  # as above
            command,
            stdin=lines.stdout,
            capture_output=True,
            text=True,
            timeout=200,
            cwd=tmp_path,
            env={**seaweedfs.environ, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            check=True,
        )
    told = json.loads(ran.stdout)
    assert (told["records"], told["objects"]) == (STREAM_MIB * 1024, 1)
    peak_mb = int(ran.stderr.split()[-1]) * 1024 / MB
    assert peak_mb < BUDGET_MIB * 1024**2 / MB + OVERHEAD_MB
    assert not seaweedfs.client.list_multipart_uploads(Bucket=bucket).get("Uploads")
