"""Test kit: put your own handler under the fire that batcher's is tested with.

- `run_deliveries` delivers records to a handler while requests fail, answers get lost and processes
  are killed. Its `DeliveryReport` names what was lost or doubled.
- `MemoryStore` is a store whose objects can be looked at. `FaultyStore` fails by `FaultRule`s.
- `sqs_messages`, `fifo_messages`, `kinesis_records`, `dynamodb_records` and `event_of` make events
  as Lambda delivers them.

`docs/how-to/testing.md` has examples. The Lambda package leaves this out.
"""

from __future__ import annotations

from batcher.stores.base import (
    CommonPrefix,
    ListEntry,
    MultipartUpload,
    ObjectBody,
    ObjectStore,
    OpenUpload,
)
from batcher.stores.memory import MemoryObject, MemoryStore
from batcher.stores.request import (
    ObjectAttributes,
    ObjectInfo,
    Operation,
    Request,
    Response,
    UploadPart,
)
from batcher.testing.context import FakeContext
from batcher.testing.deliveries import run_deliveries
from batcher.testing.events import (
    Payload,
    dynamodb_record,
    dynamodb_records,
    event_of,
    fifo_message,
    fifo_messages,
    kinesis_record,
    kinesis_records,
    sqs_message,
    sqs_messages,
)
from batcher.testing.fault_script import ALWAYS, FaultRule, FaultScript
from batcher.testing.faulty_store import FaultyStore, SentRequest, StoreFault
from batcher.testing.report import DeliveryReport, HandlerDelivery
from batcher.testing.sandbox import AnyHandler, MakeHandler
from batcher.testing.shard_poller import BEHAVIORS, EXACT_BEHAVIORS, MappingBehavior

__all__ = [
    "ALWAYS",
    "BEHAVIORS",
    "EXACT_BEHAVIORS",
    "AnyHandler",
    "CommonPrefix",
    "DeliveryReport",
    "FakeContext",
    "FaultRule",
    "FaultScript",
    "FaultyStore",
    "HandlerDelivery",
    "ListEntry",
    "MakeHandler",
    "MappingBehavior",
    "MemoryObject",
    "MemoryStore",
    "MultipartUpload",
    "ObjectAttributes",
    "ObjectBody",
    "ObjectInfo",
    "ObjectStore",
    "OpenUpload",
    "Operation",
    "Payload",
    "Request",
    "Response",
    "SentRequest",
    "StoreFault",
    "UploadPart",
    "dynamodb_record",
    "dynamodb_records",
    "event_of",
    "fifo_message",
    "fifo_messages",
    "kinesis_record",
    "kinesis_records",
    "run_deliveries",
    "sqs_message",
    "sqs_messages",
]
