"""Quotas of Lambda, SQS, Kinesis, DynamoDB and Firehose, each with the page that documents it.

State of the guides: 2026-11-23.
"""

from __future__ import annotations

MAX_EVENT_BYTES = 6_000_000
"""JSON of one invocation, envelopes included. Source:
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html ("6 MB")."""

MAX_BATCH_SIZE = 10_000
"""Records per invocation. FIFO queues, and queues without a window, allow only 10. Source:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html, and those of Kinesis and
DynamoDB (services-kinesis-parameters, services-ddb-params)."""

FIFO_BATCH_SIZE = NO_WINDOW_BATCH_SIZE = 10
"""Batch size of FIFO queues, and of queues without a window. Source: as above, and
API_CreateEventSourceMapping: a larger batch size needs a window of 1 s or more."""

MAX_WINDOW_S = 300
"""Longest batching window, in whole seconds. FIFO queues have none. Source: as above."""

DEFAULT_ACCOUNT_CONCURRENCY = 1_000
"""Concurrent invocations per account and region, unless AWS raises the quota. Source: as above."""

MIN_POLLERS, MAX_POLLERS = 5, 1_250
"""Batches of a standard queue that Lambda fills concurrently: 5 with little traffic (as few as 2 if
no maximum concurrency is set), 300 more per minute with a backlog, at most 1,250. Source:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html."""

POLLER_RECEIVES_PER_S, POLLER_BYTES_PER_S = 10, 10**6
"""Throughput of one poller. Documented for provisioned mode, and assumed for standard mode, for
which nothing is documented. Source: as above."""

LONG_POLL_S = 20
"""Duration of a receive from an empty queue, which is billed. Source:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html."""

MAX_MAXIMUM_CONCURRENCY = 1_000
"""Highest MaximumConcurrency of a mapping. Source:
https://docs.aws.amazon.com/lambda/latest/api/API_ScalingConfig.html."""

SQS_BATCH_MESSAGES = 10
"""Messages per send, receive or delete. Source:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html."""

MAX_MESSAGE_BYTES = 1024**2
"""Largest message. Source: as above."""

FIFO_RECORDS_PER_S = 3_000
"""Messages per second of a FIFO queue, in batches of ten, without high throughput. Source: as
above."""

MAX_MESSAGES_IN_FLIGHT = 120_000
"""Messages of one queue that are received and not deleted. Source: quotas-queues, quotas-fifo, as
above."""

MAX_VISIBILITY_S = 43_200
"""Longest visibility timeout. Source: as above."""

VISIBILITY_TIMEOUT_FACTOR, MIN_RECEIVE_COUNT = 6, 5
"""Recommended visibility timeout, in function timeouts (plus the window), and the smallest
recommended maxReceiveCount. Source:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""

SHARD_RECORDS_PER_S, SHARD_BYTES_PER_S = 1_000, 1024**2
"""Write capacity of a Kinesis shard. Source:
https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html. Assumed for a DynamoDB
stream's shard too: a partition of a table takes 1,000 writes of 1 KB per second."""

MAX_PARALLELIZATION = 10
"""Highest parallelization factor. Source: services-kinesis-parameters, as above."""

KINESIS_POLL_S, DYNAMODB_POLL_S = 1.0, 0.25
"""Lambda polls a shard of Kinesis once per second, of DynamoDB four times. Source:
https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html and with-ddb.html."""

MB_PER_VCPU = 1_769
"""Memory of a function with one vCPU. Less memory gets a proportional share. Source:
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html."""

FIREHOSE_MAX_RECORD_BYTES = 1_000 * 1024
"""Largest record. Source: https://docs.aws.amazon.com/firehose/latest/dev/limits.html."""

FIREHOSE_BUFFER_BYTES, FIREHOSE_BUFFER_S = 128 * 1024**2, 900
"""Largest and longest buffer for S3. Source:
https://docs.aws.amazon.com/firehose/latest/APIReference/API_BufferingHints.html."""
