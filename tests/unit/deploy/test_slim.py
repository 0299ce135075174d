"""What a package goes without: by rules that know what is used."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from slim import is_kept

KEPT = [
    "batcher/handler/__init__.py",
    "batcher/stores/obstore/store.py",
    "batcher/py.typed",
    "boto3/session.py",
    "botocore/data/endpoints.json",
    "botocore/data/_retry.json",
    "botocore/data/s3/2006-03-01/service-2.json.gz",
    "botocore/data/s3/2006-03-01/endpoint-rule-set-1.json.gz",
    "botocore/data/sts/2011-06-15/service-2.json.gz",
    "botocore/cacert.pem",
    "isal/_isal.cpython-313-aarch64-linux-gnu.so",
    "orjson-3.11.0.dist-info/METADATA",
    "orjson-3.11.0.dist-info/licenses/LICENSE-MIT",
    "boto3-1.40.61.dist-info/LICENSE",
    "wrapt-1.17.3.dist-info/NOTICE.txt",
    "testing.py",
    "six.py",
    "tested/handler.py",
]
LEFT_OUT = [
    "batcher/cli/write.py",
    "batcher/tools/demo/data/github_webhooks.ndjson.gz",
    "batcher/__pycache__/handler.cpython-311.pyc",
    "bin/jp.py",
    "boto3/data/s3/2006-03-01/resources-1.json",
    "boto3/examples/s3.rst",
    "botocore/data/ec2/2016-11-15/service-2.json.gz",
    "botocore/data/s3/2006-03-01/examples-1.json",
    "aiohttp/_http_parser.pyx",
    "msgspec/__init__.pyi",
    "typing_extensions.pyi",
    "isal/isa-l/README.md",
    "orjson-3.11.0.dist-info/RECORD",
    "orjson-3.11.0.dist-info/WHEEL",
    "wrapt/tests/test_proxy.py",
    "numpy/core/tests/data/big.bin",
]


@pytest.mark.parametrize("name", KEPT)
def test_what_is_used_is_kept(name: str) -> None:
    """Licenses, too, which are used by whoever hands the package on."""
    assert is_kept(PurePosixPath(name))


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_never_used_is_left_out(name: str) -> None:
    """Each of these is of a kind that no invocation opens."""
    assert not is_kept(PurePosixPath(name))
