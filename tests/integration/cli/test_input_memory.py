"""The memory of `batcher write` for one large object of S3, and for many small ones."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from integration.cli.test_stream_memory import MB, WRITE
from support.store_fixtures import READERS

if TYPE_CHECKING:
    from pathlib import Path

    from support.s3_servers import SeaweedFS

BUDGET_MIB = 64
OVERHEAD_MB = 100
"""The most beyond the budget: the interpreter, libraries and their buffers."""
PART_LINES = 16 * 1024
LINE = b'{"n":"%s"}\n' % (b"x" * 1_013)
PARTS = 12


@pytest.mark.slow
@pytest.mark.parametrize("engine", READERS)
def test_a_large_object_is_read_in_bounded_memory(
    seaweedfs: SeaweedFS, bucket: str, tmp_path: Path, engine: str
) -> None:
    """It is never held whole, and no faster read than written."""
    seaweedfs.create_bucket(bucket)
    client = seaweedfs.client
    upload = client.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    part = LINE * PART_LINES
    parts = []
    for number in range(1, PARTS + 1):
        put = client.upload_part(
            Bucket=bucket, Key="big", UploadId=upload, PartNumber=number, Body=part
        )
        parts.append({"PartNumber": number, "ETag": put["ETag"]})
    client.complete_multipart_upload(
        Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    client.put_object(Bucket=bucket, Key="more/bomb.gz", Body=gzip.compress(part * 4))
    client.put_object(Bucket=bucket, Key="more/x", Body=part)
    options = ["--engine", engine, "--budget-bytes", f"{BUDGET_MIB}MiB", "--json"]
    inputs = [f"s3://{bucket}/big", f"s3://{bucket}/more/"]
    ran = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", WRITE, "write", *inputs, str(tmp_path / "out"), *options],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=tmp_path,
        env={**seaweedfs.environ, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        check=True,
    )
    assert json.loads(ran.stdout)["records"] == (PARTS + 5) * PART_LINES
    peak_mb = int(ran.stderr.split()[-1]) * 1024 / MB
    assert peak_mb < BUDGET_MIB * 1024**2 / MB + OVERHEAD_MB
