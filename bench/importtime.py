"""Import time by package, from the output of `python -X importtime`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from coldstart_process import ENDS, STARTS

if TYPE_CHECKING:
    from report import Cell

MOST_PACKAGES = 14
SLOWEST = 3
LONGEST_S = 60
_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")


def breakdown(command: Sequence[str], env: Mapping[str, str]) -> list[tuple[Cell, ...]]:
    """Run a cold start that has the option set; give the own time of its imports by package.

    Returns:
        Rows of package, milliseconds, share, modules, and the slowest modules; slowest first.
    """
    ran = subprocess.run(  # noqa: S603  # a contender of ours
        command, env=env, capture_output=True, text=True, timeout=LONGEST_S, check=True
    )
    between = ran.stderr.partition(STARTS)[2].partition(ENDS)[0]
    packages: dict[str, dict[str, float]] = defaultdict(dict)
    for own_us, module in _LINE.findall(between):
        top = module.partition(".")[0]
        package = "(standard library)" if top in sys.stdlib_module_names else top
        packages[package][module] = int(own_us) / 1000
    total_ms = sum(sum(modules.values()) for modules in packages.values())
    by_time = sorted(packages.items(), key=lambda item: sum(item[1].values()), reverse=True)
    rows: list[tuple[Cell, ...]] = []
    for package, modules in by_time[:MOST_PACKAGES]:
        slowest = sorted(modules.items(), key=lambda item: item[1], reverse=True)[:SLOWEST]
        own_ms = sum(modules.values())
        modules_text = ", ".join(f"{module} {ms:.1f}" for module, ms in slowest)
        rows.append((package, own_ms, f"{own_ms / total_ms:.0%}", len(modules), modules_text))
    return rows
