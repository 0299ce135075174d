"""Target: what a package is made for: an engine, a processor, a Python of Lambda's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ENGINES = ("obstore", "aioboto3")
ARCHITECTURES: Mapping[str, str] = {"arm64": "aarch64", "x86_64": "x86_64"}
"""Lambda's names, and the wheels'."""
GLIBC_MINOR: Mapping[str, int] = {"3.11": 26, "3.12": 34, "3.13": 34, "3.14": 34}
"""The glibc (2.x) under each runtime: Amazon Linux 2, and 2023 from Python 3.12 on. Source:
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html."""
OLDEST_GLIBC_MINOR = 5
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """What one package is made for."""

    engine: str
    architecture: str
    """In Lambda's words: `arm64` or `x86_64`."""
    python: str
    """As in `3.13`."""

    @property
    def name(self) -> str:
        """The package's file name without its suffix."""
        return f"batcher-{self.engine}-{self.architecture}-{self.runtime}"

    @property
    def runtime(self) -> str:
        """Lambda's name of the runtime."""
        return f"python{self.python}"

    @property
    def lock(self) -> Path:
        """The file that names every distribution with its hashes."""
        return HERE / f"requirements-{self.engine}.txt"

    def platforms(self) -> Iterator[str]:
        """Return the platform tags of wheels that run there, the newest first (PEP 600)."""
        machine = ARCHITECTURES[self.architecture]
        for minor in range(GLIBC_MINOR[self.python], OLDEST_GLIBC_MINOR - 1, -1):
            yield f"manylinux_2_{minor}_{machine}"
        yield f"manylinux2014_{machine}"
