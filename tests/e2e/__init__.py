"""End to end: what is packaged and deployed, seen working; `make e2e` runs it."""
