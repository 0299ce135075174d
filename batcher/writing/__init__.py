"""From batches to durable objects: budget, encoding, upload, outcome."""
