"""Cancelled at each await: nothing is left."""
