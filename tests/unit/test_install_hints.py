"""Install hints in code and documents name our distribution, and extras that it has.

`batcher` on PyPI belongs to somebody else: `pip install batcher` runs a stranger's code.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import InvalidRequirement, Requirement

from batcher.errors import DISTRIBUTION, install_hint

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"].keys()

PACKAGE = sorted((ROOT / "batcher").rglob("*.py"))
FOR_USERS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ELSEWHERE = [
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "serverless.yml")),
    *(ROOT / "tests" / "e2e").glob("*.md"),
    *(path for folder in ("bench", "deploy") for path in sorted((ROOT / folder).glob("*.py"))),
    *sorted((ROOT / "bench").glob("*.md")),
]

INSTALL = re.compile(
    r"\b(?:pip3? install|pipx (?:install|run)|uv (?:add|pip install|tool (?:install|run))|uvx)"
    r"(?= )([^\n`#;&|]*)"
)
DERIVED = re.compile(r" '?\{DISTRIBUTION\}")
WRONG_NAME = re.compile(r"(?<![\w-])batcher\[[a-z]\w*(?:, ?\w+)*\]")
OTHERS = {"ministack", "moto", "localstack", "pytest"}
"""What documents may install beside ours: local stand-ins for AWS, and what runs a user's tests."""
EXTRA = re.compile(r"\bextra `(\w+)`|`(\w+)` extra\b")
QUOTED_BY_PYTHON = ")\"'.,"
"""What may follow a command in a string of Python or in a sentence."""


def requirements(command: str) -> Iterator[Requirement]:
    """Yield the requirements among the words after an installer. Paths and options are none."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError:  # an unbalanced quotation mark: the end of a string of Python
        words = command.replace("'", " ").replace('"', " ").split()
    for word in words:
        try:
            yield Requirement(word.rstrip(QUOTED_BY_PYTHON))
        except InvalidRequirement:
            continue


def faults(text: str, *, ours_only: bool = False) -> list[str]:
    """Return the wrong hints of a text.

    Args:
        text: a document, or the source of a module.
        ours_only: whether each command must install our distribution.
    """
    allowed = {DISTRIBUTION, *OTHERS}
    found = [match[0] for match in WRONG_NAME.finditer(text)]
    for match in INSTALL.finditer(text):
        wanted = list(requirements(match[1]))
        if any(
            requirement.name == "batcher"
            or (requirement.name == DISTRIBUTION and not requirement.extras <= EXTRAS)
            for requirement in wanted
        ) or (ours_only and not allowed.issuperset(each.name for each in wanted)):
            found.append(match[0])
    found += [match[0] for match in EXTRA.finditer(text) if not {match[1], match[2]} & EXTRAS]
    return found


def written_out(source: str) -> list[str]:
    """Return the commands of a module that do not take the name from `DISTRIBUTION`."""
    return [match[0] for match in INSTALL.finditer(source) if not DERIVED.match(match[1])]


def of(path: Path) -> str:
    """Name a case by its path."""
    return path.relative_to(ROOT).as_posix()


def test_the_distribution_has_the_name_that_hints_have() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    (hint,) = requirements(install_hint("cli").removeprefix("pip install "))
    assert (hint.name, hint.extras) == (DISTRIBUTION, {"cli"})


@pytest.mark.parametrize("path", PACKAGE, ids=of)
def test_hints_of_the_package_derive_from_one_constant(path: Path) -> None:
    """`install_hint` itself, and its example, are in `batcher/errors.py`."""
    source = path.read_text()
    assert faults(source) == []
    if path.name != "errors.py" or path.parent.name != "batcher":
        assert written_out(source) == []


def test_hints_of_the_package_name_extras_that_exist() -> None:
    """Each call has the name of the extra in its source."""
    named = [
        extra
        for path in PACKAGE
        for extra in re.findall(r"(?<!def )\binstall_hint\(([^)]*)\)", path.read_text())
    ]
    assert named
    assert {extra.strip("'\"") for extra in named} <= EXTRAS


@pytest.mark.parametrize("path", FOR_USERS, ids=of)
def test_documents_for_users_install_our_distribution_alone(path: Path) -> None:
    assert faults(path.read_text(), ours_only=True) == []


@pytest.mark.parametrize("path", ELSEWHERE, ids=of)
def test_other_files_name_no_distribution_of_a_stranger_as_ours(path: Path) -> None:
    assert faults(path.read_text()) == []


def test_the_readme_lists_every_extra_once() -> None:
    text = (ROOT / "README.md").read_text()
    table = text.partition("| extra |")[2].partition("\n\n")[0]
    names = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    assert sorted(names) == sorted(EXTRAS)


@pytest.mark.parametrize(
    "text",
    [
        "pip install batcher",
        "run `pip install 'batcher[cli]'` first",
        "pip install --upgrade batcher",
        "uv add batcher",
        "uv tool install 'batcher[cli]'",
        "pipx install batcher",
        "uvx batcher demo",
        "msg = \"obstore is missing: pip install 'batcher[fast]'\"",
        "the transport of batcher[fast]",
        "pip install 's3-batcher[fast]'",
        "uv pip install s3-batcher[cli,bench]",
        "it needs the extra `fast`",
        "it needs the `fast` extra",
    ],
)
def test_wrong_hints_are_found(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "text",
    [
        "pip install s3-batcher",
        "pip install 's3-batcher[cli,aioboto3]>=0.1' # and more",
        "pip uninstall batcher",
        "msg = f\"no rich: pip install '{DISTRIBUTION}[cli]'\"",
        "pip install atheris",
        "it needs the extra `aioboto3`",
    ],
)
def test_right_hints_pass(text: str) -> None:
    assert faults(text) == []


def test_documents_for_users_may_not_install_something_else() -> None:
    """Someone who copies the line would not have batcher."""
    assert faults("pip install boto3", ours_only=True)
    assert faults("pip install boto3 s3-batcher", ours_only=True)


def test_hints_that_do_not_derive_are_found() -> None:
    assert written_out("echo(\"pip install 's3-batcher[cli]'\")")
    assert written_out('f"pip install {NAME}"')
    assert not written_out("f\"pip install '{DISTRIBUTION}[cli]'\"")
    assert not written_out('f"pip install {DISTRIBUTION}"')
