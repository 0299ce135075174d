"""Quotas: what Lambda, SQS, Kinesis, DynamoDB and S3 allow; each with the page that says so.

As the guides had it on 2026-11-23.
"""

from __future__ import annotations

MAX_EVENT_BYTES = 6_000_000
"""JSON of one invocation, envelopes included. Source:
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html ("6 MB")."""


MAX_BATCH_SIZE = 10_000
"""Records of one invocation; of a FIFO queue, and of any queue without a window, far fewer. Source:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html, and those of Kinesis and
DynamoDB (services-kinesis-parameters, services-ddb-params)."""


FIFO_BATCH_SIZE = NO_WINDOW_BATCH_SIZE = 10
"""Source: as above, and API_CreateEventSourceMapping: over 10 needs a window of 1 s."""


MAX_WINDOW_S = 300
"""Batching window, whole seconds; FIFO queues have none. Source: as above."""


MAX_TIMEOUT_S = 900
"""Source: the Lambda quotas, as above."""


DEFAULT_ACCOUNT_CONCURRENCY = 1_000
"""Invocations at once of an account in a region, until more is granted. Source: as above."""


MIN_POLLERS, MAX_POLLERS = 5, 1_250
"""Batches of a standard queue that Lambda gathers side by side: with little traffic 5 (it may go
down to 2 where no maximum concurrency is set), 300 more a minute with a backlog, at most 1,250.
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html."""


POLLER_RECEIVES_PER_S, POLLER_BYTES_PER_S = 10, 10**6
"""What one poller takes from a queue: said of provisioned mode, and taken for the standard mode, of
which nothing is said. Source: as above."""


LONG_POLL_S = 20
"""How long a receive of a queue without messages takes; it is billed. Source:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html."""


MAX_MAXIMUM_CONCURRENCY = 1_000
"""Source: https://docs.aws.amazon.com/lambda/latest/api/API_ScalingConfig.html."""


SQS_BATCH_MESSAGES = 10
"""Messages of one send, receive or delete. Source:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html."""


MAX_MESSAGE_BYTES = 1024**2
"""Source: as above."""


FIFO_RECORDS_PER_S = 3_000
"""What a FIFO queue takes in batches of ten, without high throughput. Source: as above."""


MAX_MESSAGES_IN_FLIGHT = 120_000
"""Messages received and not deleted, of one queue. Source: quotas-queues, quotas-fifo, as above."""


MAX_VISIBILITY_S = 43_200
"""Source: as above."""


VISIBILITY_TIMEOUT_FACTOR, MIN_RECEIVE_COUNT = 6, 5
"""Visibility timeout in function timeouts (plus the window), and the least maxReceiveCount. Source:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""


SHARD_RECORDS_PER_S, SHARD_BYTES_PER_S = 1_000, 1024**2
"""What a Kinesis shard takes in. Source:
https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html. Taken for a DynamoDB
stream's shard too: a partition of a table takes 1,000 writes of 1 KB a second."""


MAX_PARALLELIZATION = 10
"""Batches of one shard side by side. Source: services-kinesis-parameters, as above."""


KINESIS_POLL_S, DYNAMODB_POLL_S = 1.0, 0.25
"""Lambda reads a shard once, or four times, a second. Source:
https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html and with-ddb.html."""


MB_PER_VCPU = 1_769
"""Memory that comes with one vCPU; less has its share. Source:
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html."""


FIREHOSE_MAX_RECORD_BYTES = 1_000 * 1024
"""Source: https://docs.aws.amazon.com/firehose/latest/dev/limits.html."""


FIREHOSE_BUFFER_BYTES, FIREHOSE_BUFFER_S = 128 * 1024**2, 900
"""The largest buffer for S3, and the longest. Source:
https://docs.aws.amazon.com/firehose/latest/APIReference/API_BufferingHints.html."""
