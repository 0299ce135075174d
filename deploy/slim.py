"""Slim: which files of the distributions, and of batcher, a package goes without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

UNUSED: Mapping[str, frozenset[str]] = {
    "batcher": frozenset({"__main__.py", "cli", "reading", "testing", "tools"}),
    "boto3": frozenset({"data", "examples"}),
    "isal": frozenset({"isa-l"}),
}
"""Parts that no handler imports: of batcher commands and the test kit; sources of libraries."""
SERVICES = frozenset({"s3", "sts"})
"""The models of AWS's services that botocore may need: S3, and STS for a role's credentials."""
DESCRIPTION = ("METADATA", "licenses", "LICEN", "COPYING", "NOTICE", "AUTHORS")
"""How the names begin that stay of a `.dist-info`: name, version, license."""
TESTS = frozenset({"test", "tests", "testing"})
SOURCES = frozenset({".c", ".cpp", ".h", ".hpp", ".pxd", ".pxi", ".pyi", ".pyx", ".rs"})
"""What a wheel carries for compilers and type checkers."""


def is_kept(path: PurePosixPath) -> bool:
    """Return whether a file, by its path in the package, is ever used there, or must be kept."""
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
    """Return so of botocore's data: a folder a service, and files beside them that go for all."""
    is_for_all = len(inner) == 1
    return is_for_all or (inner[0] in SERVICES and not inner[-1].startswith("examples-"))
