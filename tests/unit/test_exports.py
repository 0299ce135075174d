"""Every type that a public call takes or returns can be imported from a public module."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_origin

import pytest

import batcher
import batcher.handler
import batcher.testing

PACKAGE = Path(batcher.__file__).parent

MADE_BY_BATCHER = {"ReadObject", "ReadObjects", "SyncTicket", "Ticket"}
"""Nobody else calls their constructors."""

FRONT_DOORS = {
    "Batcher.submit_chunk": "for `batcher write`, which has read chunks",
    "Batcher.submit_slice": "for SyncBatcher",
    "Stats.count_routed": "for the front doors, which count",
    "Stats.count_written": "as above",
    "Stats.count_failed": "as above",
    "Stats.count_flush": "as above",
    "BadRecord.chunk": "its payload and its position",
    "ObjectStore.head": "takes worker slots of the dispatcher",
    "ObjectStore.create_upload": "as above",
    "ObjectStore.read_range": "as above",
    "Request.slots": "as above",
    "Request.timeout": "of the stores that wait and retry",
    "Request.retry_log": "as above",
}
"""Public names of batcher's own front doors, which take types of the stages behind them."""


def modules() -> Iterator[types.ModuleType]:
    """Yield all modules of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        *folders, name = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if name != "__main__":
            yield import_module(".".join(folders if name == "__init__" else [*folders, name]))


def find_own_types() -> set[str]:
    """Return the names of all classes and type aliases of the package."""
    found = set()
    for module in modules():
        for name, value in vars(module).items():
            is_class = inspect.isclass(value) and value.__module__.startswith("batcher")
            is_alias = get_origin(value) is not None or isinstance(value, types.UnionType)
            if not name.startswith("_") and (is_class or is_alias):
                found.add(name)
    return found


def public_names() -> dict[str, Any]:
    """Return what users import: from the package, from the handler and from the test kit."""
    handler = vars(batcher.handler).items()
    own = {name: value for name, value in handler if inspect.isclass(value) or callable(value)}
    return {
        **{name: getattr(batcher, name) for name in batcher.__all__},
        **{
            name: value
            for name, value in own.items()
            if getattr(value, "__module__", "") == batcher.handler.__name__
            and not name.startswith("_")
        },
        **{name: getattr(batcher.testing, name) for name in batcher.testing.__all__},
    }


PUBLIC = public_names()


def signatures(name: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401  # of any kind
    """Yield what a public name declares, as `Class.method` and the text of one annotation."""
    if inspect.isfunction(value):
        yield from ((name, text) for text in value.__annotations__.values())
    if not inspect.isclass(value):
        return
    yield from ((f"{name}.{field}", text) for field, text in inspect.get_annotations(value).items())
    for member, found in vars(value).items():
        function = getattr(found, "fget", getattr(found, "__func__", found))
        is_constructor = member == "__init__" and name not in MADE_BY_BATCHER
        is_public = not member.startswith("_") or member in {"__call__", "__anext__", "__await__"}
        if inspect.isfunction(function) and (is_constructor or is_public):
            texts = function.__annotations__.values()
            yield from ((f"{name}.{member}", str(text)) for text in texts)


@pytest.fixture(scope="module")
def own_types() -> set[str]:
    """See `find_own_types`."""
    return find_own_types()


@pytest.mark.parametrize("name", PUBLIC)
def test_types_of_a_public_call_are_public(name: str, own_types: set[str]) -> None:
    """So that users can annotate what they pass on."""
    missing = {
        f"{where}: {word}"
        for where, text in signatures(name, PUBLIC[name])
        for word in re.findall(r"[A-Za-z]\w*", str(text))
        if word in own_types and word not in PUBLIC and where not in FRONT_DOORS
    }
    assert not missing


def test_the_check_sees_parameters_fields_and_what_is_returned(own_types: set[str]) -> None:
    words = {
        (where, word)
        for name in ("Batcher", "Ticket", "Settings", "read_objects")
        for where, text in signatures(name, PUBLIC[name])
        for word in re.findall(r"[A-Za-z]\w*", str(text))
    }
    assert {
        ("Batcher.submit_many", "Record"),
        ("Batcher.__init__", "OnCancel"),
        ("Settings.format", "FormatName"),
        ("read_objects", "TimeInput"),
    } <= words
    assert {"Record", "OnCancel", "FormatName", "TimeInput", "Transform"} <= own_types
