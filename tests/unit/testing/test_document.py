"""The page about testing shows the message that its careless handler causes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from support.doc_pages import DOCS, blocks_of

BLOCKS = blocks_of(DOCS / "how-to" / "testing.md")


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module of the page that has the careless handler."""
    modules = {}
    for name in ("my_handler", "test_careless"):
        (text,) = [block.text for block in BLOCKS if block.title == f"{name}.py"]
        modules[name] = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, modules[name])
        exec(compile(text, Path(f"{name}.py"), "exec"), modules[name].__dict__)  # noqa: S102  # our own page
    return modules["test_careless"]


def test_the_message_is_that_of_the_careless_handler(careless: ModuleType) -> None:
    """Word for word: ids, faults and deliveries follow from the seed. The page runs its tests."""
    (shown,) = [block.text for block in BLOCKS if block.text.startswith("seed ")]
    report = careless.run_deliveries(
        careless.make_careless,
        careless.sqs_messages(careless.orders),
        seed=int(shown.partition(",")[0].removeprefix("seed ")),
        transform=careless.transform,
    )
    with pytest.raises(AssertionError) as raised:
        report.assert_none_lost()
    assert f"{raised.value}\n" == shown
