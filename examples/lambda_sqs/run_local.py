"""Call the handler with an event from a file, as Lambda does, and print its response."""

import json
import sys
from pathlib import Path

from batcher.testing import FakeContext
from handler import handler

event = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
print(json.dumps(handler(event, FakeContext(left_ms=60_000))))
handler.close()
