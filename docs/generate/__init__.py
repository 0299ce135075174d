"""What `make docs` and `make docs-reference` generate. Not part of the package."""
