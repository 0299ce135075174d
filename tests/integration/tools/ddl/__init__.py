"""Tests of the text that makes objects a table."""
