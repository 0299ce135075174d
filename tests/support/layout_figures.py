"""Print the figures of the layout: size, layers, circles, names and stack depth of `batcher/`.

Usage:
    python tests/support/layout_figures.py [CHECKOUT] [--details]

It reads the source of a checkout, before or after the modules moved into packages, and needs the
standard library only. The stack frames are counted in a process of their own, with the checkout's
own `batcher`, so they need batcher's dependencies.

How each figure is defined:

- entries: files and folders of `batcher/`, without `__pycache__`.
- import layers: the longest chain of imports between entries in which no entry comes twice. Where
  entries form no circle, this is the number of layers. Type-only imports (`TYPE_CHECKING`) and
  imports within functions count. The package's own `__init__.py` does not: it names everything.
  The second figure is the same chain without type-only imports.
- imports that point upwards: pairs of modules of which one imports the other from a layer above
  its own in `LAYERS`, or from an independent neighbour of the same layer.
- import circles: groups of files that import each other, directly or through others, type-only
  imports and imports within functions included, without the package's own `__init__.py`.
- class names: names of classes and enums that two or more modules of `batcher/` define.
- docstrings: those in `batcher/` whose first word is Give, Say, Tell or Hear. The second figure
  adds tests, bench and deploy.
- stack frames: frames of files below `batcher/`, from the outermost of a `writer.py` to the call
  of the engine, both included, while the handler writes one record with metrics switched on. The
  figure in brackets begins at the call of the handler instead.
- pipeline: modules of `batcher/` that call both `Writer(...)` and `Router(...)` or `Intake(...)`.
- settings by hand: a class, function, or module-level name with fields or string constants named
  after at least `MIN_SETTINGS` settings, in the module of `Settings`. The same elsewhere in
  `batcher/` is listed as a possible use. Outside, a file that names at least half of all settings
  by name or as `BATCHER_*`; a file may count for both. It is a heuristic: a generated or tested
  place is listed like any other.
- context variables: calls of `ContextVar(...)`.
- is_quarantine: files of `batcher/` where it stands in the condition of an `if`, an `elif`, a
  conditional expression or a comprehension. The second figure leaves out `reading` and `tools`.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

PACKAGE = "batcher"
ROOT = "__init__"
MAIN = "__main__"

LAYERS: Sequence[tuple[str, ...]] = (
    (MAIN,),
    ("cli",),
    ("tools", "testing"),
    ("compaction",),
    ("reading",),
    ("sync",),
    ("handler", "batcher"),
    ("writing",),
    ("stores", "batching"),
    ("sources", "settings"),
    ("keys", "encoding"),
    ("records",),
    ("concurrency", "errors", "limits"),
)
"""Entries of the package, highest first. One may import entries of lower layers only."""

FLAT = {
    "batching": "batch check intake policy quarantine transform",
    "concurrency": "deadline seats uninterrupted reading.side_by_side",
    "encoding": "encode zstd reading.decoder reading.text",
    "handler": "delivery logs metrics reporter",
    "keys": "partition reading.names",
    "records": "payload run",
    "sources": "ledger",
    "stores": "backoff in_flight lately pace place rate",
    "tools": (
        "checking demo planning printable replay tables units "
        "reading.inspection reading.report reading.verify"
    ),
    "writing": (
        "body budget conditional counts dispatch encoder flight parts receipt ticket uploading "
        "writer"
    ),
    MAIN: "cli.__main__",
}
"""Where modules of the flat tree belong in `LAYERS`, if not to the entry they are in."""
HOMES = {old: entry for entry, names in FLAT.items() for old in names.split()}
MOVED_NAMES = {
    "check": {"Reason": "records", "BadRecord": "records"},
    "counts": {"Requests": "stores"},
    "keys": {
        "MAX_KEY_BYTES": "limits",
        "digest_of": "records",
        "key_of": "writing",
        "name_of": "writing",
    },
    "parts": {"MAX_PART_BYTES": "limits", "MAX_PARTS": "limits", "MIN_PART_BYTES": "limits"},
    "quarantine": {"quarantine_date": "keys"},
    "settings": {"MAX_TAGS": "limits", "MAX_USER_METADATA_BYTES": "limits"},
    "units": {"parse_size": "settings"},
}
"""Names of the flat tree's modules that belong elsewhere than their module."""

FIRST_WORDS = {"Give", "Say", "Tell", "Hear"}
MIN_SETTINGS = 3
SOME_SETTINGS = ("bucket", "root", "max_bytes")
"""Fields by which the class of all settings is found, whatever its module."""
OUTSIDE = ("*.md", "docs/*.md", "*.yml", "deploy/*.yml", "deploy/*.js", "deploy/*.py")
OUTSIDE_FORMS = {
    "by name": re.compile(r"(?:`|^ *)([a-z0-9_]+)(?:`|:)", re.MULTILINE),
    "as BATCHER_*": re.compile(r"BATCHER_([A-Z0-9_]+)\b"),
}
ENGINES = ("obstore", "aioboto3")
WRITER = re.compile(r"(^|/)writer\.py:")
"""A frame of the writer's file, as `print_frames` prints it."""


@dataclass(frozen=True)
class Module:
    """A file of the package."""

    name: str
    """Dotted, without the package: `stores.base`; a package's own file has the package's name."""
    path: Path
    tree: ast.Module

    @property
    def entry(self) -> str:
        """The entry of the package that it is, or that it is in."""
        return self.name.partition(".")[0]

    @property
    def home(self) -> str:
        """Its entry in `LAYERS`."""
        return HOMES.get(self.name) or HOMES.get(self.entry) or self.entry


@dataclass(frozen=True)
class Import:
    """One import of a module of the package by another one."""

    importer: Module
    imported: Module
    name: str
    """The name that is taken from it; empty: the module itself."""
    line: int
    is_type_only: bool


@dataclass(frozen=True)
class Figure:
    """A row of the table."""

    label: str
    value: str
    details: Sequence[str] = ()


def read_modules(package: Path) -> dict[str, Module]:
    """Parse all files of the package, by name."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        *folders, stem = path.relative_to(package).with_suffix("").parts
        parts = folders if folders and stem == ROOT else [*folders, stem]
        name = ".".join(parts)
        modules[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
    return modules


def read_imports(modules: Mapping[str, Module]) -> list[Import]:
    """Find all imports between modules of the package, wherever they are in a file."""
    found = []
    for module in modules.values():
        for node, is_type_only in _import_nodes(module.tree, is_type_only=False):
            for imported, name in _targets(node, module, modules):
                if imported is not module:
                    found.append(Import(module, imported, name, node.lineno, is_type_only))
    return found


def _import_nodes(
    node: ast.AST, *, is_type_only: bool
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, is_type_only
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            body = ast.Module(child.body, [])
            yield from _import_nodes(body, is_type_only=True)
            otherwise = ast.Module(child.orelse, [])
            yield from _import_nodes(otherwise, is_type_only=is_type_only)
        else:
            yield from _import_nodes(child, is_type_only=is_type_only)


def _targets(
    node: ast.Import | ast.ImportFrom, importer: Module, modules: Mapping[str, Module]
) -> Iterator[tuple[Module, str]]:
    """Return the modules of the package that a statement imports, each with the name taken."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top, _, rest = alias.name.partition(".")
            if top == PACKAGE:
                yield modules[rest or ROOT], ""
        return
    base = node.module or ""
    if node.level:
        is_package = importer.path.stem == ROOT
        folders = [] if importer.name == ROOT else importer.name.split(".")
        kept = len(folders) - node.level + is_package
        base = ".".join([PACKAGE, *folders[:kept], *filter(None, [node.module])])
    top, _, rest = base.partition(".")
    if top != PACKAGE:
        return
    for alias in node.names:
        whole = f"{rest}.{alias.name}" if rest else alias.name
        if whole in modules:
            yield modules[whole], ""
        elif (rest or ROOT) in modules:
            yield modules[rest or ROOT], alias.name


Graph = Mapping[str, Collection[str]]


def graph_of(imports: Iterable[Import], node: Callable[[Module], str]) -> Graph:
    """Return which nodes import which others, the package's own `__init__.py` left out."""
    graph: dict[str, set[str]] = defaultdict(set)
    for found in imports:
        importer, imported = node(found.importer), node(found.imported)
        if importer != imported and ROOT not in {found.importer.name, found.imported.name}:
            graph[importer].add(imported)
    return graph


def circles(graph: Graph) -> list[set[str]]:
    """Return the groups of nodes that all reach each other, each of two nodes or more."""

    @cache
    def reached(start: str) -> frozenset[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for node in graph.get(waiting.pop(), ()):
                if node not in seen:
                    seen.add(node)
                    waiting.append(node)
        return frozenset(seen)

    groups = {
        frozenset(other for other in reached(node) if node in reached(other)) for node in graph
    }
    return sorted((set(group) for group in groups if len(group) > 1), key=sorted)


def longest_chain(graph: Graph) -> list[str]:
    """Return the longest path that visits no node twice; exact, also where there are circles."""
    group_of = {node: group for group in circles(graph) for node in group}

    @cache
    def below(node: str) -> list[str]:
        return walk(node, frozenset([node]))

    def walk(node: str, seen: frozenset[str]) -> list[str]:
        best: list[str] = []
        circle = group_of.get(node, set())
        for other in sorted(graph.get(node, ())):
            if other in seen:
                continue
            rest = walk(other, seen | {other}) if other in circle else below(other)
            best = max(best, rest, key=len)
        return [node, *best]

    return max((below(node) for node in sorted(graph)), key=len, default=[])


def entries_figure(package: Path) -> Figure:
    """Count files and folders."""
    names = sorted(path.name for path in package.iterdir() if path.name != "__pycache__")
    return Figure("entries of batcher/ (files and folders)", str(len(names)), names)


def layers_figure(imports: Sequence[Import]) -> Figure:
    """Measure the longest chain of imports between entries."""
    chain_of_all = longest_chain(graph_of(imports, lambda module: module.entry))
    at_run_time = [found for found in imports if not found.is_type_only]
    chain_at_run_time = longest_chain(graph_of(at_run_time, lambda module: module.entry))
    value = f"{len(chain_of_all)} ({len(chain_at_run_time)} without type-only imports)"
    chains = [" > ".join(chain_of_all), " > ".join(chain_at_run_time)]
    return Figure("import layers between them", value, chains)


def upwards_figure(imports: Sequence[Import]) -> Figure:
    """Find pairs of modules of which one imports the other against `LAYERS`."""
    rank = {entry: number for number, layer in enumerate(LAYERS) for entry in layer}
    upwards: dict[tuple[str, str], set[str]] = defaultdict(set)
    unknown = set()
    for found in imports:
        if ROOT in {found.importer.name, found.imported.name}:
            continue
        importer = found.importer.home
        imported = MOVED_NAMES.get(found.imported.name, {}).get(found.name, found.imported.home)
        unknown |= {importer, imported} - rank.keys()
        if unknown & {importer, imported} or importer == imported:
            continue
        if rank[importer] >= rank[imported]:
            note = "type-only" if found.is_type_only else "run time"
            pair = (f"{found.importer.name} [{importer}]", f"{found.imported.name} [{imported}]")
            upwards[pair].add(f"line {found.line}: {found.name or 'the module'}, {note}")
    value = str(len(upwards))
    if unknown:
        value += f"; in no layer: {', '.join(sorted(unknown))}"
    details = [f"{a} -> {b}: {'; '.join(sorted(why))}" for (a, b), why in sorted(upwards.items())]
    return Figure("imports that point upwards", value, details)


def circles_figure(imports: Sequence[Import]) -> Figure:
    """Find circles between files."""
    found = circles(graph_of(imports, lambda module: module.name))
    details = [", ".join(sorted(group)) for group in found]
    return Figure("import circles between files (with type-only imports)", str(len(found)), details)


def class_names_figure(modules: Mapping[str, Module]) -> Figure:
    """Find names of classes that several modules define."""
    homes: dict[str, set[str]] = defaultdict(set)
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].add(module.name)
    shared = {name: where for name, where in sorted(homes.items()) if len(where) > 1}
    details = [f"{name}: {', '.join(sorted(where))}" for name, where in shared.items()]
    return Figure("class and enum names with more than one meaning", str(len(shared)), details)


def docstrings_figure(checkout: Path) -> Figure:
    """Count docstrings whose first word is one of `FIRST_WORDS`."""
    counts = {
        folder: sum(_refused_docstrings(path) for path in _sources(checkout / folder))
        for folder in (PACKAGE, "tests", "bench", "deploy")
    }
    value = f"{counts[PACKAGE]} ({sum(counts.values())} with tests, bench and deploy)"
    details = [f"{folder}: {count}" for folder, count in counts.items()]
    return Figure("docstrings that begin with Give, Say, Tell or Hear", value, details)


def _sources(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.py")) if "node_modules" not in path.parts]


def _refused_docstrings(path: Path) -> int:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    docs = (ast.get_docstring(node) for node in nodes if isinstance(node, documented))
    return sum(doc.split()[0].strip(".,:;") in FIRST_WORDS for doc in docs if doc)


def pipeline_figure(modules: Mapping[str, Module]) -> Figure:
    """Find the modules that put a writer and a router together."""
    places = []
    for module in modules.values():
        called = _calls(module.tree).keys()
        if "Writer" in called and called & {"Router", "Intake"}:
            places.append(module.name)
    value = f"{len(places)} ({', '.join(places)})"
    return Figure("places where the pipeline is assembled", value)


def _calls(tree: ast.AST) -> Counter[str]:
    """Count calls by the last part of what is called."""
    return Counter(
        ast.unparse(node.func).rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    )


def settings_figure(checkout: Path, modules: Mapping[str, Module]) -> Figure:
    """List the places that name settings by hand."""
    home, settings = _settings(modules)
    declared: list[str] = []
    named: list[str] = []
    for module in modules.values():
        for node in _places(module.tree):
            count = len(_names_in(node) & settings)
            if count >= MIN_SETTINGS:
                place = f"{module.name}: {_label(node)} ({count} of {len(settings)})"
                (declared if module.name == home else named).append(place)
    outside = []
    for path in sorted({path for pattern in OUTSIDE for path in checkout.glob(pattern)}):
        text = path.read_text(encoding="utf-8")
        for form, pattern in OUTSIDE_FORMS.items():
            count = len({name.lower() for name in pattern.findall(text)} & settings)
            if 2 * count >= len(settings):
                file = path.relative_to(checkout)
                outside.append(f"{file}: {form} ({count} of {len(settings)})")
    value = f"{len(declared)} in {home}, {len(outside)} outside code"
    if named:
        value += f" ({len(named)} more in code that may only use settings)"
    details = [*declared, *outside, *(f"use? {place}" for place in named)]
    return Figure("places where a setting is declared by hand", value, details)


def _settings(modules: Mapping[str, Module]) -> tuple[str, set[str]]:
    """Return the module of the class `Settings`, and the names of its fields."""
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and node.name == "Settings":
                names = _fields(node)
                if names.issuperset(SOME_SETTINGS):
                    return module.name, names
    return "no module", set()


def _fields(node: ast.ClassDef) -> set[str]:
    return {
        item.target.id
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


Place = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Assign | ast.AnnAssign


def _places(tree: ast.Module) -> Iterator[Place]:
    """Return what can declare: classes by their fields, functions, and module-level names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            yield statement


def _names_in(place: Place) -> set[str]:
    """Return the names that a place has as fields, or as strings that stand alone."""
    if isinstance(place, ast.ClassDef):
        return _fields(place)
    return {
        node.value
        for node in ast.walk(place)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _label(place: Place) -> str:
    if isinstance(place, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return place.name
    targets = place.targets if isinstance(place, ast.Assign) else [place.target]
    return ", ".join(ast.unparse(target) for target in targets)


def context_variables_figure(modules: Mapping[str, Module]) -> Figure:
    """Find the definitions of context variables."""
    found = [
        module.name for module in modules.values() for _ in range(_calls(module.tree)["ContextVar"])
    ]
    value = f"{len(found)} ({', '.join(found)})" if found else "0"
    return Figure("context variables that connect layers", value)


def quarantine_figure(modules: Mapping[str, Module]) -> Figure:
    """Find the files that decide by `is_quarantine`."""
    found = []
    in_core = []
    for module in modules.values():
        tests: list[ast.expr] = []
        for node in ast.walk(module.tree):
            if isinstance(node, ast.If | ast.IfExp):
                tests.append(node.test)
            elif isinstance(node, ast.comprehension):
                tests += node.ifs
        names = chain.from_iterable(ast.walk(test) for test in tests)
        if any(_attribute(node) == "is_quarantine" for node in names):
            found.append(module.name)
            if module.home not in {"reading", "tools", "cli"}:
                in_core.append(module.name)
    value = f"{len(found)} ({len(in_core)} without reading and tools: {', '.join(in_core)})"
    return Figure("files with an `if ... is_quarantine`", value, found)


def _attribute(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def frames_figure(checkout: Path) -> Figure:
    """Count the frames between the writer and each engine."""
    counts, details = [], []
    for engine in ENGINES:
        command = [sys.executable, __file__, str(checkout), "--frames", engine]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # ourselves
        lines = done.stdout.split("\n")[:-1]
        if done.returncode or not lines:
            reason = done.stderr.strip().rpartition("\n")[2] or "no PUT was seen"
            counts.append(f"{engine} not measured: {reason}")
            continue
        first = next(i for i, line in enumerate(lines) if WRITER.search(line))
        counts.append(f"{len(lines) - first} to {engine} ({len(lines)} from the handler's call)")
        details += [f"{engine}: {line}" for line in lines]
    return Figure("our stack frames between Writer and the engine", ", ".join(counts), details)


def print_frames(checkout: Path, engine: str) -> None:
    """Write one record by the handler, and print our frames at the engine's PUT, outermost first.

    The engine is replaced at its own public call, so nothing is sent. That must happen before
    batcher is imported, so that it does not matter by which name batcher calls it.
    """
    import os  # noqa: PLC0415  # here, in a process of its own

    package = checkout / PACKAGE
    frames: list[str] = []

    def note_frames() -> None:
        found = []
        frame = sys._getframe(1)  # noqa: SLF001  # the public way costs a frame summary per line
        while frame is not None:
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(package):
                place = f"{path.relative_to(package)}:{frame.f_lineno} {frame.f_code.co_qualname}"
                found.append(place)
            frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
        frames[:] = reversed(found)

    os.environ |= {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    _replace_engine(engine, note_frames)
    sys.path.insert(0, str(checkout))
    from batcher.handler import make_handler  # noqa: PLC0415  # after the engine was replaced
    from batcher.settings import Settings  # noqa: PLC0415

    chosen: dict[str, Any] = {"engine": engine}
    settings = Settings(bucket="no-such-bucket", **chosen)
    handler = make_handler(settings, metrics=lambda _: None)
    handler(EVENT)
    handler.close()
    sys.stdout.write("".join(f"{frame}\n" for frame in frames))


def _replace_engine(engine: str, note_frames: Callable[[], None]) -> None:
    """Let the engine's PUT note the stack instead of sending anything."""
    if engine == "obstore":
        import obstore  # noqa: PLC0415  # an extra

        async def put_async(*_: object, **__: object) -> dict[str, str]:
            note_frames()
            return {"e_tag": '"0"', "version": ""}

        obstore.put_async = put_async  # type: ignore[assignment]
        return
    client = import_module("aiobotocore.client")  # it has no types

    async def call(_: object, operation: str, __: object) -> dict[str, str]:
        if operation == "PutObject":
            note_frames()
        return {"ETag": '"0"'}

    client.AioBaseClient._make_api_call = call  # noqa: SLF001  # where all calls of a client meet


EVENT = {
    "Records": [
        {
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
            "receiptHandle": "AQEB",
            "body": '{"n": 1}',
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1545082649183",
                "SenderId": "AIDA",
                "ApproximateFirstReceiveTimestamp": "1545082649185",
            },
            "messageAttributes": {},
            "md5OfBody": "c0fd8ac0bc5f01f0a5b9c4d33d0c8cd8",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:my-queue",
            "awsRegion": "us-east-1",
        }
    ]
}


def figures(checkout: Path) -> Iterator[Figure]:
    """Measure all figures, in the order of the table."""
    package = checkout / PACKAGE
    modules = read_modules(package)
    imports = read_imports(modules)
    yield entries_figure(package)
    yield layers_figure(imports)
    yield upwards_figure(imports)
    yield circles_figure(imports)
    yield class_names_figure(modules)
    yield docstrings_figure(checkout)
    yield frames_figure(checkout)
    yield pipeline_figure(modules)
    yield settings_figure(checkout, modules)
    yield context_variables_figure(modules)
    yield quarantine_figure(modules)


def main() -> None:
    """Print one line per figure."""
    parser = argparse.ArgumentParser(description="Print the figures of the layout of batcher/.")
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("checkout", nargs="?", type=Path, default=here)
    parser.add_argument("--details", action="store_true", help="what was counted, below each")
    parser.add_argument("--frames", choices=ENGINES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    checkout = arguments.checkout.resolve()
    if arguments.frames:
        print_frames(checkout, arguments.frames)
        return
    for figure in figures(checkout):
        sys.stdout.write(f"{figure.label}: {figure.value}\n")
        if arguments.details:
            sys.stdout.writelines(f"    {line}\n" for line in figure.details)


if __name__ == "__main__":
    main()
