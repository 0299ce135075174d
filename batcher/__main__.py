"""`python -m batcher`, for where the script is not on the path."""

from batcher.cli import script

script()
