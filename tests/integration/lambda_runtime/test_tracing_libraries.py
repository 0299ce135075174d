"""Libraries that patch the SDK to trace it: requests that overlap are durable, and answered so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.s3_servers import Moto

pytestmark = pytest.mark.slow

PROGRAM = """
import json, sys
from batcher import Settings
from batcher.handler import make_handler
from support.examples import kinesis_record, message

library, engine, bucket = sys.argv[1:]


def patch():
    if library == "tracer":
        from aws_lambda_powertools import Tracer

        return Tracer(service="orders").capture_lambda_handler
    if library.startswith("patch_all"):
        from aws_xray_sdk.core import patch_all

        patch_all()
    elif library == "ddtrace":
        import ddtrace

        ddtrace.patch(aiobotocore=True, botocore=True, aiohttp=True)
    elif library == "opentelemetry":
        from opentelemetry import trace
        from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
        from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
        from opentelemetry.sdk.trace import TracerProvider

        trace.set_tracer_provider(TracerProvider())
        BotocoreInstrumentor().instrument()
        AioHttpClientInstrumentor().instrument()
    return lambda function: function


class Context:
    aws_request_id, function_name, memory_limit_in_mb = "r", "orders", 128
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:orders"

    def get_remaining_time_in_millis(self):
        return 60_000


def events(n, first):
    queue = [message(f"m{i}", json.dumps({"kind": f"k{i}"})) for i in range(first, first + n)]
    stream = [
        kinesis_record(str(1000 + i), json.dumps({"kind": f"s{i}"}).encode())
        for i in range(first, first + n)
    ]
    return [{"Records": queue}, {"Records": stream}, {"Records": stream}]


decorate = (lambda function: function) if library == "patch_all late" else patch()
settings = Settings(bucket=bucket, root=library.replace(" ", "-") + "-" + engine, fanout=1,
    engine=engine, partition_by="kind={field:kind}", partial_response=True)
handler = decorate(make_handler(settings))
answers = [handler(event, Context()) for event in events(2, 0)]
if library == "patch_all late":
    patch()  # the client is connected already
answers += [handler(event, Context()) for event in events(20, 100)]
print(json.dumps(answers), file=sys.stderr)
"""
LIBRARIES = {
    "none": "batcher",
    "tracer": "aws_xray_sdk",
    "patch_all": "aws_xray_sdk",
    "patch_all late": "aws_xray_sdk",
    "opentelemetry": "opentelemetry",
    "ddtrace": "ddtrace",
}
"""What is tried, and the package that it needs."""


@pytest.mark.parametrize("engine", ["aioboto3", "obstore"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_objects_that_are_written_side_by_side_are_all_answered_as_durable(
    library: str, engine: str, moto: Moto, bucket: str, tmp_path: Path
) -> None:
    """Events of 2 and 20 objects of a queue and of a stream, which delivers its own twice."""
    if find_spec(LIBRARIES[library]) is None:
        pytest.skip(f"{LIBRARIES[library]} is not installed")
    moto.create_bucket(bucket)
    environ = {
        **os.environ,
        **moto.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:9",
        "AWS_LAMBDA_FUNCTION_NAME": "orders",
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;"
        "Parent=557abcec3ee5a047;Sampled=1",
        "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    }
    environ.pop("POWERTOOLS_TRACE_DISABLED", None)
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", PROGRAM, library, engine, bucket],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = [line for line in done.stderr.splitlines() if line.startswith('[{"batchItem')]
    assert json.loads(answers[-1]) == [{"batchItemFailures": []}] * 6, done.stderr
    objects = moto.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert len(objects) == 2 * (2 + 20)
