"""Write the orders of the last 48 hours into `out/orders`, as a function behind SQS does.

Some messages are delivered twice, in other batches, as SQS may do. These orders are in two objects.
"""

import json
import time
from pathlib import Path

from batcher import Settings
from batcher.handler import make_handler
from batcher.testing import event_of, sqs_message

BUCKET = Path("out").absolute().as_uri()
HOURS, PER_HOUR = 48, 60


def order(number: int, sent_s: float) -> dict[str, object]:
    """Return a message with an order."""
    body = {"id": number, "placed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(sent_s))}
    message_id = f"00000000-0000-4000-8000-{number:012}"
    return sqs_message(json.dumps(body), message_id=message_id, sent_ms=int(sent_s * 1000))


now_s = time.time()
handler = make_handler(Settings(bucket=BUCKET, root="orders", partial_response=True))
for hour in range(HOURS):  # one order per minute
    numbers = range(hour * PER_HOUR, (hour + 1) * PER_HOUR)
    orders = [order(n, now_s - 30 - 60 * (HOURS * PER_HOUR - 1 - n)) for n in numbers]
    handler(event_of(orders), None)
    handler(event_of(orders[1:6]), None)  # never all that one object holds
handler.close()
