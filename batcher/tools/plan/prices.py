"""Prices: Amazon's list prices in US East (N. Virginia), us-east-1.

Taken in November 2026 from public guides and stored copies that agree with each other. Amazon's own
pages, named in `PRICE_PAGES`, render their figures by script: check them before you quote a price.
No free tier and no savings plan are included. Data to S3 in the same region is free.
"""

from __future__ import annotations

from collections.abc import Sequence

from batcher.tools.plan.quotas import SHARD_BYTES_PER_S, SHARD_RECORDS_PER_S, SQS_BATCH_MESSAGES

GIB = 1024**3

PRICES_REGION = "us-east-1"

PRICES_DATE = "2026-11-23"

PRICE_PAGES = {
    "lambda": "https://aws.amazon.com/lambda/pricing/",
    "s3": "https://aws.amazon.com/s3/pricing/",
    "firehose": "https://aws.amazon.com/firehose/pricing/",
    "sqs": "https://aws.amazon.com/sqs/pricing/",
    "kinesis": "https://aws.amazon.com/kinesis/data-streams/pricing/",
}
"""Amazon's page for the prices of each service."""

LAMBDA_DOLLARS_PER_GB_S = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
"""Dollars per GB-second, for the first 6 billion (arm64: 7.5 billion) per month."""

LAMBDA_DOLLARS_PER_REQUEST = 0.20 / 1e6
"""Dollars per invocation."""

LAMBDA_ROUND_S = 0.001
"""Durations are rounded up to a multiple of this."""


S3_DOLLARS_PER_PUT = 0.005 / 1_000
"""Dollars per PUT, S3 Standard."""


S3_DOLLARS_PER_GB_MONTH = 0.023
"""Dollars per GB (2^30 bytes) and month, S3 Standard, for the first 50 TB."""

FIREHOSE_DOLLARS_PER_GB = 0.029
"""Dollars per GB (2^30 bytes) ingested by Direct PUT or from a stream, for the first 500 TB per
month."""

FIREHOSE_TIERS_GB: Sequence[tuple[float, float]] = (
    (500 * 1024, FIREHOSE_DOLLARS_PER_GB),
    (1_500 * 1024, 0.025),
    (float("inf"), 0.020),
)
"""Size of each tier in GB per month, and its price. The second and third are from secondary
sources."""

FIREHOSE_ROUND_BYTES = 5 * 1024
"""Each record is rounded up to a multiple of 5 KB."""

FIREHOSE_PARTITIONING_DOLLARS_PER_GB = 0.020
"""Dollars per GB (2^30 bytes) that dynamic partitioning delivers, before compression."""

FIREHOSE_PARTITIONING_DOLLARS_PER_OBJECT = 0.005 / 1_000
"""Dollars per object that dynamic partitioning delivers, besides the PUT."""

FIREHOSE_DOLLARS_PER_JQ_HOUR = 0.07
"""Dollars per hour in which jq takes the partition's fields out of records."""

FIREHOSE_CONVERSION_DOLLARS_PER_GB = 0.018
"""Dollars per GB (2^30 bytes) ingested that is converted to Parquet or ORC, in steps of 5 KB."""

SQS_DOLLARS_PER_REQUEST, SQS_FIFO_DOLLARS_PER_REQUEST = 0.40 / 1e6, 0.50 / 1e6
"""Dollars per request of a standard queue, and of a FIFO queue."""

SQS_REQUEST_BYTES = 64 * 1024
"""Each started 64 KB of a request is billed as one request."""

SQS_MAX_REQUEST_BYTES = 1024**2

KINESIS_DOLLARS_PER_SHARD_HOUR = 0.015
"""Dollars per provisioned shard and hour."""

KINESIS_DOLLARS_PER_UNIT = 0.014 / 1e6
"""Dollars per started PUT payload unit of 25 KB."""

KINESIS_UNIT_BYTES = 25 * 1024


def lambda_dollars(seconds: float, memory_mb: int, arch: str) -> float:
    """Return the price of one invocation."""
    billed_s = -(-seconds // LAMBDA_ROUND_S) * LAMBDA_ROUND_S
    return LAMBDA_DOLLARS_PER_REQUEST + billed_s * memory_mb / 1024 * LAMBDA_DOLLARS_PER_GB_S[arch]


def firehose_billed_bytes(record_bytes: float) -> float:
    """Return the bytes that Firehose bills for one record."""
    return -(-record_bytes // FIREHOSE_ROUND_BYTES) * FIREHOSE_ROUND_BYTES


def firehose_dollars(record_bytes: float) -> float:
    """Return the price of one record in Firehose's first tier, without its PUTs to S3."""
    return firehose_billed_bytes(record_bytes) / GIB * FIREHOSE_DOLLARS_PER_GB


def firehose_month_dollars(billed_bytes: float) -> float:
    """Return the price of a month's billed bytes in Firehose, tier by tier."""
    dollars, remaining_gb = 0.0, billed_bytes / GIB
    for tier_gb, price in FIREHOSE_TIERS_GB:
        used_gb = min(remaining_gb, tier_gb)
        dollars, remaining_gb = dollars + used_gb * price, remaining_gb - used_gb
    return dollars


def firehose_partitioning_dollars(text_bytes: float, objects: float) -> float:
    """Return the price of dynamic partitioning, without jq and the PUTs to S3."""
    return (
        text_bytes / GIB * FIREHOSE_PARTITIONING_DOLLARS_PER_GB
        + objects * FIREHOSE_PARTITIONING_DOLLARS_PER_OBJECT
    )


def firehose_conversion_dollars(billed_bytes: float) -> float:
    """Return the price of converting billed bytes to Parquet or ORC."""
    return billed_bytes / GIB * FIREHOSE_CONVERSION_DOLLARS_PER_GB


def sqs_batch_records(record_bytes: float) -> float:
    """Return the most records that fit one send or receive."""
    return max(1.0, min(SQS_BATCH_MESSAGES, SQS_MAX_REQUEST_BYTES // record_bytes))


def sqs_request_dollars(size_bytes: float, price: float = SQS_DOLLARS_PER_REQUEST) -> float:
    """Return the price of one request. An empty one costs as much as one of 64 KB."""
    return max(1.0, -(-size_bytes // SQS_REQUEST_BYTES)) * price


def sqs_dollars(record_bytes: float) -> float:
    """Return the price of sending, receiving and deleting one record in full batches."""
    batch = sqs_batch_records(record_bytes)
    return (2 * sqs_request_dollars(batch * record_bytes) + SQS_DOLLARS_PER_REQUEST) / batch


def kinesis_unit_dollars(record_bytes: float) -> float:
    """Return the PUT unit price of one record that is put by itself."""
    return -(-record_bytes // KINESIS_UNIT_BYTES) * KINESIS_DOLLARS_PER_UNIT


def kinesis_dollars(record_bytes: float) -> float:
    """Return the price of one record, put by itself, on shards that are always full."""
    shard_s = max(1 / SHARD_RECORDS_PER_S, record_bytes / SHARD_BYTES_PER_S)
    return kinesis_unit_dollars(record_bytes) + shard_s / 3600 * KINESIS_DOLLARS_PER_SHARD_HOUR
