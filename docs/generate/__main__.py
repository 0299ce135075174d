"""Write the generated pages: `make docs-reference`."""

from __future__ import annotations

from generate.pages import DOCS, generated_pages

for name, text in generated_pages().items():
    path = DOCS / name
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"docs/{name}")
