"""Running `batcher check`, and a look at what it has found."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import botocore.loaders
import botocore.session
import pytest

from batcher.cli import main

WRITTEN = {
    "write.create",
    "write.if_none_match",
    "write.head",
    "write.replace",
    "write.if_match",
    "write.parts",
    "write.abort",
    "write.cleanup",
}
"""What a whole dry write tells of."""


@contextmanager
def models_read_once() -> Iterator[None]:
    """Read the models of AWS's services once: half of the time of making clients."""
    with pytest.MonkeyPatch.context() as patch:
        loader = functools.cache(botocore.loaders.create_loader)
        patch.setattr(botocore.session, "create_loader", loader)
        yield


def use(monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str]) -> None:
    """Set these variables."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, str]]]:
    """Run the command with `--json`; give its exit code and its findings."""
    code = main(["check", *arguments, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["fine"] == (code == 0)
    assert sum(told["counts"].values()) == len(told["findings"])
    return code, told["findings"]


def marks(found: list[dict[str, str]], mark: str) -> set[str]:
    """Return the checks that have this mark."""
    return {finding["check"] for finding in found if finding["mark"] == mark}


def text_of(found: list[dict[str, str]], check_: str) -> str:
    """Return all that is told of a check."""
    return " ".join(f"{f['found']}: {f['do']}" for f in found if f["check"] == check_)
