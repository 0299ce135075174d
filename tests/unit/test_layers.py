"""Layers: the pure core imports nothing that waits or looks; what is lazy stays so."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import batcher
from support.stub_s3 import Faults, StubS3

PACKAGE = Path(batcher.__file__).parent
PURE = sorted(
    path.relative_to(PACKAGE).with_suffix("").as_posix()
    for pattern in (
        "batching/*.py",
        "encoding/*.py",
        "errors.py",
        "keys/*.py",
        "limits.py",
        "reading/findings.py",
        "reading/sanitize.py",
        "reading/selection.py",
        "reading/stored_positions.py",
        "reading/times.py",
        "records/*.py",
        "settings/*.py",
        "sources/*.py",
        "stores/denials.py",
        "stores/rate_limits/concurrency.py",
        "stores/rate_limits/limiter.py",
        "stores/rate_limits/rate.py",
        "stores/responses.py",
        "tools/check/bucket_policy.py",
        "tools/check/create_only.py",
        "tools/check/findings.py",
        "tools/check/function.py",
        "tools/check/lifecycle.py",
        "tools/ddl/*.py",
        "tools/formatting.py",
        "tools/plan/*.py",
        "tools/replay/grouping.py",
        "tools/replay/marks.py",
        "tools/replay/sqs_message.py",
        "reading/duplicates.py",
        "tools/verify/inspection.py",
        "tools/verify/lost_records.py",
        "writing/object.py",
        "writing/stats.py",
    )
    for path in PACKAGE.glob(pattern)
)
IMPURE = {
    "aioboto3",
    "aiobotocore",
    "asyncio",
    "boto3",
    "botocore",
    "logging",
    "os",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
}
SDK = ("aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore")
"""AWS's SDK for Python and what comes with it: half a second of import."""

PROTOCOLS = {"stores/base", "stores/retrying"}
"""What stores promise, the values they give, and how long they wait: all else of I/O is refused."""

EXCEPTIONS = {"settings/__init__": {"os"}}
"""`Settings.from_env()`, without an argument, reads what the process was given."""


def imported(source: str) -> set[str]:
    """Name all modules that a source text imports, wherever the import stands in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def ours(names: set[str]) -> set[str]:
    """Return the modules of this package among imported names, as `PURE` writes them.

    A name that is imported of a module counts for that module; a package, for its `__init__`.
    """
    found: set[str] = set()
    for name in names:
        top, *rest = name.split(".")
        path = PACKAGE.joinpath(*rest)
        if top != PACKAGE.name:
            continue
        if path.is_dir():
            found.add("/".join([*rest, "__init__"]))
        elif path.with_suffix(".py").is_file():
            found.add("/".join(rest))
    return found


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_nothing_that_waits_or_looks(name: str) -> None:
    """No event loop, no clock, no environment, no logging, no client; and of ours only its like."""
    names = imported((PACKAGE / f"{name}.py").read_text()) - EXCEPTIONS.get(name, set())
    assert not {name.partition(".")[0] for name in names} & IMPURE
    assert ours(names) <= {*PURE, *PROTOCOLS}


def test_imports_are_found_wherever_they_stand() -> None:
    """Within functions and under other names, too."""
    source = "import os.path as p\ndef f():\n    from time import sleep\n    import a, logging\n"
    assert imported(source) == {"os.path", "time", "time.sleep", "a", "logging"}


def test_our_modules_are_found_by_any_name_of_theirs() -> None:
    """Those of packages as well, and the package's own names, which come from anywhere."""
    source = (
        "from batcher.stores import s3\nimport batcher.writing.encoder as e\n"
        "import os, batchers\n"
        "def f():\n    from batcher.writing.multipart import abort\n"
        "    from batcher import Batcher\n"
    )
    found = ours(imported(source))
    assert found == {
        "__init__", "stores/__init__", "stores/s3/__init__", "writing/encoder", "writing/multipart",
    }  # fmt: skip


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_has_nothing_to_wait_for(name: str) -> None:
    """No `async` and no `await`."""
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    tree = ast.parse((PACKAGE / f"{name}.py").read_text())
    assert not any(isinstance(node, waiting) for node in ast.walk(tree))


def test_sources_know_no_stage_after_them() -> None:
    """A record moves one way: from the sources to batching, writing and stores."""
    later = {"batching", "writing", "stores", "handler", "batcher"}
    assert all((PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() for name in later)
    for path in (PACKAGE / "sources").glob("*.py"):
        used = {name.partition("/")[0] for name in ours(imported(path.read_text()))}
        assert not used & later, path.name


FIRST_EVENT = """
import sys
from batcher.handler import handler

message = {"eventSource": "aws:sqs", "messageId": "1", "body": "{}", "attributes": %r}
message["eventSourceARN"] = "arn:aws:sqs:us-east-1:123456789012:orders"
print(len(handler({"Records": [message]}, None)["batchItemFailures"]))
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
"""A program that writes one record by the default handler, and prints what is then imported."""


def test_the_first_event_by_the_default_engine_imports_no_sdk() -> None:
    """Neither to send the object nor to find the credentials of a Lambda function."""
    script = FIRST_EVENT % {"SentTimestamp": "1795419602064", "ApproximateReceiveCount": "1"}
    with StubS3(Faults()) as server:
        # Lambda's variables, and nothing else
        environ = {**server.environ, "BATCHER_BUCKET": "bucket", "BATCHER_PARTIAL_RESPONSE": "true"}
        done = subprocess.run(  # noqa: S603  # our own interpreter and script
            [sys.executable, "-c", script],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(server.faults.keys) == 1
    failures, loaded = done.stdout.splitlines()[-2:]
    assert failures == "0"
    assert "obstore" in loaded.split()
    assert not set(loaded.split()) & {*SDK, "rich", "duckdb"}


@pytest.mark.parametrize("module", ["batcher", "batcher.handler", "batcher.settings"])
def test_a_cold_start_imports_no_client_and_no_screen(module: str) -> None:
    """528 ms of import, where an invocation may need none of it."""
    unwanted = (*SDK, "obstore", "rich", "duckdb", "isal")
    script = f"import sys, {module}; print(*sys.modules.keys() & {unwanted!r})"
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_the_package_gives_its_names_when_they_are_asked_for() -> None:
    """Each from its home, and no others."""
    for name in batcher.__all__:
        assert getattr(batcher, name)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = batcher.Nothing


def test_the_test_kit_needs_the_base_installation_alone() -> None:
    """No SDK, no engine, no test runner; and the handler does not import the kit."""
    script = (
        "import sys, batcher.handler; print('batcher.testing' in sys.modules); "
        "import batcher.testing; "
        f"print(*sys.modules.keys() & { ({*SDK, 'obstore', 'pytest', 'hypothesis', 'rich'})!r})"
    )
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("False\n\n", "")


@pytest.mark.parametrize(
    ("modules", "ceiling"),
    [("batcher.handler", 201), ("batcher.handler, batcher.stores.obstore.store", 216)],
)
def test_a_cold_start_imports_few_modules(modules: str, ceiling: int) -> None:
    """Each costs a part of a millisecond, and most that are not needed come in by another one.

    Over an interpreter that has imported nothing of its own; a new one needs a reason.
    """
    unwanted = ("random", "secrets", "difflib", "fractions", "html", "batcher.sources.kinesis")
    script = (
        f"import sys; bare = set(sys.modules); import {modules}; new = sys.modules.keys() - bare; "
        f"print(len(new), *new & {set(unwanted)!r})"
    )
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    count, *found = done.stdout.split()
    assert not found
    assert int(count) <= ceiling
