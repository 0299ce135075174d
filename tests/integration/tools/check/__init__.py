"""Tests of what `batcher check` asks and judges."""
