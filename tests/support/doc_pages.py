"""The documents: their pages, fenced blocks, links, anchors and prose.

How a page shows code. The first word after the fence says what a block is:

- `sh` and `python` run. The blocks of a page run in their order in one temporary folder and one
  shell, so that later ones see the files, variables and objects of earlier ones. `my-bucket` is an
  empty bucket of a local AWS, to which credentials, region and endpoint in the environment lead.
  `batcher`, `python` and `aws` are on the PATH. `/tmp/` is a folder of the page.
- `sql`, `yaml`, `json`, `toml` and `hcl` are parsed. On pages about DuckDB, `sql` runs in DuckDB.
- `text` and `console` are output. Every line of a `text` block that follows a block that runs is
  printed by its page. `mermaid` is a diagram. `pyi` is a declaration.

`title="orders.py"` after the first word shows a name above the block, and saves it under that
name.

A `sh` block that begins with a command of a clone of the repository, or with one that changes an
environment, such as `make deploy` or `pip install`, is not run here: `RUN_ELSEWHERE` has the tests
that run it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OUTPUTS = {"text", "console", "mermaid"}
PARSED = {"sql", "yaml", "json", "toml", "hcl", "pyi"}
RUN = {"sh", "python"}

RUN_ELSEWHERE = {
    r"pip install|pipx install|uv add|uv tool install": "tests/integration/install/test_install.py",
    r"git clone|cd s3-batcher": "tests/integration/install/test_install.py",
    r"python3 -m venv|\. \.venv/bin/activate": "tests/integration/install/test_install.py",
    r"make deploy|make package|make remove": "tests/e2e/test_make_deploy.py",
    r"make demo": "tests/integration/tools/demo/test_demo.py",
    r"make [a-z-]+$": "Makefile",
}
"""Starts of commands that no page runs, and the file that runs them.

A block that begins with one of these runs there as a whole.
"""


class Block(NamedTuple):
    """A fenced block."""

    line: int
    """Of its first line of text, from 1."""
    language: str
    title: str
    """The name that it is saved under, or nothing."""
    text: str


def all_documents() -> list[Path]:
    """Return every Markdown file of the repository that people read."""
    folders = ("docs", "examples", "bench", "deploy", "research", "tests", ".github")
    found = [*ROOT.glob("*.md")]
    for folder in folders:
        found += (ROOT / folder).rglob("*.md")
    return sorted(path for path in found if "node_modules" not in path.parts)


def pages() -> list[Path]:
    """Return the README and the pages of `docs/`, without the decisions."""
    found = [path for path in DOCS.rglob("*.md") if "decisions" not in path.parts]
    return [ROOT / "README.md", *sorted(found)]


def name_of(page: Path) -> str:
    """Return the path of a page from the root."""
    return page.relative_to(ROOT).as_posix()


FENCE = re.compile(r"(\s*)(`{3,}|~{3,})\s*(\S*)\s*(.*)")
TITLE = re.compile(r'title="([^"]+)"')


def split_blocks(text: str) -> tuple[list[Block], list[tuple[int, str]]]:
    """Return the fenced blocks of Markdown, and the numbered lines outside of them."""
    blocks: list[Block] = []
    outside: list[tuple[int, str]] = []
    inside: list[str] | None = None
    indent = mark = language = title = ""
    first = 0
    for number, line in enumerate(text.splitlines(), 1):
        found = FENCE.match(line)
        if inside is None and found:
            indent, mark, language = found[1], found[2], found[3]
            named = TITLE.search(found[4])
            title = named[1] if named else ""
            inside, first = [], number + 1
        elif inside is not None and line.strip() == mark:
            blocks.append(Block(first, language, title, "".join(f"{each}\n" for each in inside)))
            inside = None
        elif inside is not None:
            inside.append(line.removeprefix(indent))
        else:
            outside.append((number, line))
    assert inside is None, f"the block of line {first} has no end"
    return blocks, outside


@cache
def read_page(page: Path) -> tuple[list[Block], list[tuple[int, str]]]:
    """Return what `split_blocks` returns of a file."""
    return split_blocks(page.read_text(encoding="utf-8"))


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    return read_page(page)[0]


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a `sh` block, without comments. Continued lines are joined."""
    for line in text.replace("\\\n", " ").splitlines():
        command = re.sub(r"(^|\s)#.*", "", line).strip()
        if command:
            yield re.sub(r"\s+", " ", command)


def is_run_elsewhere(block: Block) -> bool:
    """Return whether a `sh` block belongs to a test of its own."""
    return any(map(run_elsewhere, [*commands(block.text)][:1]))


def run_elsewhere(command: str) -> str | None:
    """Return the file that runs a command, or None if it is to run in a test of its page."""
    for start, test in RUN_ELSEWHERE.items():
        if re.match(rf"(?:[A-Z_]+=\S+ )*(?:{start})(?!\S)", command):
            return test
    return None


LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
IS_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*$")
ANCHOR = re.compile(r"<a (?:id|name)=\"([^\"]+)\"")


def prose(page: Path) -> str:
    """Return the text outside of fenced blocks."""
    return "\n".join(line for _, line in read_page(page)[1])


def links_of(page: Path) -> list[str]:
    """Return the targets of all links and images of a page that are no addresses."""
    text = CODE.sub("``", prose(page))
    targets = [*LINK.findall(text), *re.findall(r"^\[[^\]]+\]:\s+(\S+)", text, re.MULTILINE)]
    targets += re.findall(r"<img [^>]*src=\"([^\"]+)\"", text)
    return [target for target in targets if not IS_ADDRESS.match(target)]


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub and the site make them of its headings."""
    anchors: set[str] = set()
    for _, line in read_page(page)[1]:
        anchors.update(ANCHOR.findall(line))
        heading = HEADING.match(line)
        if heading:
            slug = slug_of(heading[1])
            number = 0
            while (slug if not number else f"{slug}-{number}") in anchors:
                number += 1
            anchors.add(slug if not number else f"{slug}-{number}")
    return anchors


def slug_of(heading: str) -> str:
    """Return the anchor of a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-")
