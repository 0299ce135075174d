"""Reading objects back: list, select, decode, detect duplicates. `verify` and `replay` use it."""
