"""The page names each check and each permission; modules that evaluate are pure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import batcher.tools.check
from batcher.tools.check.bucket import BUCKET_CALLS
from unit.test_layers import IMPURE, imported

PACKAGE = Path(batcher.tools.check.__file__).parent
PAGE = PACKAGE.parents[2] / "docs/reference/check.md"
PURE = [
    "bucket",
    "bucket_policy",
    "create_only",
    "findings",
    "function",
    "lifecycle",
    "mapping",
]
CHECK = re.compile(r'"((?:bucket|folder|function|mapping|queue|settings|write)\.[a-z_]+)"')


def test_the_page_names_every_check_and_every_permission() -> None:
    """`function.state` or, after another one of its kind, `.state`."""
    page = PAGE.read_text()
    sources = "".join(path.read_text() for path in PACKAGE.glob("*.py"))
    checks = set(CHECK.findall(sources))
    assert len(checks) > 25
    for check in checks:
        kind, _, name = check.partition(".")
        assert f"`{check}`" in page or f"`.{name}`" in page or f"`{kind}.*`" in page, check
    wanted = {question.permission for question in BUCKET_CALLS}
    wanted |= set(re.findall(r'"((?:s3|sqs|lambda|iam|kinesis):[A-Z]\w+)"', sources)) - {
        "s3:PutObjectAcl"
    }
    assert all(permission.split(":")[1] in page for permission in wanted)


@pytest.mark.parametrize("name", PURE)
def test_modules_that_evaluate_are_pure(name: str) -> None:
    """They get the responses of AWS as arguments."""
    modules = {
        module.partition(".")[0] for module in imported((PACKAGE / f"{name}.py").read_text())
    }
    assert not modules & (IMPURE | {"aiohttp"})
