"""Prepare the folder from which the site is built: a copy of `docs/`, and its configuration.

The pages are also read in the repository, so they link to its other files by relative paths. In the
copy these links are addresses. A strict build of the site does not notice pages that are missing in
the navigation, nor missing images and files, so this program does.

    PYTHONPATH=docs python -m generate.site            # prepare .site/
    PYTHONPATH=docs python -m generate.site --serve    # prepare it, serve it, and follow changes
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # it has no types

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SITE = ROOT / ".site"
NOT_PAGES = {"generate", "measured"}
"""Folders of `docs/` that are no part of the site."""

ALL_DECISIONS = "  - Decisions: decisions/index.md # followed by all decisions\n"
FENCE = re.compile(r"\s*(?:>\s*)?(```+|~~~+)")
LINK = re.compile(r"(\]\()([^)\s#]*)(#[^)\s]*)?(?=[)\s])")
IS_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """Ignores the tags that name functions of Python."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda *_: None)


def source_pages() -> list[Path]:
    """Return the pages of the site."""
    pages = [path.relative_to(DOCS) for path in DOCS.rglob("*.md")]
    return sorted(page for page in pages if page.parts[0] not in NOT_PAGES)


def navigation_pages(config: str) -> list[str]:
    """Return the pages that the navigation of a configuration lists, in its order."""

    def walk(item: object) -> Iterator[str]:
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            for inner in item.values():
                yield from walk(inner)
        elif isinstance(item, list):
            for inner in item:
                yield from walk(inner)

    return list(walk(yaml.load(config, Loader=_Loader)["nav"]))  # noqa: S506  # a safe loader


def navigation_faults(config: str, pages: list[Path]) -> list[str]:
    """Return what is wrong with a navigation, given the pages that exist."""
    listed = navigation_pages(config)
    existing = {page.as_posix() for page in pages}
    needed = {name for name in existing if not re.match(r"decisions/\d", name)}
    return [
        *(
            f"mkdocs.yml: nav: {name} does not exist; remove it"
            for name in listed
            if name not in existing
        ),
        *(
            f"mkdocs.yml: nav: {name} is listed twice"
            for name in sorted(set(listed))
            if listed.count(name) > 1
        ),
        *(
            f"docs/{name}: not in the navigation; add it to nav in mkdocs.yml"
            for name in sorted(needed - set(listed))
        ),
    ]


def map_links(text: str, change: Callable[[str, str], str]) -> str:
    """Return Markdown with the relative links changed. `change` gets the path and the anchor."""

    def changed(found: re.Match[str]) -> str:
        path, anchor = found[2], found[3] or ""
        if IS_ADDRESS.match(path):
            return found[0]
        return found[1] + change(path, anchor)

    lines, fence = [], ""
    for line in text.splitlines(keepends=True):
        mark = FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        lines.append(line if fence or mark else LINK.sub(changed, line))
    return "".join(lines)


def site_page(page: Path, address: str, faults: list[str]) -> str:
    """Return the text that a page has in the site. Add its dead links to `faults`."""

    def change(path: str, anchor: str) -> str:
        if not path:
            return anchor
        target = Path(os.path.normpath(DOCS / page.parent / path))
        if not target.exists():
            faults.append(f"docs/{page}: {path} does not exist; correct the link")
            return path + anchor
        is_in_site = target.is_relative_to(DOCS) and (
            target == DOCS or target.relative_to(DOCS).parts[0] not in NOT_PAGES
        )
        if not is_in_site:
            return f"{address}/blob/main/{target.relative_to(ROOT).as_posix()}{anchor}"
        if target.is_dir():
            return f"{path.rstrip('/')}/index.md{anchor}"
        return path + anchor

    return map_links((DOCS / page).read_text(encoding="utf-8"), change)


def prepare() -> list[str]:
    """Write `.site/`. Files that are the same are left alone, since servers watch them.

    Returns:
        What is wrong.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    address = project["urls"]["Source"]
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = source_pages()
    faults = navigation_faults(config, pages)
    files: dict[Path, bytes] = {}
    for path in sorted(DOCS.rglob("*")):
        name = path.relative_to(DOCS)
        if path.is_file() and path.suffix != ".md" and name.parts[0] not in NOT_PAGES:
            files[Path("docs") / name] = path.read_bytes()
    for page in pages:
        files[Path("docs") / page] = site_page(page, address, faults).encode()
    entries = "".join(
        f"      - {page.as_posix()}\n" for page in pages if re.match("decisions/", page.as_posix())
    )
    if ALL_DECISIONS not in config:
        faults.append(f"mkdocs.yml: nav: needs the line {ALL_DECISIONS.strip()!r}")
    config = config.replace(ALL_DECISIONS, f"  - Decisions:\n{entries}")
    links = f"repo_url: {address}\nrepo_name: Source\nsite_dir: html\n"
    files[Path("mkdocs.yml")] = (config + links).encode()
    for path in [*(SITE / "docs").rglob("*")]:
        if path.is_file() and path.relative_to(SITE) not in files:
            path.unlink()
    for name, content in files.items():
        target = SITE / name
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return faults


def serve() -> None:
    """Serve the site, and prepare it again every second, until Ctrl-C."""
    command = shutil.which("zensical", path=os.path.dirname(sys.executable)) or "zensical"  # noqa: PTH120  # not resolved: a link in the virtual environment
    server = subprocess.Popen([command, "serve", "--config-file", "mkdocs.yml"], cwd=SITE)  # noqa: S603  # the program that make docs-serve installs
    shown: list[str] = []
    try:
        while server.poll() is None:
            faults = prepare()
            if faults != shown:
                print(*faults, sep="\n")
            shown = faults
            time.sleep(1)
    except KeyboardInterrupt:
        server.wait()


def main() -> int:
    """Run the program and return its exit code."""
    faults = prepare()
    print(*faults, sep="\n", end="\n" if faults else "", file=sys.stderr)
    if "--serve" in sys.argv[1:]:
        serve()
        return 0
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
