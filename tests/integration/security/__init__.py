"""Tests of what docs/security.md claims."""
