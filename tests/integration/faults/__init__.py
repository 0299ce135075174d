"""Faults on the wire between batcher and S3."""
