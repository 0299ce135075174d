"""Test kit: stores, events and an event source mapping with faults, for tests of handlers."""
