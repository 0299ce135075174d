"""Expected: the files that captured facts are compared with, and how they are written anew."""

from __future__ import annotations

import copy
import difflib
import json
import os
import zlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from . import zstandard

FOLDER = Path(__file__).parent / "expected"
UPDATE = "GOLDEN_UPDATE"


def is_updating() -> bool:
    """Return whether expected files are to be written, not compared."""
    return os.environ.get(UPDATE, "") not in {"", "0"}


def codecs() -> dict[str, str]:
    """Return the versions of the libraries that make compressed bytes."""
    return {
        "gzip": f"isal {version('isal')}, zlib {zlib.ZLIB_RUNTIME_VERSION}",
        "zstd": zstandard.version(),
        "none": "",
    }


def compare(group: str, name: str, facts: dict[str, Any], *, is_first: bool) -> None:
    """Compare one case with its file, or write it there.

    Args:
        group: the name of the file.
        name: of the case.
        facts: what was captured.
        is_first: whether this run of the case may write, when updating; others must agree with it.
    """
    facts = {
        name: fact for name, fact in json.loads(json.dumps(facts)).items() if fact or fact == 0
    }
    if is_updating() and is_first:
        _write("codecs", codecs())
        _write(group, dict(sorted((_read(group) | {name: facts}).items())))
        return
    known = _read(group)
    assert name in known, f"no golden file has {name}: run with {UPDATE}=1 and review the diff"
    same_codecs = {codec for codec, was in _read("codecs").items() if codecs()[codec] == was}
    difference = _difference(_comparable(known[name], same_codecs), _comparable(facts, same_codecs))
    assert not difference, f"{name} is not as in {group}.json (-expected +actual):\n{difference}"


def compare_names(group: str, names: Iterable[str]) -> None:
    """Fail on cases of a file that no test has; remove them when updating."""
    known, names = _read(group), set(names)
    if is_updating():
        _write(group, {name: facts for name, facts in known.items() if name in names})
        return
    assert known.keys() == names


def _comparable(facts: dict[str, Any], same_codecs: set[str]) -> dict[str, Any]:
    """Leave out digests of bytes that another version of a codec makes otherwise."""
    compared = copy.deepcopy(facts)
    for found in compared.get("objects", ()):
        for part in (found, found.get("wording", {})):
            body = part.get("body", "")
            codec = body.partition(",")[0]
            if "sha256" in body and codec not in same_codecs:
                part["body"] = codec
    return compared


def _difference(expected: dict[str, Any], actual: dict[str, Any]) -> str:
    """Return the lines that differ, with some lines around them; nothing if none does."""
    if expected == actual:
        return ""
    before, after = (_dumped(facts).splitlines() for facts in (expected, actual))
    return "\n".join(difflib.unified_diff(before, after, lineterm="", n=4))


def _dumped(facts: object) -> str:
    return json.dumps(facts, indent=1, ensure_ascii=False)


def _read(group: str) -> dict[str, Any]:
    path = FOLDER / f"{group}.json"
    if is_updating():
        return json.loads(path.read_text()) if path.exists() else {}
    return copy.deepcopy(_read_once(path))


@cache
def _read_once(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(path.read_text()))


def _write(group: str, facts: object) -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{group}.json").write_text(f"{_dumped(facts)}\n")
