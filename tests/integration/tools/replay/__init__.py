"""Replay: each quarantined record once more, whatever happens on the way."""
