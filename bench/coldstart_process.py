"""Cold: one handler in a fresh process, from its import to its first durable object.

`python cold.py NAME EVENT` prints what that took, and what was imported for it. What Lambda's
runtime client has imported before any handler is, is imported before the clock starts. Standard
error has a line `STARTS` and a line `ENDS`, between which is what the handler imports.
"""

from __future__ import annotations

import json
import logging  # noqa: F401  # as the runtime client does, and http below
import os
import sys
import time
from collections.abc import Callable
from http import client  # noqa: F401
from pathlib import Path
from typing import Any

STARTS, ENDS = "cold: starts", "cold: ends"
Handle = Callable[[dict[str, Any], None], Any]


def batcher() -> Handle:
    """Load batcher's handler as Lambda does, set up by the environment."""
    from batcher.handler import handler  # noqa: PLC0415

    return handler


def boto3_plain() -> Handle:
    """Load the handler of every tutorial: a client at import, one PUT a record."""
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415  # it has no types

    s3 = boto3.client("s3")

    def handler(event: dict[str, Any], context: None) -> dict[str, Any]:
        del context
        for record in event["Records"]:
            key = f"events/{record['messageId']}.json"
            s3.put_object(Bucket=os.environ["BUCKET"], Key=key, Body=record["body"])
        return {"statusCode": 200}

    return handler


def powertools() -> Handle:
    """Load a handler with Powertools' BatchProcessor: one PUT a record, partial answers."""
    import boto3  # noqa: PLC0415
    from aws_lambda_powertools.utilities.batch import (  # noqa: PLC0415
        BatchProcessor,
        EventType,
        process_partial_response,
    )

    s3 = boto3.client("s3")
    processor = BatchProcessor(event_type=EventType.SQS)

    def of_record(record: Any) -> None:  # noqa: ANN401  # an SQSRecord
        body = json.dumps(record.json_body)
        s3.put_object(
            Bucket=os.environ["BUCKET"], Key=f"events/{record.message_id}.json", Body=body
        )

    def handler(event: dict[str, Any], context: None) -> Any:  # noqa: ANN401  # its answer
        return process_partial_response(
            event=event, record_handler=of_record, processor=processor, context=context
        )

    return handler


LOADERS: dict[str, Callable[[], Handle]] = {
    "batcher-obstore": batcher,
    "batcher-aioboto3": batcher,
    "boto3": boto3_plain,
    "powertools": powertools,
}


def main() -> None:
    """Load, invoke, and print the figures."""
    name, event_file = sys.argv[1:]
    event = json.loads(Path(event_file).read_bytes())
    before = set(sys.modules)
    print(STARTS, file=sys.stderr, flush=True)
    started = time.perf_counter(), time.process_time()
    handle = LOADERS[name]()
    loaded = time.perf_counter(), time.process_time()
    answer = handle(event, None)
    ended = time.perf_counter(), time.process_time()
    print(ENDS, file=sys.stderr, flush=True)
    imported = {module.partition(".")[0] for module in set(sys.modules) - before}
    modules = len(set(sys.modules) - before)
    from peak_memory import peak_bytes  # noqa: PLC0415  # not before the clock

    print(
        json.dumps(
            {
                "import_wall_s": loaded[0] - started[0],
                "import_cpu_s": loaded[1] - started[1],
                "event_wall_s": ended[0] - loaded[0],
                "event_cpu_s": ended[1] - loaded[1],
                "peak_bytes": peak_bytes(),
                "answer": answer,
                "imported": sorted(imported),
                "modules": modules,
            }
        ),
        flush=True,
    )
    os._exit(0)  # as a Lambda environment ends


if __name__ == "__main__":
    main()
