"""The lock: all that is installed, each with hashes, as `pyproject.toml` asks for it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from lock import requirements
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from target import ENGINES, GLIBC_MINOR, HERE, Target

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ; ([^\\]+?))? \\$")
SDK = {"aioboto3", "aiobotocore", "boto3", "botocore"}


def lock_of(engine: str) -> Path:
    """Return the lock's file."""
    return Target(engine, "arm64", "3.13").lock


def pinned(engine: str) -> dict[str, str]:
    """Return the version of each distribution that a lock names."""
    found: dict[str, str] = {}
    for line in lock_of(engine).read_text().splitlines():
        if match := PINNED.match(line):
            found[canonicalize_name(match[1])] = match[2]
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_the_lock_has_what_the_project_asks_for(engine: str) -> None:
    """After a change of `pyproject.toml` it is `make lock` that makes this true again."""
    versions = pinned(engine)
    for text in requirements(engine):
        wanted = Requirement(text)
        name = canonicalize_name(wanted.name)
        assert name in versions, f"{name}: run make lock"
        assert wanted.specifier.contains(versions[name]), f"{text}: run make lock"


@pytest.mark.parametrize("engine", ENGINES)
def test_every_line_pins_a_version_with_hashes(engine: str) -> None:
    """A requirement without a hash would be taken from whoever answers."""
    lines = [
        line for line in lock_of(engine).read_text().splitlines() if line and line[0] not in " #"
    ]
    assert lines
    assert all(PINNED.match(line) for line in lines)
    text = lock_of(engine).read_text()
    assert len(pinned(engine)) == len(lines)
    for block in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]:
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}", block), block[:50]


def test_the_engines_differ_by_their_transport_alone() -> None:
    """One codec and one parser, whatever sends: the same records make the same bytes.

    Nothing of the command line is packaged.
    """
    obstore, aioboto3 = pinned("obstore"), pinned("aioboto3")
    assert not SDK & obstore.keys()
    assert not {"click", "rich"} & (obstore.keys() | aioboto3.keys())
    assert aioboto3.keys() >= SDK
    assert obstore.keys() - aioboto3.keys() == {"obstore"}
    assert {name: version for name, version in obstore.items() if name in aioboto3} == {
        name: version for name, version in aioboto3.items() if name in obstore
    }


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("python", GLIBC_MINOR)
def test_zstd_is_packaged_for_pythons_without_it(engine: str, python: str) -> None:
    """From 3.14 on it is in the standard library."""
    installed = set()
    for line in lock_of(engine).read_text().splitlines():
        if match := PINNED.match(line):
            environment = {"python_full_version": f"{python}.0", "python_version": python}
            if match[3] is None or Marker(match[3]).evaluate(environment):
                installed.add(canonicalize_name(match[1]))
    has_zstd = tuple(map(int, python.split("."))) >= (3, 14)
    assert ("backports-zstd" in installed) is not has_zstd
    assert {"orjson", "msgspec", "isal"} <= installed


def test_packages_are_made_for_the_pythons_that_the_project_names() -> None:
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: 3."
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if line.startswith(prefix)]
    assert named == list(GLIBC_MINOR)
