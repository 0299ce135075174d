"""Tests of the library: `Batcher` in a program."""
