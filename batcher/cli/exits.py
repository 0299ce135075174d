"""Exits: what commands tell the shell; where a signal ends them, see `interrupts`."""

from __future__ import annotations

DONE = 0
"""All of it is done, and nothing is wrong."""
FOUND = 1
"""What was looked at is not as it should be."""
NOT_DURABLE = 1
"""Some record is not written, or not sent."""
NOT_WHOLE = 1
"""Not all that was chosen could be given."""
WRONG_USAGE = 2
"""The command line or the settings cannot be meant, or something is not installed."""
