"""Verify: check stored objects against their keys and metadata."""
