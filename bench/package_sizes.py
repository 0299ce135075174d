"""Installed: how large the packages are that a deployment has to carry."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from batcher.errors import DISTRIBUTION

IN_RUNTIME = {"boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"}
"""What AWS's Python runtime has by itself. Source: AWS Lambda, Python runtimes."""


def owners(modules: Iterable[str]) -> set[str]:
    """Return the distributions that these top-level modules belong to; the standard library's none.

    A module of a namespace that several distributions fill counts for all that are installed.
    """
    by_module = packages_distributions()
    found: set[str] = {
        canonicalize_name(name) for module in modules for name in by_module.get(module, ())
    }
    if "batcher" in modules:
        found.add(DISTRIBUTION)  # an editable installation lists no modules
    return found


def needed(requirement: str) -> set[str]:
    """Return the distributions that installing this brings with it, as installed here.

    Raises:
        PackageNotFoundError: one of them is not installed.
    """
    found: set[str] = set()
    todo = [Requirement(requirement)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        one = todo.pop()
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(name)
        for text in requires(name) or ():
            inner = Requirement(text)
            if inner.marker is None or any(
                inner.marker.evaluate({"extra": extra}) for extra in extras or {""}
            ):
                todo.append(inner)
    return found


@cache
def size_bytes(name: str) -> int:
    """Return the bytes of an installed distribution's files, `.pyc` included.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    if name == DISTRIBUTION:
        folder = Path(__file__).parent.parent / "batcher"
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    files = distribution(name).files
    if files is None:
        raise PackageNotFoundError(name)
    paths = {Path(str(file.locate())) for file in files if ".." not in file.parts}
    for path in list(paths):
        if path.suffix == ".py":
            paths.update((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))
    return sum(path.stat().st_size for path in paths if path.is_file())
