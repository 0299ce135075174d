"""The target of a package: engine, processor architecture and Python version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ENGINES = ("obstore", "aioboto3")
ARCHITECTURES: Mapping[str, str] = {"arm64": "aarch64", "x86_64": "x86_64"}
"""Lambda's name of each architecture, and the name in tags of wheels."""
GLIBC_MINOR: Mapping[str, int] = {"3.11": 26, "3.12": 34, "3.13": 34}
"""The minor version of glibc 2 in each runtime: Amazon Linux 2, and 2023 from Python 3.12 on.
Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html."""
OLDEST_GLIBC_MINOR = 5
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """The target of one package."""

    engine: str
    architecture: str
    """As Lambda names it: `arm64` or `x86_64`."""
    python: str
    """Minor version, such as `3.13`."""

    @property
    def name(self) -> str:
        """The file name of the package, without its suffix."""
        return f"batcher-{self.engine}-{self.architecture}-{self.runtime}"

    @property
    def runtime(self) -> str:
        """The name of the Lambda runtime."""
        return f"python{self.python}"

    @property
    def lock(self) -> Path:
        """The file that lists every distribution with its hashes."""
        return HERE / f"requirements-{self.engine}.txt"

    def platforms(self) -> Iterator[str]:
        """Yield the platform tags of wheels that run on it, newest first (PEP 600)."""
        machine = ARCHITECTURES[self.architecture]
        for minor in range(GLIBC_MINOR[self.python], OLDEST_GLIBC_MINOR - 1, -1):
            yield f"manylinux_2_{minor}_{machine}"
        yield f"manylinux2014_{machine}"
