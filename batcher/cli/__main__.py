"""`python -m batcher.cli`, for where the script is not on the path."""

from batcher.cli import script

script()
