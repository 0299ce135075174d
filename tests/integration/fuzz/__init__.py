"""Fuzz: input that nobody should send, at every door; see `run_atheris.py` and `targets.py`."""
