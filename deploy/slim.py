"""Decide which files of batcher and of its distributions go into a package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

UNUSED: Mapping[str, frozenset[str]] = {
    "batcher": frozenset({"__main__.py", "cli", "reading", "tools"}),
    "boto3": frozenset({"data", "examples"}),
    "isal": frozenset({"isa-l"}),
}
"""Parts that no handler imports: batcher's command line and tools, and data and C sources."""
SERVICES = frozenset({"s3", "sts"})
"""The AWS service models that botocore needs: S3, and STS for the credentials of a role."""
DESCRIPTION = ("METADATA", "licenses", "LICEN", "COPYING", "NOTICE", "AUTHORS")
"""Files of a `.dist-info` that stay, by the start of their names: name, version, license."""
TESTS = frozenset({"test", "tests", "testing"})
SOURCES = frozenset({".c", ".cpp", ".h", ".hpp", ".pxd", ".pxi", ".pyi", ".pyx", ".rs"})
"""Files for compilers and type checkers."""


def is_kept(path: PurePosixPath) -> bool:
    """Return whether the package needs a file, given its path in the package."""
    top, *inner = path.parts
    if path.suffix in SOURCES or (inner and (top == "bin" or "__pycache__" in inner)):
        return False
    if not inner:
        return True
    if top.endswith(".dist-info"):
        return inner[0].startswith(DESCRIPTION)
    if top == "botocore" and inner[0] == "data":
        return _is_kept_of_botocore(inner[1:])
    return inner[0] not in UNUSED.get(top, ()) and not TESTS.intersection(inner[:-1])


def _is_kept_of_botocore(inner: list[str]) -> bool:
    """Return whether botocore needs a data file: one of `SERVICES`, or one for all services."""
    is_for_all_services = len(inner) == 1
    return is_for_all_services or (inner[0] in SERVICES and not inner[-1].startswith("examples-"))
