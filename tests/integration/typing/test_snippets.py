"""mypy --strict and pyright accept every snippet of the documents, and know all public types."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SNIPPET = re.compile(
    r"^```python\b(?: title=\"(\w+)\.py\")?[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL
)
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

ANY = """
# pyright: reportIncompleteStub=false
from typing import Any
def __getattr__(name: str) -> Any: ...
"""
WITHOUT_TYPES = (
    "boto3/__init__.pyi",
    "duckdb/__init__.pyi",
    "orders_table/__init__.pyi",
    "pandas/__init__.pyi",
    "polars/__init__.pyi",
    "pyarrow/__init__.pyi",
    "pyarrow/compute.pyi",
)
"""Packages without types that snippets import, and a module that a command prints."""

CELERY = {
    "__init__.pyi": """
from collections.abc import Callable
class Result:
    def get(self) -> object: ...
class Task:
    def apply(self, args: tuple[object, ...]) -> Result: ...
def shared_task(function: Callable[..., object]) -> Task: ...
""",
    "signals.pyi": """
from collections.abc import Callable
from typing import TypeVar
F = TypeVar("F", bound=Callable[..., object])
class Signal:
    def connect(self, function: F) -> F: ...
    def send(self, sender: object) -> object: ...
worker_process_init: Signal
worker_process_shutdown: Signal
""",
}
"""Celery has no types."""

USES = """
from dataclasses import replace
from typing import assert_type

from batcher import (
    Batcher, CompressionName, Receipt, Settings, SyncBatcher, SyncTicket, Ticket,
)

settings = Settings(
    bucket="my-bucket", max_bytes="64MiB", part_size=8_000_000, max_records=None, fanout="4",
    linger_s=1, compression="zstd", on_bad_record="fail", engine="aioboto3", sse="aws:kms",
    partial_response="true", tags='{"team": "data"}', metadata={"team": "data"},
)
assert_type(settings.max_bytes, int)
assert_type(settings.max_records, int | None)
assert_type(settings.linger_s, float)
chosen: CompressionName = settings.compression
Settings.from_env({"BATCHER_BUCKET": "my-bucket"}, max_bytes="1MiB", compression=chosen)
replace(settings, max_bytes=5)


async def main(batcher: Batcher) -> None:
    assert_type(await batcher.submit(b"{}"), Ticket[Receipt])
    assert_type(batcher.submit_nowait("{}"), Ticket[Receipt])
    assert_type(await (await batcher.submit({"a": 1})), Receipt)
    assert_type(await (await batcher.submit_many([b"{}"])), list[Receipt])


def threads(batcher: SyncBatcher) -> None:
    assert_type(batcher.submit(b"{}"), SyncTicket[Receipt])
    assert_type(batcher.submit_many([b"{}"]).result(), list[Receipt])
"""
"""What must be accepted, beside what the documents show."""

MISUSES = [
    'Settings(bucket="my-bucket", compression="gzp")',
    'Settings(bucket="my-bucket", rot="x")',
    'Settings(bucket="my-bucket", max_bytes=1.5)',
    'Settings.from_env({}, on_bad_record="ignore")',
    "Settings()",
    'Batcher(Settings(bucket="my-bucket"), on_cancel="never")',
    "SyncBatcher(max_bytes=5)",
]
"""What both must refuse, one per line."""


def programs() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each snippet. By its title another one can import it."""
    for path in DOCUMENTS:
        stem = path.stem.lower().replace("-", "_")
        for number, (title, text) in enumerate(SNIPPET.findall(path.read_text(encoding="utf-8"))):
            yield f"{title or f'{stem}_{number}'}.py", text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all programs."""
    folder = tmp_path_factory.mktemp("snippets")
    (folder / "celery").mkdir()
    for name, text in CELERY.items():
        (folder / "celery" / name).write_text(text)
    for name in WITHOUT_TYPES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(ANY)
    for name, text in programs():
        (folder / name).write_text(text)
    (folder / "uses.py").write_text(USES)
    imports = "from batcher import Batcher, Settings, SyncBatcher\n"
    (folder / "misuses.py").write_text(imports + "\n".join(MISUSES))
    (folder / "mypy.ini").write_text("[mypy]\nstrict = true\n")
    included = json.dumps({"include": ["."], "typeCheckingMode": "strict"})
    (folder / "pyrightconfig.json").write_text(included)
    return folder


def run(*arguments: str, folder: Path) -> str:
    """Return what a type checker prints. It looks for packages of the first python in PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_the_documents_have_snippets() -> None:
    names = [name for name, _ in programs()]
    assert len(names) == len(set(names)), "two snippets of one title"
    assert {"readme_0.py", "read_python_0.py", "my_handler.py"} <= set(names)


def test_mypy_accepts_what_works_and_refuses_what_does_not(folder: Path) -> None:
    printed = run("mypy", ".", folder=folder)
    errors = [line for line in printed.splitlines() if ": error:" in line]
    assert [line for line in errors if not line.startswith("misuses.py")] == []
    refused = {int(line.split(":")[1]) for line in errors}
    assert refused == set(range(2, 2 + len(MISUSES)))


def test_pyright_accepts_what_works_and_refuses_what_does_not(folder: Path) -> None:
    printed = run("pyright", "--outputjson", folder=folder)
    found = [
        (Path(each["file"]).name, each["range"]["start"]["line"], each["message"])
        for each in json.loads(printed)["generalDiagnostics"]
        if each["severity"] == "error"
    ]
    assert [each for each in found if each[0] != "misuses.py"] == []
    assert {line for _, line, _ in found} == set(range(1, 1 + len(MISUSES)))


def test_all_public_types_are_known() -> None:
    """Of 100 names at least 98: what is missing are classes of packages without types."""
    arguments = ("pyright", "--outputjson", "--ignoreexternal", "--verifytypes", "batcher")
    printed = run(*arguments, folder=ROOT)
    report = json.loads(printed)["typeCompleteness"]
    assert report["exportedSymbolCounts"]["withKnownType"] > 3_000
    assert report["completenessScore"] >= 0.98
