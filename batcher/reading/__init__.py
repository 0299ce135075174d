"""Reading: what lies in the store, decoded, named and judged; `verify` and `replay` build on it."""
