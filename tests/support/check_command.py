"""Running `batcher check` and reading its results."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import botocore.loaders
import botocore.session
import pytest

from batcher.cli import main
from support.output_schema import parse_output

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
"""The checks of a complete write probe."""


@contextmanager
def models_read_once() -> Iterator[None]:
    """Read each service model of botocore once; reading takes half the time of making a client."""
    with pytest.MonkeyPatch.context() as patch:
        loader = functools.cache(botocore.loaders.create_loader)
        patch.setattr(botocore.session, "create_loader", loader)
        yield


def use(monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str]) -> None:
    """Set environment variables."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, str]]]:
    """Run the command with `--json` and return its exit code and its findings."""
    code = main(["check", *arguments, "--json"])
    document = parse_output("check", capsys.readouterr().out)
    assert document["fine"] == (code == 0)
    assert sum(document["counts"].values()) == len(document["findings"])
    return code, document["findings"]


def marks(findings: list[dict[str, str]], mark: str) -> set[str]:
    """Return the checks that have this mark."""
    return {finding["check"] for finding in findings if finding["mark"] == mark}


def text_of(findings: list[dict[str, str]], check_: str) -> str:
    """Return the text of all findings of a check."""
    return " ".join(f"{f['detail']}: {f['do']}" for f in findings if f["check"] == check_)
