"""The lock: all that is installed, each with hashes, as `pyproject.toml` asks for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lock import requirements
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from target import ENGINES, Target

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
    """One codec and one parser, whatever sends: the same records make the same bytes."""
    obstore, aioboto3 = pinned("obstore"), pinned("aioboto3")
    assert not SDK & obstore.keys()
    assert aioboto3.keys() >= SDK
    assert obstore.keys() - aioboto3.keys() == {"obstore"}
    assert {name: version for name, version in obstore.items() if name in aioboto3} == {
        name: version for name, version in aioboto3.items() if name in obstore
    }
