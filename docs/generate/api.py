"""docs/reference/api.md, from the signatures and docstrings of what the package exports."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain
from typing import cast

import griffe

import batcher
import batcher.testing
from batcher import Stats
from generate.markdown import make_table, wrap, wrap_text

WRITE = ["Batcher", "SyncBatcher", "Ticket", "SyncTicket", "Receipt", "Stats"]
TYPES = ["Record", "Transform", "JsonDefault", "OnCancel", "TimeInput"]
READ = ["read_objects", "ReadObjects", "ReadObject", "Finding", "FindingKind"]
STORES = ["CustomStore", "CustomUpload", "ObjectStore", "ObjectAttributes", "ObjectInfo"]
HANDLER = ["handler", "make_handler", "LambdaHandler", "LambdaContext"]

ELSEWHERE = {
    "errors.md": [
        *(name for name in batcher.__all__ if name.endswith("Error")),
        "BadRecord",
        "BadRecordReason",
    ],
    "settings.md": [
        "AddressingStyle",
        "CannedAcl",
        "CompressionName",
        "Encryption",
        "EngineName",
        "FormatName",
        "OnBadRecord",
        "RequestPayer",
        "Settings",
        "SettingsOptions",
        "SettingsOverrides",
    ],
}
"""What other pages describe. The types of settings are for annotations."""

NOT_FOR_PROGRAMS = {
    "Batcher.budget",
    "Batcher.iter_slices",
    "Batcher.settings",
    "Batcher.submit_chunk",
    "Batcher.submit_slice",
    "SyncBatcher.close_at_exit",
    "SyncBatcher.settings",
    "SyncTicket.__init__",
    "Ticket.__init__",
    *(f"Stats.{name}" for name in vars(Stats) if name.startswith("count_")),
    "ReadObject.__init__",
    "ReadObjects.__aiter__",
    "ReadObjects.__init__",
}
"""Members that other parts of the package use."""

METHODS = {"__init__", "__call__", "__aiter__"}
"""Methods that are described although their names begin with an underscore."""


@cache
def _load() -> griffe.Module:
    options = griffe.GoogleOptions(
        warnings=False, returns_multiple_items=False, returns_named_value=False
    )
    loaded = griffe.load("batcher", docstring_parser="google", docstring_options=options)
    assert isinstance(loaded, griffe.Module)  # noqa: S101  # for type checkers
    return loaded


def find(module: str, name: str) -> griffe.Object:
    """Return the declaration of what a module exports under a name."""
    found = _load()[f"{module}.{name}".removeprefix("batcher.")]
    target = found.final_target if isinstance(found, griffe.Alias) else found
    assert isinstance(target, griffe.Object)  # noqa: S101  # for type checkers
    return target


def make_section(module: str, names: Iterable[str]) -> str:
    """Return the description of these names of a module."""
    return "\n\n".join("\n\n".join(_describe(find(module, name))) for name in names)


def _describe(item: griffe.Object) -> Iterator[str]:
    yield f"### {item.name}"
    if isinstance(item, griffe.Class):
        yield from _describe_class(item)
    elif isinstance(item, griffe.Function):
        yield _code(_signature(item, item.name))
        yield from _docstring(item)
    else:
        value = getattr(item, "value", None)
        annotation = getattr(item, "annotation", None)
        is_alias = annotation is None or str(annotation) == "TypeAlias"
        yield _code(f"{item.name} = {value}" if is_alias else f"{item.name}: {annotation}")
        yield from _docstring(item)


def _describe_class(item: griffe.Class) -> Iterator[str]:
    bases = ", ".join(str(base) for base in item.bases)
    members = [member for member in item.members.values() if _is_described(item, member)]
    functions = [member for member in members if isinstance(member, griffe.Function)]
    attributes = [member for member in members if isinstance(member, griffe.Attribute)]
    init = next((each for each in functions if each.name == "__init__"), None)
    is_enum = "Enum" in bases
    if init:
        yield _code(_signature(init, item.name))
    elif attributes and not is_enum and ("dataclass" in item.labels or "Struct" in bases):
        yield _code(f"class {item.name}:\n" + "\n".join(map(_field, attributes)))
    yield from _docstring(item)
    if init:
        yield from _docstring(init, without_summary=True)
    rows = [
        (f"`{_value(each) if is_enum else each.name}`", " ".join(each.docstring.value.split()))
        for each in attributes
        if each.docstring
    ]
    if rows:
        yield make_table(("value" if is_enum else "attribute", "meaning"), rows).strip()
    for each in functions:
        if each is not init:
            yield f"#### {_heading(f'{item.name}.{each.name}')}"
            yield _code(_signature(each, each.name))
            yield from _docstring(each)


def _is_described(owner: griffe.Class, member: griffe.Object | griffe.Alias) -> bool:
    if f"{owner.name}.{member.name}" in NOT_FOR_PROGRAMS or isinstance(member, griffe.Alias):
        return False
    if member.name.startswith("_") and member.name not in METHODS:
        return False
    is_set_by_a_method = (
        isinstance(member, griffe.Attribute)
        and "class-attribute" not in member.labels
        and member.value is not None
    )
    return not is_set_by_a_method or member.docstring is not None


def _heading(name: str) -> str:
    """Return a name as a heading. Two underscores would make it bold."""
    return f"`{name}`" if "__" in name else name


def _value(member: griffe.Attribute) -> str:
    """Return the value of an enum's member as a user sees it."""
    try:
        return str(ast.literal_eval(str(member.value)))
    except ValueError:
        return member.name


def _field(member: griffe.Attribute) -> str:
    default = f" = {member.value}" if member.value is not None else ""
    return f"    {member.name}: {member.annotation}{default}"


def _code(text: str) -> str:
    return f"```pyi\n{text}\n```"


def _signature(function: griffe.Function, name: str) -> str:
    """Return a declaration, on one line if it fits."""
    parameters: list[str] = []
    was_keyword = False
    for each in function.parameters:
        if each.name in {"self", "cls"}:
            continue
        kind = str(each.kind.value) if each.kind else ""
        is_keyword = kind == "keyword-only"
        if is_keyword and not was_keyword:
            parameters.append("*")
            was_keyword = True
        star = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        was_keyword = was_keyword or star == "*"
        annotation = f": {each.annotation}" if each.annotation is not None else ""
        has_default = each.default is not None and not star
        default = f" = {_constant(function, str(each.default))}" if has_default else ""
        parameters.append(f"{star}{each.name}{annotation}{default}")
    is_class = function.name == "__init__"
    start = "" if is_class else "async def " if "async" in function.labels else "def "
    end = "" if is_class or function.returns is None else f" -> {function.returns}"
    if "property" in function.labels:
        return f"{name}: {function.returns}"
    line = f"{start}{name}({', '.join(parameters)}){end}"
    if len(line) <= 88:  # noqa: PLR2004  # what fits beside the navigation
        return line
    return f"{start}{name}(\n" + "".join(f"    {each},\n" for each in parameters) + f"){end}"


def _constant(function: griffe.Function, default: str) -> str:
    """Return a default, with the value of a constant in place of its name."""
    if not default.isupper():
        return default
    return repr(getattr(importlib.import_module(function.module.path), default))


def _docstring(item: griffe.Object, *, without_summary: bool = False) -> Iterator[str]:
    """Yield the parts of a docstring as Markdown."""
    if item.docstring is None:
        return
    if reference := re.fullmatch(r"See `(\w+\.\w+)`\.", item.docstring.value.strip()):
        yield from _docstring(cast("griffe.Object", item.module[reference[1]]))
        return
    for section in item.docstring.parsed:
        if isinstance(section, griffe.DocstringSectionText):
            text = section.value
            text = wrap_text(text.partition("\n\n")[2] if without_summary else text)
        else:
            text = _section(section, str(getattr(item, "returns", "")))
        if text:
            yield text


def _section(section: griffe.DocstringSection, returned: str) -> str:
    """Return a section as Markdown. `returned` is the annotation of the function."""
    match section:
        case griffe.DocstringSectionParameters():
            return _list((f"`{each.name}`", each.description) for each in section.value)
        case griffe.DocstringSectionRaises():
            return "Raises:\n\n" + _list(
                (_names(each.annotation), each.description) for each in section.value
            )
        case griffe.DocstringSectionReturns() | griffe.DocstringSectionYields():
            (one,) = section.value
            start = "" if str(one.annotation) == returned else f"{one.annotation}: "
            return wrap(f"{section.kind.value.capitalize()}: {start}{one.description}")
        case griffe.DocstringSectionAdmonition():
            return wrap_text(f"{section.title}: {section.value.description}")
    msg = f"a docstring has a section {section.kind}, which docs/generate/api.py does not know"
    raise ValueError(msg)


def _list(items: Iterable[tuple[str, str]]) -> str:
    return "\n".join(wrap(f"{name}: {description}", "- ", "  ") for name, description in items)


def _names(annotation: object) -> str:
    """Return the classes of an annotation in backticks."""
    return ", ".join(f"`{name}`" for name in re.findall(r"\w+", str(annotation)))


def make_elsewhere() -> str:
    """Return the table of the names that other pages describe."""
    titles = {"errors.md": "Errors", "settings.md": "Settings"}
    return make_table(
        ("names", "page"),
        [
            (", ".join(f"`{name}`" for name in sorted(names)), f"[{titles[page]}]({page})")
            for page, names in ELSEWHERE.items()
        ],
    )


def missing_names() -> set[str]:
    """Return the exported names that the page does not have."""
    described = {*WRITE, *TYPES, *READ, *STORES, *chain(*ELSEWHERE.values())}
    return set(batcher.__all__) - described - {"__version__"}


def _testing() -> list[str]:
    return [name for name in batcher.testing.__all__ if name not in batcher.__all__]


PARTS: Mapping[str, Callable[[], str]] = {
    "api-write": lambda: make_section("batcher", WRITE),
    "api-types": lambda: make_section("batcher", TYPES),
    "api-read": lambda: make_section("batcher", READ),
    "api-stores": lambda: make_section("batcher", STORES),
    "api-elsewhere": make_elsewhere,
    "api-handler": lambda: make_section("batcher.handler", HANDLER),
    "api-testing": lambda: make_section("batcher.testing", _testing()),
}
