"""Pacing: what batcher does when a store asks for less, on a clock that only jumps."""
