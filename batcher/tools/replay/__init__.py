"""Replay: write quarantined records again, or send them to a queue, and mark each of them."""
