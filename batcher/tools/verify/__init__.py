"""Verify: check what is stored against what its keys and metadata say."""
