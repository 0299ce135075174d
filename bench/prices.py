"""Prices: what Amazon asks for, in US East (N. Virginia), us-east-1; list prices, first tier.

Taken in November 2026 from public guides and stored copies that agree with each other; the pages
named are Amazon's own, which show their figures by script: look there before you quote one. No
free tier, no savings plan. Data to S3 in the region is free; storage is the same whoever writes.
"""

from __future__ import annotations

GIB = 1024**3
REGION = "us-east-1"
DATED = "2026-11-23"

LAMBDA_GB_S = {"x86": 0.0000166667, "arm64": 0.0000133334}
"""Dollars a GB-second. Source: https://aws.amazon.com/lambda/pricing/."""
LAMBDA_REQUEST = 0.20 / 1e6
"""Dollars an invocation. Source: as above."""
LAMBDA_BILLED_S = 0.001
"""Durations are rounded up to this. Source: as above."""
LAMBDA_CORE_MB = 1_769
"""Memory that comes with one core. Source:
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html."""

S3_PUT = 0.005 / 1_000
"""Dollars a PUT, S3 Standard. Source: https://aws.amazon.com/s3/pricing/."""

FIREHOSE_GB = 0.029
"""Dollars a GB (2^30 bytes) taken in, Direct PUT or from a stream, the first 500 TB a month.
Source: https://aws.amazon.com/firehose/pricing/."""
FIREHOSE_ROUND_BYTES = 5 * 1024
"""Each record is rounded up to a multiple of 5 KB. Source: as above."""

SQS_REQUEST = 0.40 / 1e6
"""Dollars a request of a standard queue. Source: https://aws.amazon.com/sqs/pricing/."""
SQS_REQUEST_BYTES = 64 * 1024
"""Each begun 64 KB of a request is one more. Source: as above."""
SQS_BATCH = 10
"""Messages of one send, receive or delete. Source: Amazon SQS quotas."""

KINESIS_SHARD_HOUR = 0.015
"""Dollars a provisioned shard's hour. Source:
https://aws.amazon.com/kinesis/data-streams/pricing/."""
KINESIS_UNIT = 0.014 / 1e6
"""Dollars a PUT payload unit, of 25 KB, begun ones too. Source: as above."""
KINESIS_UNIT_BYTES = 25 * 1024
KINESIS_SHARD_RECORDS_S, KINESIS_SHARD_BYTES_S = 1_000, 1024**2
"""What a shard takes in a second. Source: Amazon Kinesis Data Streams quotas."""


def lambda_dollars(seconds: float, memory_mb: int, machine: str) -> float:
    """Give what one invocation of so many seconds costs."""
    billed_s = -(-seconds // LAMBDA_BILLED_S) * LAMBDA_BILLED_S
    return LAMBDA_REQUEST + billed_s * memory_mb / 1024 * LAMBDA_GB_S[machine]


def firehose_dollars(record_bytes: int) -> float:
    """Give what Firehose asks for one record; PUTs to S3 not included."""
    rounded_bytes = -(-record_bytes // FIREHOSE_ROUND_BYTES) * FIREHOSE_ROUND_BYTES
    return rounded_bytes / GIB * FIREHOSE_GB


def sqs_dollars(record_bytes: int) -> float:
    """Give what SQS asks for one record: sent, received and deleted in full batches."""
    batch = max(1, min(SQS_BATCH, 1024**2 // record_bytes))
    requests = -(-batch * record_bytes // SQS_REQUEST_BYTES)
    return (2 * requests + 1) * SQS_REQUEST / batch


def kinesis_dollars(record_bytes: int) -> float:
    """Give what Kinesis asks for one record, put alone, on shards that are always full."""
    units = -(-record_bytes // KINESIS_UNIT_BYTES)
    shard_s = max(1 / KINESIS_SHARD_RECORDS_S, record_bytes / KINESIS_SHARD_BYTES_S)
    return units * KINESIS_UNIT + shard_s / 3600 * KINESIS_SHARD_HOUR
