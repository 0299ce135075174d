"""Replay: quarantined records through the pipeline again, or back to a queue; each one marked."""
