"""Fuzz: input that nobody should send, at every door; see `targets.py`."""
