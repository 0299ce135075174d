"""From chunks to batches: transform, validation, routing, quarantine."""
