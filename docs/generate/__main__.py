"""Write the generated parts of pages: `make docs-reference`."""

from __future__ import annotations

from generate.pages import DOCS, pages_with_parts

for page, text in pages_with_parts().items():
    if page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")
        print(f"docs/{page.relative_to(DOCS)}")
