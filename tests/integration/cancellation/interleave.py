"""Turns: going on by so many turns of the loop, and waiting for what was cancelled after them."""

from __future__ import annotations

import asyncio
from typing import Any

from support.fakes import incompressible_bytes

LINE = incompressible_bytes(1024**2 - 1)
MAX_LOOP_STEPS = 400
"""More turns of the loop than any program takes that writes a few of these lines."""


async def run_loop_steps(number: int) -> None:
    """Let the loop run so many turns."""
    for _ in range(number):
        await asyncio.sleep(0)


async def wait_cancelled(task: asyncio.Task[Any]) -> None:
    """Wait for a task that was cancelled; what it raises instead is raised here."""
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
